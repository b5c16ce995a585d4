// plan drain, resume, remove-node, add-nodes: what a change of the nodes would do to the jobs.
#include "common/alloc.h"
#include "common/units.h"
#include "schedctl/plan.h"

#include <inttypes.h>

static int run_drain(struct ctl *ctl)
{
    const char *reason = args_value(&ctl->args, "reason");
    if (!reason || !*reason)
        return complain(CTL_USAGE, "plan drain needs --reason TEXT, as `node drain` does");
    return plan_nodes(ctl, "drain", true);
}

static int run_resume(struct ctl *ctl)
{
    return plan_nodes(ctl, "resume", true);
}

static int run_remove(struct ctl *ctl)
{
    return plan_nodes(ctl, "remove", false);
}

static int run_add(struct ctl *ctl)
{
    enum { COUNT_MAX = 10000, CORES_MAX = 1024, GPUS_MAX = 64 };
    struct err err;
    const struct args *a = &ctl->args;
    int64_t count, cores = 0, gpus = 0, memory = 0;
    const char *c = args_value(a, "cpus"), *g = args_value(a, "gpus"), *m = args_value(a, "memory");
    int rc = parse_int(a->operands[0], "the number of nodes", 1, COUNT_MAX, &count, &err);
    if (!rc && !c)
        return complain(CTL_USAGE, "plan add-nodes needs --cpus N: how many cores has each?");
    if (!rc)
        rc = parse_int(c, "--cpus", 1, CORES_MAX, &cores, &err);
    if (!rc && g)
        rc = parse_int(g, "--gpus", 0, GPUS_MAX, &gpus, &err);
    if (!rc && m)
        rc = parse_size_mib(m, "--memory", &memory, &err);
    if (rc)
        return report(&err);
    json_t *change =
        json_pack("{s:I,s:I,s:I,s:I}", "add", (json_int_t)count, "cores", (json_int_t)cores, "gpus",
                  (json_int_t)gpus, "memory_mib", (json_int_t)memory);
    return plan_run(ctl, json_pack("[o]", change), false);
}

static const struct opt REASON[] = {{'r', "reason", "TEXT", "why; required"}};
static const struct opt SIZES[] = {
    {'c', "cpus", "N", "cores of each node; required"},
    {0, "memory", "SIZE", "memory of each node (0: jobs that ask for memory don't fit)"},
    {0, "gpus", "N", "GPUs of each node (0)"},
};

const struct verb verb_plan_drain = {
    .name = "plan drain",
    .usage = "NODES... --reason TEXT",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "which jobs would start later if nodes were drained",
    .options = {{REASON, COUNT(REASON)}, {plan_options, PLAN_OPTIONS_COUNT}},
    .examples = {{"plan drain 'n[1-4]' --reason 'new memory'", "Look first, then --apply."}},
    .run = run_drain,
};

const struct verb verb_plan_resume = {
    .name = "plan resume",
    .usage = "NODES...",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "which jobs would start earlier if nodes took jobs again",
    .options = {{plan_options, PLAN_OPTIONS_COUNT}},
    .examples = {{"plan resume n1", "Who waits for it?"}},
    .run = run_resume,
};

const struct verb verb_plan_remove_node = {
    .name = "plan remove-node",
    .usage = "NODES...",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "what would become of the jobs if nodes were gone",
    .examples = {{"plan remove-node n3", "If n3 broke now."}},
    .run = run_remove,
};

const struct verb verb_plan_add_nodes = {
    .name = "plan add-nodes",
    .usage = "COUNT --cpus N [--memory SIZE] [--gpus N]",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "which jobs would start earlier with more nodes",
    .options = {{SIZES, COUNT(SIZES)}},
    .examples = {{"plan add-nodes 4 --cpus 64 --gpus 8", "Are four more worth it?"}},
    .run = run_add,
};
