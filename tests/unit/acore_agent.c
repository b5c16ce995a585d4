// Stories of the agent's core: what it is told, and word for word what it puts out. `!` marks what
// does not wait for the disk; everything else waits for the journal lines before it.
#include "agent/core/agent.h"
#include "common/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CLUSTER 0xc1

struct stage {
    struct agent *agent;
    struct text said;
    int64_t now_ms;
    uint64_t request, session;
};

static void say_reason(struct text *t, const struct agent_attempt *a)
{
    text_addf(t, " %s %s", a->started ? "started" : "not-started", reason_word(a->end.code));
    if (*a->detail)
        text_addf(t, " (%s)", a->detail);
}

static void say_one(struct stage *s, const struct agent_output *o)
{
    static const char *const kinds[] = {"journal", "hello",  "heartbeat", "report", "end",
                                        "fork",    "go",     "kill",      "sweep",  "deadline",
                                        "release", "forget", "note"};
    static const char *const records[] = {"term", "order", "refusal", "end", "end_ack"};
    struct text *t = &s->said;
    const struct agent_attempt *a = agent_find(s->agent, o->id);
    text_addf(t, "%s%s", o->urgent ? "!" : "", kinds[o->kind]);
    if (o->kind == AGENT_OUT_JOURNAL)
        text_addf(t, " %s", records[o->what]);
    if (o->id.job.v)
        text_addf(t, " %" PRIu64 ".%u", o->id.job.v, o->id.number);
    if (o->kind == AGENT_OUT_DEADLINE && o->deadline_ms == AGENT_NEVER)
        text_add(t, " never");
    else if (o->kind == AGENT_OUT_DEADLINE)
        text_addf(t, " %" PRId64, o->deadline_ms);
    if (o->kind == AGENT_OUT_KILL)
        text_addf(t, " within %" PRId64 " %s", o->grace_ms, reason_word(o->reason.code));
    if (o->kind == AGENT_OUT_END && a)
        say_reason(t, a);
    if (o->kind == AGENT_OUT_HELLO || o->kind == AGENT_OUT_HEARTBEAT) {
        text_addf(t, " %" PRIu64, o->request);
        s->request = o->request;
    }
    text_addc(t, '\n');
}

static void hear(struct stage *s)
{
    size_t count;
    const struct agent_output *list = agent_outputs(s->agent, &count);
    text_clear(&s->said);
    for (size_t i = 0; i < count; i++)
        if (list[i].kind != AGENT_OUT_NOTE)
            say_one(s, &list[i]);
    agent_check(s->agent);
}

static void step(struct stage *s, const struct agent_input *in)
{
    agent_step(s->agent, s->now_ms, in);
    hear(s);
}

static void expect(struct stage *s, const char *want)
{
    assert_string_equal(text_str(&s->said), want);
}

static int setup(void **state)
{
    struct stage *s = xcalloc(1, sizeof *s);
    s->agent = agent_new();
    s->now_ms = 1000;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct stage *s = *state;
    agent_free(s->agent);
    text_free(&s->said);
    free(s);
    return 0;
}

static struct attempt_id id(uint64_t job, uint32_t number)
{
    return (struct attempt_id){{CLUSTER}, {job}, number};
}

static void welcome(struct stage *s, uint64_t cluster, uint64_t term, uint64_t nonce)
{
    struct agent_input in = {.kind = AGENT_IN_WELCOME,
                             .cluster = {cluster},
                             .term = term,
                             .nonce = nonce,
                             .session = ++s->session};
    step(s, &in);
}

static void join(struct stage *s)
{
    welcome(s, CLUSTER, 1, 11);
}

static void beat(struct stage *s)
{
    step(s, &(struct agent_input){.kind = AGENT_IN_HEARTBEAT});
}

static void pass(struct stage *s, int64_t ms)
{
    s->now_ms += ms;
    step(s, &(struct agent_input){.kind = AGENT_IN_TICK});
}

static struct agent_order order_for(struct stage *s, struct attempt_id a, int64_t lease_ms)
{
    return (struct agent_order){.id = a,
                                .request = s->request,
                                .lease_ms = lease_ms,
                                .prepare_lease_ms = 60000,
                                .grace_ms = 3000,
                                .held = {.cores = coreset_first(2)}};
}

static void launch(struct stage *s, struct agent_order order)
{
    struct agent_input in = {
        .kind = AGENT_IN_LAUNCH, .id = order.id, .session = s->session, .order = order};
    step(s, &in);
}

static void word(struct stage *s, enum agent_input_kind kind, struct attempt_id a)
{
    step(s, &(struct agent_input){.kind = kind, .id = a, .session = s->session});
}

static void kill_order(struct stage *s, struct attempt_id a, int64_t grace_ms)
{
    struct agent_input in = {.kind = AGENT_IN_KILL,
                             .id = a,
                             .session = s->session,
                             .grace_ms = grace_ms,
                             .reason = {.code = REASON_CANCELLED}};
    step(s, &in);
}

static void go(struct stage *s, struct attempt_id a, uint64_t request, int64_t lease_ms)
{
    struct agent_input in = {.kind = AGENT_IN_GO,
                             .id = a,
                             .session = s->session,
                             .request = request,
                             .lease_ms = lease_ms};
    step(s, &in);
}

static void grant(struct stage *s, uint64_t request, struct attempt_id a)
{
    struct agent_input in = {.kind = AGENT_IN_GRANT,
                             .session = s->session,
                             .request = request,
                             .ids = &a,
                             .ids_count = 1};
    step(s, &in);
}

static void status(struct stage *s, struct attempt_id a, enum attempt_phase phase)
{
    struct agent_input in = {
        .kind = AGENT_IN_STATUS, .id = a, .phase = phase, .started = phase == ATTEMPT_RUNNING};
    step(s, &in);
}

static void shepherd_end(struct stage *s, struct attempt_id a, enum reason_code code)
{
    struct agent_input in = {
        .kind = AGENT_IN_SHEPHERD_END, .id = a, .started = true, .reason = {.code = code}};
    step(s, &in);
}

static void gone(struct stage *s, struct attempt_id a, int took_order)
{
    step(s, &(struct agent_input){.kind = AGENT_IN_SHEPHERD_GONE, .id = a, .started = took_order});
}

static void run(struct stage *s, struct attempt_id a, int64_t lease_ms)
{
    join(s);
    launch(s, order_for(s, a, lease_ms));
    status(s, a, ATTEMPT_RUNNING);
}

// A new agent over the same journal; the caller loads it.
static void restart(struct stage *s)
{
    agent_free(s->agent);
    s->agent = agent_new();
    s->request = 0;
    agent_load_term(s->agent, (struct cluster_id){CLUSTER}, 1, 11);
}

static void start(struct stage *s)
{
    agent_start(s->agent, s->now_ms);
    hear(s);
}

// ---- launch ----

static void an_attempt_runs_and_is_forgotten_when_acknowledged(void **state)
{
    struct stage *s = *state;
    join(s);
    expect(s, "journal term\nhello 1\n");
    launch(s, order_for(s, id(1, 1), 0));
    expect(s, "journal order 1.1\ndeadline 1.1 never\nfork 1.1\n");
    status(s, id(1, 1), ATTEMPT_RUNNING);
    expect(s, "report 1.1\n");
    status(s, id(1, 1), ATTEMPT_RUNNING);
    expect(s, "");
    shepherd_end(s, id(1, 1), REASON_EXITED);
    expect(s, "journal end 1.1\nrelease 1.1\nend 1.1 started exited\n");
    pass(s, 4999);
    expect(s, "");
    pass(s, 1); // repeated until acknowledged
    expect(s, "end 1.1 started exited\n");
    word(s, AGENT_IN_END_ACK, id(1, 1));
    expect(s, "journal end_ack 1.1\nforget 1.1\n");
    assert_int_equal(agent_count(s->agent), 0);
    assert_true(agent_wake_at_ms(s->agent) == AGENT_NEVER);
}

static void a_repeated_launch_is_answered_with_the_present_state(void **state)
{
    struct stage *s = *state;
    join(s);
    launch(s, order_for(s, id(1, 1), 0));
    launch(s, order_for(s, id(1, 1), 0));
    expect(s, "report 1.1\n");
    shepherd_end(s, id(1, 1), REASON_EXITED);
    launch(s, order_for(s, id(1, 1), 0));
    expect(s, "end 1.1 started exited\n");
}

static void a_launch_that_sat_in_a_socket_is_refused(void **state)
{
    struct stage *s = *state;
    join(s);
    struct agent_order o = order_for(s, id(1, 1), 0);
    s->now_ms += 59999;
    launch(s, o);
    expect(s, "journal order 1.1\ndeadline 1.1 never\nfork 1.1\n");
    o.id = id(2, 1);
    o.held.cores = (struct coreset){0};
    s->now_ms += 1;
    launch(s, o);
    expect(s, "journal end 2.1\nrelease 2.1\nend 2.1 not-started launch_expired\n");
    o.id = id(3, 1);
    o.lease_ms = 30000; // the shorter of both counts
    beat(s);
    o.request = s->request;
    s->now_ms += 30000;
    launch(s, o);
    expect(s, "journal end 3.1\nrelease 3.1\nend 3.1 not-started launch_expired\n");
    o.id = id(4, 1);
    o.request = 99; // never sent
    launch(s, o);
    expect(s, "journal end 4.1\nrelease 4.1\nend 4.1 not-started launch_expired\n");
}

static void what_is_held_is_not_given_twice(void **state)
{
    struct stage *s = *state;
    run(s, id(1, 1), 0);
    launch(s, order_for(s, id(2, 1), 0)); // the same cores
    expect(s, "journal end 2.1\nrelease 2.1\n"
              "end 2.1 not-started node_busy (an attempt that is not over)\n");
    struct agent_order o = order_for(s, id(1, 2), 0);
    o.held.cores = (struct coreset){0};
    launch(s, o);
    expect(s, "journal end 1.2\nrelease 1.2\n"
              "end 1.2 not-started node_busy (an earlier attempt of the job)\n");
    kill_order(s, id(1, 1), 0); // being killed, it still holds
    launch(s, order_for(s, id(3, 1), 0));
    expect(s, "journal end 3.1\nrelease 3.1\n"
              "end 3.1 not-started node_busy (an attempt that is not over)\n");
    shepherd_end(s, id(1, 1), REASON_CANCELLED);
    launch(s, order_for(s, id(4, 1), 0));
    expect(s, "journal order 4.1\ndeadline 4.1 never\nfork 4.1\n");
    o = order_for(s, id(5, 1), 0);
    o.held = (struct agent_held){.gpus = 3};
    launch(s, o);
    o.id = id(6, 1);
    o.held.gpus = 2;
    launch(s, o);
    expect(s, "journal end 6.1\nrelease 6.1\n"
              "end 6.1 not-started node_busy (an attempt that is not over)\n");
}

static void a_kill_that_comes_first_beats_the_launch(void **state)
{
    struct stage *s = *state;
    join(s);
    kill_order(s, id(1, 1), 3000);
    expect(s, "journal end 1.1\nrelease 1.1\nend 1.1 not-started never_started\n");
    launch(s, order_for(s, id(1, 1), 0));
    expect(s, "end 1.1 not-started never_started\n");
    kill_order(s, id(1, 1), 3000);
    expect(s, "end 1.1 not-started never_started\n");
    restart(s); // it was journaled
    agent_load_end(s->agent, id(1, 1), false, (struct reason){.code = REASON_NEVER_STARTED}, NULL);
    start(s);
    expect(s, "release 1.1\n");
    welcome(s, CLUSTER, 1, 11);
    expect(s, "hello 1\nend 1.1 not-started never_started\n");
    launch(s, order_for(s, id(1, 1), 0));
    expect(s, "end 1.1 not-started never_started\n");
}

static void a_fork_that_fails_is_an_end(void **state)
{
    struct stage *s = *state;
    join(s);
    launch(s, order_for(s, id(1, 1), 0));
    step(s, &(struct agent_input){
                .kind = AGENT_IN_FORK_FAILED, .id = id(1, 1), .detail = "no such user"});
    expect(s, "journal end 1.1\nrelease 1.1\n"
              "end 1.1 not-started prepare_failed (no such user)\n");
}

// ---- whose word counts ----

static void a_lower_term_is_told_but_not_obeyed(void **state)
{
    struct stage *s = *state;
    run(s, id(1, 1), 0);
    welcome(s, CLUSTER, 5, 50);
    expect(s, "journal term\nhello 2\n");
    welcome(s, CLUSTER, 4, 40);
    expect(s, "hello 3\n");
    assert_int_equal(agent_session(s->agent), 0);
    kill_order(s, id(1, 1), 0);
    expect(s, "");
    welcome(s, CLUSTER, 5, 51); // a second start of the same term
    expect(s, "hello 4\n");
    kill_order(s, id(1, 1), 0);
    expect(s, "");
    assert_int_equal(agent_dropped(s->agent), 2);
    assert_int_equal(agent_term_seen(s->agent), 5);
    assert_int_equal(agent_nonce_seen(s->agent), 50);
    welcome(s, CLUSTER, 5, 50);
    expect(s, "hello 5\n");
    kill_order(s, id(1, 1), 0);
    expect(s, "!kill 1.1 within 0 cancelled\n");
}

static void another_cluster_is_not_obeyed(void **state)
{
    struct stage *s = *state;
    run(s, id(1, 1), 0);
    welcome(s, 0xbad, 9, 90);
    expect(s, "hello 2\n");
    assert_int_equal(agent_cluster(s->agent).v, CLUSTER);
    assert_int_equal(agent_term_seen(s->agent), 1);
    beat(s);
    expect(s, "");
    join(s);
    struct attempt_id foreign = {{0xbad}, {1}, 1};
    kill_order(s, foreign, 0);
    expect(s, "");
    launch(s, order_for(s, foreign, 0));
    expect(s, "");
    assert_int_equal(agent_dropped(s->agent), 2);
    assert_int_equal(agent_count(s->agent), 1);
}

static void an_old_sessions_packets_are_dropped(void **state)
{
    struct stage *s = *state;
    run(s, id(1, 1), 0);
    join(s);
    s->session--;
    kill_order(s, id(1, 1), 0);
    expect(s, "");
    s->session++;
    step(s, &(struct agent_input){.kind = AGENT_IN_LINK_DOWN});
    kill_order(s, id(1, 1), 0);
    expect(s, "");
    assert_int_equal(agent_dropped(s->agent), 2);
    shepherd_end(s, id(1, 1), REASON_EXITED); // nobody to tell
    expect(s, "journal end 1.1\nrelease 1.1\n");
    pass(s, 60000);
    expect(s, "");
    join(s);
    expect(s, "hello 3\nend 1.1 started exited\n");
}

// ---- leases ----

static void a_grant_counts_from_its_request(void **state)
{
    struct stage *s = *state;
    run(s, id(1, 1), 30000); // asked at 1000
    assert_int_equal(agent_wake_at_ms(s->agent), 31000);
    s->now_ms = 10000;
    beat(s);
    expect(s, "!heartbeat 2\n");
    s->now_ms = 25000;
    grant(s, 2, id(1, 1));
    expect(s, "!deadline 1.1 40000\n");
    grant(s, 1, id(1, 1)); // an older one takes nothing back
    expect(s, "");
    assert_int_equal(agent_wake_at_ms(s->agent), 40000);
    s->now_ms = 40000;
    beat(s);
    grant(s, s->request, id(1, 1)); // an expired lease is never renewed
    expect(s, "");
}

static void an_expired_lease_kills_and_then_sweeps(void **state)
{
    struct stage *s = *state;
    run(s, id(1, 1), 30000);
    pass(s, 29999);
    expect(s, "");
    pass(s, 1);
    expect(s, "!kill 1.1 within 0 lease_expired\n");
    pass(s, 999);
    expect(s, "");
    pass(s, 1); // the shepherd did not react
    expect(s, "!sweep 1.1\n");
    pass(s, 1000);
    expect(s, "!sweep 1.1\n");
    word(s, AGENT_IN_SWEPT, id(1, 1));
    expect(s, "journal end 1.1\nrelease 1.1\nend 1.1 started lease_expired\n");
}

static void grace_lies_inside_the_lease(void **state)
{
    struct stage *s = *state;
    run(s, id(1, 1), 30000);
    pass(s, 28000);
    kill_order(s, id(1, 1), 10000);
    expect(s, "!kill 1.1 within 2000 cancelled\n");
    pass(s, 2000);
    expect(s, "!kill 1.1 within 0 lease_expired\n");
    pass(s, 1000);
    expect(s, "!sweep 1.1\n");
}

static void a_second_kill_can_only_shorten(void **state)
{
    struct stage *s = *state;
    run(s, id(1, 1), 0);
    kill_order(s, id(1, 1), 3000);
    expect(s, "!kill 1.1 within 3000 cancelled\n");
    kill_order(s, id(1, 1), 90000);
    expect(s, "!kill 1.1 within 90000 cancelled\n"); // the shepherd keeps the shorter
    pass(s, 3999);
    expect(s, "");
    pass(s, 1);
    expect(s, "!sweep 1.1\n");
}

static void a_kill_that_found_no_shepherd_is_told_again(void **state)
{
    struct stage *s = *state;
    join(s);
    launch(s, order_for(s, id(1, 1), 0));
    kill_order(s, id(1, 1), 3000); // its socket is not there yet
    expect(s, "!kill 1.1 within 3000 cancelled\n");
    s->now_ms += 100;
    status(s, id(1, 1), ATTEMPT_RUNNING);
    expect(s, "!kill 1.1 within 2900 cancelled\n");
    status(s, id(1, 1), ATTEMPT_ENDING);
    expect(s, "");
    assert_true(agent_find(s->agent, id(1, 1))->started);
}

static void a_gang_waits_for_go(void **state)
{
    struct stage *s = *state;
    join(s);
    struct agent_order o = order_for(s, id(1, 1), 30000);
    o.prepare = true;
    launch(s, o);
    expect(s, "journal order 1.1\ndeadline 1.1 61000\nfork 1.1\n");
    status(s, id(1, 1), ATTEMPT_PREPARED);
    expect(s, "report 1.1\n");
    s->now_ms = 5000;
    beat(s);
    go(s, id(1, 1), s->request, 30000);
    expect(s, "!deadline 1.1 35000\ngo 1.1\n");
    status(s, id(1, 1), ATTEMPT_RUNNING);
    expect(s, "report 1.1\n");
    go(s, id(1, 1), s->request, 30000);
    expect(s, "");
    s->now_ms = 6000;
    beat(s);
    grant(s, s->request, id(1, 1));
    expect(s, "!deadline 1.1 36000\n");
}

static void a_late_go_is_refused(void **state)
{
    struct stage *s = *state;
    join(s);
    struct agent_order o = order_for(s, id(1, 1), 30000);
    o.prepare = true;
    launch(s, o);
    status(s, id(1, 1), ATTEMPT_PREPARED);
    uint64_t asked = s->request;
    s->now_ms += 30000;
    go(s, id(1, 1), asked, 30000);
    expect(s, "report 1.1\n"); // else nobody would give another one
    pass(s, 30000);            // the order's own lease has ended
    expect(s, "!kill 1.1 within 0 lease_expired\n");
    beat(s);
    go(s, id(1, 1), s->request, 30000);
    expect(s, "");
    assert_int_equal(agent_dropped(s->agent), 2);
}

// ---- shepherds ----

static void a_shepherd_that_took_no_order_started_nothing(void **state)
{
    struct stage *s = *state;
    join(s);
    launch(s, order_for(s, id(1, 1), 0));
    gone(s, id(1, 1), false);
    expect(s, "journal end 1.1\nrelease 1.1\nend 1.1 not-started shepherd_lost\n");
}

static void a_shepherd_that_died_with_tasks_is_swept_after(void **state)
{
    struct stage *s = *state;
    run(s, id(1, 1), 0);
    gone(s, id(1, 1), true);
    expect(s, "!sweep 1.1\n");
    word(s, AGENT_IN_SWEPT, id(1, 1));
    expect(s, "journal end 1.1\nrelease 1.1\nend 1.1 started shepherd_lost\n");
}

static void a_lost_lock_file_does_not_make_running_tasks_unstarted(void **state)
{
    struct stage *s = *state;
    run(s, id(1, 1), 0);
    gone(s, id(1, 1), false); // someone cleaned the run directory
    expect(s, "!sweep 1.1\n");
    word(s, AGENT_IN_SWEPT, id(1, 1));
    expect(s, "journal end 1.1\nrelease 1.1\nend 1.1 started shepherd_lost\n");
}

static void a_killed_one_whose_shepherd_dies_keeps_its_reason(void **state)
{
    struct stage *s = *state;
    run(s, id(1, 1), 0);
    kill_order(s, id(1, 1), 3000);
    gone(s, id(1, 1), true);
    expect(s, "!sweep 1.1\n");
    word(s, AGENT_IN_SWEPT, id(1, 1));
    expect(s, "journal end 1.1\nrelease 1.1\nend 1.1 started cancelled\n");
    shepherd_end(s, id(1, 1), REASON_EXITED);
    expect(s, "release 1.1\n");
    word(s, AGENT_IN_SWEPT, id(1, 1));
    expect(s, "");
}

static void stopping_the_node_ends_everything_and_takes_nothing(void **state)
{
    struct stage *s = *state;
    run(s, id(1, 1), 0);
    step(s, &(struct agent_input){.kind = AGENT_IN_STOP, .grace_ms = -1});
    expect(s, "!kill 1.1 within 3000 node_stopped\n");
    struct agent_order o = order_for(s, id(2, 1), 0);
    o.held.cores = (struct coreset){0};
    launch(s, o);
    expect(s, "journal end 2.1\nrelease 2.1\n"
              "end 2.1 not-started node_busy (the node is being stopped)\n");
    step(s, &(struct agent_input){.kind = AGENT_IN_STOP, .grace_ms = 0});
    expect(s, "!kill 1.1 within 0 node_stopped\n");
}

// ---- restart ----

static void a_restart_finds_running_attempts_again(void **state)
{
    struct stage *s = *state;
    run(s, id(1, 1), 30000);
    struct agent_order o = agent_at(s->agent, 0)->order;
    restart(s);
    agent_load_order(s->agent, &o, ATTEMPT_FORKED, 31000, (struct reason){0});
    start(s);
    expect(s, ""); // above all: no fork
    assert_int_equal(agent_wake_at_ms(s->agent), 31000);
    join(s);
    expect(s, "hello 1\n");
    status(s, id(1, 1), ATTEMPT_RUNNING);
    expect(s, "report 1.1\n");
    launch(s, order_for(s, id(1, 1), 30000));
    expect(s, "report 1.1\n");
    grant(s, 2, id(1, 1)); // of a request that this agent never sent
    expect(s, "");
    pass(s, 30000); // the deadline of before the restart
    expect(s, "!kill 1.1 within 0 lease_expired\n");
}

static void a_running_gang_keeps_its_own_lease_over_a_restart(void **state)
{
    struct stage *s = *state;
    join(s);
    struct agent_order o = order_for(s, id(1, 1), 30000);
    o.prepare = true;
    restart(s);
    agent_load_order(s->agent, &o, ATTEMPT_FORKED, 25000, (struct reason){0});
    start(s);
    s->now_ms = 10000;
    join(s);
    grant(s, s->request, id(1, 1)); // whether GO was given is not known yet
    expect(s, "!deadline 1.1 40000\n");
    status(s, id(1, 1), ATTEMPT_RUNNING);
    s->now_ms = 20000;
    beat(s);
    grant(s, s->request, id(1, 1)); // not the 60 s of waiting for GO
    expect(s, "!deadline 1.1 50000\n");
}

static void a_restart_with_a_prepared_attempt_waits_for_go(void **state)
{
    struct stage *s = *state;
    join(s);
    struct agent_order o = order_for(s, id(1, 1), 0);
    o.prepare = true;
    launch(s, o);
    status(s, id(1, 1), ATTEMPT_PREPARED);
    restart(s);
    agent_load_order(s->agent, &o, ATTEMPT_FORKED, 61000, (struct reason){0});
    start(s);
    expect(s, "");
    join(s);
    status(s, id(1, 1), ATTEMPT_PREPARED);
    expect(s, "report 1.1\n");
    go(s, id(1, 1), s->request, 0);
    expect(s, "!deadline 1.1 never\ngo 1.1\n");
}

static void an_order_that_no_shepherd_took_is_forked_once(void **state)
{
    struct stage *s = *state;
    join(s);
    struct agent_order o = order_for(s, id(1, 1), 30000);
    restart(s);
    agent_load_order(s->agent, &o, ATTEMPT_ORDERED, 31000, (struct reason){0});
    start(s);
    expect(s, "fork 1.1\n");
    restart(s);
    s->now_ms = 31000;
    agent_load_order(s->agent, &o, ATTEMPT_ORDERED, 31000, (struct reason){0});
    start(s);
    expect(s, "journal end 1.1\nrelease 1.1\n");
    join(s);
    expect(s, "hello 1\nend 1.1 not-started lease_expired\n");
}

static void an_end_is_told_over_restarts_until_acknowledged(void **state)
{
    struct stage *s = *state;
    struct reason failed = {.code = REASON_TASK_FAILED, .a = 3};
    for (int i = 0; i < 2; i++) {
        restart(s);
        agent_load_end(s->agent, id(1, 1), true, failed, "why");
        start(s);
        expect(s, "release 1.1\n"); // the last agent may not have come to it
        join(s);
        expect(s, "hello 1\nend 1.1 started task_failed (why)\n");
        pass(s, 5000);
        expect(s, "end 1.1 started task_failed (why)\n");
    }
    assert_int_equal(agent_at(s->agent, 0)->end.a, 3);
    shepherd_end(s, id(1, 1), REASON_EXITED); // still there: it may go, and changes nothing
    expect(s, "release 1.1\n");
    assert_int_equal(agent_at(s->agent, 0)->end.code, REASON_TASK_FAILED);
    word(s, AGENT_IN_END_ACK, id(1, 1));
    expect(s, "journal end_ack 1.1\nforget 1.1\n");
    pass(s, 5000);
    expect(s, "");
}

static void an_order_of_before_a_reboot_is_ended_and_never_started(void **state)
{
    struct stage *s = *state;
    struct agent_order o = order_for(s, id(1, 1), 0);
    restart(s);
    agent_load_order(s->agent, &o, ATTEMPT_ENDING, AGENT_NEVER,
                     (struct reason){.code = REASON_NODE_REBOOTED});
    start(s);
    expect(s, "!sweep 1.1\n");
    join(s);
    launch(s, order_for(s, id(1, 1), 0));
    expect(s, "report 1.1\n");
    word(s, AGENT_IN_SWEPT, id(1, 1));
    expect(s, "journal end 1.1\nrelease 1.1\nend 1.1 started node_rebooted\n");
}

static void an_adopted_attempt_is_not_renewed_before_its_order_is_known(void **state)
{
    struct stage *s = *state;
    struct agent_order o = {.id = id(1, 1), .lease_ms = -1};
    restart(s);
    agent_load_order(s->agent, &o, ATTEMPT_FORKED, 31000, (struct reason){0});
    start(s);
    join(s);
    grant(s, s->request, id(1, 1));
    expect(s, "");
    launch(s, order_for(s, id(3, 1), 0));
    expect(s, "journal end 3.1\nrelease 3.1\nend 3.1 not-started node_busy "
              "(an attempt that was found here and has not said yet what it holds)\n");
    o = order_for(s, id(1, 1), 40000);
    agent_adopt(s->agent, &o);
    grant(s, s->request, id(1, 1));
    expect(s, "!deadline 1.1 41000\n");
    launch(s, order_for(s, id(2, 1), 0)); // its cores are taken again
    expect(s, "journal end 2.1\nrelease 2.1\n"
              "end 2.1 not-started node_busy (an attempt that is not over)\n");
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(an_attempt_runs_and_is_forgotten_when_acknowledged),
        STORY(a_repeated_launch_is_answered_with_the_present_state),
        STORY(a_launch_that_sat_in_a_socket_is_refused),
        STORY(what_is_held_is_not_given_twice),
        STORY(a_kill_that_comes_first_beats_the_launch),
        STORY(a_fork_that_fails_is_an_end),
        STORY(a_lower_term_is_told_but_not_obeyed),
        STORY(another_cluster_is_not_obeyed),
        STORY(an_old_sessions_packets_are_dropped),
        STORY(a_grant_counts_from_its_request),
        STORY(an_expired_lease_kills_and_then_sweeps),
        STORY(grace_lies_inside_the_lease),
        STORY(a_second_kill_can_only_shorten),
        STORY(a_kill_that_found_no_shepherd_is_told_again),
        STORY(a_gang_waits_for_go),
        STORY(a_late_go_is_refused),
        STORY(a_shepherd_that_took_no_order_started_nothing),
        STORY(a_shepherd_that_died_with_tasks_is_swept_after),
        STORY(a_lost_lock_file_does_not_make_running_tasks_unstarted),
        STORY(a_killed_one_whose_shepherd_dies_keeps_its_reason),
        STORY(stopping_the_node_ends_everything_and_takes_nothing),
        STORY(a_restart_finds_running_attempts_again),
        STORY(a_running_gang_keeps_its_own_lease_over_a_restart),
        STORY(a_restart_with_a_prepared_attempt_waits_for_go),
        STORY(an_order_that_no_shepherd_took_is_forked_once),
        STORY(an_end_is_told_over_restarts_until_acknowledged),
        STORY(an_order_of_before_a_reboot_is_ended_and_never_started),
        STORY(an_adopted_attempt_is_not_renewed_before_its_order_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
