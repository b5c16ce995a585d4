// The database of what tasks report: thinning, the newest values, its bound, damage.
#include "scheduler/shell/metrics.h"
#include "tests/unit/store_fixture.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

static void add(struct metrics *m, uint64_t job, uint32_t rank, int32_t tasks, int64_t at_ms,
                const char *values, double progress)
{
    struct metrics_sample s = {.job = {job},
                               .attempt = 1,
                               .rank = rank,
                               .tasks = tasks,
                               .at_ms = at_ms,
                               .values = values,
                               .progress = progress,
                               .refusal = ""};
    metrics_add(m, &s);
}

static json_t *ask(const char *dir, struct metrics_question q)
{
    struct metrics_reader *r;
    AUTO(text) struct text t = {0};
    q.attempt = 1;
    if (!q.limit)
        q.limit = 100000;
    MUST(metrics_reader_open(dir, &r, &test_err));
    text_addc(&t, '{');
    MUST(metrics_query(r, &q, &t, &test_err));
    text_addc(&t, '}');
    metrics_reader_close(r);
    json_t *j = json_loads(text_str(&t), 0, NULL);
    assert_non_null(j);
    return j;
}

static json_t *newest(const char *dir, uint64_t job)
{
    struct metrics_reader *r;
    AUTO(text) struct text t = {0};
    MUST(metrics_reader_open(dir, &r, &test_err));
    text_addc(&t, '{');
    MUST(metrics_query_newest(r, (struct job_uid){job}, 1, &t, &test_err));
    text_addc(&t, '}');
    metrics_reader_close(r);
    json_t *j = json_loads(text_str(&t), 0, NULL);
    assert_non_null(j);
    return j;
}

static int64_t number(const json_t *j, const char *key)
{
    return json_integer_value(json_object_get(j, key));
}

static void test_series_are_thinned(void **state)
{
    char *dir = dir_make();
    struct metrics *m = metrics_open(dir, 0);
    char values[64];
    (void)state;
    for (int i = 0; i < 10000; i++) {
        snprintf(values, sizeof values, "{\"step\":%d}", i);
        add(m, 5, 0, 1, 1000 + i, values, NAN);
    }
    metrics_close(m); // writes what is there
    json_t *j = ask(dir, (struct metrics_question){.job = {5}, .task = -1});
    json_t *samples = json_object_get(j, "samples"), *s, *before = NULL;
    size_t count = json_array_size(samples), i;
    assert_in_range(count, 512, 1024);
    json_t *series = json_array_get(json_object_get(j, "series"), 0);
    assert_int_equal(number(series, "seen"), 10000);
    int64_t stride = number(series, "stride");
    json_array_foreach(samples, i, s)
    {
        assert_int_equal(number(json_object_get(s, "values"), "step"), number(s, "number"));
        if (i + 1 < count)
            assert_int_equal(number(s, "number") % stride, 0);
        if (before)
            assert_in_range(number(s, "number") - number(before, "number"), 1, stride);
        before = s;
    }
    assert_int_equal(number(json_array_get(samples, 0), "number"), 0);
    assert_int_equal(number(before, "number"), 9999); // the newest is always there
    json_decref(j);
    dir_remove(dir);
}

// Who asks for what is new gets each newest sample, also where the series is thin.
static void test_a_cursor_sees_the_newest(void **state)
{
    char *dir = dir_make();
    struct metrics *m = metrics_open(dir, 0);
    uint64_t after = 0;
    (void)state;
    for (int i = 0; i < 3000; i++)
        add(m, 5, 0, 1000, i, "{\"a\":1}", NAN); // a task of many: 65 are kept
    for (int i = 0; i < 10; i++) {
        add(m, 5, 0, 1000, 5000 + i, "{\"a\":1}", NAN);
        metrics_flush(m);
        json_t *j = ask(dir, (struct metrics_question){.job = {5}, .task = -1, .after = after});
        json_t *samples = json_object_get(j, "samples");
        size_t count = json_array_size(samples);
        assert_true(count >= 1 && (i == 0 || count == 1));
        assert_in_range(count, 1, 66);
        assert_int_equal(number(json_array_get(samples, count - 1), "at"), 5000 + i);
        after = (uint64_t)number(j, "next");
        json_decref(j);
    }
    metrics_close(m);
    dir_remove(dir);
}

static void test_newest_values(void **state)
{
    char *dir = dir_make();
    struct metrics *m = metrics_open(dir, 0);
    (void)state;
    add(m, 9, 1, 2, 1, "{\"phase\":\"train\",\"loss\":3,\"progress\":0.5}", 0.5);
    add(m, 9, 0, 2, 2, "{\"phase\":\"train\",\"loss\":2,\"progress\":0.25}", 0.25);
    add(m, 9, 0, 2, 3, "{\"phase\":\"test\",\"accuracy\":90.5}", NAN);
    metrics_flush(m);
    json_t *j = newest(dir, 9), *n = json_object_get(j, "metrics");
    json_t *values = json_object_get(n, "values");
    assert_int_equal(number(n, "tasks"), 2);
    assert_true(fabs(json_real_value(json_object_get(n, "progress")) - 0.375) < 1e-6);
    assert_string_equal(json_string_value(json_object_get(values, "phase")), "test");
    assert_int_equal(number(values, "loss"), 2); // an older one stays
    assert_true(json_real_value(json_object_get(values, "accuracy")) == 90.5);
    json_decref(j);
    j = newest(dir, 10);
    assert_true(json_is_null(json_object_get(j, "metrics")));
    json_decref(j);
    struct metrics_sample bad = {.job = {9},
                                 .attempt = 1,
                                 .rank = 0,
                                 .tasks = 2,
                                 .at_ms = 4,
                                 .progress = NAN,
                                 .refused = 3,
                                 .refusal = "not JSON"};
    metrics_add(m, &bad);
    metrics_flush(m);
    j = ask(dir, (struct metrics_question){.job = {9}, .task = 0});
    json_t *series = json_array_get(json_object_get(j, "series"), 0);
    assert_int_equal(number(series, "refused"), 3);
    assert_int_equal(number(series, "seen"), 2); // a refusal is no sample
    assert_string_equal(json_string_value(json_object_get(series, "refusal")), "not JSON");
    json_decref(j);
    metrics_close(m);
    dir_remove(dir);
}

static void test_the_file_is_bounded(void **state)
{
    enum { LIMIT = 1 << 20, JOBS = 100, SAMPLES = 200 };
    char *dir = dir_make(), values[200], path[256];
    struct metrics *m = metrics_open(dir, LIMIT);
    struct stat st;
    (void)state;
    snprintf(values, sizeof values, "{\"%0100d\":1}", 1);
    for (int job = 1; job <= JOBS; job++) {
        for (int i = 0; i < SAMPLES; i++) {
            add(m, (uint64_t)job, 0, 1, job * 1000 + i, values, NAN);
            if (i % 50 == 0)
                metrics_flush(m); // many transactions
        }
        metrics_flush(m);
    }
    metrics_close(m);
    snprintf(path, sizeof path, "%s/metrics.db", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_in_range(st.st_size, LIMIT / 2, 2 * LIMIT); // 20,000 samples would be about 5 MiB
    json_t *j = ask(dir, (struct metrics_question){.job = {JOBS}, .task = -1});
    assert_int_equal(json_array_size(json_object_get(j, "samples")), SAMPLES);
    json_decref(j);
    j = ask(dir, (struct metrics_question){.job = {1}, .task = -1});
    assert_int_equal(json_array_size(json_object_get(j, "series")), 0); // the oldest gave way
    json_decref(j);
    dir_remove(dir);
}

static void test_a_damaged_file_is_put_aside(void **state)
{
    char *dir = dir_make(), aside[256];
    (void)state;
    snprintf(aside, sizeof aside, "%s/metrics.db.damaged", dir);
    file_write(dir, "metrics.db", "this is no database at all, and long enough", 43);
    struct metrics *m = metrics_open(dir, 0);
    add(m, 1, 0, 1, 1, "{\"a\":1}", NAN);
    metrics_flush(m);
    assert_int_equal(access(aside, F_OK), 0);
    json_t *j = ask(dir, (struct metrics_question){.job = {1}, .task = -1});
    assert_int_equal(json_array_size(json_object_get(j, "samples")), 1);
    json_decref(j);
    metrics_close(m);
    dir_remove(dir);
}

// What cannot be opened costs samples, and is tried again.
static void test_a_file_that_cannot_be_opened(void **state)
{
    char *dir = dir_make(), path[256];
    (void)state;
    snprintf(path, sizeof path, "%s/metrics.db", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    struct metrics *m = metrics_open(dir, 0);
    add(m, 1, 0, 1, 1, "{\"a\":1}", NAN);
    metrics_flush(m);
    assert_int_equal(rmdir(path), 0);
    add(m, 1, 0, 1, 2, "{\"a\":2}", NAN);
    metrics_close(m);
    json_t *j = ask(dir, (struct metrics_question){.job = {1}, .task = -1});
    assert_int_equal(json_array_size(json_object_get(j, "samples")), 1);
    json_decref(j);
    dir_remove(dir);
}

// Damage that cannot be put aside now is put aside later; a cursor from before sees what is new.
static void test_damage_while_it_runs(void **state)
{
    char *dir = dir_make(), path[256], aside[256];
    (void)state;
    snprintf(path, sizeof path, "%s/metrics.db", dir);
    snprintf(aside, sizeof aside, "%s/metrics.db.damaged", dir);
    struct metrics *m = metrics_open(dir, 0);
    for (int i = 0; i < 100; i++)
        add(m, 1, 0, 1, i, "{\"a\":1}", NAN);
    metrics_close(m);
    json_t *j = ask(dir, (struct metrics_question){.job = {1}, .task = -1});
    uint64_t after = (uint64_t)number(j, "next");
    json_decref(j);
    file_write(dir, "metrics.db", "this is no database at all, and long enough", 43);
    assert_int_equal(mkdir(aside, 0700), 0);
    m = metrics_open(dir, 0);
    add(m, 1, 0, 1, 1, "{\"a\":1}", NAN);
    metrics_flush(m);
    assert_int_equal(rmdir(aside), 0);
    add(m, 1, 0, 1, 2, "{\"a\":2}", NAN);
    metrics_close(m);
    j = ask(dir, (struct metrics_question){.job = {1}, .task = -1, .after = after});
    assert_int_equal(json_array_size(json_object_get(j, "samples")), 1);
    json_decref(j);
    dir_remove(dir);
}

// A node's clock says nothing about which series was quiet longest.
static void test_clocks_of_nodes(void **state)
{
    enum { LIMIT = 1 << 20, JOBS = 100, SAMPLES = 200 };
    char *dir = dir_make(), values[200];
    struct metrics *m = metrics_open(dir, LIMIT);
    (void)state;
    snprintf(values, sizeof values, "{\"%0100d\":1}", 1);
    for (int job = 1; job <= JOBS; job++)
        for (int i = 0; i < SAMPLES; i++) {
            add(m, (uint64_t)job, 0, 1, 1000000 - job * 1000 + i, values, NAN);
            if (i % 50 == 0)
                metrics_flush(m);
        }
    metrics_close(m);
    json_t *j = ask(dir, (struct metrics_question){.job = {1}, .task = -1});
    assert_int_equal(json_array_size(json_object_get(j, "series")), 0);
    json_decref(j);
    dir_remove(dir);
}

// Some big batches are more than many small ones.
static void test_the_bound_and_big_batches(void **state)
{
    enum { LIMIT = 1 << 20, BATCHES = 40, JOBS = 100 };
    char *dir = dir_make(), *values = xmalloc(4096), path[256];
    struct metrics *m = metrics_open(dir, LIMIT);
    struct stat st;
    (void)state;
    snprintf(values, 4096, "{\"%04000d\":1}", 1);
    for (int batch = 0; batch < BATCHES; batch++) {
        for (int job = 1; job <= JOBS; job++)
            add(m, (uint64_t)(batch * JOBS + job), 0, 1, 1000, values, NAN);
        metrics_flush(m);
    }
    metrics_close(m);
    snprintf(path, sizeof path, "%s/metrics.db", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_in_range(st.st_size, LIMIT / 2, 4 * LIMIT); // all of it would be 32 MiB
    free(values);
    dir_remove(dir);
}

// Neither the limit nor many bytes make an answer that cannot be borne.
static void test_long_answers(void **state)
{
    enum { SAMPLES = 1000, BYTES = 30000 };
    char *dir = dir_make(), *values = xmalloc(BYTES);
    struct metrics *m = metrics_open(dir, 0);
    struct metrics_question q = {.job = {1}, .task = -1};
    size_t count = 0, pages = 0;
    bool more = true;
    (void)state;
    snprintf(values, BYTES, "{\"%0*d\":1}", BYTES - 10, 1);
    for (int i = 0; i < SAMPLES; i++)
        add(m, 1, 0, 1, i, values, NAN);
    metrics_close(m);
    for (; more; pages++) {
        json_t *j = ask(dir, q);
        count += json_array_size(json_object_get(j, "samples"));
        q.after = (uint64_t)number(j, "next");
        more = json_is_true(json_object_get(j, "more"));
        json_decref(j);
    }
    assert_int_equal(count, SAMPLES);
    assert_in_range(pages, 3, 5);
    q = (struct metrics_question){.job = {1}, .task = -1, .limit = 10};
    json_t *j = ask(dir, q);
    assert_int_equal(json_array_size(json_object_get(j, "samples")), 10);
    assert_true(json_is_true(json_object_get(j, "more")));
    json_decref(j);
    free(values);
    dir_remove(dir);
}

static void test_it_goes_on_after_a_restart(void **state)
{
    char *dir = dir_make();
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct metrics *m = metrics_open(dir, 0);
        for (int i = 0; i < 100; i++)
            add(m, 1, 0, 1, i, "{\"a\":1}", NAN);
        metrics_close(m);
    }
    json_t *j = ask(dir, (struct metrics_question){.job = {1}, .task = -1});
    json_t *series = json_array_get(json_object_get(j, "series"), 0);
    assert_int_equal(number(series, "seen"), 300);
    assert_int_equal(json_array_size(json_object_get(j, "samples")), 300);
    json_decref(j);
    dir_remove(dir);
}

// What comes with an END may have been said before.
static void test_repeated_values_are_no_sample(void **state)
{
    char *dir = dir_make();
    struct metrics *m = metrics_open(dir, 0);
    struct metrics_sample end = {.job = {3},
                                 .attempt = 1,
                                 .tasks = 1,
                                 .at_ms = 9,
                                 .progress = NAN,
                                 .refusal = "",
                                 .repeated = true};
    (void)state;
    add(m, 3, 0, 1, 1, "{\"phase\":\"train\",\"loss\":0.123456789,\"step\":3}", NAN);
    add(m, 3, 0, 1, 2, "{\"phase\":\"test\",\"accuracy\":90.5,\"none\":null}", NAN);
    end.values = "{\"phase\":\"test\",\"loss\":0.123456789,\"step\":3,\"accuracy\":90.5,"
                 "\"none\":null}";
    metrics_add(m, &end);
    metrics_flush(m);
    json_t *j = ask(dir, (struct metrics_question){.job = {3}, .task = -1});
    assert_int_equal(json_array_size(json_object_get(j, "samples")), 2);
    json_decref(j);
    end.values = "{\"phase\":\"test\",\"loss\":0.123456789,\"accuracy\":91}";
    metrics_add(m, &end);
    metrics_add(m, &end);
    metrics_flush(m);
    j = ask(dir, (struct metrics_question){.job = {3}, .task = -1});
    json_t *samples = json_object_get(j, "samples");
    assert_int_equal(json_array_size(samples), 3);
    assert_int_equal(number(json_object_get(json_array_get(samples, 2), "values"), "accuracy"), 91);
    json_decref(j);
    metrics_close(m);
    dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series_are_thinned),
        cmocka_unit_test(test_a_cursor_sees_the_newest),
        cmocka_unit_test(test_newest_values),
        cmocka_unit_test(test_repeated_values_are_no_sample),
        cmocka_unit_test(test_the_file_is_bounded),
        cmocka_unit_test(test_a_damaged_file_is_put_aside),
        cmocka_unit_test(test_a_file_that_cannot_be_opened),
        cmocka_unit_test(test_damage_while_it_runs),
        cmocka_unit_test(test_clocks_of_nodes),
        cmocka_unit_test(test_the_bound_and_big_batches),
        cmocka_unit_test(test_long_answers),
        cmocka_unit_test(test_it_goes_on_after_a_restart),
    };
    return cmocka_run_group_tests_name("store_metrics", tests, NULL, NULL);
}
