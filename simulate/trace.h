// A workload as it was recorded: jobs with the time of their submission and how long they ran.
//
// Read from Standard Workload Format, openb pod lists, Philly and Pollux CSVs and `sacct -P`
// dumps, plain or gzip'ed, told apart by their content. A line that cannot be read is left out,
// counted and, if it is among the first, described. Bounds: LINE_BYTES_MAX a line, FIELDS_MAX
// fields, TRACE_JOBS_MAX jobs, JOB_TASKS_MAX tasks a job.
//
//     AUTO(trace) struct trace t = {0};
//     if (trace_read("NASA.swf.gz", &t, &err))
//         return report(&err);
#pragma once

#include "common/arena.h"
#include "common/err.h"
#include "simulate/complaints.h"
#include "simulate/interned.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRACE_JOBS_MAX = 10000000 };

struct trace_job {
    int64_t number;     // the trace's own, else counted from 1
    const char *name;   // lives as long as the trace; NULL: it has only a number
    int64_t submit_ms;  // from the trace's first submission
    int64_t run_ms;     // how long its tasks run; -1: unknown
    int64_t limit_ms;   // as requested; 0: unknown or none
    int64_t memory_mib; // a task; 0: unknown
    int32_t tasks;
    int32_t nodes;                        // exactly so many; 0: spread freely
    int32_t cpu_milli;                    // a task, thousandths of a core
    int32_t gpus;                         // a task, whole ones
    int32_t gpu_milli;                    // a task, thousandths of one; 0: whole ones
    int32_t user, account, queue, models; // names; 0: none
};

struct trace {
    const char *format; // "swf", ... ; static
    struct trace_job *jobs;
    size_t count, cap;            // ordered by submission, then as read
    bool timed;                   // submissions and run times are known
    int64_t start_s;              // of the first submission, seconds since 1970; 0: unknown
    int64_t max_procs, max_nodes; // the header's; 0: unknown
    size_t never_ran;             // jobs left out because nothing of them ever ran
    const char *assumption;       // what was assumed, a sentence; NULL: nothing
    struct complaints bad;        // lines that could not be read
    struct interned names;
    struct arena arena;
};

// E_NOT_FOUND, E_CORRUPT (damaged gzip), E_INVALID (no known format, no job in it), E_TOO_LARGE.
// *ret is a zeroed trace; what was read before a failure may be in it.
int trace_read(const char *path, struct trace *ret, struct err *err);
int trace_parse(const char *name, const void *bytes, size_t size, struct trace *ret,
                struct err *err);
void trace_free(struct trace *t);
