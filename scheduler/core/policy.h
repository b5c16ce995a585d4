// How one node is chosen for tasks that one node holds. docs/scheduling.md has an example of each.
//
// Gangs over several nodes are placed by topology and tightness under every policy.
#pragma once

#include "scheduler/core/job.h"

// Name, word, what it prefers.
#define POLICY_TABLE(X)                                                                           \
    X(BEST_FIT, "best_fit", "the fewest free GPUs, of these the fewest free cores")               \
    X(FGD, "fgd", "the least rise of what the usual tasks could no longer use of its GPUs")       \
    X(DOT_PRODUCT, "dot_product", "the least product of what it has free and what is asked for")  \
    X(GPU_PACKING, "gpu_packing", "GPUs in use, then idle GPUs of nodes in use, then idle nodes") \
    X(GPU_CLUSTERING, "gpu_clustering", "nodes that hold tasks of the same kind of GPU demand")   \
    X(RANDOM, "random", "any, by the seed")

enum policy {
#define X(name, word, summary) POLICY_##name,
    POLICY_TABLE(X)
#undef X
        POLICY_COUNT
};

const char *policy_word(enum policy p);
enum policy policy_of_word(const char *word); // POLICY_COUNT: there is none

// A shape of task that is usual, for POLICY_FGD: `req` as of one task.
struct typical {
    struct request req;
    const char *need; // selector; NULL: any node
    int64_t count;    // how often it is asked for
};
