// What a simulation comes to. Formulas and sources: docs/simulate.md.
#pragma once

#include "common/text.h"
#include "simulate/sim.h"

struct spread {
    double mean, p50, p99, max; // percentiles: the nearest rank
};

// Plain values only: it is passed between processes as bytes.
struct measures {
    char policy[64];
    uint64_t seed;
    int64_t nodes, cores, gpus;
    int64_t submitted, completed, refused, dropped, failed, waiting, running, not_submitted;
    int64_t requeues, preemptions, failures;
    double makespan_s;
    // Of completed jobs, seconds but for the slowdown.
    struct spread wait_s, slowdown, completion_s;
    double core_utilisation, gpu_utilisation; // 0 to 1; -1: there are none
    double core_allocation, gpu_allocation;
    double fragmentation;
    double wall_s, cpu_s; // how long the simulation took
    uint64_t turns, steps, placements;
    bool arrive, stopped;
    int32_t curve[SIM_CURVE];
};

enum { SLOWDOWN_LEAST_S = 10 };

struct spread spread_of(double *values, size_t count); // sorts them
void measures_of(const struct trace *t, const struct node_list *nodes, const struct sim_options *o,
                 const struct sim_result *r, double wall_s, double cpu_s, struct measures *ret);
// One JSON object. `trace` names the file; bad: lines of it that could not be read.
void measures_json(const struct measures *m, const char *trace, const struct trace *t,
                   struct text *ret);
// A line a job with a header, commas between the fields (RFC 4180).
void jobs_csv(const struct trace *t, const struct sim_result *r, struct text *ret);
