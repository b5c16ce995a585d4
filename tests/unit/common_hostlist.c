#include "common/hostlist.h"

#include "common/alloc.h"
#include "common/rng.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Space-separated names.
static struct names names_of(const char *list)
{
    struct names n = {0};
    AUTO_FREE char *copy = xstrdup(list);
    char *rest = copy, *name;
    while ((name = strsep(&rest, " ")))
        if (*name)
            names_add(&n, name);
    return n;
}

static char *joined(const struct names *n)
{
    struct text t = {0};
    for (size_t i = 0; i < n->count; i++)
        text_addf(&t, "%s%s", i ? " " : "", n->items[i]);
    return text_take(&t);
}

static char *folded(const char *list)
{
    AUTO(names) struct names n = names_of(list);
    struct text t = {0};
    hostlist_fold(n.items, n.count, &t);
    return text_take(&t);
}

static void test_folding(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"n1", "n1"},
        {"n", "n"},
        {"n1 n2", "n[1-2]"},
        {"n3 n1 n2 n7", "n[1-3,7]"},
        {"n10 n9 n8", "n[8-10]"},
        {"n08 n09 n10", "n[08-10]"},
        {"n1 n01 n2 n02", "n[1,01,2,02]"},
        {"n99 n100 n101", "n[99-101]"},
        {"n099 n100", "n[099-100]"},
        {"n099 n0100", "n[099,0100]"},
        {"a2 b1 a1", "a[1-2],b1"},
        {"login n1 n2", "login,n[1-2]"},
        {"n1 n1 n1", "n1"},
        {"r1n1 r1n2 r2n1", "r1n[1-2],r2n1"},
        {"1 2 3", "[1-3]"},
        {"n0 n1", "n[0-1]"},
        {"a1-ib a2-ib", "a1-ib,a2-ib"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO_FREE char *s = folded(cases[i][0]);
        assert_string_equal(s, cases[i][1]);
    }
}

static void test_expanding(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"n1", "n1"},
        {"n[1-3,7]", "n1 n2 n3 n7"},
        {"n[08-11]", "n08 n09 n10 n11"},
        {"n[8-11]", "n8 n9 n10 n11"},
        {"b,a[2,1],a", "b a2 a1 a"},
        {"r[1-2]n[1-2]", "r1n1 r1n2 r2n1 r2n2"},
        {"n[1-2]-ib", "n1-ib n2-ib"},
        {"[1-2]", "1 2"},
        {"n[3]", "n3"},
        {"a[1]b[2]c[3]", "a1b2c3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err;
        AUTO(names) struct names n = {0};
        if (hostlist_expand(cases[i][0], &n, &err))
            fail_msg("%s", err.message);
        AUTO_FREE char *s = joined(&n);
        assert_string_equal(s, cases[i][1]);
    }
}

static void test_what_is_no_list(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        ",",
        "a,",      ",a",
        "a,,b",    "n[",
        "n]",      "n[]",
        "n[1",     "n[1,]",
        "n[,1]",   "n[2-1]",
        "n[1-]",   "n[-1]",
        "n[a]",    "n[1-2-3]",
        "n[1]]",   "n[[1]]",
        "n[1 ,2]", "n[1],[",
        "n[1]b[",  "n[1234567890123456789]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err;
        AUTO(names) struct names n = {0};
        names_add(&n, "before");
        int rc = hostlist_expand(bad[i], &n, &err);
        if (rc != E_INVALID || n.count != 1)
            fail_msg("\"%s\": %d, %zu names", bad[i], rc, n.count);
        assert_non_null(strstr(err.message, "character"));
    }
}

static void test_bounds(void **state)
{
    (void)state;
    struct err err;
    static const char *const large[] = {"n[1-65537]", "a[1-300]b[1-300]", "n[1-65536],x",
                                        "n[0-999999999999999999]",
                                        "a[1-9][1-9][1-9][1-9][1-9][1-9]"};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        AUTO(names) struct names n = {0};
        assert_int_equal(hostlist_expand(large[i], &n, &err), E_TOO_LARGE);
        assert_int_equal(n.count, 0);
    }
    AUTO(names) struct names most = {0};
    assert_int_equal(hostlist_expand("n[1-65536]", &most, &err), 0);
    assert_int_equal(most.count, HOSTLIST_MAX);
    AUTO(text) struct text t = {0}, name = {0};
    hostlist_fold(most.items, most.count, &t);
    assert_string_equal(text_str(&t), "n[1-65536]");
    for (int i = 0; i < HOSTLIST_NAME_MAX; i++)
        text_addc(&name, 'x');
    AUTO(names) struct names one = {0};
    assert_int_equal(hostlist_expand(text_str(&name), &one, &err), 0);
    text_addc(&name, 'x');
    assert_int_equal(hostlist_expand(text_str(&name), &one, &err), E_INVALID);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Folding loses nothing but order and repetition.
static void test_there_and_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct rng r = {seed};
        AUTO(names) struct names n = {0}, back = {0};
        for (uint64_t i = rng_below(&r, 60) + 1; i; i--) {
            static const char *const prefixes[] = {"n", "node", "", "r1-", "a0"};
            AUTO_FREE char *name =
                xasprintf("%s%0*" PRIu64, prefixes[rng_below(&r, 5)], (int)rng_below(&r, 4),
                          rng_below(&r, 2) ? rng_below(&r, 30) : rng_below(&r, 2000));
            names_add(&n, name);
        }
        AUTO(text) struct text t = {0};
        hostlist_fold(n.items, n.count, &t);
        struct err err;
        if (hostlist_expand(text_str(&t), &back, &err))
            fail_msg("seed %" PRIu64 ": %s", seed, err.message);
        qsort(n.items, n.count, sizeof *n.items, by_bytes);
        qsort(back.items, back.count, sizeof *back.items, by_bytes);
        size_t unique = 0;
        for (size_t i = 0; i < n.count; i++) {
            if (i && strcmp(n.items[i], n.items[i - 1]) == 0)
                continue;
            assert_true(unique < back.count);
            assert_string_equal(back.items[unique++], n.items[i]);
        }
        assert_int_equal(unique, back.count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folding),         cmocka_unit_test(test_expanding),
        cmocka_unit_test(test_what_is_no_list), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
