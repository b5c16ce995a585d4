// Labels of nodes: what is one, and what an operator sets over what the node tells.
#include "common/alloc.h"
#include "common/labels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void labels_are_words(void **state)
{
    (void)state;
    struct err err;
    static const char *const good[] = {"", "a", "zone=a", "zone=a,spot", "a.b/c=1:2,rack-unit=+12"};
    static const char *const bad[][2] = {
        {",", "missing"},
        {"a,", "missing"},
        {"a,,b", "missing"},
        {"=a", "missing"},
        {"a=", "value is missing"},
        {"a b", "of letters"},
        {"a=b=c", "of letters"},
        {"a=b c", "of letters"},
        {"a,b,a=1", "twice"},
        {"gpu.model=A", "property"},
        {"x,node", "property"},
        {"!a", "what it is not"},
        {"z\xc3\xa9", "of letters"},
        {"a\n", "of letters"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (labels_check(good[i], "labels", &err))
            fail_msg("%s", err.message);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!labels_check(bad[i][0], "labels", &err))
            fail_msg("\"%s\" is taken", bad[i][0]);
        if (!strstr(err.message, bad[i][1]))
            fail_msg("\"%s\": %s", bad[i][0], err.message);
    }
    assert_int_equal(labels_check_change("!a,b=1", "labels", &err), 0);
    assert_int_equal(labels_check_change("!a=1", "labels", &err), E_INVALID);
    assert_int_equal(labels_check_change("a,!a", "labels", &err), E_INVALID);
    char long_one[LABELS_TEXT_MAX + 2];
    memset(long_one, 'a', sizeof long_one - 1);
    long_one[LABELS_TEXT_MAX + 1] = 0;
    assert_int_equal(labels_check(long_one, "labels", &err), E_TOO_LARGE);
    long_one[LABELS_TEXT_MAX] = 0;
    assert_int_equal(labels_check(long_one, "labels", &err), 0);
}

static void holds(const char *told, const char *set, const char *want)
{
    AUTO(text) struct text t = {0};
    labels_hold(told, set, &t);
    assert_string_equal(text_str(&t), want);
}

static void what_is_set_lies_over_what_is_told(void **state)
{
    (void)state;
    AUTO(text) struct text t = {0};
    holds("", "", "");
    holds("zone=a,spot", "", "zone=a,spot");
    holds("zone=a,spot", "zone=b", "zone=b,spot");
    holds("zone=a,spot", "!spot,new", "new,zone=a");
    holds("spot", "!spot", "");
    holds("", "!spot,x=1", "x=1");
    holds("zone", "zon=1", "zon=1,zone");
    char long_one[LABELS_TEXT_MAX + 1] = {0};
    memset(long_one, 'a', LABELS_TEXT_MAX);
    holds(long_one, "!b", long_one);
    labels_change("zone=b,!spot", "spot,zone=c", &t);
    assert_string_equal(text_str(&t), "spot,zone=c");
    text_clear(&t);
    labels_change("zone=b,!spot", "x,!zone", &t);
    assert_string_equal(text_str(&t), "!spot,x,!zone");
}

static void no_more_hold_than_there_is_room_for(void **state)
{
    (void)state;
    AUTO(text) struct text told = {0}, set = {0}, t = {0};
    for (int i = 0; i < 40; i++) {
        text_addf(&told, "%skey%02d", i ? "," : "", i);
        text_addf(&set, "%sset%02d", i ? "," : "", i);
    }
    labels_hold(text_str(&told), text_str(&set), &t);
    assert_true(t.len <= LABELS_TEXT_MAX && t.len > LABELS_TEXT_MAX - 6);
    assert_non_null(strstr(text_str(&t), "set39,key00"));
    assert_int_equal(strcspn(strrchr(text_str(&t), ',') + 1, ","), 5); // the last one is whole
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(labels_are_words),
                                       cmocka_unit_test(what_is_set_lies_over_what_is_told),
                                       cmocka_unit_test(no_more_hold_than_there_is_room_for)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
