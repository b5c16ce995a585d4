#include "schedctl/rule_order.h"

const struct verb verb_qos_list = {
    .name = "qos list",
    .usage = "",
    .summary = "list qualities of service with what is used of them",
    .examples = {{"qos list", "All of them."}, {"qos list -o json", "For a script."}},
    .run = run_rule_list,
};

const struct verb verb_qos_show = {
    .name = "qos show",
    .usage = "NAME",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "everything about a QoS",
    .examples = {{"qos show high", "Its settings, and what is used."}},
    .run = run_rule_show,
};

const struct verb verb_qos_create = {
    .name = "qos create",
    .usage = "NAME [KEY=VALUE...]",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "make a QoS",
    .text = "Settings: priority, preempts (QoS whose jobs its jobs may preempt), preempt_mode "
            "(requeue, cancel), min_run_time (safe from preemption for so long), "
            "usage_percent (how much of its usage is charged), deny_on_limit, and limits as "
            "of a queue. \"none\" takes a limit away.",
    .examples = {{"qos create high priority=1000 preempts=low max_gpus_per_user=8", "A new one."}},
    .run = run_rule_create,
};

const struct verb verb_qos_set = {
    .name = "qos set",
    .usage = "NAME KEY=VALUE...",
    .operands_min = 2,
    .operands_max = -1,
    .summary = "change a QoS",
    .text = "The keys are those of `schedctl qos create --help`. What is not named stays.",
    .examples = {{"qos set high min_run_time=10m usage_percent=200", "Two settings."}},
    .run = run_rule_set,
};

const struct verb verb_qos_remove = {
    .name = "qos remove",
    .usage = "NAME",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "remove a QoS; refused while it is in use",
    .examples = {{"qos remove high", "Gone."}},
    .run = run_rule_remove,
};
