// Usable nodes by what is free on them, so that placing need not look at every node.
//
// Nodes lie in sets by (class of free whole GPUs, class of free whole cores); a class is exact up
// to 8 GPUs and 64 cores and a range above. A walk meets the nodes that may have so much, class by
// class, by id within one: what it depends on is what is free now, never how it came about. What a
// set does not know (memory, shares, constraints, promises) is looked at on each node met.
//
//     struct index_walk w = index_tightest(&c->index, gpus, cores);
//     while ((n = index_next(&w)))        // a node's id; 0: no more
//
// index_set() alone changes it (node_recount() calls it). Memory: a bit a node for each pair of
// classes that was ever met.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    INDEX_GPU_CLASSES = 13,
    INDEX_CORE_CLASSES = 90,
    INDEX_NONE = -1, // the key of a node that is not usable
};

// Node ids - 1; three levels of 64, the upper ones say which words below are not empty.
struct node_set {
    uint64_t *words[2];
    uint64_t top;
    size_t count;
};

struct room_index {
    struct node_set *sets[INDEX_GPU_CLASSES][INDEX_CORE_CLASSES];
    uint64_t used[INDEX_GPU_CLASSES][2]; // bit: the class has a node
    int16_t *keys;                       // by node id - 1
    size_t count, cap;                   // nodes; cap: what the sets have room for
};

struct index_walk {
    const struct room_index *index;
    int gpu_first, gpu, core_first, core; // classes: the least that can do, and where it is
    size_t at;                            // ids from here on
    bool roomiest;                        // most cores first, instead of fewest GPUs
};

int index_gpu_class(int32_t gpus);
int index_core_class(int32_t cores);
static inline int index_key(int gpu_class, int core_class)
{
    return gpu_class * INDEX_CORE_CLASSES + core_class;
}

void index_grow(struct room_index *x); // one more node, not usable
// key: INDEX_NONE, or of its room. Returns what it was.
int index_set(struct room_index *x, uint32_t node, int key);
// The highest classes of GPUs and of cores that nodes are in, be they two; 0: there are none.
void index_most(const struct room_index *x, int32_t *ret_gpus, int32_t *ret_cores);
void index_fini(struct room_index *x);

// From the fewest GPUs, of equals the fewest cores, that may be so many.
struct index_walk index_tightest(const struct room_index *x, int32_t gpus, int32_t cores);
// From the most cores; of equals the fewest GPUs.
struct index_walk index_roomiest(const struct room_index *x, int32_t gpus, int32_t cores);
uint32_t index_next(struct index_walk *w);
