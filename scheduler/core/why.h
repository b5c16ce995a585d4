// Why a job waits, worked out from the cluster as it is: which conditions the nodes fail, who holds
// what is missing, and whether it would start now if it asked for something else.
//
// Costs a walk over nodes and placements, and cluster_suppose() changes the state: ask a copy.
#pragma once

#include "scheduler/core/cluster.h"

// One condition more than the row before it, and the nodes that meet all up to here.
struct why_row {
    const char *condition;
    int64_t nodes; // that meet them, for at least the tasks that a node must hold
    int64_t tasks; // which these nodes hold together, at most
    bool enough;   // for the job
};

// A job that holds what this one needs.
struct why_holder {
    const struct job *job; // NULL: an attempt that the database does not know
    int64_t nodes, cpu_milli, gpu_milli, memory_mib; // milli: thousandths of cores, of GPUs
    int64_t until_ms; // wall clock, by its time limit; 0: it has none
};

enum why_verdict {
    WHY_NOT_WAITING, // it runs or has ended
    WHY_HELD,
    WHY_NEVER,     // no set of the known nodes holds it, were they all empty and usable
    WHY_LIMITS,    // not under the present limits, or its queue starts nothing
    WHY_NOT_NOW,   // not on the nodes that are usable now
    WHY_RESOURCES, // what it needs is held by others
    WHY_RESERVED,  // it would fit but for reservations, or has to wait for its own
    WHY_TURN,      // it would fit: others are before it, or something but resources stops it
};

struct why {
    enum why_verdict verdict;
    const struct why_row *rows;
    size_t rows_count;
    const struct why_holder *holders; // the first to end before the others
    size_t holders_count;
    // If operators' settings keep it, whatever others do: which, and what it asks for; and the row
    // that would let it start now, with the member that differs, or NULL.
    const char *limit;
    const struct rule *lift;
    const struct rule_field *lift_field;
};

enum { WHY_HOLDERS_MAX = 16 };

const char *why_verdict_word(enum why_verdict v);
// The answer lives in the turn's memory, until the next cluster_turn_begin().
void cluster_why(struct cluster *c, struct now now, const struct job *j, struct why *ret);

// Would it be placed in the next pass if it were asked for like this? Changes the state beyond
// repair: ask a copy. `first`: before all others in the queue; `released`: not held.
struct supposition {
    struct request req;
    const char *need; // instead of its constraint, "" for none; NULL: that of req
    bool first, released;
};
// The job's constraint without its term, counted from 0; false: it has no such term.
bool why_without_term(const struct cluster *c, const struct request *r, int term, struct text *ret);
// "" if it has none.
const char *why_constraint(const struct cluster *c, const struct request *r);
bool cluster_suppose(struct cluster *c, struct now now, struct job_id id,
                     const struct supposition *s);
