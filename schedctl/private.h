// A private cluster in a directory: what `cluster up` made it of.
//
//     DIR                     locked while `up` or `down` works
//     DIR/cluster.json        nodes, cpus, memory_mib, gpus, labels, gpu_model
//     DIR/scheduler.sock      the API
//     DIR/scheduler/lock      held by the scheduler
//     DIR/nodes/n1/lock       held by the agent of node n1
//     DIR/nodes/n1/run/*/*.lock   held by a shepherd
//     DIR/scheduler.log, DIR/n1.log
#pragma once

#include "common/err.h"
#include "common/labels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PRIVATE_NODES_MAX = 1024 };

struct private_cluster {
    int64_t nodes, cpus, memory_mib, gpus; // nodes are n1, n2, ...
    char labels[LABELS_TEXT_MAX + 1];      // of each node; the rest is zero, as of gpu_model
    char gpu_model[64];                    // "": as the GPUs are
};

// E_NOT_FOUND if DIR has no cluster.json; E_INVALID if it cannot be understood.
int private_load(const char *dir, struct private_cluster *ret, struct err *err);
int private_save(const char *dir, const struct private_cluster *p, struct err *err);
// Waits (bounded) for another `up` or `down` in DIR. The descriptor holds the lock.
int private_lock(const char *dir, int *ret_fd, struct err *err);

// DIR/scheduler/lock, or the lock of node `node` (1, ...). Caller frees.
char *private_lock_path(const char *dir, int64_t node);

// Paths that match below DIR, e.g. "nodes/*/lock". Caller frees with private_paths_free().
struct private_paths {
    char **items;
    size_t count;
};
void private_paths_find(const char *dir, const char *pattern, struct private_paths *ret);
void private_paths_free(struct private_paths *p);
