// The insides of a simulation. Private to this directory.
//
// sim.c: its life and its turns; agents.c: what the simulated agents answer; arrive.c: jobs as they
// are submitted; faults.c: nodes that fail.
#pragma once

#include "common/rng.h"
#include "scheduler/core/cluster.h"
#include "simulate/fragmentation.h"
#include "simulate/heap.h"
#include "simulate/ledger.h"
#include "simulate/sim.h"

// Beyond any trace, and far from overflow when multiplied by 4 or added to.
#define FOREVER_MS (INT64_MAX / 64)
enum { BOOT_AT_MS = 1000, ATTEMPTS_MAX = 1000 };

// A job of the trace in the scheduler's hands.
struct run {
    struct job_id id;          // the scheduler's; 0: not submitted
    uint32_t attempt;          // the newest that was launched
    struct ledger_part *parts; // of it; owned
    int32_t parts_count, running, held;
    int32_t told;              // where the last GO was found
    int64_t began_ms, kept_ms; // the attempt's run; work of earlier ones that is not lost
    int64_t restart_ms;        // of the attempt: until it goes on
    bool broken;               // the attempt lost a part or is being ended by the scheduler
};

struct sim_agent {
    uint64_t session; // 0: not linked
    uint32_t boot;    // rises with each failure
};

struct world {
    const struct trace *trace;
    const struct node_list *nodes;
    const struct sim_options *options;
    struct sim_result *result;
    struct cluster *cluster;
    struct now now;
    bool accounts_memory;
    struct run *runs;
    struct sim_agent *agents;
    struct ledger ledger;
    struct heap heap;
    struct rng rng; // of failures
    struct shapes shapes;
    size_t arrived, settled; // jobs submitted; jobs with their last fate
    int64_t news_ms;         // when a job was last submitted or settled
    size_t judged;           // with --arrive: those of which it is known if they found a place
    size_t broken;           // jobs whose attempt is broken
    int64_t waiting, demand_gpu_milli;
    double fragmentation;
    size_t fragmentation_samples;
    // What is said to the scheduler in the next turn.
    struct input *answers;
    size_t answers_count, answers_cap;
    struct input *saying; // in this one
    size_t saying_cap;
    int64_t wake_at_ms;
};

// From the trace's first submission.
int64_t world_ms(const struct world *w);
void world_step(struct world *w, const struct input *in);
// An answer, in the next turn.
struct input *world_answer(struct world *w, enum input_kind kind);
void world_settle(struct world *w, size_t job, enum sim_fate fate);

// agents.c
void agents_hear(struct world *w, const struct effect *e);
void agents_link(struct world *w, uint32_t node);
// The job has run as long as the trace says, unless the attempt is another one by now.
void agents_end(struct world *w, uint32_t job, uint32_t attempt);
// Nothing of the attempt is left on the node: it is given back here.
void agents_return(struct world *w, uint32_t job, struct ledger_part *p, bool completed);
// The attempt comes to nothing: the job waits for another, or for its end. One that is preempted
// keeps its work.
void agents_break(struct world *w, uint32_t job, bool preempted);
// Looks for jobs that the scheduler ended otherwise than by their own end.
void agents_rows(struct world *w, const struct outcome *o);

// arrive.c
// With --arrive the usual tasks are those of the list.
void arrive_typical(struct world *w);
void arrive_due(struct world *w);
int64_t arrive_next_ms(const struct world *w);
void arrive_answered(struct world *w, const struct effect *e);
// With --arrive, when all has been answered: the newest job, if it found no place, is dropped.
void arrive_judge(struct world *w);

// faults.c
void faults_begin(struct world *w);
void faults_happen(struct world *w, const struct happening *what);
