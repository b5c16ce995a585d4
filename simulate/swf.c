// The Standard Workload Format of the Parallel Workloads Archive, version 2.2: 18 numbers a line,
// -1 for what is unknown; comments and header fields begin with ";".
// https://www.cs.huji.ac.il/labs/parallel/workload/swf.html
#include "simulate/formats.h"

#include "scheduler/core/job.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SWF_JOB,
    SWF_SUBMIT,
    SWF_WAIT,
    SWF_RUN,
    SWF_PROCS,
    SWF_CPU_TIME,
    SWF_MEMORY,
    SWF_PROCS_REQUESTED,
    SWF_TIME_REQUESTED,
    SWF_MEMORY_REQUESTED,
    SWF_STATUS,
    SWF_USER,
    SWF_GROUP,
    SWF_PROGRAM,
    SWF_QUEUE,
    SWF_PARTITION,
    SWF_BEFORE,
    SWF_THINK,
    SWF_COLUMNS
};

static const char *const WORDS[SWF_COLUMNS] = {
    "job number", "submit time",      "wait time",  "run time",     "processors",    "CPU time",
    "memory",     "processors asked", "time asked", "memory asked", "status",        "user",
    "group",      "program",          "queue",      "partition",    "preceding job", "think time",
};

static const int64_t YEARS_MS = INT64_C(1000) * 366 * 86400 * 1000; // a thousand

static bool swf_knows(const char *line, size_t len)
{
    int64_t v;
    size_t count = 0;
    if (line[strspn(line, " \t")] == ';')
        return true;
    for (const char *p = line; p < line + len; count++) {
        p += strspn(p, " \t");
        size_t n = strcspn(p, " \t");
        if (!n)
            break;
        if (!parse_milli(p, n, &v))
            return false;
        p += n;
    }
    return count == SWF_COLUMNS;
}

static void take_header(struct reader *r, const char *line)
{
    static const struct {
        const char *key;
        size_t at;
    } keys[] = {{"MaxProcs:", offsetof(struct trace, max_procs)},
                {"MaxNodes:", offsetof(struct trace, max_nodes)},
                {"UnixStartTime:", offsetof(struct trace, start_s)}};
    line += strspn(line, "; \t");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        size_t len = strlen(keys[i].key);
        if (strncasecmp(line, keys[i].key, len))
            continue;
        const char *value = line + len + strspn(line + len, " \t");
        int64_t v;
        if (parse_milli(value, strcspn(value, " \t("), &v) && v >= 0)
            *(int64_t *)((char *)r->trace + keys[i].at) = v / 1000;
    }
}

// All 18 in thousandths. False: complained.
static bool take_numbers(struct reader *r, const char *line, int64_t *v)
{
    const char *p = line;
    for (size_t i = 0; i < SWF_COLUMNS; i++) {
        p += strspn(p, " \t");
        size_t n = strcspn(p, " \t");
        if (!n) {
            reader_complain(r, 0, "%zu of 18 numbers", i);
            return false;
        }
        if (!parse_milli(p, n, &v[i])) {
            reader_complain(r, p - line + 1, "the %s \"%.*s\" is no number", WORDS[i],
                            (int)(n < 40 ? n : 40), p);
            return false;
        }
        p += n;
    }
    return true;
}

static int32_t take_name(struct reader *r, const char *prefix, int64_t milli)
{
    char name[32];
    if (milli < 0)
        return 0;
    snprintf(name, sizeof name, "%s%" PRId64, prefix, milli / 1000);
    return intern(&r->trace->names, name);
}

static void swf_line(struct reader *r, char *line, size_t len)
{
    int64_t v[SWF_COLUMNS];
    if (strlen(line) != len) {
        reader_complain(r, (int64_t)strlen(line) + 1, "a NUL byte");
        return;
    }
    if (line[strspn(line, " \t")] == ';') {
        take_header(r, line);
        return;
    }
    if (!take_numbers(r, line, v))
        return;
    int64_t procs = (v[SWF_PROCS] > 0 ? v[SWF_PROCS] : v[SWF_PROCS_REQUESTED]) / 1000;
    if (v[SWF_RUN] < 0 || procs < 1) {
        r->trace->never_ran++;
        return;
    }
    if (v[SWF_SUBMIT] < 0 || v[SWF_SUBMIT] > YEARS_MS || v[SWF_RUN] > YEARS_MS ||
        procs > JOB_TASKS_MAX) {
        reader_complain(r, 0, "its submit time, run time or processors are out of range");
        return;
    }
    struct trace_job job = {
        .number = v[SWF_JOB] / 1000,
        .submit_ms = v[SWF_SUBMIT],
        .run_ms = v[SWF_RUN],
        .limit_ms = v[SWF_TIME_REQUESTED] > 0 && v[SWF_TIME_REQUESTED] <= YEARS_MS
                        ? v[SWF_TIME_REQUESTED]
                        : 0,
        .tasks = (int32_t)procs,
        .cpu_milli = 1000,
        .user = take_name(r, "user", v[SWF_USER]),
        .account = take_name(r, "group", v[SWF_GROUP]),
        .queue = take_name(r, "queue", v[SWF_QUEUE]),
    };
    // Kilobytes a processor.
    if (v[SWF_MEMORY_REQUESTED] > 0)
        job.memory_mib = (v[SWF_MEMORY_REQUESTED] / 1000 + 1023) / 1024;
    reader_job(r, &job);
}

const struct format format_swf = {
    .name = "swf",
    .what = "Standard Workload Format (18 numbers)",
    .knows = swf_knows,
    .line = swf_line,
};
