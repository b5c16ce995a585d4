// When placements are expected to have ended, in a tree by that time.
#include "scheduler/core/backfill.h"

#include "scheduler/core/state.h"

int placement_ends_order(const struct placement *a, const struct placement *b)
{
    if (a->ends_ms != b->ends_ms)
        return a->ends_ms < b->ends_ms ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE(placement_ends, placement, end_link, placement_ends_order)

static int64_t by_limit(const struct cluster *c, const struct placement *p)
{
    const struct job *j = p->job.v ? job_find(c, p->job) : NULL;
    if (!j || p->over || p->attempt != j->attempt)
        return INT64_MAX;
    if (!j->req.time_limit_ms)
        return j->req.reservation.v ? window_end_ms(c, p, &j->req) : INT64_MAX;
    int64_t ago = 0, end;
    if (j->started_at_ms && __builtin_sub_overflow(c->now.wall_ms, j->started_at_ms, &ago))
        ago = 0;
    if (ago < 0 || ago > c->now.wall_ms)
        ago = 0;
    if (__builtin_add_overflow(j->req.time_limit_ms, j->req.grace_ms, &end) ||
        __builtin_add_overflow(end, c->now.boot_ms - ago, &end))
        return INT64_MAX;
    return end;
}

// By its job's limit, from the start as far as it is known; when it is being killed, by its grace,
// from now on.
static int64_t expected(const struct cluster *c, const struct placement *p)
{
    const struct job *j = p->kill && !p->over ? job_find(c, p->job) : NULL;
    int64_t end = by_limit(c, p), killed;
    if (!j || __builtin_add_overflow(c->now.boot_ms, j->req.grace_ms, &killed))
        return end;
    return killed < end ? killed : end;
}

static void set(struct cluster *c, struct placement *p, int64_t ends_ms)
{
    if (p->ends_ms == ends_ms)
        return;
    RB_REMOVE(placement_ends, &c->ends, p);
    p->ends_ms = ends_ms;
    RB_INSERT(placement_ends, &c->ends, p);
    backfill_touch(c, p->node.v - 1);
}

void ends_add(struct cluster *c, struct placement *p)
{
    p->ends_ms = expected(c, p);
    RB_INSERT(placement_ends, &c->ends, p);
    backfill_touch(c, p->node.v - 1);
}

void ends_remove(struct cluster *c, struct placement *p)
{
    RB_REMOVE(placement_ends, &c->ends, p);
    backfill_touch(c, p->node.v - 1);
}

void ends_reckon(struct cluster *c, struct placement *p)
{
    set(c, p, expected(c, p));
}

void ends_within(struct cluster *c, struct placement *p, int64_t grace_ms)
{
    int64_t end;
    if (!__builtin_add_overflow(c->now.boot_ms, grace_ms, &end) && end < p->ends_ms)
        set(c, p, end);
}

bool ends_by(const struct cluster *c, const struct placement *p, int64_t at_ms)
{
    return p->supposed_gone || (p->ends_ms <= at_ms && p->ends_ms != INT64_MAX &&
                                p->ends_ms >= c->now.boot_ms - OVERDUE_MS);
}
