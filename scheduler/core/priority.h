// Priority: which pending job is considered first. A number for each job, the sum of parts; the
// greater goes first, and of equals the one that was submitted first.
//
//     part = weight * factor, a factor in 1/2^20 between -1 and 1, rounded towards zero
//     priority  weight * the submission's number
//     age       time waited / age_full, at most 1; it is grown(now) - grown(submitted), each
//               grown(t) = weight * t / age_full rounded down: so all that wait gain the same
//     size      cores asked for / cores of the cluster, at most 1
//     nice      -weight * the submission's nice value
//     queue     weight * the queue's priority
//     qos       weight * the QoS's priority
//     fair_share  how little its user and accounts have used for their shares (rules.h)
//
// In a queue of another order (queue_rule.c) only age and queue count: of its jobs the one that was
// submitted first stands first, by any weights. By attained service (las.h) each level takes off
// more than all of age can give.
//
// All are 64-bit integers; weights are at most 2^30, so that no sum overflows. Age is reckoned up
// to a moment that is the same for all jobs and moves on once a minute: between, waiting changes no
// order, and nothing need be looked at. As it moves, the order changes only by jobs whose age is
// full, and they alone are ranked anew: ranks are kept less grown(moment).
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cluster;
struct job;

enum { PRIORITY_ONE = 1 << 20 };

// name (its weight is the setting weight_NAME), what is 1 of its factor, what it says
#define PRIORITY_FACTORS(X)                                      \
    X(priority, 1, "the number that the submission names")       \
    X(age, PRIORITY_ONE, "how long it has waited")               \
    X(size, PRIORITY_ONE, "how much of the cluster it asks for") \
    X(nice, 1, "what its owner gave away")                       \
    X(queue, 1, "the priority of its queue")                     \
    X(qos, 1, "the priority of its QoS")                         \
    X(fair_share, PRIORITY_ONE, "how little was used for its share")

struct priority_parts {
#define X(name, one, doc) int64_t name;
    PRIORITY_FACTORS(X)
#undef X
    int64_t level; // how much it has had already: its level times a weight of its own
    int64_t total; // exactly their sum
};

// A part with what it is made of: part = weight * factor / one, rounded towards zero; that of age
// up or down.
struct priority_factor {
    const char *name, *doc;
    int64_t weight, factor, one, part;
};
#define X(name, one, doc) +1
enum { PRIORITY_PARTS_COUNT = 1 PRIORITY_FACTORS(X) };
#undef X

// Of a job that waits, as of now.
void cluster_priority(const struct cluster *c, const struct job *j, struct priority_parts *ret);
// As of the moment up to which ages are reckoned, so as the queue is ordered now. Returns the sum
// of the parts.
int64_t cluster_factors(const struct cluster *c, const struct job *j,
                        struct priority_factor ret[PRIORITY_PARTS_COUNT]);
// Its place among the jobs, and elements of arrays, that wait for their turn: so many go before it,
// out of so many with it. False: it is not among them (held, or it may not start yet).
bool cluster_position(const struct cluster *c, const struct job *j, int64_t *ret_ahead,
                      int64_t *ret_all);
