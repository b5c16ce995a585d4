// An agent introduces itself: is it the node's own, and what of the node's work does it know?
#include "scheduler/core/state.h"

#include <stdio.h>
#include <string.h>

static void refuse(struct cluster *c, struct node *n, enum reason_code code)
{
    struct reason r = {.code = code, .node = n->id};
    if (n->refused != code) // said once; it comes again every few seconds
        emit(c, EVENT_NODE_REFUSED, NULL, n, "agent refused: %s", reason_say(c, &r, NULL));
    n->refused = code;
    struct effect *e = effect_add(c, EFFECT_CLOSE);
    e->node = n->id;
    e->link = n->new_link;
    e->session = n->new_session;
    e->close.reason = r;
    n->new_link = n->new_session = 0;
}

void hold_enter(struct cluster *c, uint64_t term_seen, const char *why)
{
    if (term_seen > c->meta.term_seen) {
        c->meta.term_seen = term_seen;
        meta_mark(c);
    }
    if (c->meta.recovery_hold)
        return;
    c->meta.recovery_hold = true;
    meta_mark(c);
    emit(c, EVENT_RECOVERY_HOLD, NULL, NULL, "recovery hold: %s", why);
}

static bool other_machine(const struct node *n, const struct input_hello *h)
{
    return n->inc.state_id && !n->fenced &&
           (n->inc.state_id != h->inc.state_id ||
            strcmp(n->inc.machine_id, h->inc.machine_id) != 0);
}

// A newer attempt than this database gave is known on the node: this database is old, and what
// became of the job since it cannot tell. No attempt that it knows counts, no number comes twice,
// and whether the job runs once more is for people to decide.
static void overtaken(struct cluster *c, struct job *j, const struct node *n, uint32_t number)
{
    struct placement *p;
    TAILQ_FOREACH(p, &j->parts, job_link)
    if (!p->over) {
        p->over = true;
        part_mark(c, p);
    }
    emit(c, EVENT_JOB_HELD, j, n, "job %s is held: node %s knows attempt %u, this database %u",
         job_label(c, j), n->name, number, j->attempt);
    j->attempt = number;
    job_mark(c, j);
    if (job_state_ended(j->state))
        return;
    if (j->cancelled) {
        job_end(c, j, JOB_CANCELLED, j->verdict, j->verdict_detail);
        return;
    }
    if (j->state != JOB_PENDING)
        job_move(c, j, JOB_PENDING);
    if (j->queued)
        queue_remove(c, j);
    j->held = true;
    j->started_at_ms = 0;
    j->exit_code = 0;
    job_set_reason(c, j, (struct reason){.code = REASON_HELD}, NULL);
}

static const char *knows_newer_attempt(struct cluster *c, const struct node *n,
                                       const struct input_hello *h)
{
    const char *first = NULL;
    for (size_t i = 0; i < h->attempts_count; i++) {
        const struct attempt_id *id = &h->attempts[i].id;
        struct job *j = id->cluster.v == c->meta.id.v ? job_find_uid(c, id->job) : NULL;
        if (!j || id->number <= j->attempt)
            continue;
        if (!first)
            first = arena_printf(&c->arena, "an agent knows attempt %u of job %s, this database %u",
                                 id->number, job_label(c, j), j->attempt);
        overtaken(c, j, n, id->number);
    }
    return first;
}

// Does the agent know of something that this database, were it the newest, had to know?
static const char *knows_more(struct cluster *c, const struct node *n, const struct input_hello *h)
{
    const char *attempt = knows_newer_attempt(c, n, h);
    if (h->term_seen > c->meta.term)
        return arena_printf(&c->arena,
                            "an agent has seen term %" PRIu64 ", this database is at %" PRIu64,
                            h->term_seen, c->meta.term);
    if (h->term_seen == c->meta.term && h->nonce_seen && h->nonce_seen != c->meta.nonce)
        return arena_printf(&c->arena, "an agent has seen another start of term %" PRIu64,
                            h->term_seen);
    return attempt;
}

static const struct reported_attempt *listed(const struct input_hello *h, const struct placement *p)
{
    for (size_t i = 0; i < h->attempts_count; i++)
        if (h->attempts[i].id.job.v == p->uid.v && h->attempts[i].id.number == p->attempt)
            return &h->attempts[i];
    return NULL;
}

void node_parts_over(struct cluster *c, struct node *n, struct reason why,
                     const struct input_hello *h)
{
    struct placement *p, *next;
    TAILQ_FOREACH_SAFE(p, &n->parts, node_link, next)
    {
        const struct reported_attempt *a = h ? listed(h, p) : NULL;
        if (a && a->state == AGENT_ENDED && !PLANTED(REBOOT_BEATS_END))
            continue; // its own report counts, and follows
        struct job *j = job_find(c, p->job);
        part_judge_over(c, p, why);
        struct event *e = emit(c, EVENT_PART_ENDED, j, n, "what attempt %u held on %s is free",
                               p->attempt, n->name);
        e->cores = p->cores;
        e->gpus = p->gpus;
        e->memory_mib = p->memory_mib;
        part_remove(c, p);
        if (j)
            attempt_settle(c, j);
    }
}

// What it says it shares, as far as that is left: sums stay right whatever an agent tells.
static void take_shared(const struct node *n, const struct reported_attempt *a,
                        struct placement *row)
{
    struct coreset whole = n->used_cores, all = n->pool_cores;
    coreset_subtract(&whole, &n->pool_cores);
    coreset_subtract(&row->cores, &n->used_cores);
    row->pool = a->pool;
    coreset_subtract(&row->pool, &whole);
    coreset_subtract(&row->pool, &row->cores);
    coreset_union(&all, &row->pool);
    int32_t left = (int32_t)coreset_count(&all) * 1000 - n->pool_used_milli;
    row->cpu_milli = a->cpu_milli < left ? a->cpu_milli : left;
    if (row->cpu_milli <= 0 || coreset_empty(&row->pool)) {
        row->cpu_milli = 0;
        row->pool = (struct coreset){0};
    }
    for (uint64_t told = a->gpus; told; told &= told - 1) {
        int g = __builtin_ctzll(told);
        int32_t free_milli = 1000 - n->gpu_used_milli[g], milli = a->shares.milli[g];
        if (!milli)
            milli = 1000;
        if (milli > free_milli)
            milli = free_milli;
        if (milli > 0)
            row->gpus |= UINT64_C(1) << g;
        row->shares.milli[g] = milli > 0 && milli < 1000 ? (uint16_t)milli : 0;
    }
}

static void quarantine(struct cluster *c, struct node *n, const struct reported_attempt *a)
{
    struct placement row = {
        .id = c->meta.next_placement++,
        .uid = a->id.job,
        .attempt = a->id.number,
        .node = n->id,
        .cores = a->cores,
        .memory_mib = a->memory_mib,
        .port = a->port < 1 || a->port > UINT16_MAX || port_held(n, a->port) ? 0 : a->port,
        .state = PLACEMENT_QUARANTINED,
        .started = a->started,
        .lease_end_ms = INT64_MAX,
    };
    take_shared(n, a, &row);
    meta_mark(c);
    part_mark(c, part_add(c, &row));
    struct reason r = {.code = REASON_QUARANTINED, .node = n->id};
    struct event *e =
        emit(c, EVENT_QUARANTINED, NULL, n, "%s (job uid %016" PRIx64 ", attempt %u): left alone",
             reason_say(c, &r, NULL), a->id.job.v, a->id.number);
    e->attempt = a->id.number;
    e->cores = row.cores;
    e->gpus = row.gpus;
    e->memory_mib = row.memory_mib;
}

// The agent lists it: agree, end it, or leave it alone.
static void reconcile_listed(struct cluster *c, struct node *n, const struct reported_attempt *a)
{
    if (a->id.cluster.v != c->meta.id.v) {
        c->dropped++;
        return;
    }
    struct placement *p = part_find(c, n, a->id.job, a->id.number);
    if (p)
        part_heard(c, n, p, a);
    else if (a->state != AGENT_ENDED)
        quarantine(c, n, a);
}

// The database expects it and the agent does not list it.
static void reconcile_unlisted(struct cluster *c, struct node *n, struct placement *p,
                               bool journal_intact)
{
    struct job *j = job_find(c, p->job);
    if (!j)
        return; // quarantined: only END or a reboot frees it
    if (!journal_intact || (p->state != PLACEMENT_PLACED && !p->kill)) {
        emit(c, EVENT_NOTE, j, n,
             "node %s no longer knows attempt %u of job %s: nothing follows from that; the lease "
             "or an operator's fence ends it",
             n->name, p->attempt, job_label(c, j));
        return;
    }
    if (p->kill || !part_current(j, p))
        part_kill(c, p);
    else
        attempt_launch_part(c, j, p);
}

static void reconcile(struct cluster *c, struct node *n, const struct input_hello *h)
{
    struct placement *p, *next;
    TAILQ_FOREACH_SAFE(p, &n->parts, node_link, next)
    if (!listed(h, p))
        reconcile_unlisted(c, n, p, h->journal_intact);
    for (size_t i = 0; i < h->attempts_count; i++)
        reconcile_listed(c, n, &h->attempts[i]);
}

#define TAKE_TEXT(to, from) snprintf((to), sizeof(to), "%s", (from) ? (from) : "")

// What the node has and says of itself.
static void take_description(struct cluster *c, struct node *n, const struct input_hello *h)
{
    struct node was = *n;
    n->cores = h->cores < 0 ? 0 : h->cores > CORESET_MAX ? CORESET_MAX : h->cores;
    n->gpus = h->gpus < 0 ? 0 : h->gpus > NODE_GPUS_MAX ? NODE_GPUS_MAX : h->gpus;
    n->memory_mib = h->memory_mib < 0 ? 0 : h->memory_mib;
    TAKE_TEXT(n->told_labels, h->labels);
    TAKE_TEXT(n->gpu_model, h->gpu_model);
    TAKE_TEXT(n->switch_path, h->switch_path);
    TAKE_TEXT(n->numa_cores, h->numa_cores);
    TAKE_TEXT(n->gpu_numa, h->gpu_numa);
    n->gpu_memory_mib = h->gpu_memory_mib < 0 ? 0 : h->gpu_memory_mib;
    node_learn_numa(n);
    node_hang(c, n);
    node_judge_labels(c, n);
    bool other = n->cores != was.cores || n->gpus != was.gpus || n->memory_mib != was.memory_mib ||
                 n->gpu_memory_mib != was.gpu_memory_mib || strcmp(n->labels, was.labels) != 0 ||
                 strcmp(n->gpu_model, was.gpu_model) != 0 ||
                 strcmp(n->switch_path, was.switch_path) != 0;
    c->hardware_gen += other;
    c->usable_gen += other;
}

static void take_link(struct cluster *c, struct node *n, const struct input_hello *h)
{
    if (n->link && n->link != n->new_link) {
        struct effect *e = effect_add(c, EFFECT_CLOSE);
        e->node = n->id;
        e->link = n->link;
        e->session = n->session;
        e->close.reason = (struct reason){.code = REASON_NONE};
    }
    n->link = n->new_link;
    n->session = n->new_session;
    n->new_link = n->new_session = 0;
    n->ready = false; // until what it says of itself is taken over
    node_recount(c, n);
    n->fenced = false;
    n->refused = REASON_NONE;
    n->request = h->request;
    n->heard_ms = c->now.boot_ms;
    n->unreachable_since_ms = 0;
    bool moved = strcmp(n->inc.machine_id, h->inc.machine_id) != 0;
    if (moved)
        machine_leave(c, n);
    n->inc = h->inc;
    if (moved)
        machine_join(c, n);
    take_description(c, n, h);
    n->ready = true;
    node_recount(c, n);
    node_mark(c, n);
}

static void renew_listed(struct cluster *c, struct node *n, const struct input_hello *h)
{
    struct attempt_id *ids = arena_alloc(&c->arena, (h->attempts_count + 1) * sizeof *ids);
    for (size_t i = 0; i < h->attempts_count; i++)
        ids[i] = h->attempts[i].id;
    lease_grant(c, n, ids, h->attempts_count);
}

void hello(struct cluster *c, const struct input_hello *h)
{
    struct node *n = node_find(c, h->node);
    if (!n || !n->new_link || h->session != n->new_session) {
        c->dropped++;
        return;
    }
    if (h->cluster.v && h->cluster.v != c->meta.id.v) {
        refuse(c, n, REASON_FOREIGN_CLUSTER);
        return;
    }
    if (other_machine(n, h) && !PLANTED(REBOOT_OF_A_CLONE)) {
        refuse(c, n, REASON_NODE_CLONED);
        return;
    }
    const char *more = knows_more(c, n, h);
    if (more)
        hold_enter(c, h->term_seen, more);
    if (c->meta.recovery_hold)
        return; // the link stays; WELCOME comes again when an operator has accepted
    bool first = !n->inc.state_id;
    bool rebooted = !first && strcmp(n->inc.boot_id, h->inc.boot_id) != 0;
    take_link(c, n, h);
    emit(c, first ? EVENT_NODE_JOINED : EVENT_NODE_UP, NULL, n,
         "node %s %s: %d cores, %" PRId64 " MiB, %d GPUs", n->name, first ? "joined" : "is up",
         n->cores, n->memory_mib, n->gpus);
    if (rebooted) {
        emit(c, EVENT_NODE_REBOOTED, NULL, n, "node %s was rebooted", n->name);
        node_parts_over(c, n, (struct reason){.code = REASON_NODE_REBOOTED, .node = n->id}, h);
    }
    reconcile(c, n, h);
    renew_listed(c, n, h);
    wake_by(c, c->now.boot_ms + SILENT_HEARTBEATS * c->limits.heartbeat_ms);
    c->pass_wanted = true;
}
