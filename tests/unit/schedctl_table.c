// Tables and values as people read them.
#include "common/alloc.h"
#include "schedctl/present.h"
#include "schedctl/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

static const struct column COLUMNS[] = {
    {"ID", COLUMN_RIGHT}, {"NAME", COLUMN_LEFT}, {"STATE", COLUMN_LEFT}};

static struct table two_rows(void)
{
    struct table t = table_begin(COLUMNS, 3);
    table_cell(&t, "%d", 7);
    table_cell(&t, "%s", "a");
    table_cell(&t, "%s", "running");
    table_cell(&t, "%d", 1234);
    table_cell(&t, "%s", "größer");
    table_cell(&t, "%s", "");
    return t;
}

static void aligned(void **state)
{
    (void)state;
    AUTO(table) struct table t = two_rows();
    AUTO(text) struct text out = {0};
    table_text(&t, 0, &out);
    assert_string_equal(text_str(&out), "  ID  NAME    STATE\n"
                                        "   7  a       running\n"
                                        "1234  größer  -\n");
}

static void cut(void **state)
{
    (void)state;
    AUTO(table) struct table t = two_rows();
    AUTO(text) struct text out = {0};
    table_text(&t, 9, &out); // characters, not bytes: never in the middle of one
    assert_string_equal(text_str(&out), "  ID  NAM\n"
                                        "   7  a  \n"
                                        "1234  grö\n");
}

static void empty(void **state)
{
    (void)state;
    AUTO(table) struct table t = table_begin(COLUMNS, 3);
    AUTO(text) struct text out = {0};
    table_text(&t, 0, &out);
    assert_string_equal(text_str(&out), "ID  NAME  STATE\n");
}

static void names_cannot_steer_the_terminal(void **state)
{
    (void)state;
    AUTO(text) struct text out = {0};
    text_add_clean(&out, "a\033[2Jb\nc\x7f\xc2\x9b"
                         "dé");
    assert_string_equal(text_str(&out), "a?[2Jb?c??dé");
}

static void elapsed(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{-5, "0s"},           {0, "0s"},           {59999, "59s"},
                 {60000, "1m00s"},     {3599999, "59m59s"}, {3600000, "1h00m"},
                 {86399000, "23h59m"}, {86400000, "1d00h"}, {100 * 86400000LL, "100d00h"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO(text) struct text t = {0};
        add_elapsed(&t, cases[i].ms);
        assert_string_equal(text_str(&t), cases[i].text);
    }
}

static void times(void **state)
{
    (void)state;
    const int64_t now = 1700000000000; // 2023-11-14 22:13:20 UTC
    AUTO(text) struct text today = {0}, month = {0}, old = {0}, none = {0}, full = {0};
    add_time(&today, now - 3600000, now);
    add_time(&month, now - 86400000, now);
    add_time(&old, now - 400 * 86400000LL, now);
    add_time(&none, 0, now);
    add_full_time(&full, now);
    assert_string_equal(text_str(&today), "21:13:20");
    assert_string_equal(text_str(&month), "Nov 13 22:13");
    assert_string_equal(text_str(&old), "2022-10-10");
    assert_string_equal(text_str(&none), "");
    assert_string_equal(text_str(&full), "2023-11-14 22:13:20");
}

static void job_names(void **state)
{
    (void)state;
    AUTO(text) struct text t = {0};
    json_t *job = json_pack("{s:i,s:n,s:n}", "id", 17, "array_id", "element");
    add_job_name(&t, job);
    json_decref(job);
    job = json_pack("{s:i,s:i,s:i}", "id", 20, "array_id", 17, "element", 3);
    text_addc(&t, ' ');
    add_job_name(&t, job);
    json_decref(job);
    assert_string_equal(text_str(&t), "17 17_3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligned),   cmocka_unit_test(cut),
        cmocka_unit_test(empty),     cmocka_unit_test(names_cannot_steer_the_terminal),
        cmocka_unit_test(elapsed),   cmocka_unit_test(times),
        cmocka_unit_test(job_names),
    };
    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
