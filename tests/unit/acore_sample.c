// The report channel: which lines are taken, how they merge, how fast they go on.
#include "agent/core/pace.h"
#include "agent/core/sample.h"

#include "common/alloc.h"
#include "common/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct err last;

static int add(struct sample *s, const char *line)
{
    last = (struct err){0};
    return sample_add(s, 7, line, strlen(line), &last);
}

static double value(const struct sample *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->metrics[i].name, name) == 0)
            return s->metrics[i].value;
    fail_msg("there is no \"%s\"", name);
    return 0;
}

static void numbers_and_phase(void **state)
{
    struct sample s = {0};
    (void)state;
    assert_int_equal(add(&s, "{\"phase\":\"train\",\"step\":3,\"loss\":0.5,\"ok\":true,\"off\":"
                             "false,\"text\":\"x\",\"list\":[1],\"deep\":{\"a\":1}}"),
                     0);
    assert_int_equal(s.count, 4);
    assert_string_equal(s.phase, "train");
    assert_true(value(&s, "step") == 3 && value(&s, "loss") == 0.5);
    assert_true(value(&s, "ok") == 1 && value(&s, "off") == 0);
    assert_int_equal(s.at_ms, 7);
}

// What programs print and JSON does not know.
static void no_numbers(void **state)
{
    static const char *const lines[] = {
        "{\"loss\":null}",
        "{\"loss\":NaN}",
        "{\"loss\":nan,\"a\":1}",
        "{\"loss\":-nan}",
        "{\"loss\": Infinity }",
        "{\"loss\":-Infinity}",
        "{\"loss\":inf}",
        "{\"loss\":-inf}",
        "{\"in\\\"NaN\":1,\"loss\":NaN}",
        "{\"a\":[NaN],\"loss\":NaN}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct sample s = {0};
        if (add(&s, lines[i]))
            fail_msg("%s: %s", lines[i], last.message);
        assert_true(isnan(value(&s, "loss")));
    }
}

static void refused_lines(void **state)
{
    static const struct {
        const char *line, *word;
    } cases[] = {
        {"", "not JSON"},
        {"junk", "not JSON"},
        {"{\"a\":1", "not JSON"},
        {"{\"a\":1} {\"a\":2}", "not JSON"},
        {"[1,2]", "one JSON object"},
        {"{\"a\":NaNa}", "not JSON"},
        {"{\"\":1}", "a name of 0 bytes"},
        {"{\"a\\u0007b\":1}", "control character"},
        {"{\"phase\":3}", "\"phase\" is a string"},
        {"{\"phase\":\"\"}", "a phase of 0 bytes"},
        {"{\"progress\":1.01}", "from 0 to 1"},
        {"{\"progress\":-0.1}", "from 0 to 1"},
        {"{\"progress\":NaN}", "from 0 to 1"},
        {"{\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg\":1}", "64 bytes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sample s = {0};
        assert_int_equal(add(&s, "{\"kept\":1}"), 0);
        assert_int_equal(add(&s, cases[i].line), E_INVALID);
        if (!strstr(last.message, cases[i].word))
            fail_msg("%s: \"%s\" is not in \"%s\"", cases[i].line, cases[i].word, last.message);
        assert_int_equal(s.count, 1); // a refused line changes nothing
    }
}

static void bounded(void **state)
{
    struct sample s = {0};
    AUTO(text) struct text line = {0};
    (void)state;
    AUTO_FREE char *spaces = xmalloc(SAMPLE_LINE_MAX + 2);
    memset(spaces, ' ', SAMPLE_LINE_MAX + 1);
    memcpy(spaces, "{\"a\":1}", 7);
    assert_int_equal(sample_add(&s, 1, spaces, SAMPLE_LINE_MAX, &last), 0);
    assert_int_equal(sample_add(&s, 1, spaces, SAMPLE_LINE_MAX + 1, &last), E_INVALID);
    text_addc(&line, '{');
    for (int i = 0; i < SAMPLE_METRICS_MAX + 1; i++)
        text_addf(&line, "%s\"m%d\":%d", i ? "," : "", i, i);
    text_addc(&line, '}');
    assert_int_equal(add(&s, text_str(&line)), E_INVALID);
    // together with what waits they are too many: send that first
    sample_clear(&s);
    assert_int_equal(add(&s, "{\"a\":1,\"b\":2}"), 0);
    text_clear(&line);
    text_addc(&line, '{');
    for (int i = 0; i < SAMPLE_METRICS_MAX - 1; i++)
        text_addf(&line, "%s\"m%d\":%d", i ? "," : "", i, i);
    text_addc(&line, '}');
    assert_int_equal(add(&s, text_str(&line)), E_TOO_LARGE);
    assert_int_equal(s.count, 2);
    sample_clear(&s);
    assert_int_equal(add(&s, text_str(&line)), 0);
    assert_int_equal(s.count, SAMPLE_METRICS_MAX - 1);
}

static void newest_of_each(void **state)
{
    struct sample s = {0};
    (void)state;
    assert_int_equal(add(&s, "{\"phase\":\"train\",\"step\":1,\"loss\":2}"), 0);
    assert_int_equal(add(&s, "{\"step\":2,\"accuracy\":0.9}"), 0);
    assert_int_equal(s.count, 3);
    assert_string_equal(s.phase, "train");
    assert_true(value(&s, "step") == 2 && value(&s, "loss") == 2 && value(&s, "accuracy") == 0.9);
    sample_clear(&s);
    assert_true(s.count == 0 && s.at_ms == 0 && !*s.phase);
}

static void merged(void **state)
{
    struct sample a = {0}, b = {0};
    AUTO(text) struct text line = {0};
    (void)state;
    sample_merge(&a, &b); // nothing
    assert_int_equal(a.at_ms, 0);
    assert_int_equal(add(&a, "{\"phase\":\"train\",\"step\":1,\"loss\":2}"), 0);
    assert_int_equal(add(&b, "{\"step\":2,\"accuracy\":3}"), 0);
    sample_merge(&a, &b);
    assert_int_equal(a.count, 3);
    assert_string_equal(a.phase, "train");
    assert_true(value(&a, "step") == 2 && value(&a, "loss") == 2 && value(&a, "accuracy") == 3);
    sample_clear(&b);
    text_addc(&line, '{');
    for (int i = 0; i < SAMPLE_METRICS_MAX; i++)
        text_addf(&line, "%s\"m%d\":%d", i ? "," : "", i, i);
    text_addc(&line, '}');
    assert_int_equal(add(&b, text_str(&line)), 0);
    sample_merge(&a, &b); // too many together: the new ones
    assert_int_equal(a.count, SAMPLE_METRICS_MAX);
    assert_true(value(&a, "m63") == 63);
}

// What passes in ten minutes when somebody always wants to send.
static int passed(struct pace *p, int64_t every_ms)
{
    int n = 0;
    for (int64_t t = 1000; t <= 601000; t += every_ms)
        n += pace_take(p, t, 1);
    return n;
}

static void at_a_pace(void **state)
{
    (void)state;
    struct pace one = pace_samples(1), thousand = pace_samples(1000), many = pace_samples(100000);
    int n = passed(&one, 10);
    assert_in_range(n, PACE_SAMPLES_BURST + 1195, PACE_SAMPLES_BURST + 1201); // two a second
    n = passed(&thousand, 100);
    assert_in_range(n, PACE_SAMPLES_BURST + 598,
                    PACE_SAMPLES_BURST + 602); // a thousand a second for the job
    n = passed(&many, 100);
    assert_in_range(n, PACE_SAMPLES_BURST + 5, PACE_SAMPLES_BURST + 7);
}

static void a_bucket_may_owe(void **state)
{
    (void)state;
    struct pace p = {.most = 100, .milli_per_s = 10000}; // ten a second
    assert_true(pace_take(&p, 5000, 150));
    assert_false(pace_take(&p, 5001, 0)); // 50 owed
    assert_false(pace_take(&p, 10000, 0));
    assert_true(pace_take(&p, 10200, 0));
    assert_true(pace_take(&p, INT64_C(1) << 50, 0));            // after ages: full, no overflow
    assert_false(pace_take(&p, 5, 101) && pace_take(&p, 4, 1)); // a clock that goes back gives none
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_phase), cmocka_unit_test(no_numbers),
        cmocka_unit_test(refused_lines),     cmocka_unit_test(bounded),
        cmocka_unit_test(newest_of_each),    cmocka_unit_test(merged),
        cmocka_unit_test(at_a_pace),         cmocka_unit_test(a_bucket_may_owe),
    };
    return cmocka_run_group_tests_name("acore_sample", tests, NULL, NULL);
}
