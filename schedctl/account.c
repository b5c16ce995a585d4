#include "schedctl/rule_order.h"

const struct verb verb_account_list = {
    .name = "account list",
    .usage = "",
    .summary = "list accounts with what is used of them",
    .examples = {{"account list", "All of them."}, {"account list -o json", "For a script."}},
    .run = run_rule_list,
};

const struct verb verb_account_show = {
    .name = "account show",
    .usage = "NAME",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "everything about an account",
    .examples = {{"account show theory", "Its settings, and what is used."}},
    .run = run_rule_show,
};

const struct verb verb_account_create = {
    .name = "account create",
    .usage = "NAME [KEY=VALUE...]",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "make an account",
    .text = "Settings: parent (root), shares (beside those of the same parent), default_qos, "
            "qos (those that its jobs may name), description, and limits (max_running_jobs, "
            "max_submitted_jobs, max_cores, max_gpus, max_memory, max_gpu_hours, "
            "max_job_cores, max_job_gpus, max_job_nodes, max_job_time), which bound the "
            "account with all its parts. \"none\" takes a limit away.",
    .examples = {{"account create theory parent=physics shares=2", "A new one."}},
    .run = run_rule_create,
};

const struct verb verb_account_set = {
    .name = "account set",
    .usage = "NAME KEY=VALUE...",
    .operands_min = 2,
    .operands_max = -1,
    .summary = "change an account",
    .text = "The keys are those of `schedctl account create --help`. What is not named stays.",
    .examples = {{"account set theory max_gpus=16 qos=normal,low", "Two settings."}},
    .run = run_rule_set,
};

const struct verb verb_account_remove = {
    .name = "account remove",
    .usage = "NAME",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "remove an account; refused while it is in use",
    .examples = {{"account remove theory", "Gone."}},
    .run = run_rule_remove,
};
