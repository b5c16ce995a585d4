// Stories of the shepherd's core: what it is told, and what it puts out, word for word; and a
// seeded random walk (WALK_SEED, WALK_STEPS).
#include "agent/core/shepherd.h"
#include "common/alloc.h"
#include "common/check.h"
#include "common/rng.h"
#include "common/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct stage {
    struct shepherd core;
    struct text said;
    int64_t now_ms;
};

static void step(struct stage *s, struct shepherd_input in)
{
    static const char *const words[] = {"prepare", "start", "left", "report",
                                        "term",    "kill",  "look", "end"};
    shepherd_step(&s->core, s->now_ms, &in);
    text_clear(&s->said);
    for (size_t i = 0; i < s->core.outputs_count; i++)
        text_addf(&s->said, "%s%s", i ? " " : "", words[s->core.outputs[i]]);
}

#define STEP(s, ...) step((s), (struct shepherd_input){__VA_ARGS__})

static void expect(struct stage *s, const char *want)
{
    assert_string_equal(text_str(&s->said), want);
}

static void expect_verdict(struct stage *s, const char *want)
{
    AUTO(text) struct text t = {0};
    reason_text(&s->core.verdict, "n1", s->core.detail, &t);
    assert_string_equal(text_str(&t), want);
}

static void pass(struct stage *s, int64_t ms)
{
    s->now_ms += ms;
    STEP(s, .kind = SHEPHERD_IN_TICK);
}

static int setup(void **state)
{
    struct stage *s = xcalloc(1, sizeof *s);
    shepherd_init(&s->core);
    s->now_ms = 1000;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct stage *s = *state;
    shepherd_fini(&s->core);
    text_free(&s->said);
    free(s);
    return 0;
}

static struct shepherd_order order(int32_t tasks)
{
    return (struct shepherd_order){.tasks = tasks, .first_rank = 4, .grace_ms = 3000};
}

static void run(struct stage *s, struct shepherd_order o)
{
    STEP(s, .kind = SHEPHERD_IN_ORDER, .order = o);
    STEP(s, .kind = SHEPHERD_IN_READY);
    if (o.prepare)
        STEP(s, .kind = SHEPHERD_IN_GO);
    STEP(s, .kind = SHEPHERD_IN_STARTED);
    assert_int_equal(s->core.phase, SHEPHERD_RUNNING);
}

static void task_ends(struct stage *s, int32_t task, int32_t code)
{
    STEP(s, .kind = SHEPHERD_IN_TASK_EXIT, .task = task, .exit_code = code);
}

static void task_dies(struct stage *s, int32_t task, int32_t signal)
{
    STEP(s, .kind = SHEPHERD_IN_TASK_EXIT, .task = task, .signal = signal);
}

static void empty(struct stage *s)
{
    STEP(s, .kind = SHEPHERD_IN_EMPTY);
}

static void order_kill(struct stage *s, int64_t grace_ms)
{
    STEP(s, .kind = SHEPHERD_IN_KILL, .reason = {.code = REASON_CANCELLED, .a = 7},
         .grace_ms = grace_ms);
}

// ---- starting ----

static void one_task_runs_and_ends(void **state)
{
    struct stage *s = *state;
    STEP(s, .kind = SHEPHERD_IN_ORDER, .order = order(1));
    expect(s, "prepare");
    STEP(s, .kind = SHEPHERD_IN_ORDER, .order = order(9)); // repeated: only told
    expect(s, "report");
    assert_int_equal(s->core.order.tasks, 1);
    STEP(s, .kind = SHEPHERD_IN_READY);
    expect(s, "start");
    assert_false(s->core.started);
    STEP(s, .kind = SHEPHERD_IN_STARTED);
    expect(s, "report");
    assert_true(s->core.started);
    assert_true(shepherd_wake_at_ms(&s->core) == INT64_MAX);
    task_ends(s, 0, 0);
    expect(s, "report term look"); // what it left behind goes too
    empty(s);
    expect(s, "end");
    expect_verdict(s, "ended by itself with exit code 0");
    assert_true(shepherd_wake_at_ms(&s->core) == INT64_MAX);
    empty(s);
    expect(s, "");
}

static void a_gang_starts_at_go(void **state)
{
    struct stage *s = *state;
    struct shepherd_order o = order(2);
    o.prepare = true;
    STEP(s, .kind = SHEPHERD_IN_ORDER, .order = o);
    STEP(s, .kind = SHEPHERD_IN_GO); // too early
    expect(s, "report");
    STEP(s, .kind = SHEPHERD_IN_READY);
    expect(s, "report");
    STEP(s, .kind = SHEPHERD_IN_READY);
    expect(s, "");
    STEP(s, .kind = SHEPHERD_IN_GO);
    expect(s, "start");
    STEP(s, .kind = SHEPHERD_IN_STARTED);
    expect(s, "report");
    STEP(s, .kind = SHEPHERD_IN_GO);
    expect(s, "report");
}

static void what_cannot_be_prepared_or_started_says_why(void **state)
{
    struct stage *s = *state;
    STEP(s, .kind = SHEPHERD_IN_ORDER, .order = order(1));
    STEP(s, .kind = SHEPHERD_IN_PREPARE_FAILED, .detail = "no PMIx");
    expect(s, "report kill look");
    empty(s);
    expect(s, "end");
    expect_verdict(s, "node n1 could not prepare it: no PMIx");
    assert_false(s->core.started);
    shepherd_fini(&s->core);
    shepherd_init(&s->core);
    STEP(s, .kind = SHEPHERD_IN_ORDER, .order = order(2));
    STEP(s, .kind = SHEPHERD_IN_PORT_TAKEN, .port = 20005);
    empty(s);
    expect_verdict(s, "port 20005 of node n1 is in use by another program");
    assert_false(s->core.started);
    shepherd_fini(&s->core);
    shepherd_init(&s->core);
    STEP(s, .kind = SHEPHERD_IN_ORDER, .order = order(2));
    STEP(s, .kind = SHEPHERD_IN_READY);
    STEP(s, .kind = SHEPHERD_IN_START_FAILED, .detail = "no such file");
    expect(s, "report kill look");
    STEP(s, .kind = SHEPHERD_IN_STARTED);
    expect(s, "");
    empty(s);
    expect_verdict(s, "cannot start the program on node n1: no such file");
}

// ---- ending ----

static void leftovers_get_a_second_and_no_more(void **state)
{
    struct stage *s = *state;
    run(s, order(1));
    task_ends(s, 0, 0);
    for (int64_t ms = 50; ms < 1000; ms += 50) {
        assert_int_equal(shepherd_wake_at_ms(&s->core), s->now_ms + 50);
        pass(s, 50);
        expect(s, "look");
    }
    pass(s, 50);
    expect(s, "kill look");
    pass(s, 50); // until nothing is left
    expect(s, "kill look");
    empty(s);
    expect(s, "end");
    expect_verdict(s, "ended by itself with exit code 0");
}

static void a_failed_task_ends_the_others(void **state)
{
    struct stage *s = *state;
    run(s, order(3));
    task_ends(s, 1, 9);
    expect(s, "report term look");
    task_ends(s, 1, 9); // told twice
    expect(s, "");
    assert_int_equal(s->core.left, 2);
    pass(s, 2999);
    expect(s, "look");
    pass(s, 1);
    expect(s, "kill look");
    empty(s); // not reaped yet
    expect(s, "");
    STEP(s, .kind = SHEPHERD_IN_TASK_EXIT, .task = 0, .signal = SIGKILL);
    expect(s, "");
    STEP(s, .kind = SHEPHERD_IN_TASK_EXIT, .task = 2, .signal = SIGKILL);
    expect(s, "look");
    empty(s);
    expect(s, "end");
    expect_verdict(s, "task 5 ended with exit code 9 on node n1"); // the first cause
}

static void a_signal_is_a_failure(void **state)
{
    struct stage *s = *state;
    run(s, order(1));
    STEP(s, .kind = SHEPHERD_IN_TASK_EXIT, .task = 0, .signal = SIGSEGV);
    empty(s);
    expect_verdict(s, "task 4 was killed by signal 11");
}

static void the_time_limit_counts_from_the_start(void **state)
{
    struct stage *s = *state;
    struct shepherd_order o = order(1);
    o.time_limit_ms = 60000;
    STEP(s, .kind = SHEPHERD_IN_ORDER, .order = o);
    s->now_ms += 10000;
    STEP(s, .kind = SHEPHERD_IN_READY);
    STEP(s, .kind = SHEPHERD_IN_STARTED);
    assert_int_equal(shepherd_wake_at_ms(&s->core), 71000);
    pass(s, 59999);
    expect(s, "");
    pass(s, 1);
    expect(s, "report term look");
    pass(s, 3000);
    expect(s, "kill look");
    STEP(s, .kind = SHEPHERD_IN_TASK_EXIT, .task = 0, .signal = SIGKILL);
    empty(s);
    expect_verdict(s, "reached its time limit of 1 m");
}

static void a_kill_before_the_start_starts_nothing(void **state)
{
    struct stage *s = *state;
    order_kill(s, 3000);
    expect(s, "report kill look"); // nobody to be gentle with
    STEP(s, .kind = SHEPHERD_IN_ORDER, .order = order(1));
    expect(s, "report");
    STEP(s, .kind = SHEPHERD_IN_READY);
    expect(s, "");
    STEP(s, .kind = SHEPHERD_IN_GO);
    expect(s, "report");
    empty(s);
    expect(s, "end");
    expect_verdict(s, "was cancelled by user 7");
    assert_false(s->core.started);
}

static void a_prepared_one_is_killed_at_once(void **state)
{
    struct stage *s = *state;
    struct shepherd_order o = order(2);
    o.prepare = true;
    STEP(s, .kind = SHEPHERD_IN_ORDER, .order = o);
    STEP(s, .kind = SHEPHERD_IN_READY);
    order_kill(s, 3000);
    expect(s, "report kill look");
    STEP(s, .kind = SHEPHERD_IN_GO);
    expect(s, "report");
    empty(s);
    expect(s, "end");
    assert_false(s->core.started);
}

static void a_second_kill_can_only_shorten(void **state)
{
    struct stage *s = *state;
    run(s, order(1));
    order_kill(s, 3000);
    expect(s, "report term look");
    order_kill(s, 9000);
    expect(s, "");
    pass(s, 1000);
    order_kill(s, 500);
    expect(s, "");
    pass(s, 499);
    expect(s, "look");
    pass(s, 1);
    expect(s, "kill look");
    order_kill(s, 0);
    expect(s, "");
}

static void a_lease_that_ended_knows_no_grace(void **state)
{
    struct stage *s = *state;
    run(s, order(1));
    STEP(s, .kind = SHEPHERD_IN_DEADLINE);
    expect(s, "report kill look");
    STEP(s, .kind = SHEPHERD_IN_TASK_EXIT, .task = 0, .signal = SIGKILL);
    empty(s);
    expect_verdict(s, "node n1 was not heard of for longer than the lease");
}

static void a_deadline_cuts_a_grace_short_and_keeps_the_cause(void **state)
{
    struct stage *s = *state;
    run(s, order(1));
    order_kill(s, 60000);
    expect(s, "report term look");
    STEP(s, .kind = SHEPHERD_IN_DEADLINE);
    expect(s, "kill look");
    STEP(s, .kind = SHEPHERD_IN_TASK_EXIT, .task = 0, .signal = SIGKILL);
    empty(s);
    expect_verdict(s, "was cancelled by user 7");
}

static void cancelled_after_all_ended_well_is_a_success(void **state)
{
    struct stage *s = *state;
    run(s, order(1));
    task_ends(s, 0, 0);
    order_kill(s, 0);
    expect(s, "kill look");
    empty(s);
    expect_verdict(s, "ended by itself with exit code 0");
}

static void a_task_out_of_memory_is_killed_with_its_numbers(void **state)
{
    struct stage *s = *state;
    run(s, order(2));
    STEP(s, .kind = SHEPHERD_IN_OUT_OF_MEMORY, .task = 1, .used_mib = 130, .limit_mib = 100);
    expect(s, "report kill look");
    expect_verdict(s, "task 5 was killed: it used 130 MiB of 100 MiB");
}

// ---- MPI ----

static struct shepherd_order mpi(int32_t tasks)
{
    struct shepherd_order o = order(tasks);
    o.pmix = true;
    return o;
}

static void an_mpi_program_ends_well(void **state)
{
    struct stage *s = *state;
    run(s, mpi(2));
    for (int32_t i = 0; i < 2; i++) {
        STEP(s, .kind = SHEPHERD_IN_CONNECTED, .task = i);
        expect(s, "");
    }
    for (int32_t i = 0; i < 2; i++)
        STEP(s, .kind = SHEPHERD_IN_FINALIZED, .task = i);
    task_ends(s, 0, 0);
    expect(s, "");
    task_ends(s, 1, 0);
    expect(s, "report term look");
    empty(s);
    expect_verdict(s, "ended by itself with exit code 0");
}

static void mpi_abort_ends_all(void **state)
{
    struct stage *s = *state;
    run(s, mpi(2));
    STEP(s, .kind = SHEPHERD_IN_ABORT, .task = 1, .exit_code = 6);
    expect(s, "report term look");
    expect_verdict(s, "task 5 called MPI_Abort with code 6");
}

static void a_rank_that_writes_to_a_dead_one_is_not_the_cause(void **state)
{
    struct stage *s = *state;
    run(s, mpi(3));
    task_dies(s, 0, SIGPIPE);
    expect_verdict(s, "task 4 was killed by signal 13");
    task_dies(s, 2, SIGTERM); // our own
    expect_verdict(s, "task 4 was killed by signal 13");
    task_dies(s, 1, SIGSEGV);
    expect_verdict(s, "task 5 was killed by signal 11");
    shepherd_fini(&s->core);
    shepherd_init(&s->core);
    run(s, mpi(2));
    task_dies(s, 0, SIGPIPE);
    STEP(s, .kind = SHEPHERD_IN_ABORT, .task = 1, .exit_code = 7);
    expect_verdict(s, "task 5 called MPI_Abort with code 7");
}

static void a_rank_that_leaves_without_finalize_fails_the_job(void **state)
{
    struct stage *s = *state;
    run(s, mpi(2));
    STEP(s, .kind = SHEPHERD_IN_CONNECTED, .task = 0);
    task_ends(s, 0, 0);
    expect(s, "report term look");
    expect_verdict(s, "task 4 ended without MPI_Finalize");
}

static void a_rank_that_never_came_is_named_whoever_is_first(void **state)
{
    struct stage *s = *state;
    run(s, mpi(2));
    STEP(s, .kind = SHEPHERD_IN_CONNECTED, .task = 0);
    task_ends(s, 1, 0);
    expect(s, "left report term look");
    expect_verdict(s, "task 5 ended without MPI_Init while other tasks wait in it");
    shepherd_fini(&s->core);
    shepherd_init(&s->core);
    run(s, mpi(2));
    task_ends(s, 1, 0);
    expect(s, "left");
    STEP(s, .kind = SHEPHERD_IN_CONNECTED, .task = 0);
    expect(s, "report term look");
    expect_verdict(s, "task 5 ended without MPI_Init while other tasks wait in it");
}

static void a_rank_of_another_node_that_never_came_is_named_too(void **state)
{
    struct stage *s = *state;
    run(s, mpi(1));
    STEP(s, .kind = SHEPHERD_IN_LEFT, .rank = 9);
    expect(s, "left"); // node 0 passes it on
    STEP(s, .kind = SHEPHERD_IN_LEFT, .rank = 8);
    expect(s, ""); // one is enough
    STEP(s, .kind = SHEPHERD_IN_CONNECTED, .task = 0);
    expect(s, "report term look");
    expect_verdict(s, "task 9 ended without MPI_Init while other tasks wait in it");
    shepherd_fini(&s->core);
    shepherd_init(&s->core);
    run(s, mpi(1));
    STEP(s, .kind = SHEPHERD_IN_CONNECTED, .task = 0);
    STEP(s, .kind = SHEPHERD_IN_LEFT, .rank = 9);
    expect(s, "left report term look");
    expect_verdict(s, "task 9 ended without MPI_Init while other tasks wait in it");
}

static void a_spawn_is_refused_and_named(void **state)
{
    struct stage *s = *state;
    run(s, mpi(2));
    STEP(s, .kind = SHEPHERD_IN_CONNECTED, .task = 1);
    STEP(s, .kind = SHEPHERD_IN_SPAWN, .task = 1);
    expect(s, "report term look");
    STEP(s, .kind = SHEPHERD_IN_ABORT, .task = 1, .exit_code = 17); // what Open MPI makes of it
    expect_verdict(s, "task 5 called MPI_Comm_spawn, which is not supported");
}

static void programs_without_mpi_may_run_under_pmix(void **state)
{
    struct stage *s = *state;
    run(s, mpi(2));
    task_ends(s, 0, 0);
    task_ends(s, 1, 0);
    empty(s);
    expect_verdict(s, "ended by itself with exit code 0");
}

static void a_fence_that_failed_ends_the_attempt(void **state)
{
    struct stage *s = *state;
    run(s, mpi(1));
    STEP(s, .kind = SHEPHERD_IN_FENCE_FAILED, .detail = "node n2");
    expect(s, "report term look");
    expect_verdict(s, "another part of the same attempt ended");
}

// ---- the walk ----

struct walk {
    struct shepherd core;
    struct rng rng;
    int64_t now_ms, kill_by_ms; // INT64_MAX: nothing promised
    enum shepherd_phase phase;
    struct reason verdict;
    int started, killed, ended;
    bool exec; // its tasks run
    bool exited[4];
    uint64_t lives, kills;
};

static void walk_outputs(struct walk *w)
{
    const struct shepherd *s = &w->core;
    for (size_t i = 0; i < s->outputs_count; i++) {
        enum shepherd_output_kind o = s->outputs[i];
        CHECK(!w->ended || o == SHEPHERD_OUT_REPORT);
        if (o == SHEPHERD_OUT_START) {
            CHECK(!w->started && !w->killed);
            w->started = 1;
        } else if (o == SHEPHERD_OUT_KILL) {
            w->killed = 1;
        } else if (o == SHEPHERD_OUT_TERM) {
            CHECK(!w->killed);
            CHECK(s->kill_at_ms != INT64_MAX);
            w->kill_by_ms = s->kill_at_ms;
        } else if (o == SHEPHERD_OUT_END) {
            CHECK(!s->started || !s->left);
            w->ended = 1;
        }
    }
}

static void walk_input(struct walk *w, struct shepherd_input in)
{
    struct shepherd *s = &w->core;
    shepherd_step(s, w->now_ms, &in);
    CHECKF(s->phase >= w->phase, "phase %d after %d", (int)s->phase, (int)w->phase);
    CHECK(!w->verdict.code || s->verdict.code == w->verdict.code);
    w->phase = s->phase;
    w->verdict = s->verdict;
    walk_outputs(w);
    CHECK(s->phase != SHEPHERD_ENDED || (w->ended && s->verdict.code));
    // Nothing takes a promised SIGKILL back or puts it off.
    CHECK(s->phase == SHEPHERD_ENDED || w->killed || s->kill_at_ms <= w->kill_by_ms);
    if (in.kind == SHEPHERD_IN_TICK) {
        CHECK(s->phase != SHEPHERD_ENDING || w->killed || w->now_ms < w->kill_by_ms);
        CHECK(shepherd_wake_at_ms(s) > w->now_ms);
    }
    // Once ending it looks again in any case.
    CHECK(s->phase != SHEPHERD_ENDING || shepherd_wake_at_ms(s) <= w->now_ms + SHEPHERD_LOOK_MS);
}

static struct shepherd_input any_input(struct walk *w)
{
    static const int64_t graces[] = {0, 100, 3000, 20000};
    struct rng *r = &w->rng;
    struct shepherd_input in = {.kind = (enum shepherd_input_kind)rng_below(r, SHEPHERD_IN_TICK)};
    in.order = (struct shepherd_order){.tasks = (int32_t)rng_below(r, 4) + 1,
                                       .prepare = rng_below(r, 2),
                                       .pmix = rng_below(r, 2),
                                       .time_limit_ms = rng_below(r, 3) ? 0 : 9000,
                                       .grace_ms = graces[rng_below(r, 4)]};
    in.grace_ms = graces[rng_below(r, 4)];
    in.reason.code = REASON_CANCELLED;
    in.exit_code = rng_below(r, 8) == 0;
    return in;
}

// What the world cannot say now is left out: tasks that are not there do not end.
static bool makes_sense(struct walk *w, struct shepherd_input *in)
{
    const struct shepherd *s = &w->core;
    bool rare = rng_below(&w->rng, 30) == 0;
    switch (in->kind) {
    case SHEPHERD_IN_TASK_EXIT:
    case SHEPHERD_IN_ABORT:
    case SHEPHERD_IN_CONNECTED:
    case SHEPHERD_IN_FINALIZED:
    case SHEPHERD_IN_SPAWN:
        if (!w->exec || ((in->kind == SHEPHERD_IN_ABORT || in->kind == SHEPHERD_IN_SPAWN) && !rare))
            return false;
        in->task = (int32_t)rng_below(&w->rng, (uint64_t)s->order.tasks);
        if (in->kind != SHEPHERD_IN_TASK_EXIT)
            return !w->exited[in->task];
        w->exited[in->task] = true;
        return true;
    case SHEPHERD_IN_STARTED:
        w->exec |= s->phase == SHEPHERD_STARTING;
        return true;
    case SHEPHERD_IN_START_FAILED:
        return s->phase == SHEPHERD_STARTING && rare;
    case SHEPHERD_IN_EMPTY:
        return s->phase == SHEPHERD_ENDING;
    case SHEPHERD_IN_PREPARE_FAILED:
    case SHEPHERD_IN_PORT_TAKEN:
        return s->phase == SHEPHERD_PREPARING && rare;
    case SHEPHERD_IN_KILL:
    case SHEPHERD_IN_OUT_OF_MEMORY:
    case SHEPHERD_IN_FENCE_FAILED:
    case SHEPHERD_IN_DEADLINE:
    case SHEPHERD_IN_LEFT:
        return rare;
    case SHEPHERD_IN_ORDER:
    case SHEPHERD_IN_READY:
    case SHEPHERD_IN_GO:
    case SHEPHERD_IN_TICK:
        break;
    }
    return true;
}

static void walk_step(struct walk *w)
{
    static const int64_t spans[] = {0, 1, 50, 700, 5000};
    if (rng_below(&w->rng, 3) == 0) {
        w->now_ms += spans[rng_below(&w->rng, 5)];
        walk_input(w, (struct shepherd_input){.kind = SHEPHERD_IN_TICK});
        return;
    }
    struct shepherd_input in = any_input(w);
    if (makes_sense(w, &in))
        walk_input(w, in);
    if (!w->ended || rng_below(&w->rng, 10))
        return;
    w->lives++;
    w->kills += (uint64_t)w->killed;
    shepherd_fini(&w->core);
    *w = (struct walk){.rng = w->rng,
                       .now_ms = w->now_ms,
                       .kill_by_ms = INT64_MAX,
                       .lives = w->lives,
                       .kills = w->kills};
    shepherd_init(&w->core);
}

static void random_walk(void **state)
{
    (void)state;
    const char *steps_text = getenv("WALK_STEPS"), *seed_text = getenv("WALK_SEED");
    long steps = steps_text ? atol(steps_text) : 200000;
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : 1;
    struct walk w = {.rng = {seed}, .kill_by_ms = INT64_MAX};
    shepherd_init(&w.core);
    for (long i = 0; i < steps; i++)
        walk_step(&w);
    printf("# seed %" PRIu64 ", %ld steps: %" PRIu64 " lives, %" PRIu64 " with SIGKILL\n", seed,
           steps, w.lives, w.kills);
    assert_true(w.lives > (uint64_t)steps / 200 && w.kills < w.lives);
    shepherd_fini(&w.core);
}

// The word to start was read after the lease had ended: nothing may start any more.
static void a_start_after_the_lease(void **state)
{
    struct stage *s = *state;
    struct shepherd_order gang = order(1);
    gang.prepare = true;
    STEP(s, .kind = SHEPHERD_IN_ORDER, .order = gang);
    STEP(s, .kind = SHEPHERD_IN_READY, .late = true); // preparing is no start
    expect(s, "report");
    STEP(s, .kind = SHEPHERD_IN_GO, .late = true);
    expect(s, "report kill look");
    STEP(s, .kind = SHEPHERD_IN_EMPTY);
    assert_false(s->core.started);
    assert_int_equal(s->core.verdict.code, REASON_LEASE_EXPIRED);
}

static void an_order_after_the_lease(void **state)
{
    struct stage *s = *state;
    STEP(s, .kind = SHEPHERD_IN_ORDER, .order = order(1));
    STEP(s, .kind = SHEPHERD_IN_READY, .late = true);
    expect(s, "report kill look");
    assert_int_equal(s->core.verdict.code, REASON_LEASE_EXPIRED);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(one_task_runs_and_ends),
        STORY(a_gang_starts_at_go),
        STORY(a_start_after_the_lease),
        STORY(an_order_after_the_lease),
        STORY(what_cannot_be_prepared_or_started_says_why),
        STORY(leftovers_get_a_second_and_no_more),
        STORY(a_failed_task_ends_the_others),
        STORY(a_signal_is_a_failure),
        STORY(the_time_limit_counts_from_the_start),
        STORY(a_kill_before_the_start_starts_nothing),
        STORY(a_prepared_one_is_killed_at_once),
        STORY(a_second_kill_can_only_shorten),
        STORY(a_lease_that_ended_knows_no_grace),
        STORY(a_deadline_cuts_a_grace_short_and_keeps_the_cause),
        STORY(cancelled_after_all_ended_well_is_a_success),
        STORY(a_task_out_of_memory_is_killed_with_its_numbers),
        STORY(an_mpi_program_ends_well),
        STORY(mpi_abort_ends_all),
        STORY(a_rank_that_writes_to_a_dead_one_is_not_the_cause),
        STORY(a_rank_that_leaves_without_finalize_fails_the_job),
        STORY(a_rank_that_never_came_is_named_whoever_is_first),
        STORY(a_rank_of_another_node_that_never_came_is_named_too),
        STORY(a_spawn_is_refused_and_named),
        STORY(programs_without_mpi_may_run_under_pmix),
        STORY(a_fence_that_failed_ends_the_attempt),
        cmocka_unit_test(random_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
