// Least attained service: what is counted, who is stopped for whom, and that nobody starves.
#include "tests/unit/core_yard.h"

#include "common/rng.h"
#include "scheduler/core/las.h"
#include "scheduler/core/state.h"

static const int64_t SECOND = 1000;
static const struct request all = {.tasks = 1, .cpus = 4};

static void begin(struct yard *y, const char *queue)
{
    yard_init(y, 1, 4);
    y->keeps = y->wakes = true;
    harness_queue(&y->h, queue);
    text_clear(&y->h.story);
}

static uint64_t ask(struct yard *y, struct request req, const char *queue, int64_t runs_s)
{
    return yard_submit_as(y, (struct input_submit){.req = req, .queue = queue}, runs_s * SECOND);
}

static const struct job *job_of(const struct yard *y, uint64_t id)
{
    return &y->h.jobs[id - 1];
}

// How often it was placed.
static size_t starts(const struct yard *y, uint64_t id)
{
    size_t count = 0;
    for (size_t i = 0; i < y->starts_count; i++)
        count += y->starts[i].job == id;
    return count;
}

static void devices_are_gpus_or_else_cores(void **state)
{
    (void)state;
    struct job j = {.req = {.tasks = 3, .cpus = 2, .cpu_milli = 500}};
    assert_int_equal(job_devices_milli(&j), 7500);
    j.req.gpu_milli = 250;
    assert_int_equal(job_devices_milli(&j), 750);
    j.req.gpus = 8;
    j.req.gpu_milli = 0;
    assert_int_equal(job_devices_milli(&j), 24000);
    j.started_at_ms = 1000;
    j.attained_ms = 5;
    assert_int_equal(job_attained_ms(&j, 3000), 5 + 24 * 2000);
    assert_int_equal(job_attained_ms(&j, 500), 5); // the clock has gone back
    j.started_at_ms = INT64_MIN;
    assert_true(job_attained_ms(&j, INT64_MAX) >= 5); // a damaged row
}

static void levels_grow_by_the_factor(void **state)
{
    (void)state;
    struct queue_rule q = {.las_levels = 4, .las_first_ms = 100, .las_factor = 5};
    static const int64_t ends[] = {100, 500, 2500, INT64_MAX};
    for (int32_t i = 0; i < 4; i++) {
        struct job j = {.attained_ms = i ? ends[i - 1] : 0};
        assert_int_equal(las_level_end_ms(&q, i), ends[i]);
        assert_int_equal(las_level(&q, &j, 0), i);
        j.attained_ms = ends[i] - 1;
        assert_int_equal(las_level(&q, &j, 0), i);
        j.promoted_ms = ends[i] - 1; // begins anew
        assert_int_equal(las_level(&q, &j, 0), 0);
    }
    q = (struct queue_rule){.las_levels = INT64_MAX, .las_first_ms = 0, .las_factor = -1};
    struct job j = {.attained_ms = INT64_MAX, .promoted_ms = -5};
    assert_true(las_level(&q, &j, 0) < LAS_LEVELS_MAX); // a damaged row
}

static void a_story(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, "las order=las las_first=40s");
    uint64_t a = ask(&y, all, "las", 30);
    yard_run(&y, 5 * SECOND);
    ask(&y, all, "las", 5);
    yard_run(&y, 4900);
    assert_int_equal(job_of(&y, a)->state, JOB_RUNNING);
    text_clear(&y.h.story);
    yard_run(&y, 100);
    assert_string_equal(text_str(&y.h.story),
                        "job 1 comes to level 1: it has had 40 core-seconds\n"
                        "job 2 preempts 1 job: 1\n"
                        "job 1 attempt 1 must end: was preempted by job 2\n"
                        "job 2 waits until 1 job that it preempts have stopped, job 1 first\n"
                        "job 1 attempt 1 ended on n1: was preempted by job 2\n"
                        "job 1 waits for its next attempt: was preempted by job 2\n"
                        "job 2 placed on n1: attempt 1, cores 0-3, port 20001\n"
                        "job 1 waits for free resources: it needs 4 cores on 1 node; free on "
                        "usable nodes: 0\n"
                        "job 2 started on n1\n"
                        "job 2 runs\n");
    assert_int_equal(job_of(&y, a)->attained_ms, 40000);
    assert_int_equal(job_of(&y, a)->attempts_used, 0);
    yard_run(&y, 100 * SECOND);
    assert_int_equal(job_of(&y, a)->attained_ms, 120000); // 30 s of 4 cores
    yard_fini(&y);
}

// Neither jobs of the same level nor those of other queues, nor in a queue of another order.
static void only_higher_levels_of_the_queue_give_way(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, "las order=las las_first=40s");
    harness_queue(&y.h, "other order=las las_first=40s priority=9");
    uint64_t a = ask(&y, all, "las", 100);
    yard_run(&y, 60 * SECOND); // level 2
    uint64_t others[] = {ask(&y, all, "other", 1), ask(&y, all, NULL, 1)};
    yard_run(&y, 10 * SECOND);
    assert_int_equal(starts(&y, a), 1);
    assert_int_equal(job_of(&y, a)->state, JOB_RUNNING);
    for (int i = 0; i < 2; i++) {
        struct input in = {.kind = INPUT_CANCEL, .caller = {.admin = true}, .job = {others[i]}};
        harness_step(&y.h, &in);
    }
    harness_queue(&y.h, "las order=fifo");
    ask(&y, all, "las", 1);
    yard_run(&y, 10 * SECOND);
    assert_int_equal(job_of(&y, a)->state, JOB_RUNNING);
    harness_queue(&y.h, "las order=las"); // and it has not been forgotten meanwhile
    yard_run(&y, SECOND / 2);
    assert_int_equal(starts(&y, a), 1);
    assert_int_equal(job_of(&y, a)->state, JOB_PENDING);
    assert_int_equal(job_of(&y, a)->attained_ms, 320000);
    yard_run(&y, 1000 * SECOND);
    assert_int_equal(job_of(&y, a)->state, JOB_COMPLETED);
    yard_fini(&y);
}

static void put_qos(struct yard *y, const char *name, const char *settings)
{
    const struct caller boss = {.admin = true};
    harness_put(&y->h, &boss, RULE_PUT, RULE_QOS, name, settings);
}

// What QoS says comes first: who may preempt is not preempted, and min_run_time holds.
static void qos_stands_above(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, "las order=las las_first=40s");
    put_qos(&y, "low", "preempt_mode=cancel");
    put_qos(&y, "high", "preempts=low");
    put_qos(&y, "safe", "min_run_time=30s");
    struct input_submit s = {.req = all, .queue = "las", .qos = "high"};
    uint64_t high = yard_submit_as(&y, s, 50 * SECOND);
    yard_run(&y, 20 * SECOND);
    s.qos = "low";
    uint64_t low = yard_submit_as(&y, s, 100 * SECOND);
    yard_run(&y, 20 * SECOND);
    assert_int_equal(job_of(&y, high)->state, JOB_RUNNING); // else they would stop each other
    yard_run(&y, 30 * SECOND);
    assert_int_equal(job_of(&y, low)->state, JOB_RUNNING);
    uint64_t normal = ask(&y, all, "las", 5);
    yard_run(&y, SECOND);
    assert_int_equal(job_of(&y, low)->state, JOB_PENDING); // by its queue none is cancelled
    assert_int_equal(job_of(&y, normal)->state, JOB_RUNNING);
    yard_run(&y, 200 * SECOND);
    s.qos = "safe";
    uint64_t safe = yard_submit_as(&y, s, 100 * SECOND);
    yard_run(&y, 20 * SECOND);
    uint64_t late = ask(&y, all, "las", 5);
    yard_run(&y, 9 * SECOND);
    assert_int_equal(job_of(&y, safe)->state, JOB_RUNNING);
    yard_run(&y, 2 * SECOND);
    assert_int_equal(job_of(&y, late)->state, JOB_RUNNING);
    yard_fini(&y);
}

static void a_restart_forgets_nothing(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, "las order=las las_first=40s");
    uint64_t a = ask(&y, all, "las", 100);
    yard_run(&y, 12 * SECOND);
    uint64_t b = ask(&y, all, "las", 30);
    yard_run(&y, 3 * SECOND);
    assert_int_equal(job_of(&y, a)->attained_ms, 48000);
    harness_restart(&y.h, true);
    const struct job *j = job_find(y.h.c, (struct job_id){a});
    assert_int_equal(j->attained_ms, 48000);
    assert_int_equal(j->level, 1);
    assert_int_equal(job_find(y.h.c, (struct job_id){b})->level, 0);
    const struct rule_entry *q = rule_find(y.h.c, RULE_QUEUE, "las");
    assert_int_equal(q->held[0].jobs, 1);
    assert_int_equal(q->held[0].cores_milli, 4000);
    y.h.now.boot_ms += 20 * SECOND;
    y.h.now.wall_ms += 20 * SECOND;
    struct input tick = {.kind = INPUT_TICK};
    harness_step(&y.h, &tick); // what it was to be woken for is known again
    assert_int_equal(job_find(y.h.c, (struct job_id){b})->level, 1);
    yard_fini(&y);
}

// Levels by other settings, from the next pass on.
static void settings_can_be_changed(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, "las order=las las_first=40s");
    uint64_t a = ask(&y, all, "las", 100);
    yard_run(&y, 12 * SECOND);
    uint64_t b = ask(&y, all, "las", 30);
    yard_run(&y, 3 * SECOND);
    assert_int_equal(job_of(&y, b)->state, JOB_RUNNING);
    assert_int_equal(job_find(y.h.c, (struct job_id){a})->level, 1);
    harness_queue(&y.h, "las las_first=10s las_factor=2 las_levels=9");
    assert_int_equal(job_find(y.h.c, (struct job_id){a})->level, 3); // 48: 10, 20, 40, 80
    assert_int_equal(job_find(y.h.c, (struct job_id){b})->level, 1); // 12
    struct rule bad;
    memcpy(&bad, rule_find(y.h.c, RULE_QUEUE, "las")->row, rule_size(RULE_QUEUE));
    bad.queue.las_first_ms = 0;
    struct input in = {.kind = INPUT_RULE_SET, .caller = {.reply_to = 1, .admin = true}};
    in.rule.row = &bad;
    in.rule.mode = RULE_PUT;
    harness_step(&y.h, &in);
    assert_int_equal(rule_find(y.h.c, RULE_QUEUE, "las")->row->queue.las_first_ms, 10000);
    yard_fini(&y);
}

// The one that holds all of the only node stands at no higher level than any that waits.
static void check_moment(struct yard *y)
{
    const struct job *j, *running = NULL;
    TAILQ_FOREACH(j, &y->h.c->jobs, live_link)
    if (j->state == JOB_RUNNING)
        running = j;
    TAILQ_FOREACH(j, &y->h.c->jobs, live_link)
    if (running && j->queued && j->level < running->level)
        fail_msg("job %" PRIu64 " waits at level %d, and job %" PRIu64 " runs at level %d", j->id.v,
                 j->level, running->id.v, running->level);
}

static void random_workloads(void **state)
{
    (void)state;
    struct rng r = {7};
    size_t jobs = 0, placed = 0;
    for (int round = 0; round < 60; round++) {
        struct yard y;
        char queue[128];
        snprintf(queue, sizeof queue,
                 "las order=las las_first=%ds las_factor=%d las_levels=%d las_promote=%d",
                 1 + (int)rng_below(&r, 100), 2 + (int)rng_below(&r, 4), 1 + (int)rng_below(&r, 5),
                 (int)rng_below(&r, 10));
        begin(&y, queue);
        for (int i = 0; i < 25; i++) {
            int64_t runs_s = 1 + (int64_t)rng_below(&r, rng_below(&r, 2) ? 10 : 200);
            ask(&y, all, "las", runs_s);
            yard_run(&y, (int64_t)rng_below(&r, 100000));
            check_moment(&y);
            if (rng_below(&r, 8) == 0)
                harness_compare(&y.h);
        }
        yard_run(&y, 10000 * SECOND);
        for (uint64_t id = 1; id <= 25; id++)
            assert_int_equal(job_of(&y, id)->state, JOB_COMPLETED);
        jobs += 25;
        placed += y.starts_count;
        yard_fini(&y);
    }
    print_message("# %zu jobs in %zu attempts\n", jobs, placed);
    assert_true(placed > jobs + jobs / 10 && placed < 20 * jobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_are_gpus_or_else_cores),
        cmocka_unit_test(levels_grow_by_the_factor),
        cmocka_unit_test(a_story),
        cmocka_unit_test(only_higher_levels_of_the_queue_give_way),
        cmocka_unit_test(qos_stands_above),
        cmocka_unit_test(a_restart_forgets_nothing),
        cmocka_unit_test(settings_can_be_changed),
        cmocka_unit_test(random_workloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
