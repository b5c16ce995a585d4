// What is free on a node: one small value. Placing works on rooms alone, so that it works on the
// cluster as it is and on the cluster as it will be.
//
// The cluster keeps the live rooms: node_recount() alone writes them. A copy is a hypothesis, which
// belongs to the caller: give back what is to end until then, ask fit_in(), take what it found.
//
//     struct rooms later = {0};
//     rooms_copy(&later, &c->rooms);
//     rooms_give(&later, c, p);                     // this placement has ended by then
//     if (fit_in(c, &j->req, &later, &f, &count))
//         rooms_take(&later, c, &j->req, f, count); // and this job has started
//     rooms_fini(&later);
//
// Milli: thousandths of a core or GPU. MiB: memory.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cluster;
struct fit_node;
struct node;
struct placement;
struct request;

struct room {
    int64_t memory_mib;
    int32_t cores;      // whole ones that no placement holds
    int32_t pool_milli; // free in the cores that placements share; < 0: the node lost some of them
    int32_t pool_cores; // how many these are
    int32_t gpus;       // GPUs that no placement has anything of
    int32_t parts;      // placements there
};

struct rooms {
    struct room *of;     // by node id - 1
    uint16_t *gpu_milli; // free thousandths of each GPU, `stride` numbers a node
    size_t count, cap;
    size_t stride; // as many as the node with the most GPUs has; 0: there are no GPUs
};

// A promise of the queue for one node: a job that may still run at `from_ms` takes no more of the
// node than `spare`. What is free now but promised from then on is so left to shorter jobs.
struct kept {
    int64_t from_ms; // boot clock
    struct room spare;
    const uint16_t
        *gpu_milli;          // spare of each GPU, node->gpus numbers; NULL: of the whole ones alone
    const struct kept *next; // another promise for the same node; NULL: none
};

// Room for one question: gpu_milli has `gpus` numbers; NULL: room.gpus whole ones.
struct room_view {
    struct room room;
    const uint16_t *gpu_milli;
    int32_t gpus;
};

// The node with nothing on it.
struct room_view room_empty(const struct node *n);
struct room_view rooms_view(const struct rooms *rs, const struct node *n);
// Tasks of r that fit into the room, at most r->tasks.
int32_t room_capacity(const struct room_view *v, const struct request *r);
// The least of both in everything; gpu_milli of a, if it has any, is written to `store`.
struct room_view room_least(const struct room_view *a, const struct kept *k, uint16_t *store);
// Of GPUs with so much free, the one for a share of `milli`: the fullest that holds it, the lowest
// of equals. -1: none holds it.
int32_t room_share_gpu(const uint16_t *gpu_milli, int32_t gpus, int32_t milli);

// One more node, with nothing free.
void rooms_add(struct rooms *rs);
// Counts the node's room from what its sets say.
void rooms_count(struct rooms *rs, const struct node *n);
// to becomes equal to from; what it held is used again.
void rooms_copy(struct rooms *to, const struct rooms *from);
void rooms_fini(struct rooms *rs);
// What p holds is free again. Shared cores count as such until nobody is left that shares them.
void rooms_give(struct rooms *rs, const struct cluster *c, const struct placement *p);
// What these tasks of r hold is given out: f as fit_in() answered it.
void rooms_take(struct rooms *rs, const struct cluster *c, const struct request *r,
                const struct fit_node *f, size_t count);
