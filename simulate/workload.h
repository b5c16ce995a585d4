// What is made of a trace before it is simulated.
#pragma once

#include "simulate/nodes.h"
#include "simulate/trace.h"

// Keeps the first `limit` jobs.
void workload_limit(struct trace *t, int64_t limit);
// Jobs follow each other `factor` times as fast; factor in thousandths, > 0.
void workload_load(struct trace *t, int64_t factor_milli);
// Each job `times` times, a copy half a second after the other, so that they mix.
void workload_repeat(struct trace *t, int64_t times);
// The openb protocol (docs/simulate.md): the list is shuffled, then jobs drawn from it at random
// are added until they ask for `target_milli` thousandths of the cluster's GPUs; beyond that it is
// cut off. They arrive one by one. E_INVALID: no job asks for a GPU, or there is none.
int workload_arrive(struct trace *t, const struct node_list *nodes, int64_t target_milli,
                    uint64_t seed, struct err *err);
// Thousandths of GPUs that the job asks for.
int64_t workload_gpu_milli(const struct trace_job *j);
