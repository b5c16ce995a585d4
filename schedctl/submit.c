#include "schedctl/submit.h"

#include "schedctl/present.h"
#include "schedctl/request.h"

#include <inttypes.h>
#include <stdio.h>

enum { SUBMIT_PATIENCE_MS = 10000 };

int submit_request(struct ctl *ctl, const json_t *request, json_t **ret, struct err *err)
{
    client_patience(ctl->client, SUBMIT_PATIENCE_MS);
    int rc = client_post(ctl->client, "/v1/jobs", request, ret, err);
    client_patience(ctl->client, 0);
    return rc;
}

static int run_submit(struct ctl *ctl)
{
    struct err err;
    json_t *request = NULL, *answer = NULL;
    int rc = request_build(&ctl->args, &request, &err);
    if (!rc)
        rc = ctl_connect(ctl, &err);
    if (!rc)
        rc = submit_request(ctl, request, &answer, &err);
    if (!rc && ctl->json)
        ctl_print_json(answer);
    else if (!rc)
        printf("%" PRId64 "\n", get_int(answer, "id"));
    json_decref(request);
    json_decref(answer);
    return rc ? (int)report(&err) : CTL_OK;
}

const struct verb verb_submit = {
    .name = "submit",
    .usage = "[OPTIONS] -- PROGRAM [ARGUMENTS]\nFILE [OPTIONS]",
    .operands_max = 1,
    .program = true,
    .summary = "submit a job and print its id",
    .text = "FILE is a YAML job file (\"-\": standard input); its keys are named as the options, "
            "with \"_\" for \"-\", and argv or script for the program. Options override the file. "
            "The job's environment is PATH as it is here, HOME, USER, LANG, and what --env names. "
            "When the connection breaks it is tried again for 10 s; the job is never made twice.",
    .options = {{request_options, REQUEST_OPTIONS_COUNT}},
    .examples = {{"submit -n 4 -t 1h -- ./train --steps 100", "Four tasks, started together."},
                 {"submit job.yaml --priority 10", "A job file; the option overrides it."},
                 {"submit --array 0-99 -- ./evaluate", "A hundred jobs under one id."},
                 {"submit --on-lost requeue:10m --max-attempts 3 -- ./train --resume",
                  "Started again elsewhere when its node is not heard of for ten minutes."}},
    .run = run_submit,
};
