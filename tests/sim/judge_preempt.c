// Preemption: who is stopped may be, has had its time, and is needed; and whoever has others
// stopped starts when they have ended, unless the cluster, its rules or the queue before it have
// changed.
#include "scheduler/core/state.h"
#include "tests/sim/judge.h"

#include <stdlib.h>
#include <string.h>

enum {
    GRACE_MOST_MS = 5000, // that jobs ask for
    PATIENCE_WITH_OTHERS_MS = 20000,
};

// A job that has others stopped, and nothing has happened since that excuses it.
struct stops {
    struct job_id by;
    int64_t until_ms; // world time: their grace, at most
    bool with_others; // it may wait for more than its victims
};

static const struct cluster *core(const struct sim *s)
{
    return s->scheduler.cluster;
}

static const char *qos_name(const struct sim *s, const struct job *j)
{
    const struct rule_entry *p = rule_by_id(core(s), j->qos.v);
    return p ? p->key : "";
}

static bool stops_for(const struct job *v, struct job_id by)
{
    return v->state == JOB_STOPPING && v->verdict.code == REASON_PREEMPTED &&
           v->verdict.a == (int64_t)by.v;
}

// ---- a victim ----

static void look_at_victim(struct sim *s, const struct job *v, int64_t wall_ms)
{
    const struct job *by = cluster_job(core(s), (struct job_id){(uint64_t)v->verdict.a});
    if (!by)
        return; // it ended in the same turn
    bool low =
        strcmp(qos_name(s, v), preempt_qos[1]) == 0 || strcmp(qos_name(s, v), preempt_qos[2]) == 0;
    // Else its queue's order says it: judge_attained.c.
    if (!v->verdict.b && (strcmp(qos_name(s, by), preempt_qos[0]) != 0 || !low))
        broken(s, "job %" PRIu64 " of QoS \"%s\" preempts job %" PRIu64 " of QoS \"%s\"", by->id.v,
               qos_name(s, by), v->id.v, qos_name(s, v));
    if (low && s->min_run_ms &&
        (!v->started_at_ms ||
         (wall_ms >= v->started_at_ms && wall_ms - v->started_at_ms < s->min_run_ms)))
        broken(s, "job %" PRIu64 " is preempted after %" PRId64 " ms, and is safe for %" PRId64,
               v->id.v, v->started_at_ms ? wall_ms - v->started_at_ms : 0, s->min_run_ms);
}

static bool is_on(const struct job *j, struct node_id node)
{
    const struct placement *p;
    TAILQ_FOREACH(p, &j->parts, job_link)
    if (p->node.v == node.v && p->attempt == j->attempt)
        return true;
    return false;
}

// In this outcome: others may be at it for longer.
static bool stopped_in(const struct outcome *o, const struct job *v)
{
    for (size_t i = 0; i < o->events_count; i++)
        if (o->events[i].kind == EVENT_JOB_STOPPING && o->events[i].job.v == v->id.v)
            return true;
    return false;
}

// For a job that takes one node no two are stopped that are nowhere together.
static void look_at_set(struct sim *s, const struct outcome *o, const struct job *by)
{
    const struct job *first = NULL;
    bool together = false;
    if (by->req.tasks > 1 && by->req.nodes != 1)
        return;
    for (uint32_t n = 1; n <= s->disk.now.nodes_count && !together; n++) {
        together = true;
        for (size_t i = 0; i < o->jobs_count; i++) {
            const struct job *v = cluster_job(core(s), o->jobs[i].id);
            if (!v || !stops_for(v, by->id) || !stopped_in(o, v))
                continue;
            first = v;
            together &= is_on(v, (struct node_id){n});
        }
    }
    if (first && !together)
        broken(s, "job %" PRIu64 " needs one node, and jobs of several are stopped for it",
               by->id.v);
}

// ---- what follows ----

static struct stops *stops_of(struct sim *s, struct job_id by)
{
    for (size_t i = 0; i < s->judge->stops_count; i++)
        if (s->judge->stops[i].by.v == by.v)
            return &s->judge->stops[i];
    return NULL;
}

// Is something else expected to end before whoever could have been a victim?
static bool others_end(const struct sim *s, const struct job *v)
{
    struct placement *p;
    int64_t until_ms = core(s)->now.boot_ms + GRACE_MOST_MS;
    RB_FOREACH(p, placement_ends, (struct placement_ends *)&core(s)->ends)
    {
        const struct job *j = p->job.v ? cluster_job(core(s), p->job) : NULL;
        if (p->ends_ms <= until_ms && !(j && stops_for(j, (struct job_id){(uint64_t)v->verdict.a})))
            return true;
    }
    return false;
}

static void note_stops(struct sim *s, const struct job *v)
{
    struct job_id by = {(uint64_t)v->verdict.a};
    struct stops *t = stops_of(s, by);
    if (!t) {
        VEC_RESERVE(s->judge->stops, s->judge->stops_count, s->judge->stops_cap);
        t = &s->judge->stops[s->judge->stops_count++];
        *t = (struct stops){.by = by};
    }
    t->with_others |= others_end(s, v);
    int64_t until_ms = s->world.now_ms + v->req.grace_ms;
    t->until_ms = until_ms > t->until_ms ? until_ms : t->until_ms;
}

static void drop(struct sim *s, size_t i)
{
    s->judge->stops[i] = s->judge->stops[--s->judge->stops_count];
}

static bool outranks(const struct sim *s, const struct job *a, const struct job *b)
{
    struct priority_parts x, y;
    cluster_priority(core(s), a, &x);
    cluster_priority(core(s), b, &y);
    return x.total >= y.total;
}

// What happened may be the reason why this job does not start.
static bool excuses(struct sim *s, const struct event *e, const struct stops *t)
{
    const struct job *j = e->job.v ? cluster_job(core(s), e->job) : NULL;
    const struct job *by = cluster_job(core(s), t->by);
    if (!by || by->state != JOB_PENDING || by->held || by->cancelled || by->array_count)
        return true;
    if (e->kind >= EVENT_NODE_JOINED || e->kind == EVENT_PART_OVER)
        return true; // what counts as over is still held
    if (!j || j == by)
        return false;
    bool comes = e->kind == EVENT_JOB_SUBMITTED || e->kind == EVENT_JOB_RELEASED ||
                 e->kind == EVENT_JOB_REQUEUED || e->kind == EVENT_JOB_DUE ||
                 e->kind == EVENT_JOB_PLACED || e->kind == EVENT_JOB_LEVEL;
    // A short job fills in and may stay longer than it said.
    return (comes && outranks(s, j, by)) || (e->kind == EVENT_JOB_PLACED && j->req.time_limit_ms);
}

static void excuse(struct sim *s, const struct event *e)
{
    for (size_t i = s->judge->stops_count; i-- > 0;)
        if (excuses(s, e, &s->judge->stops[i]))
            drop(s, i);
}

void judge_decided(struct sim *s, const struct outcome *o, int64_t wall_ms)
{
    for (size_t k = 0; s->preempts && k < o->events_count; k++) {
        const struct event *e = &o->events[k];
        const struct job *by = e->job.v ? cluster_job(core(s), e->job) : NULL;
        excuse(s, e);
        if (e->kind != EVENT_JOB_PREEMPTS || !by)
            continue;
        s->counts.preemptions++;
        look_at_set(s, o, by);
        for (size_t i = 0; i < o->jobs_count; i++)
            if (stops_for(&o->jobs[i], by->id)) {
                look_at_victim(s, &o->jobs[i], wall_ms);
                if (!o->jobs[i].verdict.b) // by QoS
                    note_stops(s, &o->jobs[i]);
            }
    }
}

// ---- what becomes of them ----

void judge_preempted(struct sim *s, const struct job *j)
{
    struct truth *t = truth_of(s, j->uid);
    bool scrap = strcmp(qos_name(s, j), preempt_qos[2]) == 0;
    if (j->state == JOB_STOPPING && j->verdict.code == REASON_PREEMPTED && j->started_at_ms)
        t->preempted = j->attempt;
    if (j->state == JOB_CANCELLED && j->reason.code == REASON_PREEMPTED && !scrap && !j->cancelled)
        broken(s, "job %" PRIu64 " of QoS \"%s\" was preempted and is not requeued", j->id.v,
               qos_name(s, j));
    if (j->state != JOB_PENDING || j->verdict.code != REASON_PREEMPTED)
        return;
    if (scrap && !j->verdict.b)
        broken(s, "job %" PRIu64 " of QoS \"%s\" is requeued", j->id.v, preempt_qos[2]);
    if (t->preempted == j->attempt) {
        t->preempted = 0;
        t->preemptions++;
    }
    if (!t->forgiven && j->attempts_used + (int64_t)t->preemptions > j->attempt)
        broken(s, "job %" PRIu64 " has used up %d attempts of %u, and %u of them were preempted",
               j->id.v, j->attempts_used, j->attempt, t->preemptions);
}

// ---- the end of it ----

static bool any_stops(const struct sim *s, struct job_id by)
{
    const struct job *j;
    TAILQ_FOREACH(j, &core(s)->jobs, live_link)
    if (stops_for(j, by))
        return true;
    return false;
}

void judge_rested(struct sim *s)
{
    for (size_t i = s->judge->stops_count; i-- > 0;) {
        const struct stops *t = &s->judge->stops[i];
        const struct job *by = cluster_job(core(s), t->by);
        if (!by || by->state != JOB_PENDING || by->held || by->cancelled || by->array_count ||
            reason_is_limit(cluster_reason(core(s), by)->code)) {
            drop(s, i);
            continue;
        }
        int64_t patience_ms = t->with_others ? PATIENCE_WITH_OTHERS_MS : 0;
        if (!any_stops(s, t->by) && s->world.now_ms >= t->until_ms + patience_ms)
            broken(s, "jobs were stopped for job %" PRIu64 ", which does not start", t->by.v);
    }
}
