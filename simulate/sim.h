// A workload driven through the production scheduler's core, in the time that its trace tells.
//
// The agents are simulated and always answer, at once and in the same instant: link, hello, launch,
// prepared, running; a job ends when it has run as long as the trace says. Inputs of one instant
// make one turn, as the scheduler's shell collects them. Agents' heartbeats would say nothing new,
// so their period is longer than any trace; a failing node's lease ends at the time at which it
// would have ended with heartbeats. What every node has given out is counted a second time here,
// and giving it out twice ends the process.
//
//     struct sim_options o = {.policy = policy_default()};
//     AUTO(sim_result) struct sim_result r = {0};
//     sim_run(&trace, &nodes, &o, &r);
//
// A job that the scheduler stops to start another (preemption) keeps what it has done, and goes on
// from there when it starts again, after restart_ms.
//
// Where nodes fail so often that nothing comes to its end, it stops SIM_QUIET_MS after the last job
// was submitted or came to an end.
//
// Deterministic: the same inputs and seed give the same result.
#pragma once

#include "common/reason.h"
#include "simulate/nodes.h"
#include "simulate/policy.h"
#include "simulate/trace.h"

#include <stdbool.h>

#define SIM_QUIET_MS (INT64_C(366) * 86400 * 1000)

enum sim_limits {
    SIM_LIMITS_TRACE, // as requested, but never less than the run; the run where none was
    SIM_LIMITS_EXACT, // the run
    SIM_LIMITS_NONE,
};

struct sim_options {
    struct sim_policy policy;
    uint64_t seed;
    bool arrive; // jobs never end, and one that does not start at once is dropped
    enum sim_limits limits;
    int64_t mtbf_ms, repair_ms; // of a node, exponentially distributed; 0: nodes do not fail
    int64_t checkpoint_ms;      // jobs keep their work so often; 0: never
    int64_t restart_ms;         // that a job which goes on from work it kept takes to come to it
    bool record;                // keep spans and queue
    // Called now and then with the part that is done, 0 to 1; true: stop. May be NULL.
    bool (*progress)(void *arg, double part);
    void *arg;
};

enum sim_fate {
    SIM_NOT_SUBMITTED, // the simulation was stopped before
    SIM_WAITING,
    SIM_RUNNING,
    SIM_COMPLETED,
    SIM_REFUSED, // by the scheduler: .reason
    SIM_DROPPED, // found no place when it arrived
    SIM_FAILED,  // ended otherwise
    SIM_FATE_COUNT
};

struct sim_job {
    enum sim_fate fate;
    enum reason_code reason; // of a refusal
    int32_t attempts, nodes; // nodes of the last attempt
    int64_t submit_ms;       // from the trace's first submission, as are the next two
    int64_t start_ms;        // of the first attempt; -1: never
    int64_t end_ms;          // -1: not yet
};

// What a job held on a node.
struct sim_span {
    uint32_t node, job; // by rank
    int64_t from_ms, to_ms;
    int32_t core_milli, gpu_milli;
};

struct sim_queue_point {
    int64_t at_ms, waiting;
};

enum { SIM_CURVE = 201 };

struct sim_result {
    struct sim_job *jobs; // as the trace's
    size_t jobs_count;
    struct sim_span *spans;
    size_t spans_count, spans_cap;
    struct sim_queue_point *queue;
    size_t queue_count, queue_cap;
    int64_t end_ms;                  // the last instant simulated
    int64_t core_milli, gpu_milli;   // capacity
    int64_t used_core_s, used_gpu_s; // thousandths of cores and GPUs x run time in seconds, of jobs
                                     // that completed
    int64_t held_core_s, held_gpu_s; // of all that was given out, x how long it was
    int64_t held_gpu_milli, held_core_milli; // at the end
    double fragmentation;                    // mean of samples: part of the GPUs (fragmentation.h)
    int64_t failures, preemptions;
    // Arrivals: allocated part of all GPUs, in thousandths, when k % of them had been asked for;
    // -1: not reached.
    int32_t curve[SIM_CURVE];
    uint64_t turns, steps, placements;
    bool stopped;
};

void sim_run(const struct trace *t, const struct node_list *nodes, const struct sim_options *o,
             struct sim_result *ret);
void sim_result_free(struct sim_result *r);
