// Priority: which pending job is considered first. A number for each job, the sum of parts; the
// greater goes first, and of equals the one that was submitted first.
//
//     part = weight * factor, a factor in 1/2^20 between -1 and 1, rounded towards zero
//     priority  weight * the submission's number
//     age       time waited / age_full, at most 1
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
// order, and nothing need be looked at.
#pragma once

#include <stdint.h>

struct cluster;
struct job;

// name, what it says
#define PRIORITY_PARTS(X)                              \
    X(priority, "what the submission asked for")       \
    X(age, "how long it has waited")                   \
    X(size, "how much of the cluster it asks for")     \
    X(nice, "what its owner gave away")                \
    X(queue, "the priority of its queue")              \
    X(qos, "the priority of its QoS")                  \
    X(fair_share, "how little was used for its share") \
    X(level, "how much it has had already")

struct priority_parts {
#define X(name, doc) int64_t name;
    PRIORITY_PARTS(X)
#undef X
    int64_t total; // exactly their sum
};

// Of a job that waits, as of now.
void cluster_priority(const struct cluster *c, const struct job *j, struct priority_parts *ret);
