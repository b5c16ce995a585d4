// Which nodes gained room, in order, so that what did not fit is tried again only there: a log that
// is cut when it has grown longer than the cluster.
#include "scheduler/core/state.h"

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
