// What stands against what operators have set: jobs that limits keep for ever, levels that hold
// more than their limit, jobs that may run on past the beginning of a reservation of their nodes.
//
// Costs a walk over jobs and limits: ask a copy.
#pragma once

#include "scheduler/core/cluster.h"

struct breach {
    const char *kind;  // "limit", "over", "reservation"
    int64_t of;        // id of the rule; 0: not of one
    int64_t sort;      // which limit of it
    struct job_id job; // 0: not of one job
    char *text;
};
struct breaches {
    struct breach *items; // owned, with their texts
    size_t count, cap;
};

// Appends.
void breaches_find(struct cluster *c, struct breaches *ret);
void breaches_free(struct breaches *b);
