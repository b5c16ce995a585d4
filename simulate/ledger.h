// What the simulated nodes have given out, counted apart from the scheduler's own books: giving
// something out twice ends the process.
#pragma once

#include "scheduler/core/placement.h"
#include "simulate/nodes.h"

struct ledger_node {
    struct coreset cores; // held by one part alone
    uint32_t *sharing;    // of each core, the parts that share it; NULL: there never was one
    int64_t memory_mib;   // free
    int32_t core_milli;   // free
    uint16_t gpu_milli[NODE_GPUS_MAX]; // free, of each GPU
};

struct ledger {
    const struct node_list *nodes;
    struct ledger_node *items;
    int64_t held_core_milli, held_gpu_milli;
};

// A part of an attempt on a node, as the order to launch told it.
struct ledger_part {
    uint32_t node; // by rank
    bool held;
    bool running;
    int64_t from_ms;
    struct coreset cores, pool; // alone, and shared with others
    uint64_t gpus;
    struct gpu_shares shares;
    int64_t memory_mib;
    int32_t core_milli, gpu_milli; // in all
};

void ledger_init(struct ledger *l, const struct node_list *nodes);
void ledger_fini(struct ledger *l);
struct ledger_part ledger_part_of(const struct placement *p);
void ledger_take(struct ledger *l, struct ledger_part *p, int64_t now_ms);
void ledger_return(struct ledger *l, struct ledger_part *p);
