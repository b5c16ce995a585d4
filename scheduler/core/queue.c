// The queue: pending jobs in their classes, the classes by the rank of their first jobs; and beside
// them the delayed, which may not be placed before a time, and those whose terms keep them waiting.
#include "scheduler/core/state.h"

static int compare(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

int job_age_order(const struct job *a, const struct job *b)
{
    uint64_t ka = a->array.v ? a->array.v : a->id.v, kb = b->array.v ? b->array.v : b->id.v;
    if (ka != kb)
        return ka < kb ? -1 : 1;
    return compare(a->array.v ? a->element : INT64_MAX, b->array.v ? b->element : INT64_MAX);
}

int job_delayed_order(const struct job *a, const struct job *b)
{
    if (a->not_before_ms != b->not_before_ms)
        return compare(a->not_before_ms, b->not_before_ms);
    return a->id.v < b->id.v ? -1 : a->id.v > b->id.v;
}

RB_GENERATE(job_delayed, job, queue_link, job_delayed_order)

void queue_insert(struct cluster *c, struct job *j)
{
    CHECK(!j->queued && !j->cancelled &&
          (j->array_count ? j->array_next < j->array_count : j->state == JOB_PENDING));
    j->queued = true;
    j->level = (int8_t)las_level_now(c, j);
    if (terms_keep(c, j))
        return;
    if (j->not_before_ms > c->now.boot_ms) {
        RB_INSERT(job_delayed, &c->delayed, j);
        wake_by(c, j->not_before_ms);
    } else {
        class_join(c, j);
        c->pass_wanted = true;
    }
    las_watch(c, j);
}

void queue_remove(struct cluster *c, struct job *j)
{
    CHECK(j->queued);
    backfill_drop(c, j);
    pass_forget(c, j);
    if (j->in_class)
        class_leave(c, j);
    else if (terms_wait(j))
        terms_release(c, j);
    else
        RB_REMOVE(job_delayed, &c->delayed, j);
    j->queued = false;
    c->pass_wanted = true;
}

void queue_due(struct cluster *c)
{
    struct job *j;
    windows_due(c);
    while ((j = RB_MIN(job_delayed, &c->delayed)) && j->not_before_ms <= c->now.boot_ms) {
        RB_REMOVE(job_delayed, &c->delayed, j);
        class_join(c, j);
        emit(c, EVENT_JOB_DUE, j, NULL, "job %s may start from now on", job_label(c, j));
        c->pass_wanted = true;
    }
    if (j)
        wake_by(c, j->not_before_ms);
    if (!RB_EMPTY(&c->queue) && ranks_due(c))
        c->pass_wanted = true;
    if (c->pass.settle_ms <= c->now.boot_ms)
        c->pass_wanted = true;
    else
        wake_by(c, c->pass.settle_ms);
    if (c->preempt.wake_ms <= c->now.boot_ms)
        c->pass_wanted = true;
    else
        wake_by(c, c->preempt.wake_ms);
    if (c->backfill.count && c->backfill.wake_ms <= c->now.boot_ms)
        c->pass_wanted = true;
    else if (c->backfill.count)
        wake_by(c, c->backfill.wake_ms);
}

const struct reason *cluster_reason(const struct cluster *c, const struct job *j)
{
    if (!j->in_class)
        return &j->reason;
    return c->queue_wait.reason.code ? &c->queue_wait.reason : &j->in_class->wait.reason;
}
