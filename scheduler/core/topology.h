// The switch tree: which nodes hang on which switch, and how much is free below each.
//
// A node's path "spine1/rack3" names the switches above it from the top; nodes hang on the last
// one. Nodes that told no path hang on a leaf of their own below the root, as if on one switch.
// Counts are of usable nodes; topology_count() alone changes them.
#pragma once

#include "scheduler/core/room.h"
#include "scheduler/core/room_index.h"

#include <uthash.h>

// A switch. Nodes hang on leaves, a leaf has no children; one path may name a leaf and an inner
// switch.
struct branch {
    struct branch *parent; // NULL: the root
    struct branch **children;
    size_t children_count, children_cap;
    uint32_t *nodes; // a leaf's, in order of id
    size_t nodes_count, nodes_cap;
    int32_t depth; // the root 0
    int32_t usable;
    int32_t by_gpus[INDEX_GPU_CLASSES];
    int32_t by_cores[INDEX_CORE_CLASSES];
    int64_t free_cores, free_gpus;
    int64_t hold; // scratch of choosing: what it can hold
    UT_hash_handle hh;
    char path[]; // "L" or "I" (leaf, inner) and the path
};

struct topology {
    struct branch *root, *by_path;
    struct branch **leaves, **inner; // inner: deepest first; without the root
    size_t leaves_count, leaves_cap, inner_count, inner_cap;
};

// The leaf of this path, made when it is new.
struct branch *topology_leaf(struct topology *t, const char *path);
void topology_hang(struct branch *leaf, uint32_t node);
void topology_unhang(struct branch *leaf, uint32_t node);
// What was and is free on a usable node of the leaf; INDEX_NONE: it was or is not usable.
void topology_count(struct branch *leaf, int key_was, const struct room *was, int key,
                    const struct room *is);
void topology_fini(struct topology *t);
