#include "schedctl/ctl.h"

static int run_recover(struct ctl *ctl)
{
    struct err err;
    if (!args_has(&ctl->args, "accept"))
        return complain(CTL_USAGE, "recover needs --accept: it says that this database is the one "
                                   "to go on with");
    if (ctl_connect(ctl, &err) || client_post(ctl->client, "/v1/cluster/recover", NULL, NULL, &err))
        return report(&err);
    return CTL_OK;
}

static const struct opt OPTIONS[] = {
    {0, "accept", NULL, "go on with the database as it is"},
};

const struct verb verb_recover = {
    .name = "recover",
    .usage = "--accept",
    .summary = "end the recovery hold after an old database was put back",
    .text = "A scheduler whose database is older than what its agents have seen starts nothing and "
            "ends nothing. Check the database first: what an older copy does not know is lost.",
    .options = {{OPTIONS, COUNT(OPTIONS)}},
    .examples = {{"recover --accept", "Launches go on, with numbers above all that was seen."}},
    .run = run_recover,
};
