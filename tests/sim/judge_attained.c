// What jobs have attained (scheduler/core/las.h), reckoned from rows and events.
#include "tests/sim/judge.h"

// When its newest attempt was over, as the events tell; INT64_MIN: they do not.
static int64_t over_at_ms(const struct store_batch *b, const struct job *j)
{
    for (size_t i = 0; i < b->events_count; i++) {
        const struct event *e = &b->events[i];
        if ((e->kind == EVENT_JOB_REQUEUED || e->kind == EVENT_JOB_ENDED) && e->job.v == j->id.v &&
            e->attempt == j->attempt)
            return e->at_ms;
    }
    return INT64_MIN;
}

static int64_t devices_milli(const struct request *r)
{
    int64_t gpus = r->gpus * INT64_C(1000) + r->gpu_milli;
    return r->tasks * (gpus ? gpus : r->cpus * INT64_C(1000) + r->cpu_milli);
}

// What counts for its level, at_ms.
static int64_t served_ms(const struct job *j, int64_t at_ms)
{
    int64_t ran = j->started_at_ms && !job_state_ended(j->state) ? at_ms - j->started_at_ms : 0;
    return j->attained_ms - j->promoted_ms + (ran > 0 ? ran : 0) * devices_milli(&j->req) / 1000;
}

// It has waited long enough since that it counts as one that has had nothing.
static bool goes_back(const struct store_batch *b, const struct job *j)
{
    bool any = false;
    for (size_t i = 0; i < b->events_count && !any; i++)
        any = b->events[i].kind == EVENT_JOB_LEVEL && b->events[i].job.v == j->id.v;
    return any && j->state == JOB_PENDING;
}

// By its queue's order a job is stopped only for one that has had less. Where wall clocks jump,
// who has had what depends on when one looks.
static void check_preempted(struct sim *s, const struct store_batch *b, const struct job *j)
{
    const struct job *by = disk_job(s, (struct job_id){(uint64_t)j->verdict.a});
    if (s->counts.faults[FAULT_WALL_JUMP] || !by || job_state_ended(by->state) ||
        truth_of(s, by->uid)->forgiven || goes_back(b, j))
        return;
    for (size_t i = 0; i < b->events_count; i++) {
        const struct event *e = &b->events[i];
        if (e->kind != EVENT_JOB_STOPPING || e->job.v != j->id.v || e->attempt != j->attempt)
            continue;
        if (by->queue.v != j->queue.v || served_ms(by, 0) >= served_ms(j, e->at_ms))
            broken(s, "job %" PRIu64 " is preempted for job %" PRIu64 ", which has had as much",
                   j->id.v, by->id.v);
    }
}

// What an attempt has had of the cluster is added, exactly.
void judge_attained(struct sim *s, const struct store_batch *b, const struct job *j)
{
    struct truth *t = truth_of(s, j->uid);
    bool over = job_state_ended(j->state) || j->state == JOB_PENDING;
    int64_t at_ms = over_at_ms(b, j), had = 0, added = j->attained_ms - t->attained_ms;
    if (over && t->started_at_ms && t->row_attempt == j->attempt && at_ms != INT64_MIN &&
        !t->forgiven) {
        if (at_ms > t->started_at_ms)
            had = (at_ms - t->started_at_ms) * devices_milli(&j->req) / 1000;
        if (added != had)
            broken(s,
                   "attempt %u of job %" PRIu64 " had %" PRId64 " device-ms, and %" PRId64
                   " are added",
                   j->attempt, j->id.v, had, added);
    }
    if (j->verdict.code == REASON_PREEMPTED && j->verdict.b && !t->forgiven)
        check_preempted(s, b, j);
    t->started_at_ms = over ? 0 : j->started_at_ms;
    t->attained_ms = j->attained_ms;
    t->row_attempt = j->attempt;
}
