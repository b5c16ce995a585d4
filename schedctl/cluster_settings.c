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
        "in usage, for fair share). "
        "Of a job's priority, a sum of weight times factor: weight_priority (the number of the "
        "submission), weight_age (time waited, full after age_full), weight_size (part of the "
        "cluster's cores), weight_nice, weight_queue, weight_qos, weight_fair_share. "
        "Of backfill: backfill_reservations (first jobs that wait whose start others must not "
        "delay; 0: nothing overtakes) and backfill_depth (kinds of jobs behind the first that "
        "waits which may start before it). `schedctl plan limit cluster KEY=VALUE` tells first "
        "what a change would do.",
    .examples = {{"cluster set half_life=7d enforce_accounts=true", "Two settings."},
                 {"cluster set weight_fair_share=2000000 backfill_reservations=20",
                  "By fair share above all, and twenty jobs know when they start."}},
    .run = run_settings_set,
};
