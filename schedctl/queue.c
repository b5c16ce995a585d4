#include "schedctl/rule_order.h"

const struct verb verb_queue_list = {
    .name = "queue list",
    .usage = "",
    .summary = "list queues with what is used of them",
    .examples = {{"queue list", "All of them."}, {"queue list -o json", "For a script."}},
    .run = run_rule_list,
};

const struct verb verb_queue_show = {
    .name = "queue show",
    .usage = "NAME",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "everything about a queue",
    .examples = {{"queue show gpu", "Its settings, and what is used."}},
    .run = run_rule_show,
};

const struct verb verb_queue_create = {
    .name = "queue create",
    .usage = "NAME [KEY=VALUE...]",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "make a queue",
    .text = "Settings: priority, state (open, closed: takes no jobs, draining: starts none), "
            "default_time, default_qos, accounts and qos (who may use it), placement, order "
            "(priority, fifo, las: least attained service, with las_levels, las_first, las_factor "
            "and las_promote), "
            "and limits (max_running_jobs, max_submitted_jobs, max_cores, max_gpus, "
            "max_memory, max_gpu_hours, each also with _per_user; max_job_cores, "
            "max_job_gpus, max_job_nodes, max_job_time). \"none\" takes a limit away.",
    .examples = {{"queue create gpu priority=100 max_job_time=2d accounts=physics", "A new one."}},
    .run = run_rule_create,
};

const struct verb verb_queue_set = {
    .name = "queue set",
    .usage = "NAME KEY=VALUE...",
    .operands_min = 2,
    .operands_max = -1,
    .summary = "change a queue",
    .text = "The keys are those of `schedctl queue create --help`. What is not named stays.",
    .examples = {{"queue set gpu state=draining max_gpus_per_user=8", "Two settings."}},
    .run = run_rule_set,
};

const struct verb verb_queue_remove = {
    .name = "queue remove",
    .usage = "NAME",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "remove a queue; refused while it is in use",
    .examples = {{"queue remove gpu", "Gone."}},
    .run = run_rule_remove,
};
