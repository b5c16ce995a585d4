#include "schedctl/ctl.h"

#include <stdio.h>

static int run_version(struct ctl *ctl)
{
    if (ctl->json)
        printf("{\n  \"version\": \"%s\"\n}\n", MUSTER_VERSION);
    else
        printf("schedctl %s\n", MUSTER_VERSION);
    return CTL_OK;
}

const struct verb verb_version = {
    .name = "version",
    .usage = "",
    .summary = "print the version of this program",
    .text = "The scheduler's own version is shown by `schedctl cluster status`.",
    .examples = {{"version", "Of schedctl; `schedctl --version` is the same."}},
    .run = run_version,
};
