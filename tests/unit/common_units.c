// Amounts in thousandths, as people write them and as they are shown.
#include "common/alloc.h"
#include "common/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void amounts_are_thousandths(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t milli;
        const char *shown;
    } good[] = {{"1", 1000, "1"},        {"0.5", 500, "0.5"},       {"1.5", 1500, "1.5"},
                {".25", 250, "0.25"},    {"2.", 2000, "2"},         {"0.001", 1, "0.001"},
                {"0.050", 50, "0.05"},   {"1024", 1024000, "1024"}, {"007", 7000, "7"},
                {"3.007", 3007, "3.007"}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t milli = 0;
        struct err err = {0};
        AUTO(text) struct text t = {0};
        if (parse_amount(good[i].text, "cpus", 1, 1024000, &milli, &err))
            fail_msg("\"%s\": %s", good[i].text, err.message);
        assert_int_equal(milli, good[i].milli);
        text_add_milli(&t, milli);
        assert_string_equal(text_str(&t), good[i].shown);
    }
}

static void what_is_no_amount_is_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "is not a number"},
        {".", "is not a number"},
        {"-1", "is not a number"},
        {"1e3", "is not a number"},
        {" 1", "is not a number"},
        {"1 ", "is not a number"},
        {"0x1", "is not a number"},
        {"1.5.5", "is not a number"},
        {"nan", "is not a number"},
        {"0,5", "is not a number"},
        {"0.0001", "three decimals"},
        {"1.0000", "three decimals"},
        {"0", "Use 0.001 to 1024."},
        {"1024.001", "Use 0.001 to 1024."},
        {"99999999999999999999", "Use 0.001 to 1024."},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t milli = 77;
        struct err err = {0};
        if (!parse_amount(bad[i][0], "cpus", 1, 1024000, &milli, &err))
            fail_msg("\"%s\" has a meaning", bad[i][0]);
        if (!strstr(err.message, bad[i][1]))
            fail_msg("\"%s\": %s", bad[i][0], err.message);
        assert_int_equal(milli, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(amounts_are_thousandths),
                                       cmocka_unit_test(what_is_no_amount_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
