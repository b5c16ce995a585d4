// Columns of the tables that only the store knows, as JOB_COLUMNS and the like in the core's
// headers: name, kind, member. Further kind: OPT, an integer whose negative values mean "unknown"
// and are stored as NULL.
#pragma once

#define TASK_COLUMNS(X)                         \
    X(job, I64, job.v)                          \
    X(attempt, I64, attempt)                    \
    X(rank, I64, result.rank)                   \
    X(node, I64, node.v)                        \
    X(exit_code, I64, result.exit_code)         \
    X(signal, I64, result.signal)               \
    X(user_ms, OPT, result.user_ms)             \
    X(system_ms, OPT, result.system_ms)         \
    X(peak_kib, OPT, result.peak_kib)           \
    X(started_at_ms, OPT, result.started_at_ms) \
    X(ended_at_ms, OPT, result.ended_at_ms)

#define EVENT_COLUMNS(X)           \
    X(id, I64, id)                 \
    X(kind, STATE, kind)           \
    X(at_ms, I64, at_ms)           \
    X(job, I64, job.v)             \
    X(attempt, I64, attempt)       \
    X(class, I64, class_id.v)      \
    X(node, I64, node.v)           \
    X(cores, CORES, cores)         \
    X(gpus, I64, gpus)             \
    X(memory_mib, I64, memory_mib) \
    X(text, TEXT, text)
