// Preemption: who is stopped for whom, what is kept, and what becomes of those that were stopped.
#include "tests/unit/core_yard.h"

#include "common/rng.h"
#include "scheduler/core/preempt.h"
#include "scheduler/core/state.h"

static const int64_t SECOND = 1000;

static void set_rule(struct yard *y, enum rule_kind kind, const char *name, const char *field,
                     const char *value)
{
    struct rule row;
    struct err err;
    const struct rule_entry *old = rule_find(y->h.c, kind, name);
    rule_init(&row, kind);
    if (old)
        memcpy(&row, old->row, rule_size(kind));
    assert_int_equal(rule_set_text(&row, rule_field(kind, "name"), name, &err), 0);
    if (field)
        assert_int_equal(rule_set_text(&row, rule_field(kind, field), value, &err), 0);
    struct input in = {.kind = INPUT_RULE_SET, .caller = {.admin = true}};
    in.rule.row = &row;
    in.rule.mode = RULE_PUT;
    harness_step(&y->h, &in);
    yard_settle(y);
}

// QoS "high" preempts "low" and "lowest". A stopped job takes 5 s, and so it has a grace of 10.
static void begin(struct yard *y, size_t nodes, int32_t cores)
{
    yard_init(y, nodes, cores);
    y->stop_ms = 5 * SECOND;
    set_rule(y, RULE_QOS, "lowest", NULL, NULL);
    set_rule(y, RULE_QOS, "low", "priority", "1");
    set_rule(y, RULE_QOS, "high", "priority", "10");
    set_rule(y, RULE_QOS, "high", "preempts", "low,lowest");
    text_clear(&y->h.story);
}

static uint64_t ask(struct yard *y, const char *qos, struct request req, int64_t runs_s)
{
    if (!req.grace_ms)
        req.grace_ms = 10 * SECOND;
    return yard_submit_as(y, (struct input_submit){.req = req, .qos = qos}, runs_s * SECOND);
}

static struct request cores(int32_t cpus)
{
    return (struct request){.tasks = 1, .cpus = cpus};
}

static int64_t started(const struct yard *y, uint64_t id)
{
    return y->started_ms[id] ? (y->started_ms[id] - 1000) / SECOND : -1;
}

// How often it was placed.
static size_t starts(const struct yard *y, uint64_t id)
{
    size_t count = 0;
    for (size_t i = 0; i < y->starts_count; i++)
        count += y->starts[i].job == id;
    return count;
}

static bool stopping(const struct yard *y, uint64_t id)
{
    const struct job *j = &y->h.jobs[id - 1];
    return j->state == JOB_STOPPING && j->verdict.code == REASON_PREEMPTED;
}

static void a_story(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, 1, 4);
    uint64_t low = ask(&y, "low", cores(4), 60);
    yard_run(&y, 20 * SECOND);
    text_clear(&y.h.story);
    uint64_t high = ask(&y, "high", cores(2), 30);
    assert_string_equal(text_str(&y.h.story),
                        "job 2 submitted: 1 task of 2 cores\n"
                        "job 2 preempts 1 job: 1\n"
                        "job 1 attempt 1 must end: was preempted by job 2\n"
                        "job 2 waits until 1 job that it preempts have stopped, job 1 first\n");
    text_clear(&y.h.story);
    yard_run(&y, 5 * SECOND);
    assert_int_equal(started(&y, high), 25);
    const struct job *j = &y.h.jobs[low - 1];
    assert_int_equal(j->state, JOB_PENDING);
    assert_int_equal(j->attempts_used, 0);
    assert_true(
        strstr(text_str(&y.h.story), "job 1 waits for its next attempt: was preempted by job 2\n"));
    yard_run(&y, 100 * SECOND);
    assert_int_equal(j->state, JOB_COMPLETED);
    assert_int_equal(starts(&y, low), 2);
    assert_int_equal(j->attempts_used, 1);
    yard_fini(&y);
}

// Equals are not preempted, nor those above.
static void not_by_others(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, 1, 4);
    ask(&y, "high", cores(2), 60);
    ask(&y, NULL, cores(2), 60);
    uint64_t high = ask(&y, "high", cores(4), 10), low = ask(&y, "low", cores(4), 10);
    yard_run(&y, 55 * SECOND);
    assert_int_equal(y.starts_count, 2);
    yard_run(&y, 60 * SECOND);
    assert_int_equal(started(&y, high), 60);
    assert_int_equal(started(&y, low), 70);
    yard_fini(&y);
}

static void safe_for_its_minimum(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, 1, 4);
    set_rule(&y, RULE_QOS, "low", "min_run_time_ms", "60s");
    ask(&y, "low", cores(4), 1000);
    yard_run(&y, 10 * SECOND);
    uint64_t high = ask(&y, "high", cores(4), 10);
    yard_run(&y, 49 * SECOND);
    assert_false(stopping(&y, 1));
    yard_run(&y, SECOND);
    assert_true(stopping(&y, 1));
    yard_run(&y, 5 * SECOND);
    assert_int_equal(started(&y, high), 65);
    yard_run(&y, 2000 * SECOND);
    yard_fini(&y);
}

// The oldest of four would suffice alone, as two of the younger would.
static void the_fewest_and_of_equals_the_youngest(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, 3, 4);
    uint64_t whole = ask(&y, "low", cores(4), 1000);
    yard_run(&y, SECOND);
    uint64_t half[4];
    for (int i = 0; i < 4; i++) {
        half[i] = ask(&y, "low", cores(2), 1000);
        yard_run(&y, SECOND);
    }
    ask(&y, "high", cores(4), 10);
    assert_true(stopping(&y, whole));
    for (int i = 0; i < 4; i++)
        assert_false(stopping(&y, half[i]));
    ask(&y, "high", cores(2), 10);
    assert_true(stopping(&y, half[3]));
    assert_false(stopping(&y, half[2]));
    yard_run(&y, 5000 * SECOND);
    yard_fini(&y);
}

static void the_lowest_qos_first(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, 2, 4);
    uint64_t a = ask(&y, "lowest", cores(2), 1000), b = ask(&y, "lowest", cores(2), 1000);
    yard_run(&y, SECOND);
    uint64_t low = ask(&y, "low", cores(4), 1000);
    ask(&y, "high", cores(4), 10);
    assert_true(stopping(&y, a) && stopping(&y, b) && !stopping(&y, low));
    yard_run(&y, 5000 * SECOND);
    yard_fini(&y);
}

// It needs two nodes: one gang that has both, not the one that shares them with a third.
static void gangs(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, 4, 4);
    struct request two = {.tasks = 2, .nodes = 2, .cpus = 4};
    uint64_t a = ask(&y, "low", two, 1000), b = ask(&y, "low", two, 1000);
    yard_run(&y, SECOND);
    uint64_t high = ask(&y, "high", two, 10);
    assert_true(!stopping(&y, a) && stopping(&y, b));
    yard_run(&y, 10 * SECOND);
    assert_int_equal(starts(&y, high), 1);
    yard_run(&y, 5000 * SECOND);
    assert_int_equal(yard_state(&y, b), JOB_COMPLETED);
    yard_fini(&y);
}

static void none_that_would_not_start_it(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, 2, 4);
    ask(&y, NULL, cores(3), 1000);
    uint64_t low = ask(&y, "low", cores(4), 1000);
    struct request both = {.tasks = 2, .nodes = 2, .cpus = 4};
    ask(&y, "high", both, 10);
    yard_run(&y, 100 * SECOND);
    assert_int_equal(yard_state(&y, low), JOB_RUNNING);
    assert_int_equal(starts(&y, low), 1);
    yard_run(&y, 5000 * SECOND);
    yard_fini(&y);
}

// What ends, at the latest, within the grace of whoever could be stopped is waited for: here at 22.
static void none_that_ends_as_soon(void **state)
{
    (void)state;
    for (int64_t at_s = 6; at_s < 9; at_s += 2) {
        struct yard y;
        begin(&y, 2, 4);
        struct request limited = cores(4), slow = cores(4);
        limited.time_limit_ms = 12 * SECOND;
        slow.grace_ms = 15 * SECOND;
        ask(&y, NULL, limited, 20);
        uint64_t low = ask(&y, "low", slow, 1000);
        yard_run(&y, at_s * SECOND);
        uint64_t high = ask(&y, "high", cores(4), 10);
        uint64_t other = ask(&y, NULL, cores(4), 1000);
        assert_int_equal(stopping(&y, low), at_s == 6);
        yard_run(&y, 20 * SECOND);
        assert_int_equal(started(&y, high), at_s == 6 ? 11 : 12);
        assert_true(started(&y, other) >= 12);
        yard_run(&y, 5000 * SECOND);
        yard_fini(&y);
    }
}

// While they stop, the room is the job's, however the queue plans; a job of its own class has its
// own victims stopped at the same time.
static void the_room_is_kept(void **state)
{
    (void)state;
    for (int64_t reservations = 0; reservations < 3; reservations++) {
        struct yard y;
        begin(&y, 2, 4);
        struct settings_rule q = harness_settings();
        q.backfill_reservations = reservations;
        yard_set(&y, q);
        ask(&y, "low", cores(2), 1000);
        ask(&y, "low", cores(2), 1000);
        ask(&y, "low", cores(4), 1000);
        yard_run(&y, SECOND);
        y.stop_ms = 8 * SECOND;
        uint64_t high = ask(&y, "high", cores(4), 10);
        assert_true(stopping(&y, 3));
        uint64_t next = ask(&y, "high", cores(4), 10);
        assert_int_equal(stopping(&y, 1), reservations > 0);
        uint64_t other = ask(&y, NULL, cores(1), 100);
        yard_run(&y, 8 * SECOND);
        assert_int_equal(started(&y, high), 9);
        if (reservations)
            assert_int_equal(started(&y, next), 9);
        assert_int_equal(started(&y, other), -1);
        yard_run(&y, 5000 * SECOND);
        assert_int_equal(yard_state(&y, 1), JOB_COMPLETED);
        yard_fini(&y);
    }
}

// No more are chosen while the first are being stopped.
static void no_second_set(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, 2, 4);
    struct request slow = cores(4);
    slow.grace_ms = 40 * SECOND;
    y.stop_ms = 40 * SECOND;
    uint64_t old = ask(&y, "low", slow, 1000);
    yard_run(&y, SECOND);
    uint64_t young = ask(&y, "low", slow, 1000);
    uint64_t high = ask(&y, "high", cores(3), 10);
    assert_true(stopping(&y, young));
    yard_run(&y, 10 * SECOND);
    assert_false(stopping(&y, old));
    yard_run(&y, 40 * SECOND);
    assert_int_equal(started(&y, high), 41);
    assert_int_equal(starts(&y, old), 1);
    yard_run(&y, 5000 * SECOND);
    yard_fini(&y);
}

static void cancels(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, 1, 4);
    set_rule(&y, RULE_QOS, "low", "preempt_mode", "cancel");
    uint64_t low = ask(&y, "low", cores(4), 1000);
    uint64_t high = ask(&y, "high", cores(4), 10);
    yard_run(&y, 5 * SECOND);
    const struct job *j = &y.h.jobs[low - 1];
    assert_int_equal(j->state, JOB_CANCELLED);
    assert_int_equal(j->reason.code, REASON_PREEMPTED);
    assert_int_equal(j->reason.a, high);
    yard_run(&y, 50 * SECOND);
    yard_fini(&y);
}

static void cancel(struct yard *y, uint64_t id)
{
    struct input in = {.kind = INPUT_CANCEL, .caller = {.admin = true}, .job = {id}};
    harness_step(&y->h, &in);
    yard_settle(y);
}

// Its owner's word counts more.
static void cancelled_while_it_stops(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, 1, 4);
    uint64_t low = ask(&y, "low", cores(4), 1000);
    uint64_t high = ask(&y, "high", cores(4), 10);
    cancel(&y, low);
    yard_run(&y, 20 * SECOND);
    assert_int_equal(yard_state(&y, low), JOB_CANCELLED);
    assert_int_equal(y.h.jobs[low - 1].reason.code, REASON_CANCELLED);
    assert_int_equal(started(&y, high), 5);
    yard_fini(&y);
}

static void end_with(struct yard *y, struct reason r)
{
    struct yard_part p = y->parts[0];
    y->parts[0] = y->parts[--y->parts_count];
    struct input in = {.kind = INPUT_END};
    in.end = (struct input_end){.node = {p.node},
                                .session = y->session[p.node - 1],
                                .attempt = p.attempt,
                                .started = true,
                                .reason = r};
    harness_step(&y->h, &in);
    yard_settle(y);
}

// Its end was on the way already: it has succeeded, or failed.
static void ended_before_the_word_came(void **state)
{
    (void)state;
    static const struct {
        struct reason r;
        enum job_state state;
    } ends[] = {{{.code = REASON_EXITED}, JOB_COMPLETED},
                {{.code = REASON_TASK_FAILED, .a = 3}, JOB_FAILED},
                {{.code = REASON_PREEMPTED}, JOB_PENDING}};
    for (size_t i = 0; i < 3; i++) {
        struct yard y;
        begin(&y, 1, 4);
        uint64_t low = ask(&y, "low", cores(4), 1000), high = ask(&y, "high", cores(4), 10);
        assert_true(stopping(&y, low));
        end_with(&y, ends[i].r);
        assert_int_equal(yard_state(&y, low), ends[i].state);
        assert_int_equal(started(&y, high), 0);
        yard_run(&y, 2000 * SECOND);
        yard_fini(&y);
    }
}

// A limit keeps the job: nobody is stopped for it. And who is behind it does not take what the
// limit leaves it while its victims stop.
static void limits(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, 2, 4);
    set_rule(&y, RULE_QOS, "high", "max_cores", "3");
    ask(&y, "low", cores(4), 1000);
    ask(&y, "high", cores(3), 20);
    ask(&y, "high", cores(1), 20);
    uint64_t kept = ask(&y, "high", cores(3), 10);
    yard_run(&y, 10 * SECOND);
    assert_int_equal(starts(&y, 1), 1);
    assert_false(stopping(&y, 1));
    assert_int_equal(started(&y, kept), -1);
    yard_run(&y, 5000 * SECOND);
    yard_fini(&y);

    begin(&y, 2, 4);
    set_rule(&y, RULE_QOS, "high", "max_cores", "4");
    ask(&y, "low", cores(4), 1000);
    ask(&y, NULL, cores(2), 1000);
    uint64_t wide = ask(&y, "high", cores(4), 10);
    assert_true(stopping(&y, 1));
    uint64_t small = ask(&y, "high", cores(1), 10);
    yard_run(&y, 4 * SECOND);
    assert_int_equal(started(&y, small), -1);
    yard_run(&y, 5000 * SECOND);
    assert_int_equal(started(&y, wide), 5);
    assert_int_equal(started(&y, small), 15);
    yard_fini(&y);
}

// Two QoS that stop each other would go on for ever.
static void no_circles(void **state)
{
    (void)state;
    struct yard y;
    begin(&y, 1, 4);
    uint64_t changes = y.h.c->preempt.changes;
    set_rule(&y, RULE_QOS, "low", "preempts", "high");
    set_rule(&y, RULE_QOS, "low", "preempts", "low");
    assert_int_equal(y.h.c->preempt.changes, changes);
    yard_fini(&y);
}

static struct request random_request(struct rng *rng)
{
    struct request r = {.tasks = 1 + (int32_t)rng_below(rng, 4),
                        .cpus = 1 + (int32_t)rng_below(rng, 4),
                        .grace_ms = 1 + (int64_t)rng_below(rng, 20) * SECOND};
    if (rng_below(rng, 2))
        r.nodes = 1 + (int32_t)rng_below(rng, (uint64_t)r.tasks);
    if (rng_below(rng, 3) == 0)
        r.time_limit_ms = (1 + (int64_t)rng_below(rng, 200)) * SECOND;
    return r;
}

// Whatever comes: every preemptor starts when its victims have ended at the latest, and everybody
// ends well.
static void random_workloads(void **state)
{
    (void)state;
    size_t preempted = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rng rng = {seed};
        struct yard y;
        static const char *const qos[] = {"low", "lowest", NULL, "high"};
        begin(&y, 4, 6);
        struct settings_rule q = harness_settings();
        q.backfill_reservations = (int64_t)rng_below(&rng, 4);
        yard_set(&y, q);
        set_rule(&y, RULE_QOS, "low", "min_run_time_ms", rng_below(&rng, 2) ? "5s" : "none");
        for (int i = 0; i < 80; i++) {
            y.stop_ms = (int64_t)rng_below(&rng, 30) * SECOND;
            ask(&y, qos[rng_below(&rng, 4)], random_request(&rng),
                1 + (int64_t)rng_below(&rng, 300));
            yard_run(&y, (int64_t)rng_below(&rng, 20) * SECOND);
        }
        yard_run(&y, 100000 * SECOND);
        for (size_t i = 0; i < y.h.jobs_cap; i++)
            if (y.h.jobs[i].id.v) {
                assert_int_equal(y.h.jobs[i].state, JOB_COMPLETED);
                preempted += starts(&y, i + 1) - 1;
            }
        yard_fini(&y);
    }
    printf("# %zu attempts were preempted\n", preempted);
    assert_true(preempted > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_story),
        cmocka_unit_test(not_by_others),
        cmocka_unit_test(safe_for_its_minimum),
        cmocka_unit_test(the_fewest_and_of_equals_the_youngest),
        cmocka_unit_test(the_lowest_qos_first),
        cmocka_unit_test(gangs),
        cmocka_unit_test(none_that_would_not_start_it),
        cmocka_unit_test(none_that_ends_as_soon),
        cmocka_unit_test(the_room_is_kept),
        cmocka_unit_test(no_second_set),
        cmocka_unit_test(cancels),
        cmocka_unit_test(cancelled_while_it_stops),
        cmocka_unit_test(ended_before_the_word_came),
        cmocka_unit_test(limits),
        cmocka_unit_test(no_circles),
        cmocka_unit_test(random_workloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
