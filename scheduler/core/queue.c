// The pending jobs in the order in which they are considered: priority, then submission; the
// requeued elements of an array before the array's next element.
#include "scheduler/core/state.h"

static int compare(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

int job_queue_order(const struct job *a, const struct job *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    uint64_t ka = a->array.v ? a->array.v : a->id.v, kb = b->array.v ? b->array.v : b->id.v;
    if (ka != kb)
        return ka < kb ? -1 : 1;
    return compare(a->array.v ? a->element : INT64_MAX, b->array.v ? b->element : INT64_MAX);
}

RB_GENERATE(job_queue, job, queue_link, job_queue_order)

void queue_set_blocked(struct cluster *c, struct job_id job)
{
    if (c->meta.blocked.v == job.v)
        return;
    c->meta.blocked = job;
    meta_mark(c);
}

void queue_insert(struct cluster *c, struct job *j)
{
    CHECK(!j->queued && !j->cancelled &&
          (j->array_count ? j->array_next < j->array_count : j->state == JOB_PENDING));
    RB_INSERT(job_queue, &c->queue, j);
    j->queued = true;
    c->pass_wanted = true;
}

void queue_remove(struct cluster *c, struct job *j)
{
    CHECK(j->queued);
    if (c->pass_at == j)
        c->pass_at = RB_NEXT(job_queue, &c->queue, j);
    RB_REMOVE(job_queue, &c->queue, j);
    j->queued = false;
    if (c->meta.blocked.v == j->id.v)
        queue_set_blocked(c, (struct job_id){0});
    c->pass_wanted = true;
}
