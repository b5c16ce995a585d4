#include "scheduler/core/preempt.h"

#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

// A search that cost so much is made again a millisecond later at most.
enum { COST_A_MS = 2000 };

bool may_preempt(const struct cluster *c, const struct job *j, const struct job *victim)
{
    if (qos_may_preempt(c, j->qos, victim->qos))
        return true;
    return !qos_may_preempt(c, victim->qos, j->qos) && las_may_preempt(c, j, victim);
}

bool may_ever_preempt(struct cluster *c, struct job *j)
{
    const struct rule_entry *queue = queue_of(c, j);
    return member_of(c, j)->qos->preempts || (queue && queue->order == ORDER_LAS);
}

bool may_preempt_any(struct cluster *c, struct job *j)
{
    for (uint64_t left = member_of(c, j)->qos->preempts; left; left &= left - 1) {
        const struct rule_entry *q = c->rules.qos[__builtin_ctzll(left)];
        if (q && q->tally->running_jobs)
            return true;
    }
    return las_may_preempt_any(c, j);
}

// ---- those that are being stopped ----

static bool stops_for(const struct cluster *c, const struct stop *s)
{
    const struct job *v = job_find(c, s->victim);
    return v && v->state == JOB_STOPPING && v->verdict.code == REASON_PREEMPTED &&
           v->verdict.a == (int64_t)s->by.v;
}

// Will a part of it end here before long?
static bool will_end(const struct cluster *c, const struct job *victim)
{
    const struct placement *p;
    FOREACH_PART_OF(p, victim)
    if (node_usable(c->nodes[p->node.v - 1]) && p->ends_ms >= c->now.boot_ms - OVERDUE_MS)
        return true;
    return false;
}

bool preempt_waits(struct cluster *c, const struct job *j, struct job_id *ret_first,
                   int64_t *ret_count)
{
    size_t kept = 0;
    *ret_count = 0;
    for (size_t i = 0; i < c->preempt.stops_count; i++) {
        struct stop s = c->preempt.stops[i];
        if (!stops_for(c, &s))
            continue;
        c->preempt.stops[kept++] = s;
        if (s.by.v != j->id.v || !will_end(c, job_find(c, s.victim)))
            continue;
        if (!(*ret_count)++)
            *ret_first = s.victim;
    }
    c->preempt.stops_count = kept;
    return *ret_count;
}

static void note_stop(struct cluster *c, struct job_id by, struct job_id victim)
{
    VEC_RESERVE(c->preempt.stops, c->preempt.stops_count, c->preempt.stops_cap);
    c->preempt.stops[c->preempt.stops_count++] = (struct stop){by, victim};
}

void preempt_load(struct cluster *c)
{
    const struct job *j;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    if (j->state == JOB_STOPPING && j->verdict.code == REASON_PREEMPTED)
        note_stop(c, (struct job_id){(uint64_t)j->verdict.a}, j->id);
}

void preempt_free(struct cluster *c)
{
    free(c->preempt.stops);
    free(c->preempt.victims);
    free(c->preempt.gone);
    rooms_fini(&c->preempt.rooms);
}

void preempt_started(struct cluster *c, const struct job *j)
{
    if (!c->preempt.start_awaited || !job_qos(c, j)->min_run_time_ms)
        return;
    c->preempt.start_awaited = false;
    c->preempt.changes++;
    c->pass_wanted = true;
}

// ---- what becomes of them ----

// `c` of the verdict says it, so that a restart knows.
void preempt_stopped(struct cluster *c, struct job *j)
{
    if (j->verdict.c)
        return;
    j->verdict.c = 1;
    job_mark(c, j);
}

bool preempt_came_late(const struct job *j)
{
    return j->verdict.code == REASON_PREEMPTED && !j->verdict.c;
}

bool preempt_requeues(const struct cluster *c, const struct job *j)
{
    return j->verdict.b || strcmp(job_qos(c, j)->preempt_mode, "requeue") == 0;
}

// ---- who may be stopped ----

// Boot clock: the job is safe until then; INT64_MAX: until some time after its start.
static int64_t safe_until_ms(const struct cluster *c, const struct job *j)
{
    int64_t least_ms = job_qos(c, j)->min_run_time_ms, ran_ms;
    if (!least_ms || PLANTED(PREEMPT_AT_ONCE))
        return c->now.boot_ms;
    if (!j->started_at_ms)
        return INT64_MAX;
    if (__builtin_sub_overflow(c->now.wall_ms, j->started_at_ms, &ran_ms) || ran_ms < 0)
        ran_ms = 0;
    int64_t until_ms;
    if (ran_ms >= least_ms)
        return c->now.boot_ms;
    return __builtin_add_overflow(c->now.boot_ms, least_ms - ran_ms, &until_ms) ? INT64_MAX
                                                                                : until_ms;
}

// Does it hold something of a node that could hold a task of the request?
static bool is_in_the_way(const struct cluster *c, const struct request *r,
                          const struct job *victim)
{
    const struct selector *need = selector_find(c, r->need);
    const struct placement *p;
    FOREACH_PART_OF(p, victim)
    {
        const struct node *n = c->nodes[p->node.v - 1];
        struct room_view v = room_empty(n);
        if (node_usable(n) && selector_has(need, n) && request_use(&v, r))
            return true;
    }
    return false;
}

static int victim_order(const void *a, const void *b)
{
    const struct victim *x = a, *y = b;
    if (x->priority != y->priority)
        return x->priority < y->priority ? -1 : 1;
    return x->order > y->order ? -1 : x->order < y->order;
}

// Of its QoS, and of these the one that has had least.
static int64_t priority_of(const struct cluster *c, const struct job *v)
{
    return job_qos(c, v)->priority * LAS_LEVELS_MAX - v->level;
}

// Finds all; *ret_again_ms is when time alone brings another one.
static void collect(struct cluster *c, const struct job *j, int64_t *ret_again_ms, int64_t *cost)
{
    struct placement *p;
    c->preempt.victims_count = 0;
    *ret_again_ms = INT64_MAX;
    RB_FOREACH(p, placement_ends, &c->ends)
    {
        struct job *v = p->job.v && !p->index && !p->kill ? job_find(c, p->job) : NULL;
        ++*cost;
        if (!v || !part_current(v, p) || v->verdict.code || !may_preempt(c, j, v) ||
            !is_in_the_way(c, &j->req, v))
            continue;
        int64_t safe_ms = safe_until_ms(c, v);
        if (safe_ms > c->now.boot_ms) {
            *ret_again_ms = safe_ms < *ret_again_ms ? safe_ms : *ret_again_ms;
            c->preempt.start_awaited |= !v->started_at_ms;
            continue;
        }
        VEC_RESERVE(c->preempt.victims, c->preempt.victims_count, c->preempt.victims_cap);
        c->preempt.victims[c->preempt.victims_count++] =
            (struct victim){.job = v, .priority = priority_of(c, v), .order = p->id};
    }
    if (c->preempt.victims_count)
        qsort(c->preempt.victims, c->preempt.victims_count, sizeof *c->preempt.victims,
              victim_order);
}

// ---- the decision ----

static void stop_chosen(struct cluster *c, const struct job *j)
{
    AUTO(text) struct text names = {0};
    int64_t count = 0;
    for (size_t i = 0; i < c->preempt.victims_count; i++)
        if (c->preempt.victims[i].chosen)
            text_addf(&names, "%s%s", count++ ? ", " : "", job_label(c, c->preempt.victims[i].job));
    emit(c, EVENT_JOB_PREEMPTS, j, NULL, "job %s preempts %" PRId64 " job%s: %s", job_label(c, j),
         count, count == 1 ? "" : "s", text_str(&names));
    for (size_t i = 0; i < c->preempt.victims_count; i++) {
        struct job *v = c->preempt.victims[i].job;
        if (!c->preempt.victims[i].chosen)
            continue;
        bool by_qos = qos_may_preempt(c, j->qos, v->qos);
        struct reason r = {.code = REASON_PREEMPTED, .a = (int64_t)j->id.v, .b = !by_qos};
        note_stop(c, j->id, v->id);
        attempt_condemn(c, v, r, NULL);
    }
}

// Rises with whatever may let a job preempt that could not before, but for time alone.
static uint64_t stamp(const struct cluster *c)
{
    return grown_end(c) + c->backfill.changes + c->preempt.changes + c->usable_gen;
}

static enum preemption search(struct cluster *c, struct job *j, int64_t *ret_again_ms,
                              int64_t *cost)
{
    const struct fit_node *f;
    size_t count;
    struct reason limit;
    collect(c, j, ret_again_ms, cost);
    if (!c->preempt.victims_count)
        return PREEMPT_NOT;
    if (!j->reserved)
        backfill_outrank(c, j);
    uint64_t changes = c->backfill.changes;
    backfill_hide(c, j);
    enum preemption what = preempt_choose(c, j, &f, &count, cost);
    backfill_show(c, j);
    c->backfill.changes = changes; // all is as it was
    if (what == PREEMPT_STOPS && !limit_start(c, j, f, count, &limit))
        return PREEMPT_NOT;
    return what;
}

static void look_again_at(struct cluster *c, int64_t at_ms)
{
    if (at_ms < c->preempt.wake_ms)
        c->preempt.wake_ms = at_ms;
    wake_by(c, at_ms);
}

enum preemption preempt(struct cluster *c, struct job *j, int64_t *cost)
{
    struct job_class *k = j->in_class;
    struct job_id first;
    int64_t count, before = *cost, now_ms = c->now.boot_ms;
    if (preempt_waits(c, j, &first, &count))
        return PREEMPT_WAITS;
    if (!may_preempt_any(c, j)) {
        // Whoever is placed from now on takes room that was free and did not help it.
        k->preempt_at = stamp(c);
        k->preempt_again_ms = INT64_MAX;
        return PREEMPT_NONE;
    }
    bool known = k->preempt_at == stamp(c) && now_ms < k->preempt_again_ms;
    if (known || now_ms < k->preempt_rests_ms) {
        look_again_at(c, known ? k->preempt_again_ms : k->preempt_rests_ms);
        return PREEMPT_NOT;
    }
    enum preemption what = search(c, j, &k->preempt_again_ms, cost);
    k->preempt_rests_ms = now_ms + (*cost - before) / COST_A_MS;
    k->preempt_at = what == PREEMPT_NOT ? stamp(c) : 0;
    if (what == PREEMPT_NOT)
        look_again_at(c, k->preempt_again_ms);
    else if (what == PREEMPT_STOPS)
        stop_chosen(c, j);
    return what;
}
