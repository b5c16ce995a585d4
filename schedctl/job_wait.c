#include "common/alloc.h"
#include "common/clock.h"
#include "common/units.h"
#include "schedctl/ctl.h"
#include "schedctl/jobname.h"
#include "schedctl/present.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// One request asks to wait this long; the connection of a dead scheduler is noticed then.
// The answer to the last one may come a second after the deadline, and is given LAST_ANSWER_MS.
enum { WAIT_ROUND_S = 30, WAIT_PATIENCE_MS = 60000, LAST_ANSWER_MS = 1500 };

// The job when it has ended; E_TIMEOUT at the deadline (boot clock; INT64_MAX: never).
static int wait_for(struct ctl *ctl, const char *name, int64_t deadline_ms, json_t **ret,
                    struct err *err)
{
    for (;;) {
        json_t *job = NULL;
        int64_t left = deadline_ms - clock_boot_ms();
        int64_t round = left <= 0 ? 0 : left / 1000 + 1;
        AUTO_FREE char *rest =
            xasprintf("?wait=%" PRId64, round < WAIT_ROUND_S ? round : WAIT_ROUND_S);
        AUTO_FREE char *path = job_path(name, rest);
        int rc = client_get(ctl->client, path, &job, err);
        if (rc)
            return rc;
        if (state_ended(get_str(job, "state"))) {
            *ret = job;
            return 0;
        }
        AUTO_FREE char *state = xstrdup(get_str(job, "state"));
        json_decref(job);
        if (left <= 0)
            return fail(err, E_TIMEOUT, "job %s is still %s. `schedctl job why %s` tells more.",
                        name, state, name);
    }
}

static int wait_and_tell(struct ctl *ctl, const char *name, int64_t deadline_ms)
{
    struct err err;
    json_t *job = NULL;
    int code = CTL_OK;
    if (wait_for(ctl, name, deadline_ms, &job, &err))
        return report(&err);
    if (strcmp(get_str(job, "state"), "completed")) {
        code = CTL_FAILED;
        printf("job %s %s%s%s\n", name, get_str(job, "state"), *reason_of(job) ? ": " : "",
               reason_of(job));
    }
    json_decref(job);
    return code;
}

static int run_job_wait(struct ctl *ctl)
{
    struct err err;
    const struct args *a = &ctl->args;
    const char *timeout = args_value(a, "timeout");
    int64_t deadline = INT64_MAX, ms;
    int worst = CTL_OK;
    for (size_t i = 0; i < a->operands_count; i++)
        if (job_name_check(a->operands[i], &err))
            return report(&err);
    if (timeout && parse_duration_ms(timeout, "option --timeout", &ms, &err))
        return report(&err);
    if (timeout)
        deadline = clock_boot_ms() + ms;
    if (ctl_connect(ctl, &err))
        return report(&err);
    client_patience(ctl->client, WAIT_PATIENCE_MS);
    if (timeout)
        client_deadline(ctl->client, deadline + LAST_ANSWER_MS);
    for (size_t i = 0; i < a->operands_count; i++) {
        int code = wait_and_tell(ctl, a->operands[i], deadline);
        if (code > worst)
            worst = code;
        if (code == CTL_NO_SCHEDULER)
            break;
    }
    return worst;
}

static const struct opt OPTIONS[] = {
    {0, "timeout", "TIME", "give up after this time, with exit code 6 (never)"},
};

const struct verb verb_job_wait = {
    .name = "job wait",
    .usage = "JOB... [--timeout TIME]",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "wait until jobs have ended",
    .text = "Exit code 0 and no output if all completed; 1 and a line for each job that did not. A "
            "restart of the scheduler is waited for.",
    .options = {{OPTIONS, COUNT(OPTIONS)}},
    .examples = {{"job wait 17 18", "Both."},
                 {"job wait 17 --timeout 10m", "Exit code 6 if it lives on after ten minutes."}},
    .run = run_job_wait,
};
