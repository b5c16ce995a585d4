// A yard of nodes whose agents always answer, in simulated time: jobs run as long as the test says,
// or until their limit, and stop in their grace when they are told to. For tests of what is placed
// when.
//
//     struct yard y;
//     yard_init(&y, 4, 8);                               // 4 nodes of 8 cores
//     uint64_t id = yard_submit(&y, (struct request){.tasks = 1, .cpus = 8}, 60000);
//     yard_run(&y, 30000);                               // 30 s later
//     yard_fini(&y);
#pragma once

#include "scheduler/core/window.h"
#include "tests/unit/core_harness.h"

#include <stdio.h>

enum { YARD_NODES = 64 };

struct yard_part {
    struct attempt_id attempt;
    uint32_t node;
    uint64_t job;
    enum { PART_NEW, PART_WAITS_GO, PART_GOES, PART_RUNS } state;
    bool prepare, never_started;
    struct reason killed; // NONE: it ends by itself
    int64_t ends_ms;
};

struct yard_start {
    uint64_t job;
    int64_t at_ms;
};

struct yard {
    struct harness h;
    size_t nodes;
    uint64_t session[YARD_NODES], request[YARD_NODES];
    struct yard_part *parts;
    size_t parts_count, parts_cap;
    int64_t *runs_ms; // by job id: how long it runs
    size_t runs_cap;
    int64_t *started_ms;       // by job id: when it was placed first; 0: not yet
    struct yard_start *starts; // all, in their order
    size_t starts_count, starts_cap;
    uint64_t uid;
    uint32_t owner;
    bool keeps;      // a job that is stopped goes on from there
    bool wakes;      // the scheduler is woken when it wants to be, not only when something ends
    int64_t stop_ms; // what a job takes to stop when it is told to; at most its grace
};

// The part is told to stop.
static inline void yard_kill(struct yard *y, struct yard_part *p, const struct effect *e)
{
    int64_t stop_ms = e->kill.grace_ms < y->stop_ms ? e->kill.grace_ms : y->stop_ms;
    p->never_started = p->state != PART_RUNS;
    int64_t ends_ms = y->h.now.boot_ms + (p->never_started ? 0 : stop_ms);
    if (p->killed.code || (!p->never_started && p->ends_ms <= ends_ms))
        return;
    if (y->keeps && !p->never_started)
        y->runs_ms[p->job] = p->ends_ms - ends_ms;
    p->killed = e->kill.reason;
    p->ends_ms = ends_ms;
    p->state = PART_RUNS;
}

static inline void yard_on_effect(void *arg, const struct effect *e)
{
    struct yard *y = arg;
    if (e->kind == EFFECT_WELCOME)
        y->session[e->node.v - 1] = e->session;
    if (e->kind == EFFECT_LAUNCH) {
        VEC_RESERVE(y->parts, y->parts_count, y->parts_cap);
        y->parts[y->parts_count++] = (struct yard_part){.attempt = e->attempt,
                                                        .node = e->node.v,
                                                        .job = e->launch.job.v,
                                                        .prepare = e->launch.prepare};
        CHECK(e->launch.job.v < y->runs_cap);
        if (!e->launch.part) {
            VEC_RESERVE(y->starts, y->starts_count, y->starts_cap);
            y->starts[y->starts_count++] = (struct yard_start){e->launch.job.v, y->h.now.boot_ms};
        }
        if (!y->started_ms[e->launch.job.v])
            y->started_ms[e->launch.job.v] = y->h.now.boot_ms;
    }
    for (size_t i = 0; i < y->parts_count; i++) {
        struct yard_part *p = &y->parts[i];
        if (p->node != e->node.v || !attempt_id_eq(p->attempt, e->attempt))
            continue;
        if (e->kind == EFFECT_GO)
            p->state = PART_GOES;
        else if (e->kind == EFFECT_KILL)
            yard_kill(y, p, e);
    }
}

static inline void yard_report(struct yard *y, const struct yard_part *p, enum agent_state state)
{
    struct input in = {.kind = INPUT_REPORT};
    in.report.node.v = p->node;
    in.report.session = y->session[p->node - 1];
    in.report.attempt = (struct reported_attempt){
        .id = p->attempt, .state = state, .started = state == AGENT_RUNNING};
    harness_step(&y->h, &in);
}

static inline void yard_run_part(struct yard *y, size_t i)
{
    const struct job *j = &y->h.jobs[y->parts[i].job - 1];
    int64_t runs = y->runs_ms[y->parts[i].job];
    if (j->req.time_limit_ms && runs > j->req.time_limit_ms)
        runs = j->req.time_limit_ms;
    y->parts[i].ends_ms = y->h.now.boot_ms + runs;
    y->parts[i].state = PART_RUNS;
    struct yard_part p = y->parts[i];
    yard_report(y, &p, AGENT_RUNNING);
}

// Everything that needs no time.
static inline void yard_settle(struct yard *y)
{
    for (size_t i = 0; i < y->parts_count; i++) {
        struct yard_part p = y->parts[i];
        if (p.state == PART_NEW && p.prepare) {
            y->parts[i].state = PART_WAITS_GO;
            yard_report(y, &p, AGENT_PREPARED);
            i = (size_t)-1;
        } else if (p.state == PART_GOES || p.state == PART_NEW) {
            yard_run_part(y, i);
            i = (size_t)-1;
        }
    }
}

static inline void yard_end(struct yard *y, size_t i)
{
    struct yard_part p = y->parts[i];
    y->parts[i] = y->parts[--y->parts_count];
    struct input in = {.kind = INPUT_END};
    in.end = (struct input_end){.node = {p.node},
                                .session = y->session[p.node - 1],
                                .attempt = p.attempt,
                                .started = !p.never_started,
                                .reason = {.code = REASON_EXITED}};
    if (p.killed.code)
        in.end.reason = p.killed;
    harness_step(&y->h, &in);
    yard_settle(y);
}

static inline void yard_time(struct yard *y, int64_t to_ms)
{
    y->h.now.wall_ms += to_ms - y->h.now.boot_ms;
    y->h.now.boot_ms = to_ms;
    for (size_t i = 0; i < y->nodes; i++) {
        struct input beat = {.kind = INPUT_HEARTBEAT};
        beat.heartbeat = (struct input_heartbeat){
            .node = {(uint32_t)i + 1}, .session = y->session[i], .request = ++y->request[i]};
        harness_step(&y->h, &beat);
    }
    struct input tick = {.kind = INPUT_TICK};
    harness_step(&y->h, &tick);
    yard_settle(y);
}

// The part that ends first, the oldest of several; parts_count: none runs.
static inline size_t yard_next(const struct yard *y)
{
    size_t next = y->parts_count;
    for (size_t i = 0; i < y->parts_count; i++)
        if (next == y->parts_count || y->parts[i].ends_ms < y->parts[next].ends_ms ||
            (y->parts[i].ends_ms == y->parts[next].ends_ms && y->parts[i].job < y->parts[next].job))
            next = i;
    return next;
}

static inline int64_t yard_wake_ms(const struct yard *y)
{
    return y->wakes ? cluster_outcome(y->h.c)->wake_at_ms : windows_wake_ms(y->h.c);
}

// Lets time pass, with all ends that come in it.
static inline void yard_run(struct yard *y, int64_t for_ms)
{
    int64_t until_ms = y->h.now.boot_ms + for_ms;
    for (;;) {
        size_t i = yard_next(y);
        int64_t end_ms = i < y->parts_count ? y->parts[i].ends_ms : INT64_MAX;
        int64_t wake_ms = yard_wake_ms(y), now_ms = y->h.now.boot_ms;
        int64_t next_ms = wake_ms > now_ms && wake_ms < end_ms ? wake_ms : end_ms;
        if (next_ms > until_ms)
            break;
        if (next_ms > now_ms)
            yard_time(y, next_ms);
        else
            yard_end(y, i);
    }
    yard_time(y, until_ms);
}

static inline uint64_t yard_submit_as(struct yard *y, struct input_submit s, int64_t runs_ms)
{
    uint64_t id = cluster_meta(y->h.c)->next_job;
    if (id >= y->runs_cap) {
        size_t cap = id * 2 + 64;
        y->runs_ms = xreallocarray(y->runs_ms, cap, sizeof *y->runs_ms);
        y->started_ms = xreallocarray(y->started_ms, cap, sizeof *y->started_ms);
        memset(y->started_ms + y->runs_cap, 0, (cap - y->runs_cap) * sizeof *y->started_ms);
        y->runs_cap = cap;
    }
    y->runs_ms[id] = runs_ms;
    struct input in = {.kind = INPUT_SUBMIT, .caller = {.uid = y->owner}, .submit = s};
    in.submit.uid.v = ++y->uid;
    in.submit.owner_uid = y->owner;
    harness_step(&y->h, &in);
    yard_settle(y);
    return id;
}

static inline uint64_t yard_submit(struct yard *y, struct request req, int64_t runs_ms)
{
    return yard_submit_as(y, (struct input_submit){.req = req}, runs_ms);
}

static inline enum job_state yard_state(const struct yard *y, uint64_t id)
{
    return y->h.jobs[id - 1].state;
}

static inline void yard_set(struct yard *y, struct settings_rule s)
{
    harness_set(&y->h, s);
    yard_settle(y);
}

static inline void yard_init(struct yard *y, size_t nodes, int32_t cores)
{
    CHECK(nodes <= YARD_NODES);
    *y = (struct yard){.nodes = nodes, .owner = 7};
    harness_init(&y->h);
    y->h.on_effect = yard_on_effect;
    y->h.arg = y;
    for (size_t i = 0; i < nodes; i++) {
        char name[24];
        snprintf(name, sizeof name, "n%zu", i + 1);
        struct input up = {.kind = INPUT_LINK_UP, .link_up = {.name = name, .link = i + 1}};
        harness_step(&y->h, &up);
        struct input in = {.kind = INPUT_HELLO};
        in.hello = (struct input_hello){.node = {(uint32_t)i + 1},
                                        .session = y->session[i],
                                        .inc = {.boot_id = "b", .state_id = i + 1},
                                        .term_seen = 1,
                                        .journal_intact = true,
                                        .request = ++y->request[i],
                                        .cores = cores,
                                        .memory_mib = 1000};
        snprintf(in.hello.inc.machine_id, sizeof in.hello.inc.machine_id, "m%zu", i + 1);
        harness_step(&y->h, &in);
    }
    text_clear(&y->h.story);
}

static inline void yard_fini(struct yard *y)
{
    harness_compare(&y->h);
    harness_fini(&y->h);
    free(y->parts);
    free(y->runs_ms);
    free(y->started_ms);
    free(y->starts);
}
