// The agent's journal: written at once, on disk after a sync; and the start from it, as
// agent/shell/journal.c and restore.c have it.
#include "agent/core/traces.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static struct entry *append(struct keeper *k, struct entry e)
{
    VEC_RESERVE(k->journal, k->written, k->journal_cap);
    k->journal[k->written] = e;
    return &k->journal[k->written++];
}

void journal_write(struct keeper *k, const struct agent_output *o)
{
    struct entry e = {.record = o->record, .id = o->id};
    struct held *h;
    switch (o->what) {
    case AGENT_RECORD_TERM:
        e.kind = ENTRY_TERM;
        e.cluster = agent_cluster(k->core);
        e.term = agent_term_seen(k->core);
        e.nonce = agent_nonce_seen(k->core);
        if (!k->cluster_file.v)
            k->cluster_file = e.cluster;
        break;
    case AGENT_RECORD_ORDER:
        e.kind = ENTRY_ORDER;
        h = held_find(k, o->id);
        CHECK(h && h->has_launch);
        e.launch = h->launch;
        break;
    case AGENT_RECORD_REFUSAL:
    case AGENT_RECORD_END:
        e.kind = ENTRY_END;
        end_make(k, o->id, &e.end);
        break;
    case AGENT_RECORD_END_ACK:
        e.kind = ENTRY_END_ACK;
        break;
    }
    append(k, e);
}

void journal_adopt(struct keeper *k, const struct launch *order)
{
    append(k, (struct entry){.kind = ENTRY_ORDER,
                             .record = k->newest_record,
                             .id = order->order.id,
                             .launch = *order});
    journal_flush(k);
}

static void synced(struct world *w, void *arg, uint64_t n)
{
    struct keeper *k = *(struct keeper **)arg;
    (void)w;
    k->syncing = false;
    k->synced = n;
    if (k->journal[n - 1].record > k->durable_record)
        k->durable_record = k->journal[n - 1].record;
    keeper_durable(k);
}

void journal_flush(struct keeper *k)
{
    struct world *w = &k->sim->world;
    if (k->syncing || k->synced == k->written)
        return;
    k->syncing = true;
    int64_t delay = w->now_ms < k->disk_slow_until_ms ? spread(w, 1, 5000) : between(w, 0, 8);
    after(w, delay, &k->process, synced, xmemdup(&k, sizeof k), k->written);
}

void journal_cut(struct keeper *k)
{
    size_t kept = k->synced;
    if (k->written > k->synced) // a torn record is not there
        kept += (size_t)between(&k->sim->world, 0, (int64_t)(k->written - k->synced));
    k->written = k->synced = kept;
}

// ---- the start ----

static void replay_entry(struct keeper *k, const struct entry *e, int *ret_boot)
{
    struct held *h;
    switch (e->kind) {
    case ENTRY_BOOT:
        *ret_boot = e->boot;
        if (e->lost && e->boot == k->machine->boots)
            k->journal_intact = false;
        break;
    case ENTRY_TERM:
        agent_load_term(k->core, e->cluster, e->term, e->nonce);
        break;
    case ENTRY_ORDER:
        h = held_add(k, e->id);
        h->launch = e->launch;
        h->has_launch = true;
        break;
    case ENTRY_END:
        h = held_add(k, e->id);
        h->end = e->end;
        h->has_end = true;
        break;
    case ENTRY_END_ACK:
        h = held_find(k, e->id);
        if (h)
            held_remove(k, h);
        break;
    }
}

static enum agent_lock trace_lock(const struct trace *t)
{
    return !t || !t->lock ? AGENT_LOCK_ABSENT
           : t->holder    ? AGENT_LOCK_HELD
           : t->ordered   ? AGENT_LOCK_ORDERED
                          : AGENT_LOCK_LEFT;
}

static void load_ended(struct keeper *k, struct held *h)
{
    struct trace *t = trace_find(k, h->id);
    agent_load_end(k->core, h->id, h->end.started, h->end.reason, NULL);
    if (t && t->holder) // it waits for the word that the end is on disk
        sheep_connect(k, h);
}

static void load_order(struct keeper *k, struct held *h, bool other_boot)
{
    struct trace *t = trace_find(k, h->id);
    struct end_data end;
    struct agent_traces traces = {
        .other_boot = other_boot,
        .lock = trace_lock(t),
        .has_end = t && t->has_end,
    };
    int64_t deadline_ms = t && t->has_deadline ? t->deadline_ms : 0;
    h->has_deadline = t && t->has_deadline;
    switch (agent_traces_tell(&traces)) {
    case AGENT_TOLD_REBOOTED:
        agent_load_end(k->core, h->id, true, (struct reason){.code = REASON_NODE_REBOOTED}, NULL);
        end_make(k, h->id, &end);
        break;
    case AGENT_TOLD_LIVES:
        agent_load_order(k->core, &h->launch.order, ATTEMPT_FORKED, deadline_ms,
                         (struct reason){0});
        sheep_connect(k, h);
        break;
    case AGENT_TOLD_ENDED:
        h->end = t->end;
        h->has_end = true;
        load_ended(k, h);
        break;
    case AGENT_TOLD_LOST:
        agent_load_order(k->core, &h->launch.order, ATTEMPT_ENDING, deadline_ms,
                         (struct reason){.code = REASON_SHEPHERD_LOST});
        break;
    case AGENT_TOLD_NOTHING:
        agent_load_order(k->core, &h->launch.order, ATTEMPT_ORDERED, deadline_ms,
                         (struct reason){0});
        break;
    }
}

// The journal is lost: what it does not say is found by the shepherds' locks.
static void adopt(struct keeper *k)
{
    struct trace *t;
    agent_load_term(k->core, k->cluster_file, 0, 0);
    TAILQ_FOREACH(t, &k->traces, link)
    {
        struct agent_order order = {.id = t->id, .lease_ms = -1};
        struct agent_traces traces = {.lock = trace_lock(t)};
        enum agent_told told = agent_traces_tell(&traces);
        if (agent_find(k->core, t->id) || told == AGENT_TOLD_NOTHING)
            continue;
        struct held *h = held_add(k, t->id);
        int64_t deadline_ms = t->has_deadline ? t->deadline_ms : 0;
        h->has_deadline = t->has_deadline;
        if (told == AGENT_TOLD_LIVES) {
            agent_load_order(k->core, &order, ATTEMPT_FORKED, deadline_ms, (struct reason){0});
            sheep_connect(k, h);
        } else if (t->has_end) {
            h->end = t->end;
            h->has_end = true;
            load_ended(k, h);
        } else {
            agent_load_order(k->core, &order, ATTEMPT_ENDING, AGENT_NEVER,
                             (struct reason){.code = REASON_SHEPHERD_LOST});
        }
    }
}

// What is still true, into a fresh journal that is on disk before anything follows.
static void write_anew(struct keeper *k)
{
    struct held *h;
    k->written = k->synced = 0;
    append(k, (struct entry){
                  .kind = ENTRY_BOOT, .boot = k->machine->boots, .lost = !k->journal_intact});
    if (agent_cluster(k->core).v)
        append(k, (struct entry){.kind = ENTRY_TERM,
                                 .cluster = agent_cluster(k->core),
                                 .term = agent_term_seen(k->core),
                                 .nonce = agent_nonce_seen(k->core)});
    TAILQ_FOREACH(h, &k->held, link)
    {
        if (!agent_find(k->core, h->id))
            continue;
        if (h->has_launch)
            append(k, (struct entry){.kind = ENTRY_ORDER, .id = h->id, .launch = h->launch});
        if (h->has_end)
            append(k, (struct entry){.kind = ENTRY_END, .id = h->id, .end = h->end});
    }
    k->synced = k->written;
}

void journal_replay(struct keeper *k)
{
    struct held *h, *next;
    int boot = k->machine->boots;
    k->journal_intact = !k->journal_lost;
    k->journal_lost = false;
    for (size_t i = 0; i < k->written; i++)
        replay_entry(k, &k->journal[i], &boot);
    TAILQ_FOREACH_SAFE(h, &k->held, link, next)
    {
        if (h->has_end)
            load_ended(k, h);
        else if (h->has_launch)
            load_order(k, h, boot != k->machine->boots);
    }
    if (!k->journal_intact)
        adopt(k);
    write_anew(k);
}
