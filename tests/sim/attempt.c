// What the agent does for an attempt on its machine, as agent/shell/attempt.c and shepherds.c have
// it: deadline, fork, the connection to its shepherd, the sweep, the release.
#include "agent/core/traces.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { CONNECT_TRIES = 2000, TRIES_A_LOOK = 32, SWEEP_AGAIN_MS = 50 };

struct named { // of a happening
    struct keeper *keeper;
    struct attempt_id id;
};

static void *named(struct keeper *k, struct attempt_id id)
{
    struct named n = {k, id};
    return xmemdup(&n, sizeof n);
}

// ---- the run directory ----

struct trace *trace_find(struct keeper *k, struct attempt_id id)
{
    struct trace *t;
    TAILQ_FOREACH(t, &k->traces, link)
    if (attempt_id_eq(t->id, id))
        return t;
    return NULL;
}

struct trace *trace_add(struct keeper *k, struct attempt_id id)
{
    struct trace *t = trace_find(k, id);
    if (t)
        return t;
    t = xcalloc(1, sizeof *t);
    t->id = id;
    TAILQ_INSERT_TAIL(&k->traces, t, link);
    return t;
}

void trace_remove(struct keeper *k, struct trace *t)
{
    TAILQ_REMOVE(&k->traces, t, link);
    free(t);
}

static enum agent_lock lock_of(struct keeper *k, struct attempt_id id)
{
    const struct trace *t = trace_find(k, id);
    return !t || !t->lock ? AGENT_LOCK_ABSENT
           : t->holder    ? AGENT_LOCK_HELD
           : t->ordered   ? AGENT_LOCK_ORDERED
                          : AGENT_LOCK_LEFT;
}

static void write_deadline(struct keeper *k, struct held *h, int64_t deadline_ms)
{
    struct trace *t = trace_add(k, h->id);
    t->has_deadline = h->has_deadline = true;
    t->deadline_ms = deadline_ms;
    if (t->holder)
        t->holder->deadline_ms = deadline_ms;
}

void attempt_deadline(struct keeper *k, struct attempt_id id, int64_t deadline_ms)
{
    struct held *h = held_find(k, id);
    if (h && !h->released)
        write_deadline(k, h, deadline_ms);
}

// ---- forking ----

void attempt_fork(struct keeper *k, struct attempt_id id)
{
    struct held *h = held_find(k, id);
    struct agent_attempt *t = agent_find(k->core, id);
    if (h && t && t->phase == ATTEMPT_ENDING) { // killed before its order was on disk
        sheep_none(k, h);
        return;
    }
    if (!h || !h->has_launch || !t || t->phase != ATTEMPT_FORKED)
        return;
    write_deadline(k, h, t->deadline_ms);
    if (k->sim->world.now_ms < k->disk_full_until_ms) { // its spool cannot be made
        keeper_step(k, &(struct agent_input){.kind = AGENT_IN_FORK_FAILED, .id = id});
        return;
    }
    sheep_fork(k, id);
    h->tries = 0;
    held_retry(k, h, 1);
}

// ---- the connection ----

static void on_retry(struct world *w, void *arg, uint64_t n)
{
    struct named *of = arg;
    struct held *h = held_find(of->keeper, of->id);
    (void)w;
    (void)n;
    if (!h || !h->retry)
        return;
    h->retry = false;
    if (h->sweeping)
        attempt_sweep(of->keeper, of->id);
    else if (!h->sheep)
        sheep_connect(of->keeper, h);
}

void held_retry(struct keeper *k, struct held *h, int64_t ms)
{
    if (h->retry)
        return;
    h->retry = true;
    after(&k->sim->world, ms, &k->process, on_retry, named(k, h->id), 0);
}

void sheep_connect(struct keeper *k, struct held *h)
{
    struct trace *t = trace_find(k, h->id);
    if (h->sheep)
        return;
    if (t && t->holder) {
        h->sheep = t->holder;
        h->connection = ++k->connections;
        h->tries = 0;
        sheep_send(k, h, (struct word){.kind = WORD_HELLO});
        if (h->has_launch)
            sheep_send(k, h, (struct word){.kind = WORD_ORDER, .launch = h->launch});
        return;
    }
    // The agent tries every few ms; here several at a time.
    h->tries += h->tries ? TRIES_A_LOOK : 1;
    if (h->tries >= CONNECT_TRIES)
        sheep_missing(k, h);
    else
        held_retry(k, h, h->tries < 2 ? 10 : 5 * TRIES_A_LOOK);
}

static void gone(struct keeper *k, struct held *h, bool ordered)
{
    struct trace *t = trace_find(k, h->id);
    if (ordered && t && t->has_end) {
        if (!h->has_end)
            h->end = t->end;
        h->has_end = true;
        keeper_step(k, &(struct agent_input){.kind = AGENT_IN_SHEPHERD_END,
                                             .id = h->id,
                                             .started = t->end.started,
                                             .reason = t->end.reason});
        return;
    }
    keeper_step(
        k, &(struct agent_input){.kind = AGENT_IN_SHEPHERD_GONE, .id = h->id, .started = ordered});
}

void sheep_missing(struct keeper *k, struct held *h)
{
    switch (agent_traces_missing(lock_of(k, h->id), h->tries >= CONNECT_TRIES)) {
    case AGENT_MISSING_WAIT:
        held_retry(k, h, 20);
        break;
    case AGENT_MISSING_NEVER:
        gone(k, h, false);
        break;
    case AGENT_MISSING_GONE:
        gone(k, h, true);
        break;
    }
}

void sheep_none(struct keeper *k, struct held *h)
{
    h->tries = CONNECT_TRIES;
    sheep_missing(k, h);
}

void sheep_lost(struct keeper *k, struct attempt_id id, uint64_t connection)
{
    struct held *h = held_find(k, id);
    if (!h || !h->sheep || h->connection != connection)
        return;
    h->sheep = NULL;
    h->tries = 0;
    if (!h->released)
        sheep_missing(k, h);
}

// ---- ending ----

void attempt_sweep(struct keeper *k, struct attempt_id id)
{
    struct held *h = held_add(k, id);
    struct trace *t = trace_find(k, id);
    int left = 0;
    h->sweeping = true;
    if (t && t->holder) {
        sheep_kill(t->holder);
        left++;
    }
    left += group_kill(k, id);
    if (left) {
        held_retry(k, h, SWEEP_AGAIN_MS);
        return;
    }
    h->sweeping = false;
    keeper_step(k, &(struct agent_input){.kind = AGENT_IN_SWEPT, .id = id});
}

void attempt_release(struct keeper *k, struct attempt_id id)
{
    struct held *h = held_find(k, id);
    struct trace *t = trace_find(k, id);
    if (!h)
        return;
    judge_released(k, h);
    h->released = true;
    h->has_deadline = false;
    sheep_send(k, h, (struct word){.kind = WORD_END_ACK});
    if (t)
        trace_remove(k, t);
}
