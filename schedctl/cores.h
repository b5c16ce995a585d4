// How a private cluster shares out this machine's cores.
#pragma once

#include <stdint.h>

enum { CORES_MAX = 1024 };

// Physical cores that this process may use, at least 1.
int64_t cores_here(void);
// The first core number of node `node` (1, ...) of `nodes` with `cpus` cores each: the nodes have
// cores of their own if the machine has enough; else all have numbers beyond the machine's, which
// means that tasks are not bound.
int64_t cores_first(int64_t node, int64_t nodes, int64_t cpus, int64_t here);
