// What is promised to jobs that wait, node by node, and the search for it. Private to backfill.c
// and promise.c.
#pragma once

#include "scheduler/core/backfill.h"
#include "scheduler/core/state.h"

// The part of a reservation on one node, and what it promises there.
struct share {
    struct kept kept; // first: c->kept points to it
    struct reservation *of;
    size_t node;
    int32_t tasks;
    bool enough; // there is room for it then
    uint16_t gpu_milli[NODE_GPUS_MAX];
};

struct reservation {
    struct job *job;
    int64_t from_ms;  // INT64_MAX: not known
    int64_t until_ms; // INT64_MAX: it has no limit
    int64_t starts_wall_ms;
    uint64_t mark;       // placements from this id on came after it
    uint64_t planned_at; // growth then
    int64_t planned_ms;
    uint64_t number;     // rising
    int64_t again_at_ms; // not planned anew before
    bool hidden;
    bool late; // its time has come without room: hidden until it is planned anew
    bool owed; // others are stopped for it, who may take a little longer than their grace
    uint64_t
        outranked_at; // grown_end() + usable_gen when it had the promises of others dropped last
    size_t count;
    struct share *shares;
};

static inline struct share *promise_first(const struct cluster *c, size_t node)
{
    return (struct share *)c->kept[node];
}

static inline struct share *promise_next(const struct share *s)
{
    return (struct share *)s->kept.next;
}

static inline bool promise_unknown(const struct reservation *r)
{
    return r->from_ms == INT64_MAX;
}

// From now on its promises bind others, or no longer.
void promise_show(struct cluster *c, struct reservation *r);
void promise_hide(struct cluster *c, struct reservation *r);
// The earliest that the job may be promised, hidden; NULL: nothing. The caller owns it; *cost grows
// by the nodes and placements looked at.
struct reservation *promise_search(struct cluster *c, struct job *j, int64_t *cost);
