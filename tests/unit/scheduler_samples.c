// What a node says of its tasks is checked again: the shepherd that checked it is the user's.
#include "scheduler/shell/agents.h"

#include "common/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

static void expect(char *phase, char *name, double value, const char *want, bool has_progress)
{
    AUTO(text) struct text t = {0};
    double progress;
    Muster__Metric metric = MUSTER__METRIC__INIT, *list[] = {&metric};
    Muster__Sample sample = MUSTER__SAMPLE__INIT;
    metric.name = name;
    metric.value = value;
    sample.phase = phase;
    sample.n_metrics = 1;
    sample.metrics = list;
    assert_int_equal(sample_values(&sample, &t, &progress), strcmp(want, "{}") != 0);
    assert_string_equal(text_str(&t), want);
    assert_int_equal(!isnan(progress), has_progress);
}

static void what_is_taken(void **state)
{
    static char longest[64], longer[65], huge[1 << 20];
    (void)state;
    memset(longest, 'a', sizeof longest - 1);
    memset(longer, 'a', sizeof longer - 1);
    memset(huge, 'a', sizeof huge - 1);
    expect("train", "loss", 0.5, "{\"phase\":\"train\",\"loss\":0.5}", false);
    expect("", "step", 3, "{\"step\":3}", false);
    expect("", "loss", NAN, "{\"loss\":null}", false);
    expect("", "progress", 0.25, "{\"progress\":0.25}", true);
    expect("", "\xff", 1, "{\"\xef\xbf\xbd\":1}", false); // is UTF-8 again
    expect("", longer, 1, "{}", false);
    expect(huge, "a", 1, "{\"a\":1}", false);
    expect("\x1b[2J", "a\x1b", 1, "{}", false);
    expect("", "", 1, "{}", false);
    expect("train", "phase", 1, "{\"phase\":\"train\"}", false);
    expect("", "progress", 1e300, "{}", false);
    expect("", "progress", NAN, "{}", false);
    AUTO(text) struct text want = {0};
    text_addf(&want, "{\"%s\":1}", longest);
    expect("", longest, 1, text_str(&want), false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_taken)};
    return cmocka_run_group_tests_name("scheduler_samples", tests, NULL, NULL);
}
