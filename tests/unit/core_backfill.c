// Backfill: what fills in, what is kept, and that nobody starts later than it was first told. The
// worked examples of docs/scheduling.md are here.
#include "tests/unit/core_yard.h"

#include "common/rng.h"
#include "scheduler/core/state.h"

static const int64_t SECOND = 1000;

static struct request ask(int32_t tasks, int32_t cpus, int64_t limit_s)
{
    return (struct request){.tasks = tasks, .cpus = cpus, .time_limit_ms = limit_s * SECOND};
}

static void reserve(struct yard *y, int64_t reservations)
{
    struct settings_rule q = harness_settings();
    q.backfill_reservations = reservations;
    yard_set(y, q);
}

// When the job started, in seconds from the yard's beginning; -1: it has not.
static int64_t started(const struct yard *y, uint64_t id)
{
    return y->started_ms[id] ? (y->started_ms[id] - 1000) / SECOND : -1;
}

// When its class was told to start at the latest, likewise.
static int64_t told(struct yard *y, uint64_t id)
{
    const struct wait *w = harness_wait(&y->h, y->h.jobs[id - 1].class_id.v);
    return w && w->starts_ms ? (w->starts_ms - 1700000000000) / SECOND : -1;
}

// One node of 4 cores.
//
//     A  3 cores, 60 s   runs
//     B  4 cores, 60 s   waits for A: starts at 60
//     C  1 core,  30 s   ends before 60: fills in
//     D  1 core, 120 s   would delay B
//     E  1 core, no limit: the same
static void short_jobs_fill_in(void **state)
{
    (void)state;
    struct yard y;
    yard_init(&y, 1, 4);
    yard_submit(&y, ask(1, 3, 60), 60 * SECOND);
    uint64_t b = yard_submit(&y, ask(1, 4, 60), 60 * SECOND);
    text_clear(&y.h.story);
    uint64_t d = yard_submit(&y, ask(1, 1, 120), 10 * SECOND);
    assert_string_equal(text_str(&y.h.story),
                        "job 3 submitted: 1 task of 1 core\n"
                        "job 3 could start now, but would delay job 2, for which room is kept\n");
    uint64_t e = yard_submit(&y, ask(1, 1, 0), 10 * SECOND);
    uint64_t c = yard_submit(&y, ask(1, 1, 30), 30 * SECOND);
    assert_int_equal(told(&y, b), 60);
    yard_run(&y, 300 * SECOND);
    assert_int_equal(started(&y, c), 0);
    assert_int_equal(started(&y, b), 60);
    assert_int_equal(started(&y, d), 120);
    assert_int_equal(started(&y, e), 120);
    yard_fini(&y);
}

// Two nodes of 4 cores: B needs one of them whole and is promised the one that is free first. A
// long job may have the other one.
static void long_jobs_take_what_is_left_over(void **state)
{
    (void)state;
    struct yard y;
    yard_init(&y, 2, 4);
    yard_submit(&y, ask(1, 3, 60), 60 * SECOND);
    yard_submit(&y, ask(1, 3, 90), 90 * SECOND);
    uint64_t b = yard_submit(&y, ask(1, 4, 60), 60 * SECOND);
    uint64_t c = yard_submit(&y, ask(1, 1, 0), 1000 * SECOND);
    uint64_t d = yard_submit(&y, ask(1, 1, 0), 10 * SECOND);
    assert_int_equal(started(&y, c), 0);
    assert_int_equal(y.h.parts[2].node.v, 2);
    assert_int_equal(started(&y, d), -1);
    yard_run(&y, 300 * SECOND);
    assert_int_equal(started(&y, b), 60);
    yard_fini(&y);
}

// A job that ends before its limit makes the start earlier, never later.
static void an_early_end_moves_the_start_forward(void **state)
{
    (void)state;
    struct yard y;
    yard_init(&y, 2, 4);
    yard_submit(&y, ask(1, 4, 100), 20 * SECOND);
    yard_submit(&y, ask(1, 4, 200), 200 * SECOND);
    uint64_t b = yard_submit(&y, (struct request){.tasks = 2, .nodes = 2, .cpus = 4}, SECOND);
    uint64_t c = yard_submit(&y, ask(1, 4, 50), 50 * SECOND);
    assert_int_equal(told(&y, b), 200);
    yard_run(&y, 30 * SECOND);
    assert_int_equal(started(&y, c), 20); // until 70: before 200
    assert_int_equal(told(&y, b), 200);
    yard_run(&y, 400 * SECOND);
    assert_int_equal(started(&y, b), 200);
    yard_fini(&y);
}

// EASY keeps room for B alone, so that D delays C; two reservations keep it for C too.
static void every_reservation_holds(void **state)
{
    (void)state;
    for (int64_t reservations = 1; reservations <= 2; reservations++) {
        struct yard y;
        yard_init(&y, 2, 4);
        reserve(&y, reservations);
        yard_submit(&y, ask(1, 4, 60), 60 * SECOND);
        yard_submit(&y, ask(1, 3, 100), 100 * SECOND);
        uint64_t b = yard_submit(&y, ask(1, 4, 200), 200 * SECOND); // on n1 at 60
        uint64_t c = yard_submit(&y, ask(1, 4, 50), 50 * SECOND);   // on n2 at 100
        uint64_t d = yard_submit(&y, ask(1, 1, 150), 150 * SECOND); // fits now on n2
        yard_run(&y, 1000 * SECOND);
        assert_int_equal(started(&y, b), 60);
        assert_int_equal(started(&y, c), reservations == 1 ? 150 : 100);
        assert_int_equal(started(&y, d), reservations == 1 ? 0 : 150);
        yard_fini(&y);
    }
}

// How deep a pass looks is counted in classes that wait: what it places shows what lies behind.
static void what_starts_is_not_in_the_way_of_a_look(void **state)
{
    (void)state;
    struct yard y;
    yard_init(&y, 2, 4);
    struct settings_rule q = harness_settings();
    q.backfill_depth = 1;
    yard_set(&y, q);
    yard_submit(&y, ask(1, 4, 60), 30 * SECOND);
    yard_submit(&y, ask(1, 4, 200), 200 * SECOND);
    yard_submit(&y, (struct request){.tasks = 2, .nodes = 2, .cpus = 4}, SECOND); // at 200
    uint64_t c = yard_submit(&y, ask(1, 1, 10), 10 * SECOND);
    uint64_t d = yard_submit(&y, ask(1, 1, 11), 11 * SECOND);
    uint64_t e = yard_submit(&y, ask(1, 1, 12), 12 * SECOND);
    yard_run(&y, 31 * SECOND);
    assert_int_equal(started(&y, c), 30);
    assert_int_equal(started(&y, d), 30);
    assert_int_equal(started(&y, e), 30);
    yard_fini(&y);
}

// Without reservations the order is strict.
static void none_is_strict_order(void **state)
{
    (void)state;
    struct yard y;
    yard_init(&y, 1, 4);
    reserve(&y, 0);
    yard_submit(&y, ask(1, 3, 60), 60 * SECOND);
    uint64_t b = yard_submit(&y, ask(1, 4, 60), 60 * SECOND);
    uint64_t c = yard_submit(&y, ask(1, 1, 10), 10 * SECOND);
    assert_int_equal(harness_why(&y.h, b), REASON_RESOURCES);
    assert_int_equal(harness_why(&y.h, c), REASON_PRIORITY);
    yard_run(&y, 300 * SECOND);
    assert_int_equal(started(&y, b), 60);
    assert_int_equal(started(&y, c), 120);
    yard_fini(&y);
}

// Jobs without limits are in the way: no start can be said. A stream of small jobs, with and
// without limits, does not keep the large one from starting when those that were there have ended.
static void a_job_whose_start_is_not_known_does_not_starve(void **state)
{
    (void)state;
    struct yard y;
    yard_init(&y, 4, 4);
    for (int i = 0; i < 8; i++)
        yard_submit(&y, ask(1, 2, 0), (40 + i * 10) * SECOND); // two on each node
    uint64_t big = yard_submit(&y, (struct request){.tasks = 2, .nodes = 2, .cpus = 4}, SECOND);
    assert_int_equal(told(&y, big), -1);
    for (int i = 0; i < 400; i++) {
        yard_submit(&y, ask(1, 1, i % 2 ? 0 : 7), (3 + i % 5) * SECOND);
        yard_run(&y, SECOND);
    }
    assert_true(started(&y, big) >= 0 && started(&y, big) <= 110); // the last of the eight
    yard_fini(&y);
}

static void a_lost_node_makes_a_new_plan(void **state)
{
    (void)state;
    struct yard y;
    yard_init(&y, 2, 4);
    yard_submit(&y, ask(1, 4, 60), 60 * SECOND);
    yard_submit(&y, ask(1, 4, 90), 90 * SECOND);
    uint64_t b = yard_submit(&y, ask(1, 4, 60), 60 * SECOND);
    assert_int_equal(told(&y, b), 60);
    struct input drain = {.kind = INPUT_NODE_DRAIN, .caller = {.admin = true}};
    drain.node.name = "n1";
    harness_step(&y.h, &drain);
    assert_int_equal(told(&y, b), 90);
    yard_run(&y, 300 * SECOND);
    assert_int_equal(started(&y, b), 90);
    yard_fini(&y);
}

// What was first told to each job that got a reservation with a known start.
struct promises {
    int64_t *first_ms;
    size_t cap;
    size_t made, kept, early;
};

static void note_promises(struct yard *y, struct promises *p)
{
    const struct backfill *plan = &y->h.c->backfill;
    if (y->runs_cap > p->cap) {
        p->first_ms = xreallocarray(p->first_ms, y->runs_cap, sizeof *p->first_ms);
        memset(p->first_ms + p->cap, 0, (y->runs_cap - p->cap) * sizeof *p->first_ms);
        p->cap = y->runs_cap;
    }
    for (const struct job *j = TAILQ_FIRST(&y->h.c->jobs); j; j = TAILQ_NEXT(j, live_link)) {
        const struct reservation *r = reservation_of(y->h.c, j);
        int64_t start_ms = r ? reservation_start_ms(r) : INT64_MAX;
        if (start_ms == INT64_MAX || p->first_ms[j->id.v])
            continue;
        p->first_ms[j->id.v] = start_ms;
        p->made++;
    }
    CHECK(plan->count <= 10000);
}

static void check_promises(const struct yard *y, struct promises *p)
{
    for (size_t id = 1; id < p->cap && id < y->runs_cap; id++) {
        if (!p->first_ms[id])
            continue;
        if (!y->started_ms[id] || y->started_ms[id] > p->first_ms[id])
            fail_msg("job %zu was told to start at %" PRId64 " and started at %" PRId64, id,
                     p->first_ms[id], y->started_ms[id]);
        p->kept++;
        p->early += y->started_ms[id] < p->first_ms[id];
    }
}

static struct request any_request(struct rng *r, bool limits_only)
{
    int32_t tasks = rng_below(r, 3) ? 1 : (int32_t)rng_below(r, 6) + 1;
    return (struct request){
        .tasks = tasks,
        .nodes = rng_below(r, 3) ? 0 : (int32_t)rng_below(r, (uint64_t)tasks) + 1,
        .cpus = (int32_t)rng_below(r, 4) + 1,
        .memory_mib = rng_below(r, 2) ? 0 : 100 * (int64_t)rng_below(r, 5),
        .time_limit_ms =
            !limits_only && rng_below(r, 4) == 0 ? 0 : (1 + (int64_t)rng_below(r, 60)) * SECOND,
        .grace_ms = rng_below(r, 2) ? 0 : SECOND,
    };
}

// Any jobs, any number of reservations, with jobs that have no limit among them or not: nobody
// starts later than it was first told.
static void nobody_starts_later_than_told(void **state)
{
    (void)state;
    struct promises total = {0};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rng r = {seed};
        static const int64_t kinds[] = {1, 1, 2, 5, 1000};
        struct promises p = {0};
        struct yard y;
        yard_init(&y, 2 + rng_below(&r, 6), 4);
        reserve(&y, kinds[rng_below(&r, 5)]);
        bool limits_only = rng_below(&r, 2);
        for (int i = 0; i < 120; i++) {
            struct request req = any_request(&r, limits_only);
            int64_t most = req.time_limit_ms ? req.time_limit_ms : 90 * SECOND;
            int64_t runs = rng_below(&r, 3) ? (int64_t)rng_below(&r, (uint64_t)most) + 1 : most;
            yard_submit(&y, req, runs);
            note_promises(&y, &p);
            for (uint64_t k = rng_below(&r, 4); k; k--) {
                yard_run(&y, (int64_t)rng_below(&r, 3000));
                note_promises(&y, &p);
            }
        }
        for (int i = 0; i < 4000; i++) {
            yard_run(&y, 2 * SECOND);
            note_promises(&y, &p);
        }
        check_promises(&y, &p);
        for (uint64_t id = 1; id <= 120; id++)
            if (y.h.jobs[id - 1].id.v)
                assert_int_equal(yard_state(&y, id), JOB_COMPLETED);
        total.made += p.made;
        total.kept += p.kept;
        total.early += p.early;
        free(p.first_ms);
        yard_fini(&y);
    }
    printf("# %zu promises, all kept, %zu with time to spare\n", total.made, total.early);
    assert_true(total.made > 500 && total.early > 50 && total.kept == total.made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_jobs_fill_in),
        cmocka_unit_test(long_jobs_take_what_is_left_over),
        cmocka_unit_test(an_early_end_moves_the_start_forward),
        cmocka_unit_test(every_reservation_holds),
        cmocka_unit_test(what_starts_is_not_in_the_way_of_a_look),
        cmocka_unit_test(none_is_strict_order),
        cmocka_unit_test(a_job_whose_start_is_not_known_does_not_starve),
        cmocka_unit_test(a_lost_node_makes_a_new_plan),
        cmocka_unit_test(nobody_starts_later_than_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
