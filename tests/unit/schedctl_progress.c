// What tasks report, in one line.
#include "schedctl/progress.h"

#include "common/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void assert_text(const char *json, const char *want)
{
    AUTO(text) struct text t = {0};
    json_t *j = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(j);
    progress_text(j, 10, &t);
    json_decref(j);
    assert_string_equal(text_str(&t), want);
}

static void lines(void **state)
{
    (void)state;
    assert_text("null", "");
    assert_text("{\"progress\":null,\"values\":{}}", "");
    assert_text("{\"progress\":0.41,\"values\":{\"phase\":\"train\",\"step\":41,\"steps\":100,"
                "\"loss\":0.41213}}",
                "[####......]  41 %  train  step 41/100  loss 0.4121");
    assert_text("{\"progress\":null,\"values\":{\"step\":7,\"loss\":null}}", "step 7  loss nan");
    assert_text("{\"progress\":1,\"values\":{\"epoch\":2,\"epochs\":2,\"a\":1,\"b\":2.5,\"c\":"
                "123456.7,\"d\":1e-9,\"e\":5}}",
                "[##########] 100 %  epoch 2/2  a 1  b 2.5  c 123457  d 1e-09");
    assert_text("{\"progress\":0.999,\"values\":{}}", "[##########]  99 %"); // not before the end
    assert_text("{\"progress\":0,\"values\":{\"phase\":\"x\"}}", "[..........]   0 %  x");
}

static void numbers(void **state)
{
    static const struct {
        double v;
        const char *want;
    } cases[] = {
        {0, "0"},        {12, "12"},          {-3, "-3"},          {0.1, "0.1"},
        {1e20, "1e+20"}, {99999.5, "100000"}, {1.0 / 3, "0.3333"}, {-0.000125, "-0.000125"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO(text) struct text t = {0};
        metric_number(cases[i].v, &t);
        assert_string_equal(text_str(&t), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines), cmocka_unit_test(numbers)};
    return cmocka_run_group_tests_name("schedctl_progress", tests, NULL, NULL);
}
