// How the queue is ordered and filled: configuration that operators set (INPUT_QUEUEING) and the
// tables keep.
//
// A job's priority is a sum of parts, each a weight times a factor (priority.h). The first
// `reservations` jobs that find too little room get room kept for them in the future; others fill
// in around it (backfill.h).
#pragma once

#include <stdint.h>

enum {
    WEIGHT_MAX = 1 << 30,
    RESERVATIONS_MAX = 10000,
    QUEUE_DEPTH_MAX = 10000000,
};

struct queueing {
    int64_t id;              // 1: there is one row
    int64_t weight_priority; // of the number that a submission names, times itself
    int64_t weight_age;
    int64_t weight_size;
    int64_t weight_nice;  // of its nice value, times itself, subtracted
    int64_t weight_queue; // of the priority of its queue, times itself
    int64_t weight_qos;   // of its QoS
    int64_t weight_fair_share;
    int64_t age_full_ms;  // a job that has waited so long is not made more urgent by waiting on
    int64_t reservations; // 0: strict order, nothing overtakes; 1: EASY; many: conservative
    int64_t depth;        // classes behind the first that waits which a pass looks at
};

// By default a higher number goes first, of queues, QoS and submissions, and among equals the one
// that has waited longest; all of age is worth less than one of priority.
#define QUEUEING_DEFAULT                                                                     \
    (struct queueing)                                                                        \
    {                                                                                        \
        .id = 1, .weight_priority = 1 << 20, .weight_age = (1 << 20) - 64, .weight_size = 0, \
        .weight_nice = 1 << 10, .weight_queue = 1 << 20, .weight_qos = 1 << 20,              \
        .age_full_ms = INT64_C(7) * 86400 * 1000, .reservations = 1, .depth = 2000           \
    }

// name, kind, member
#define QUEUEING_COLUMNS(X)                      \
    X(id, I64, id)                               \
    X(weight_priority, I64, weight_priority)     \
    X(weight_age, I64, weight_age)               \
    X(weight_size, I64, weight_size)             \
    X(weight_nice, I64, weight_nice)             \
    X(weight_queue, I64, weight_queue)           \
    X(weight_qos, I64, weight_qos)               \
    X(weight_fair_share, I64, weight_fair_share) \
    X(age_full_ms, I64, age_full_ms)             \
    X(reservations, I64, reservations)           \
    X(depth, I64, depth)
