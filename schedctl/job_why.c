#include "common/alloc.h"
#include "schedctl/ctl.h"
#include "schedctl/jobname.h"
#include "schedctl/present.h"
#include "schedctl/table.h"

#include <inttypes.h>
#include <stdio.h>

static void print(const char *name, const json_t *why)
{
    AUTO(text) struct text t = {0};
    const json_t *reason = json_object_get(why, "reason");
    int64_t ahead = get_int(why, "ahead");
    text_addf(&t, "job %s is %s", name, get_str(why, "state"));
    if (*reason_of(why)) {
        text_add(&t, ": ");
        text_add_clean(&t, reason_of(why));
    }
    printf("%s\n", text_str(&t));
    if (ahead > 0)
        printf("%" PRId64 " pending job%s before it\n", ahead, ahead == 1 ? " is" : "s are");
    int64_t starts_at = get_int(why, "starts_at");
    if (starts_at > 0) {
        AUTO(text) struct text at = {0};
        add_full_time(&at, starts_at);
        printf("starts at the latest at %s, as long as running jobs keep their limits\n",
               text_str(&at));
    }
    if (*get_str(reason, "hint"))
        printf("%s\n", get_str(reason, "hint"));
}

static int run_job_why(struct ctl *ctl)
{
    struct err err;
    json_t *why = NULL;
    const char *name = ctl->args.operands[0];
    if (job_name_check(name, &err) || ctl_connect(ctl, &err))
        return report(&err);
    AUTO_FREE char *path = job_path(name, "/why");
    if (client_get(ctl->client, path, &why, &err))
        return report(&err);
    if (ctl->json)
        ctl_print_json(why);
    else
        print(name, why);
    json_decref(why);
    return CTL_OK;
}

const struct verb verb_job_why = {
    .name = "job why",
    .usage = "JOB",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "why a job waits, or why it ended",
    .examples = {{"job why 17", "The scheduler's reason, and what can be done about it."}},
    .run = run_job_why,
};
