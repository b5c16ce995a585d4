// What is free on a node: one small value. Placing works on rooms alone, so that it works on the
// cluster as it is and on the cluster as it will be.
//
// The cluster keeps the live rooms, by node id - 1: part_add(), part_remove() and node_resized()
// alone change them. A copy is a hypothesis, which belongs to the caller: give back what is to end
// until then, ask fit_in(), take what it found.
//
//     struct rooms later = {0};
//     rooms_copy(&later, &c->rooms);
//     rooms_give(&later, c, p);                     // this placement has ended by then
//     if (fit_in(c, &j->req, &later, &f, &count))
//         rooms_take(&later, &j->req, f, count);    // and this job has started
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
    int32_t cores; // whole ones that no placement holds
    int32_t gpus;  // likewise
    int32_t parts; // placements there
};

struct rooms {
    struct room *of; // by node id - 1
    size_t count, cap;
};

// A promise of the queue for one node: a job that may still run at `from_ms` takes no more of the
// node than `spare`. What is free now but promised from then on is so left to shorter jobs.
struct kept {
    int64_t from_ms; // boot clock
    struct room spare;
    const struct kept *next; // another promise for the same node; NULL: none
};

// The node with nothing on it.
struct room room_empty(const struct node *n);
// Recounted from what the node's sets say.
struct room room_of(const struct node *n);
// Tasks of r that fit into the room, at most r->tasks.
int32_t room_capacity(const struct room *m, const struct request *r);
// The least of both in everything.
struct room room_least(const struct room *a, const struct room *b);

void rooms_add(struct rooms *rs, struct room m);
// to becomes equal to from; what it held is used again.
void rooms_copy(struct rooms *to, const struct rooms *from);
void rooms_fini(struct rooms *rs);
// What p holds is free again.
void rooms_give(struct rooms *rs, const struct cluster *c, const struct placement *p);
// What these tasks of r hold is given out: f as fit_in() answered it.
void rooms_take(struct rooms *rs, const struct request *r, const struct fit_node *f, size_t count);
