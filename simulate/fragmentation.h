// How fragmented the free GPUs are: the measure of Weng et al., "Beware of Fragmentation:
// Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent", USENIX ATC 2023, 3.2.
//
// The typical tasks are the distinct shapes (cores, GPUs, thousandths of a GPU, models) of the
// trace, the most frequent first, until they cover 95 % of its tasks. What a node's free GPUs are
// worth nothing to a shape is: all that is free where the shape cannot run there (too few cores
// or GPUs, another model) or needs no GPU, else what is free on those GPUs that alone have less
// than the shape needs of each. The node's fragmentation is the mean over the shapes, by frequency.
#pragma once

#include "simulate/ledger.h"
#include "simulate/trace.h"

struct shape {
    int32_t cpu_milli, gpus, gpu_milli;
    int32_t models;
    double weight;  // of all weights 1 together
    bool *on_model; // by a node's model, name 0 too; NULL: on all
};

struct shapes {
    struct shape *items;
    size_t count;
};

void shapes_of(const struct trace *t, const struct node_list *nodes, struct shapes *ret);
void shapes_free(struct shapes *s);
// "V100M16|V100M32" names this model.
bool model_named(const char *models, const char *model);
// Expected fragment of all nodes, in thousandths of GPUs.
double fragmentation(const struct shapes *s, const struct ledger *l);
