// What an attempt holds on the node, and whether one more goes beside the others.
//
// Whole cores, whole GPUs and ports belong to one attempt. Shares of a GPU are together at most
// 1000 thousandths of it. Parts of cores come from pools: cores that attempts share. For every
// pool, the parts of those whose own pool lies within it are together at most 1000 thousandths of
// each of its cores; so whichever of them end, the others keep it. What one scheduler orders is so
// in whichever order it arrives: each order's pool holds those of all that were there before it.
#pragma once

#include "common/coreset.h"

#include <stdbool.h>
#include <stdint.h>

enum { AGENT_GPUS_MAX = 64 };

struct agent_held {
    struct coreset cores;               // no other attempt has them
    struct coreset pool;                // shared with the others that have a part of a core
    int32_t cpu_milli;                  // thousandths of cores there
    uint64_t gpus;                      // bit g: GPU g, whole or a share of it
    uint16_t gpu_milli[AGENT_GPUS_MAX]; // 1 .. 999: the share; 0: whole
    int64_t memory_mib;
    uint32_t port; // 0: none
};

struct agent_held_sum {
    uint32_t gpu_milli[AGENT_GPUS_MAX];
    int64_t memory_mib;
};

// What the node has to give out: cores 0 .. cores-1, GPUs 0 .. gpus-1.
struct agent_given {
    int32_t cores, gpus;
    int64_t memory_mib;
};

// Does the node have this, whatever else is held?
bool agent_held_within(const struct agent_held *h, const struct agent_given *given);

// Does one hold what the other has for itself?
bool agent_held_clash(const struct agent_held *a, const struct agent_held *b);
void agent_held_add(struct agent_held_sum *sum, const struct agent_held *h);
// Thousandths of cores that h takes for sure of this pool.
int32_t agent_held_of_pool(const struct agent_held *h, const struct coreset *pool);
// Is more given out of a GPU than there is?
bool agent_held_over(const struct agent_held_sum *sum);
