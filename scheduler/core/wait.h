// Why jobs wait. The reason belongs to a class: pending jobs that the scheduler cannot tell apart
// but by their age (class.h). A job's row names its class; the class's row has the reason. A class
// without a row waits for its turn; row 0 is the whole queue's, and holds for every job in it
// (there is no node to run anything).
#pragma once

#include "common/ids.h"
#include "common/reason.h"

#include <stdint.h>

struct wait {
    struct class_id id; // 0: the whole queue
    struct reason reason;
    int64_t since_ms;  // wall clock: when the reason's code became this one
    int64_t starts_ms; // wall clock: when its first job starts at the latest, as long as running
                       // jobs keep their limits; 0: not known
};

// name, kind (I64, REASON), member
#define WAIT_COLUMNS(X)                \
    X(id, I64, id.v)                   \
    X(reason, REASON, reason.code)     \
    X(reason_node, I64, reason.node.v) \
    X(reason_a, I64, reason.a)         \
    X(reason_b, I64, reason.b)         \
    X(reason_c, I64, reason.c)         \
    X(since_ms, I64, since_ms)         \
    X(starts_ms, I64, starts_ms)
