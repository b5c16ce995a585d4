// `sacct -P`: Slurm's accounting, fields between "|", the header names them. A job's cores become
// tasks of one core; one with GPUs becomes a task a GPU with its part of the cores. Job steps
// ("17.batch") are part of their job and passed over.
#include "simulate/formats.h"

#include "scheduler/core/job.h"

#include <stdlib.h>
#include <string.h>

enum {
    SACCT_JOB,
    SACCT_SUBMIT,
    SACCT_START,
    SACCT_END,
    SACCT_ELAPSED,
    SACCT_ELAPSED_RAW,
    SACCT_LIMIT,
    SACCT_LIMIT_RAW,
    SACCT_CPUS,
    SACCT_REQ_TRES,
    SACCT_ALLOC_TRES,
    SACCT_STATE,
    SACCT_USER,
    SACCT_ACCOUNT,
    SACCT_PARTITION,
};
static const struct column COLUMNS[] = {
    {"JobID|JobIDRaw", true}, {"Submit", true},        {"Start", false},
    {"End", false},           {"Elapsed", false},      {"ElapsedRaw", false},
    {"Timelimit", false},     {"TimelimitRaw", false}, {"AllocCPUS|NCPUS|ReqCPUS", false},
    {"ReqTRES", false},       {"AllocTRES", false},    {"State", false},
    {"User", false},          {"Account", false},      {"Partition", false},
};

// "gres/gpu" of "cpu=8,gres/gpu=2,mem=32G": its text, NULL if it is not in the list.
static const char *tres(const char *list, const char *key)
{
    size_t len = strlen(key);
    for (const char *p = list; *p; p += *p == ',') {
        if (strncmp(p, key, len) == 0 && p[len] == '=')
            return p + len + 1;
        p += strcspn(p, ",");
    }
    return NULL;
}

static const char *job_tres(const struct reader *r, const char *key)
{
    const char *v = tres(reader_text(r, SACCT_ALLOC_TRES), key);
    return v ? v : tres(reader_text(r, SACCT_REQ_TRES), key);
}

static int64_t tres_count(const struct reader *r, const char *key)
{
    const char *s = job_tres(r, key);
    int64_t v;
    return s && parse_milli(s, strcspn(s, ","), &v) && v > 0 ? v / 1000 : 0;
}

// "32G", "1.5T", "4000M", "512000K"; 0: unknown.
static int64_t memory_mib(const struct reader *r)
{
    static const char units[] = "KMGT";
    const char *s = job_tres(r, "mem");
    int64_t v;
    size_t n = s ? strspn(s, "0123456789.") : 0;
    const char *unit = n && s[n] ? strchr(units, s[n]) : NULL;
    static const int64_t kib[] = {1, 1 << 10, 1 << 20, 1 << 30};
    if (!n || !parse_milli(s, n, &v) || !unit || v > INT64_MAX / kib[unit - units])
        return 0;
    return (v * kib[unit - units] / 1000 + 1023) / 1024;
}

// False: complained.
static bool run_time(struct reader *r, int64_t *ret_ms)
{
    const char *elapsed = reader_text(r, SACCT_ELAPSED);
    int64_t start_s, end_s;
    *ret_ms = -1;
    if (*reader_text(r, SACCT_ELAPSED_RAW))
        return reader_milli(r, SACCT_ELAPSED_RAW, "ElapsedRaw", 0, INT64_C(10) << 40, -1, ret_ms);
    if (*elapsed) {
        if (parse_elapsed(elapsed, ret_ms))
            return true;
        reader_complain(r, reader_place(r, SACCT_ELAPSED),
                        "Elapsed \"%.40s\" is not like 1-02:03:04", elapsed);
        return false;
    }
    if (parse_timestamp(reader_text(r, SACCT_START), &start_s) &&
        parse_timestamp(reader_text(r, SACCT_END), &end_s) && end_s >= start_s)
        *ret_ms = (end_s - start_s) * 1000;
    return true;
}

// 0: none, or words such as UNLIMITED.
static int64_t limit(struct reader *r)
{
    int64_t ms;
    const char *minutes = reader_text(r, SACCT_LIMIT_RAW);
    if (parse_elapsed(reader_text(r, SACCT_LIMIT), &ms))
        return ms;
    if (parse_milli(minutes, strlen(minutes), &ms) && ms > 0)
        return ms * 60;
    return 0;
}

static bool ran(const struct reader *r, int64_t run_ms, int64_t cpus)
{
    const char *start = reader_text(r, SACCT_START);
    return run_ms >= 0 && cpus > 0 && strcmp(start, "Unknown") != 0 && strcmp(start, "None") != 0 &&
           strncmp(reader_text(r, SACCT_STATE), "PENDING", 7) != 0;
}

static void sacct_row(struct reader *r)
{
    int64_t at_s, run_ms, cpus;
    const char *at = reader_text(r, SACCT_SUBMIT), *id = reader_text(r, SACCT_JOB);
    if (strchr(id, '.'))
        return;
    if (!parse_timestamp(at, &at_s)) {
        reader_complain(r, reader_place(r, SACCT_SUBMIT),
                        "the time \"%.40s\" is not like 2024-01-31T09:15:00", at);
        return;
    }
    if (!run_time(r, &run_ms) ||
        !reader_int(r, SACCT_CPUS, "the number of CPUs", 0, JOB_TASKS_MAX, 0, &cpus))
        return;
    if (!cpus)
        cpus = tres_count(r, "cpu");
    if (!ran(r, run_ms, cpus)) {
        r->trace->never_ran++;
        return;
    }
    int64_t gpus = tres_count(r, "gres/gpu"), tasks = gpus ? gpus : cpus;
    if (tasks > JOB_TASKS_MAX || (cpus * 1000 + tasks - 1) / tasks > 1024000) {
        reader_complain(r, 0, "it has more CPUs or GPUs than a job may have");
        return;
    }
    struct trace_job job = {
        .name = reader_name(r, id),
        .submit_ms = at_s * 1000,
        .run_ms = run_ms,
        .limit_ms = limit(r),
        .memory_mib = (memory_mib(r) + tasks - 1) / tasks,
        .tasks = (int32_t)tasks,
        .cpu_milli = (int32_t)((cpus * 1000 + tasks - 1) / tasks),
        .gpus = gpus ? 1 : 0,
        .user = intern(&r->trace->names, reader_text(r, SACCT_USER)),
        .account = intern(&r->trace->names, reader_text(r, SACCT_ACCOUNT)),
        .queue = intern(&r->trace->names, reader_text(r, SACCT_PARTITION)),
    };
    reader_job(r, &job);
}

const struct format format_sacct = {
    .name = "sacct",
    .what = "a `sacct -P` dump",
    .delimiter = '|',
    .columns = COLUMNS,
    .columns_count = sizeof COLUMNS / sizeof *COLUMNS,
    .row = sacct_row,
};
