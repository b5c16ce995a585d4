// Why jobs wait, and what is foretold, on clusters that one can count by hand.
#include "tests/unit/core_site.h"

#include "scheduler/core/breach.h"
#include "scheduler/core/forecast.h"
#include "scheduler/core/why.h"

static struct request timed(int32_t tasks, int32_t cpus, int64_t seconds)
{
    return (struct request){.tasks = tasks, .cpus = cpus, .time_limit_ms = seconds * 1000};
}

static struct why why(struct site *s, uint64_t job)
{
    struct why w;
    cluster_why(s->h.c, s->h.now, site_job(s, job), &w);
    return w;
}

// "condition: nodes/tasks" a line, "!" before those that are too few.
static void assert_rows(const struct why *w, const char *want)
{
    AUTO(text) struct text t = {0};
    for (size_t i = 0; i < w->rows_count; i++)
        text_addf(&t, "%s%s: %" PRId64 "/%" PRId64 "\n", w->rows[i].enough ? "" : "! ",
                  w->rows[i].condition, w->rows[i].nodes, w->rows[i].tasks);
    assert_string_equal(text_str(&t), want);
}

static void each_condition_keeps_fewer_nodes(void **state)
{
    struct site *s = *state;
    site_join(s, (struct input_hello){.cores = 4, .memory_mib = 1000, .gpus = 2});
    site_join(s, (struct input_hello){.cores = 4, .memory_mib = 1000, .gpus = 1});
    site_join(s, (struct input_hello){.cores = 4, .memory_mib = 500});
    site_join(s, (struct input_hello){.cores = 2, .memory_mib = 1000});
    site_ask(s, (struct request){.tasks = 1, .cpus = 3, .gpus = 1}); // on n2: the tightest
    struct request gang = {.tasks = 2, .cpus = 2, .gpus = 1, .memory_mib = 600};
    site_ask(s, gang);
    struct why w = why(s, 2);
    assert_int_equal(w.verdict, WHY_RESOURCES);
    assert_rows(&w, "known to the cluster: 4/8\nconnected and heard of: 4/8\n"
                    "neither drained nor declared off: 4/8\nwith 2 cores in all: 4/7\n"
                    "with 1 GPU in all: 2/3\nwith 600 MiB in all: 2/2\n"
                    "! with 2 cores free now: 1/1\n! with 1 GPU free now: 1/1\n"
                    "! with 600 MiB free now: 1/1\n");
    assert_int_equal(w.holders_count, 1);
    assert_int_equal(w.holders[0].job->id.v, 1);
    assert_int_equal(w.holders[0].gpu_milli, 1000);
    assert_int_equal(w.holders[0].until_ms, 0); // it has no limit
}

static void never_and_not_now_are_told_apart(void **state)
{
    struct site *s = *state;
    site_join(s, (struct input_hello){.cores = 4, .memory_mib = 1000});
    site_join(s, (struct input_hello){.cores = 4, .memory_mib = 1000});
    struct input drain = {.kind = INPUT_NODE_DRAIN, .caller = {.admin = true}};
    drain.node.name = "n2";
    harness_step(&s->h, &drain);
    struct input_submit gang = {.req = {.tasks = 2, .nodes = 2, .cpus = 4},
                                .allow_unsatisfiable = true};
    site_submit(s, gang);
    gang.req.cpus = 5;
    site_submit(s, gang);
    gang.req.cpus = 1;
    gang.req.nodes = 0;
    gang.held = true;
    site_submit(s, gang);
    assert_int_equal(why(s, 1).verdict, WHY_NOT_NOW);
    assert_int_equal(why(s, 2).verdict, WHY_NEVER);
    assert_int_equal(why(s, 3).verdict, WHY_HELD);
    site_ask(s, timed(1, 1, 10));
    assert_int_equal(why(s, 4).verdict, WHY_NOT_WAITING);
}

static void what_is_supposed_is_tried(void **state)
{
    struct site *s = *state;
    site_join(s, (struct input_hello){.cores = 4, .memory_mib = 1000});
    site_ask(s, timed(1, 3, 10));
    site_ask(s, timed(1, 2, 10));
    struct supposition as_it_is = {.req = timed(1, 2, 10)}, smaller = {.req = timed(1, 1, 10)};
    assert_false(cluster_suppose(s->h.c, s->h.now, (struct job_id){2}, &as_it_is));
    assert_true(cluster_suppose(s->h.c, s->h.now, (struct job_id){2}, &smaller));
}

static int64_t foretold_s(const struct site *s, const struct forecast *f, uint64_t job)
{
    const struct forecast_row *row = forecast_find(f, (struct job_id){job});
    assert_non_null(row);
    return row->first_ms == INT64_MAX ? -1 : (row->first_ms - s->h.now.boot_ms) / 1000;
}

// One node of 4 cores: 10 s of all, then two halves of 20 s beside each other, then all again.
static void starts_follow_from_time_limits(void **state)
{
    struct site *s = *state;
    struct forecast f;
    site_join(s, (struct input_hello){.cores = 4, .memory_mib = 1000});
    site_ask(s, timed(1, 4, 10));
    site_ask(s, timed(1, 2, 20));
    site_ask(s, timed(1, 2, 20));
    site_ask(s, timed(2, 2, 5));
    site_ask(s, (struct request){.tasks = 1, .cpus = 4}); // for ever
    site_ask(s, timed(1, 4, 5));
    cluster_forecast(s->h.c, s->h.now, 1000, &f);
    assert_int_equal(f.count, 6);
    assert_int_equal(foretold_s(s, &f, 1), -1); // it is running
    assert_int_equal(forecast_find(&f, (struct job_id){1})->placed, 0);
    assert_int_equal(foretold_s(s, &f, 2), 10);
    assert_int_equal(foretold_s(s, &f, 3), 10);
    assert_int_equal(foretold_s(s, &f, 4), 30);
    assert_int_equal(foretold_s(s, &f, 5), 35);
    assert_int_equal(foretold_s(s, &f, 6), -1); // behind one without end
    assert_false(f.cut);
    forecast_free(&f);
}

static void an_array_has_a_first_and_a_last(void **state)
{
    struct site *s = *state;
    struct forecast f;
    site_join(s, (struct input_hello){.cores = 2, .memory_mib = 1000});
    site_submit(s, (struct input_submit){.req = timed(1, 2, 10), .array_count = 5});
    cluster_forecast(s->h.c, s->h.now, 1000, &f);
    const struct forecast_row *array = forecast_find(&f, (struct job_id){1});
    assert_int_equal(foretold_s(s, &f, 1), 10); // the first is running already
    assert_int_equal(array->last_ms - array->first_ms, 30000);
    assert_int_equal(array->left, 0);
    forecast_free(&f);
}

static void a_place_in_the_queue_counts_elements(void **state)
{
    struct site *s = *state;
    struct priority_factor f[PRIORITY_PARTS_COUNT];
    int64_t ahead, all, sum = 0;
    site_join(s, (struct input_hello){.cores = 4, .memory_mib = 1000});
    site_ask(s, timed(1, 4, 100)); // runs
    site_submit(s, (struct input_submit){.req = timed(1, 4, 10), .array_count = 3});
    site_submit(s, (struct input_submit){.req = timed(1, 4, 10), .nice = 5});
    site_submit(s, (struct input_submit){.req = timed(1, 4, 10), .priority = 1});
    site_submit(s, (struct input_submit){.req = timed(1, 4, 10), .held = true});
    assert_true(cluster_position(s->h.c, site_job(s, 3), &ahead, &all));
    assert_true(ahead == 4 && all == 5);
    assert_true(cluster_position(s->h.c, site_job(s, 2), &ahead, &all));
    assert_true(ahead == 1 && all == 5);
    assert_false(cluster_position(s->h.c, site_job(s, 5), &ahead, &all));
    assert_false(cluster_position(s->h.c, site_job(s, 1), &ahead, &all));
    int64_t total = cluster_factors(s->h.c, site_job(s, 3), f);
    for (int i = 0; i < PRIORITY_PARTS_COUNT; i++)
        sum += f[i].part;
    assert_true(sum == total && total == -5 * 1024);
    // The rank is the same number from a base that is common to all.
    int64_t other = cluster_factors(s->h.c, site_job(s, 2), f);
    assert_true(total - rank_of(s->h.c, site_job(s, 3)) == other - rank_of(s->h.c, site_job(s, 2)));
}

static void the_present_limits_are_told_apart(void **state)
{
    struct site *s = *state;
    site_join(s, (struct input_hello){.cores = 4, .memory_mib = 1000});
    harness_queue(&s->h, "small max_cores=2");
    site_submit(s, (struct input_submit){.req = timed(1, 1, 100), .queue = "small"}); // runs
    site_submit(s, (struct input_submit){.req = timed(1, 2, 10), .queue = "small"});
    site_submit(s, (struct input_submit){.req = timed(1, 3, 10), .queue = "small"});
    struct why later = why(s, 2);
    assert_int_equal(later.verdict, WHY_TURN);
    assert_null(later.limit);
    struct why w = why(s, 3);
    assert_int_equal(w.verdict, WHY_LIMITS);
    assert_string_equal(w.limit,
                        "max_cores of queue \"small\" is 2: 1 is used (0 1) and it needs 3");
    assert_string_equal(w.lift_field->name, "max_cores");
    assert_int_equal(w.lift->queue.max_cores, 4);
    struct breaches b = {0};
    breaches_find(s->h.c, &b);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.items[0].job.v, 3);
    breaches_free(&b);
}

// Whatever the weights are.
static void first_is_first(void **state)
{
    struct site *s = *state;
    struct settings_rule none = harness_settings();
    none.weight_priority = none.weight_age = none.weight_queue = none.weight_qos = 0;
    harness_set(&s->h, none);
    site_join(s, (struct input_hello){.cores = 4, .memory_mib = 1000});
    site_ask(s, timed(1, 3, 100));
    site_ask(s, timed(1, 4, 100));
    site_ask(s, timed(1, 1, 1000));
    struct why w = why(s, 3);
    assert_int_equal(w.verdict, WHY_TURN);
    assert_string_equal(w.rows[w.rows_count - 1].condition, "not kept for jobs before it");
    assert_false(w.rows[w.rows_count - 1].enough);
    struct supposition first = {.req = timed(1, 1, 1000), .first = true};
    assert_true(cluster_suppose(s->h.c, s->h.now, (struct job_id){3}, &first));
}

static void a_long_queue_is_cut(void **state)
{
    struct site *s = *state;
    struct forecast f;
    site_join(s, (struct input_hello){.cores = 2, .memory_mib = 1000});
    site_submit(s, (struct input_submit){.req = timed(1, 2, 10), .array_count = 50});
    cluster_forecast(s->h.c, s->h.now, 10, &f);
    assert_true(f.cut);
    assert_int_equal(f.placements, 10);
    forecast_free(&f);
}

int main(void)
{
#define STAYS(f) cmocka_unit_test_setup_teardown(f, site_setup, site_teardown)
#define SPENT(f) cmocka_unit_test_setup_teardown(f, site_setup, site_teardown_plain)
    const struct CMUnitTest tests[] = {
        STAYS(each_condition_keeps_fewer_nodes),
        STAYS(never_and_not_now_are_told_apart),
        SPENT(what_is_supposed_is_tried),
        SPENT(starts_follow_from_time_limits),
        STAYS(a_place_in_the_queue_counts_elements),
        STAYS(the_present_limits_are_told_apart),
        SPENT(first_is_first),
        SPENT(an_array_has_a_first_and_a_last),
        SPENT(a_long_queue_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
