#include "common/alloc.h"
#include "common/clock.h"
#include "common/units.h"
#include "schedctl/ctl.h"
#include "schedctl/follow.h"
#include "schedctl/interrupt.h"
#include "schedctl/jobname.h"
#include "schedctl/present.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LOGS_PATIENCE_MS = 60000, LOGS_PAUSE_MS = 500, LOGS_LOOK_MS = 500 };

static int choose(struct ctl *ctl, const json_t *job, struct follow *f, struct err *err)
{
    const struct args *a = &ctl->args;
    const char *task = args_value(a, "task"), *tail = args_value(a, "tail"),
               *attempt = args_value(a, "attempt");
    int64_t tasks = get_int(job, "tasks"), first = 0, count = 1;
    bool only_out = args_has(a, "stdout"), only_err = args_has(a, "stderr");
    f->tail = -1;
    if (json_is_object(json_object_get(job, "array")) && !strchr(f->job, '_'))
        return fail(err, E_INVALID,
                    "job %s is an array. Name one of its elements, as %s_%" PRId64 ".", f->job,
                    f->job, get_int(json_object_get(job, "array"), "first"));
    if (task && args_has(a, "all"))
        return fail(err, E_INVALID, "--task and --all exclude each other");
    if (task && parse_int(task, "option --task", 0, tasks > 0 ? tasks - 1 : 0, &first, err))
        return E_INVALID;
    if (tail && parse_int(tail, "option --tail", 1, INT64_MAX, &f->tail, err))
        return E_INVALID;
    if (attempt && parse_int(attempt, "option --attempt", 1, 1000000, &f->attempt, err))
        return E_INVALID;
    if (args_has(a, "all"))
        count = tasks > 0 ? tasks : 1;
    f->label = args_has(a, "label");
    follow_streams(f, first, count,
                   only_out == only_err ? FOLLOW_BOTH
                   : only_out           ? FOLLOW_STDOUT
                                        : FOLLOW_STDERR);
    return 0;
}

// What is there now: each stream until an answer brings nothing new.
static int print_once(struct follow *f, struct err *err)
{
    for (size_t i = 0; i < f->streams_count; i++) {
        struct follow one = *f;
        int64_t before;
        one.streams = &f->streams[i];
        one.streams_count = 1;
        do {
            before = one.streams->offset;
            one.streams->due_ms = 0;
            int rc = follow_pump(&one, err);
            if (rc)
                return rc;
        } while (!one.streams->ended && one.streams->offset > before &&
                 !one.streams->told_failure && one.streams->delay_ms == 0);
        if (one.streams->none)
            return fail(err, E_REFUSED,
                        "task %" PRId64 " has not started. `schedctl job why %s` tells more.",
                        one.streams->task, f->job);
        if (one.streams->line.len)
            printf("%s\n", text_str(&one.streams->line));
    }
    return 0;
}

// Whether another attempt has begun, and whether none will.
static int look(struct follow *f, bool pinned, struct err *err)
{
    json_t *job = NULL;
    AUTO_FREE char *path = job_path(f->job, "");
    int rc = client_get(f->client, path, &job, err);
    if (rc)
        return rc;
    int64_t attempt = get_int(job, "attempt");
    bool placed = strcmp(get_str(job, "state"), "pending") != 0;
    if (!pinned && placed && f->attempt && attempt > f->attempt)
        follow_attempt(f, attempt);
    if (!pinned && placed && !f->attempt)
        f->attempt = attempt;
    f->final = state_ended(get_str(job, "state"));
    json_decref(job);
    return 0;
}

static int follow_on(struct follow *f, struct err *err)
{
    bool pinned = f->attempt != 0;
    int fd = interrupt_catch();
    int64_t look_at = 0;
    int rc = 0;
    client_stop_when(f->client, &interrupt_count, 1);
    while (!rc && !interrupt_count && !(follow_ended(f) && (f->final || pinned))) {
        if (clock_boot_ms() >= look_at) {
            rc = look(f, pinned, err);
            look_at = clock_boot_ms() + LOGS_LOOK_MS;
        }
        if (!rc && (f->attempt || f->final))
            rc = follow_pump(f, err);
        if (!rc && !(follow_ended(f) && f->final))
            interrupt_pause(fd, follow_due_ms(f, LOGS_PAUSE_MS));
    }
    return interrupt_count ? 0 : rc;
}

static int run_logs(struct ctl *ctl)
{
    struct err err;
    json_t *job = NULL;
    const char *name = ctl->args.operands[0];
    if (job_name_check(name, &err) || ctl_connect(ctl, &err))
        return report(&err);
    AUTO_FREE char *path = job_path(name, "");
    if (client_get(ctl->client, path, &job, &err))
        return report(&err);
    struct follow f = {.client = ctl->client, .job = name};
    int rc = choose(ctl, job, &f, &err);
    if (!rc && args_has(&ctl->args, "follow")) {
        client_patience(ctl->client, LOGS_PATIENCE_MS);
        rc = follow_on(&f, &err);
    } else if (!rc) {
        rc = print_once(&f, &err);
    }
    follow_free(&f);
    json_decref(job);
    return rc ? (int)report(&err) : CTL_OK;
}

static const struct opt OPTIONS[] = {
    {'f', "follow", NULL, "go on until the tasks have ended"},
    {0, "task", "N", "the output of task N (0)"},
    {'a', "all", NULL, "the output of all tasks"},
    {'l', "label", NULL, "begin each line with \"[task] \""},
    {0, "stdout", NULL, "only what was written to stdout"},
    {0, "stderr", NULL, "only what was written to stderr"},
    {0, "tail", "BYTES", "only the last BYTES of each stream"},
    {0, "attempt", "N", "of attempt N (the newest)"},
};

const struct verb verb_logs = {
    .name = "logs",
    .usage = "JOB [OPTIONS]",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "the output of a job's tasks",
    .text = "The tasks' stdout goes to stdout and their stderr to stderr.",
    .options = {{OPTIONS, COUNT(OPTIONS)}},
    .examples = {{"logs 17", "Task 0 of job 17, up to now."},
                 {"logs 17 -f --all --label", "All tasks, as they write."},
                 {"logs 17 --stderr --tail 2000", "The last of the complaints."}},
    .run = run_logs,
};
