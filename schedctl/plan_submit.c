#include "schedctl/plan.h"
#include "schedctl/request.h"

static int run_plan_submit(struct ctl *ctl)
{
    struct err err;
    json_t *request = NULL;
    if (request_build(&ctl->args, &request, &err))
        return report(&err);
    return plan_run(ctl, json_pack("[{s:o}]", "submit", request), true);
}

const struct verb verb_plan_submit = {
    .name = "plan submit",
    .usage = "[OPTIONS] -- PROGRAM [ARGUMENTS]\nFILE [OPTIONS]",
    .operands_max = 1,
    .program = true,
    .summary = "when a job would start, and whom it would delay",
    .text = "Takes what `submit` takes, and submits nothing. The scheduler runs itself ahead on a "
            "copy of its state, with the job and without it.",
    .options = {{request_options, REQUEST_OPTIONS_COUNT}, {plan_options, PLAN_OPTIONS_COUNT}},
    .examples = {{"plan submit -n 4 -t 1h -- ./train", "Would it start, and when?"}},
    .run = run_plan_submit,
};
