#include "schedctl/rule_order.h"

const struct verb verb_user_list = {
    .name = "user list",
    .usage = "",
    .summary = "list users in accounts with what is used of them",
    .examples = {{"user list", "All of them."}, {"user list -o json", "For a script."}},
    .run = run_rule_list,
};

const struct verb verb_user_show = {
    .name = "user show",
    .usage = "NAME[/ACCOUNT]",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "everything about a user in an account",
    .examples = {{"user show ann/physics", "Its settings, and what is used."}},
    .run = run_rule_show,
};

const struct verb verb_user_create = {
    .name = "user create",
    .usage = "NAME [KEY=VALUE...]",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "make a user in an account",
    .text = "A user may be in several accounts; each is a row of its own. Settings: account "
            "(default), uid (that of the name), shares, is_default (the account of jobs that "
            "name none), and limits as of an account. \"none\" takes a limit away.",
    .examples = {{"user create ann account=physics is_default=true", "A new one."}},
    .run = run_rule_create,
};

const struct verb verb_user_set = {
    .name = "user set",
    .usage = "NAME[/ACCOUNT] KEY=VALUE...",
    .operands_min = 2,
    .operands_max = -1,
    .summary = "change a user in an account",
    .text = "The keys are those of `schedctl user create --help`. What is not named stays.",
    .examples = {{"user set ann account=physics shares=3 max_gpus=4", "Two settings."}},
    .run = run_rule_set,
};

const struct verb verb_user_remove = {
    .name = "user remove",
    .usage = "NAME [account=ACCOUNT]",
    .operands_min = 1,
    .operands_max = 2,
    .summary = "remove a user in an account; refused while it is in use",
    .examples = {{"user remove ann/physics", "Gone."}},
    .run = run_rule_remove,
};
