#include "schedctl/rule_order.h"

const struct verb verb_cluster_settings = {
    .name = "cluster settings",
    .usage = "",
    .summary = "the settings of the whole cluster",
    .examples = {{"cluster settings", "All of them."}},
    .run = run_settings_show,
};

const struct verb verb_cluster_set = {
    .name = "cluster set",
    .usage = "KEY=VALUE...",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "change settings of the whole cluster",
    .text =
        "Settings: enforce_accounts (refuse users without an account), half_life (of usage), "
        "usage_period (usage begins anew), core_weight, gpu_weight and memory_weight (of a GiB; "
        "in usage, for fair share).",
    .examples = {{"cluster set half_life=7d enforce_accounts=true", "Two settings."}},
    .run = run_settings_set,
};
