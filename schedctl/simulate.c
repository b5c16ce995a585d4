#include "common/alloc.h"
#include "common/units.h"
#include "schedctl/ctl.h"
#include "schedctl/simulation.h"
#include "simulate/fields.h"
#include "simulate/workload.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// A number as thousandths, 0.001 to a million.
static int factor(const struct args *a, const char *name, int64_t *ret_milli, struct err *err)
{
    const char *value = args_value(a, name);
    if (!value)
        return 0;
    if (!parse_milli(value, strlen(value), ret_milli) || *ret_milli < 1 ||
        *ret_milli > INT64_C(1000000000))
        return fail(err, E_INVALID,
                    "option --%s: \"%.40s\" is not a number above 0. Say for example 1.3.", name,
                    value);
    return 0;
}

static int whole(const struct args *a, const char *name, int64_t min, int64_t max, int64_t *ret,
                 struct err *err)
{
    const char *value = args_value(a, name);
    AUTO_FREE char *what = xasprintf("option --%s", name);
    return value ? parse_int(value, what, min, max, ret, err) : 0;
}

enum { RESTART_MS = 30000 };

// "30d" or "30d:1h".
static int choose_faults(struct simulation *s, const struct args *a, struct err *err)
{
    struct sim_options *o = &s->options;
    const char *value = args_value(a, "faults");
    o->repair_ms = INT64_C(3600) * 1000;
    const char *checkpoint = args_value(a, "checkpoint");
    if (checkpoint && parse_duration_ms(checkpoint, "option --checkpoint", &o->checkpoint_ms, err))
        return E_INVALID;
    const char *restart = args_value(a, "restart-cost");
    o->restart_ms = RESTART_MS;
    if (restart && parse_duration_ms(restart, "option --restart-cost", &o->restart_ms, err))
        return E_INVALID;
    if (!value)
        return 0;
    size_t len = strcspn(value, ":");
    AUTO_FREE char *between = xstrndup(value, len);
    if (parse_duration_ms(between, "option --faults", &o->mtbf_ms, err) ||
        (value[len] &&
         parse_duration_ms(value + len + 1, "option --faults, the repair", &o->repair_ms, err)))
        return E_INVALID;
    if (!o->mtbf_ms || !o->repair_ms)
        return fail(err, E_INVALID,
                    "option --faults: a node cannot fail every 0 s. Say for example 30d:1h.");
    return 0;
}

static int choose_limits(struct simulation *s, const char *value, struct err *err)
{
    static const char *const words[] = {
        [SIM_LIMITS_TRACE] = "trace", [SIM_LIMITS_EXACT] = "exact", [SIM_LIMITS_NONE] = "none"};
    for (size_t i = 0; value && i < COUNT(words); i++)
        if (strcmp(value, words[i]) == 0) {
            s->options.limits = (enum sim_limits)i;
            return 0;
        }
    return value ? fail(err, E_INVALID,
                        "option --limits: \"%.40s\" is unknown. Use trace, exact or none.", value)
                 : 0;
}

static int choose_policies(struct simulation *s, const struct args *a, struct err *err)
{
    const char *one = args_value(a, "policy"), *list = args_value(a, "compare");
    const char *queue = args_value(a, "queue");
    if (one && list)
        return fail(err, E_INVALID, "use --policy or --compare, not both.");
    list = list ? list : one ? one : "default";
    for (const char *p = list;;) {
        size_t len = strcspn(p, one ? "" : ",");
        AUTO_FREE char *name = xstrndup(p, len);
        s->policies = xreallocarray(s->policies, s->policies_count + 1, sizeof *s->policies);
        struct sim_policy *policy = &s->policies[s->policies_count];
        if (policy_parse(name, policy, err) || (queue && policy_set_queue(policy, queue, err)))
            return E_INVALID;
        s->policies_count++;
        p += len;
        if (!*p)
            break;
        p++;
    }
    if (s->policies_count > 1 && (args_has(a, "svg") || args_has(a, "csv")))
        return fail(err, E_INVALID,
                    "--svg and --csv are of one policy. Simulate each by itself for them.");
    s->svg = args_value(a, "svg");
    s->csv = args_value(a, "csv");
    s->options.record = s->svg != NULL;
    return 0;
}

static int read_nodes(struct simulation *s, const char *nodes, struct err *err)
{
    if (!nodes)
        return nodes_of_trace(&s->trace, &s->nodes, err);
    return strchr(nodes, '=') ? nodes_parse(nodes, &s->nodes, err)
                              : nodes_read(nodes, &s->nodes, err);
}

static int change_workload(struct simulation *s, const struct args *a, struct err *err)
{
    int64_t limit = INT64_MAX, load = 1000, scale = 1, seed = 1, arrive = 0;
    if (whole(a, "limit", 1, INT64_MAX, &limit, err) || whole(a, "scale", 1, 1000, &scale, err) ||
        whole(a, "seed", 0, INT64_MAX, &seed, err) || factor(a, "load", &load, err) ||
        factor(a, "arrive", &arrive, err))
        return E_INVALID;
    s->options.seed = (uint64_t)seed;
    s->options.arrive = arrive > 0;
    if (arrive && s->options.mtbf_ms)
        return fail(err, E_INVALID, "use --arrive or --faults, not both.");
    if (!arrive && !s->trace.timed)
        return fail(err, E_INVALID,
                    "\"%s\" does not tell when its tasks ran. Simulate their arrival alone: "
                    "--arrive 1.3.",
                    s->path);
    workload_limit(&s->trace, limit);
    if (s->trace.count > (size_t)(TRACE_JOBS_MAX / scale) ||
        s->nodes.count > (size_t)(SIM_NODES_MAX / scale))
        return fail(err, E_TOO_LARGE, "%" PRId64 " times %zu jobs on %zu nodes is too much.", scale,
                    s->trace.count, s->nodes.count);
    workload_repeat(&s->trace, scale);
    nodes_repeat(&s->nodes, scale);
    workload_load(&s->trace, load);
    return arrive ? workload_arrive(&s->trace, &s->nodes, arrive, s->options.seed, err) : 0;
}

// What could not be read, named once each, and counted.
static void tell_complaints(const struct complaints *c, const char *what)
{
    for (size_t i = 0; i < c->count && i < COMPLAINTS_KEPT; i++)
        remark("%s", c->first[i]);
    if (c->count)
        remark("%zu line%s of the %s could not be read and %s left out", c->count,
               c->count == 1 ? "" : "s", what, c->count == 1 ? "is" : "are");
}

static int prepare(struct simulation *s, const struct args *a, struct err *err)
{
    s->path = args_value(a, "trace");
    if (!s->path)
        return fail(err, E_INVALID, "say what to simulate with --trace FILE.");
    if (choose_policies(s, a, err) || choose_faults(s, a, err) ||
        choose_limits(s, args_value(a, "limits"), err))
        return E_INVALID;
    if (trace_read(s->path, &s->trace, err) || read_nodes(s, args_value(a, "nodes"), err) ||
        change_workload(s, a, err))
        return E_INVALID;
    tell_complaints(&s->trace.bad, "trace");
    tell_complaints(&s->nodes.bad, "nodes");
    if (s->trace.assumption)
        remark("%s", s->trace.assumption);
    return 0;
}

static int run_simulate(struct ctl *ctl)
{
    struct err err;
    struct simulation s = {0};
    int rc = CTL_OK;
    if (prepare(&s, &ctl->args, &err)) {
        err.code = E_INVALID; // whatever it was: bad input, and nothing was done
        rc = (int)report(&err);
    } else if (simulation_run(&s, &err)) {
        rc = (int)report(&err);
    } else {
        if (ctl->json)
            simulation_show_json(&s);
        else
            simulation_show(&s);
        for (size_t i = 0; i < s.policies_count; i++)
            if (s.measures[i].stopped)
                rc = CTL_FAILED;
        if (rc)
            complain(CTL_FAILED, "interrupted: the figures are of what was simulated until then.");
    }
    simulation_free(&s);
    return rc;
}

static const struct opt OPTIONS[] = {
    {0, "trace", "FILE",
     "the workload: Standard Workload Format, openb, Philly or Pollux CSV, `sacct -P`; plain or "
     "gz"},
    {0, "nodes", "NODES",
     "the cluster: a file, or \"n[1-16] cores=64 gpus=8 memory=512GiB model=A100\" (what the trace "
     "tells)"},
    {'p', "policy", "NAME", "the scheduler's policy; words joined by + (default)"},
    {0, "compare", "A,B,...", "several policies side by side, each in a process"},
    {0, "seed", "N", "of all that is drawn at random (1)"},
    {0, "arrive", "X",
     "tasks arrive one by one, drawn from the trace until X times the GPUs are asked for, and "
     "never "
     "leave; those that find no place are dropped"},
    {0, "limits", "WHAT",
     "time limits of jobs: trace (as asked for, at least the run), exact (the run), none (trace)"},
    {0, "load", "FACTOR", "jobs follow each other so many times as fast (1)"},
    {0, "scale", "N", "each job and each node N times (1)"},
    {0, "limit", "N", "the first N jobs alone"},
    {0, "faults", "MTBF[:REPAIR]",
     "each node fails so often in the mean, and is repaired after so long (never; 1h)"},
    {0, "checkpoint", "TIME",
     "jobs keep their work so often and go on from there when they start again (never)"},
    {0, "queue", "SETTINGS",
     "of the queue that the jobs are in, as `schedctl queue set` takes them: \"order=las "
     "las_first=1h\""},
    {0, "restart-cost", "TIME",
     "a job that goes on from work it kept takes so long to come to it (30s)"},
    {0, "svg", "FILE", "draw the cluster over time"},
    {0, "csv", "FILE", "write a line a job"},
};

const struct verb verb_simulate = {
    .name = "simulate",
    .usage = "--trace FILE [OPTIONS]",
    .summary = "what the scheduler would make of a recorded workload",
    .text =
        "Drives the scheduler's own decisions through the trace, with simulated nodes, in the time "
        "that the trace tells; no scheduler needs to run. Prints wait, bounded slowdown and "
        "completion time of the jobs and what was used of the cluster. Lines that cannot be read "
        "are named and left out. An interrupt ends it with what there is so far and exit code 1.",
    .options = {{OPTIONS, COUNT(OPTIONS)}},
    .examples = {{"simulate --trace NASA-iPSC-1993-3.1-cln.swf.gz", "On the cluster of the trace."},
                 {"simulate --trace jobs.sacct --nodes \"n[1-16] cores=64\" --svg out.svg",
                  "A dump of `sacct -P`, and a picture."},
                 {"simulate --trace pods.csv --nodes nodes.csv --arrive 1.3 --seed 42",
                  "GPU allocation at 130 % demand."},
                 {"simulate --trace LCG-2005-1.swf.gz --load 20 --faults 30d:1h",
                  "Twenty times the load, on nodes that fail."}},
    .run = run_simulate,
};
