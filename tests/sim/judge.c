// What must be true, seen from outside the cores: in the kernel's processes, on the disk, in what
// was shown to users, agents and operators.
#include "tests/sim/judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void judge_new(struct sim *s)
{
    s->judge = xcalloc(1, sizeof *s->judge);
}

void judge_fini(struct sim *s)
{
    struct truth *t, *next;
    HASH_ITER(hh, s->judge->truths, t, next)
    {
        HASH_DEL(s->judge->truths, t);
        free(t);
    }
    free(s->judge->promises);
    free(s->judge->cancelled);
    free(s->judge->stops);
    free(s->judge);
}

void broken(struct sim *s, const char *fmt, ...)
{
    char message[400];
    va_list ap;
    (void)s;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    check_on_failure(message);
    abort();
}

struct truth *truth_of(struct sim *s, struct job_uid uid)
{
    struct truth *t;
    HASH_FIND(hh, s->judge->truths, &uid, sizeof uid, t);
    if (t)
        return t;
    t = xcalloc(1, sizeof *t);
    t->uid = uid;
    HASH_ADD(hh, s->judge->truths, uid, sizeof uid, t);
    return t;
}

// ---- what leaves the scheduler must be durable ----

static void launch_leaves(struct sim *s, const struct effect *e)
{
    const struct job *j = disk_job(s, e->launch.job);
    struct truth *t = truth_of(s, e->attempt.job);
    uint32_t number = e->attempt.number;
    if (!j || j->uid.v != e->attempt.job.v || j->attempt < number)
        broken(s, "a launch of attempt %u of job %" PRIu64 " left before it was durable", number,
               e->launch.job.v);
    t->job = e->launch.job;
    if (!t->forgiven && number < t->attempt)
        broken(s, "job %" PRIu64 ": attempt %u after attempt %u", t->job.v, number, t->attempt);
    if (number != t->attempt) {
        t->prepared = t->started = t->arrived = t->succeeded = 0;
        t->placement = e->launch.parts[0].id;
    } else if (!t->forgiven && t->placement != e->launch.parts[0].id) {
        broken(s, "job %" PRIu64 ": attempt number %u was given twice", t->job.v, number);
    }
    t->attempt = number;
    t->parts = (UINT32_C(1) << e->launch.parts_count) - 1;
    t->waits = !e->launch.lease_ms;
    if (t->cancelled && !t->forgiven && number > t->cancelled_at)
        broken(s, "job %" PRIu64 " was cancelled in attempt %u, and attempt %u is launched",
               t->job.v, t->cancelled_at, number);
}

void judge_output(struct sim *s, const struct effect *e, uint64_t term)
{
    const struct tables *t = &s->disk.now;
    const struct placement *p = disk_part(s, e->attempt.job, e->attempt.number, e->node);
    const struct wire *l = e->kind == EFFECT_REPLY ? NULL : wire_find(s, e->link);
    if (l && e->request > l->heard_request)
        broken(s, "request %" PRIu64 " is answered, which did not come over this link", e->request);
    if (e->kind == EFFECT_GRANT)
        return;
    if (t->meta.term < term)
        broken(s, "an output of term %" PRIu64 " left before the term was durable", term);
    if (e->kind == EFFECT_LAUNCH)
        launch_leaves(s, e);
    if (e->kind == EFFECT_WELCOME && t->meta.next_session <= e->session)
        broken(s, "session %" PRIu64 " was shown before it was durable", e->session);
    if (e->kind == EFFECT_GO && p && p->state != PLACEMENT_GOING && p->state != PLACEMENT_RUNNING)
        broken(s, "a GO left before the decision was durable");
    if (e->kind == EFFECT_KILL && p && !p->kill)
        broken(s, "a KILL left before it was durable");
    if (e->kind == EFFECT_END_ACK && p && !truth_of(s, p->uid)->forgiven)
        broken(s, "the END of attempt %u of job %" PRIu64 " was acknowledged and is not durable",
               e->attempt.number, p->job.v);
}

void judge_event(struct sim *s, uint64_t event_id)
{
    if (event_id >= s->disk.now.meta.next_event)
        broken(s, "event %" PRIu64 " was shown before it was durable", event_id);
}

void judge_acknowledged(struct sim *s, struct request_id request, struct job_id job)
{
    struct judge *g = s->judge;
    const struct job *j = disk_job(s, job);
    if (!j || j->request_id.hi != request.hi || j->request_id.lo != request.lo)
        broken(s, "job %" PRIu64 " was acknowledged and is not durable", job.v);
    for (size_t i = 0; i < g->promises_count; i++)
        if (g->promises[i].request.lo == request.lo && g->promises[i].request.hi == request.hi) {
            if (g->promises[i].job.v != job.v)
                broken(s, "one request became jobs %" PRIu64 " and %" PRIu64, g->promises[i].job.v,
                       job.v);
            return;
        }
    VEC_RESERVE(g->promises, g->promises_count, g->promises_cap);
    g->promises[g->promises_count++] = (struct promise){request, job};
}

void judge_cancelled(struct sim *s, struct job_id job)
{
    struct judge *g = s->judge;
    const struct job *j = disk_job(s, job);
    if (!j || (!j->cancelled && !job_state_ended(j->state)))
        broken(s, "the cancelling of job %" PRIu64 " was acknowledged and is not durable", job.v);
    struct truth *t = truth_of(s, j->uid);
    if (t->cancelled)
        return;
    t->cancelled = true;
    t->cancelled_at = j->attempt;
    VEC_RESERVE(g->cancelled, g->cancelled_count, g->cancelled_cap);
    g->cancelled[g->cancelled_count++] = (struct cancelled){job};
}

// An END that was told to nobody yet is lost with it.
void judge_journal_lost(struct sim *s)
{
    for (struct truth *t = s->judge->truths; t; t = t->hh.next)
        t->waits = false;
}

// An older copy knows less: what was promised since is forgiven, by the operator's own act.
void judge_restored(struct sim *s)
{
    struct judge *g = s->judge;
    struct truth *t, *next;
    HASH_ITER(hh, g->truths, t, next)
    t->forgiven = true;
    size_t kept = 0;
    for (size_t i = 0; i < g->promises_count; i++) {
        const struct job *j = disk_job(s, g->promises[i].job);
        if (j && j->request_id.lo == g->promises[i].request.lo)
            g->promises[kept++] = g->promises[i];
    }
    g->promises_count = kept;
    g->cancelled_count = 0;
}
