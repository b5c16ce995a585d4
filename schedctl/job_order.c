// cancel, hold and release: one order to each job that is named.
#include "common/alloc.h"
#include "schedctl/ctl.h"
#include "schedctl/jobname.h"

static int order(struct ctl *ctl, const char *what)
{
    struct err err;
    const struct args *a = &ctl->args;
    int worst = CTL_OK;
    for (size_t i = 0; i < a->operands_count; i++)
        if (job_name_check(a->operands[i], &err))
            return report(&err);
    if (ctl_connect(ctl, &err))
        return report(&err);
    for (size_t i = 0; i < a->operands_count; i++) {
        AUTO_FREE char *path = job_path(a->operands[i], what);
        if (client_post(ctl->client, path, NULL, NULL, &err)) {
            if (a->operands_count > 1)
                worst = complain(exit_of(err.code), "job %s: %s", a->operands[i], err.message);
            else
                worst = report(&err);
        }
    }
    return worst;
}

static int run_cancel(struct ctl *ctl)
{
    return order(ctl, "/cancel");
}

static int run_hold(struct ctl *ctl)
{
    return order(ctl, "/hold");
}

static int run_release(struct ctl *ctl)
{
    return order(ctl, "/release");
}

const struct verb verb_job_cancel = {
    .name = "job cancel",
    .usage = "JOB...",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "end jobs",
    .text = "Returns when the wish is recorded; `schedctl job wait` waits for the end. Tasks get "
            "SIGTERM, and SIGKILL after the grace time. Prints nothing.",
    .examples = {{"job cancel 17 18", "Two jobs."},
                 {"job cancel 17_3", "One element of an array."}},
    .run = run_cancel,
};

const struct verb verb_job_hold = {
    .name = "job hold",
    .usage = "JOB...",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "keep pending jobs from starting",
    .examples = {{"job hold 17", "It waits until `schedctl job release 17`."}},
    .run = run_hold,
};

const struct verb verb_job_release = {
    .name = "job release",
    .usage = "JOB...",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "let held jobs start",
    .examples = {{"job release 17", "It takes its turn in the queue again."}},
    .run = run_release,
};
