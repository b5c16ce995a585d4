// Which nodes gained room, in order, so that what did not fit is tried again only there: a log that
// is cut when it has grown longer than the cluster. And the changes of usability, which are found
// by looking at the nodes after one of them was marked.
#include "scheduler/core/state.h"

#include <string.h>

// What a pass knows of a node beside its room.
struct look {
    struct room all; // what it has
    bool usable;
};

uint64_t grown_end(const struct cluster *c)
{
    return c->grown.base + c->grown.count;
}

size_t grown_node(const struct cluster *c, uint64_t at)
{
    return c->grown.nodes[at - c->grown.base];
}

void node_grew(struct cluster *c, const struct node *n)
{
    VEC_RESERVE(c->grown.nodes, c->grown.count, c->grown.cap);
    c->grown.nodes[c->grown.count++] = n->id.v - 1;
    c->pass_wanted = true;
}

void grown_cut(struct cluster *c)
{
    if (c->grown.count <= c->nodes_count + 64)
        return;
    c->grown.base += c->grown.count;
    c->grown.count = 0;
}

void nodes_look(struct cluster *c)
{
    if (!c->nodes_changed)
        return;
    c->nodes_changed = false;
    c->usable_count = 0;
    if (c->looks_count < c->nodes_count) {
        c->looks = xreallocarray(c->looks, c->nodes_count, sizeof *c->looks);
        memset(c->looks + c->looks_count, 0, (c->nodes_count - c->looks_count) * sizeof *c->looks);
        c->looks_count = c->nodes_count;
    }
    for (size_t i = 0; i < c->nodes_count; i++) {
        const struct node *n = c->nodes[i];
        struct look *l = &c->looks[i], now = {.all = room_empty(n).room, .usable = node_usable(n)};
        c->usable_count += now.usable;
        if (now.usable == l->usable && now.all.cores == l->all.cores &&
            now.all.gpus == l->all.gpus && now.all.memory_mib == l->all.memory_mib)
            continue;
        *l = now;
        c->usable_gen++;
        if (now.usable)
            node_grew(c, n);
    }
}
