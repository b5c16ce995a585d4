// Ports: a machine's resource, shared by the nodes on it. The task of rank 0 listens on one
// (MASTER_PORT), so the first part of every attempt holds one until nothing of it is left there.
//
// They are given out in turn: one that was just returned comes again last, when what its
// connections left in the kernel (TIME_WAIT) is long gone.
#include "scheduler/core/state.h"

#include <string.h>

enum { PORTS_MAX = 65536 };

void machine_join(struct cluster *c, struct node *n)
{
    struct node *mate;
    size_t len = strlen(n->inc.machine_id);
    n->next_on_machine = n;
    if (!len)
        return; // it has never said hello
    HASH_FIND(by_machine, c->nodes_by_machine, n->inc.machine_id, len, mate);
    if (mate) {
        n->next_on_machine = mate->next_on_machine;
        mate->next_on_machine = n;
    } else {
        HASH_ADD(by_machine, c->nodes_by_machine, inc.machine_id, len, n);
    }
}

void machine_leave(struct cluster *c, struct node *n)
{
    struct node *found = NULL, *next = n->next_on_machine, *before = n;
    size_t len = strlen(n->inc.machine_id);
    while (before->next_on_machine != n)
        before = before->next_on_machine;
    before->next_on_machine = next;
    n->next_on_machine = n;
    if (len)
        HASH_FIND(by_machine, c->nodes_by_machine, n->inc.machine_id, len, found);
    if (found == n) {
        HASH_DELETE(by_machine, c->nodes_by_machine, n);
        if (next != n)
            HASH_ADD(by_machine, c->nodes_by_machine, inc.machine_id, len, next);
    }
}

bool port_held(const struct node *n, int32_t port)
{
    const struct node *mate = n;
    if (!port)
        return false;
    do {
        const struct placement *p;
        TAILQ_FOREACH(p, &mate->parts, node_link)
        if (p->port == port)
            return true;
    } while ((mate = mate->next_on_machine) != n);
    return false;
}

int32_t port_find(const struct cluster *c, const struct node *n)
{
    uint32_t first = (uint32_t)c->limits.port_first, count = (uint32_t)c->limits.port_count;
    uint64_t held[PORTS_MAX / 64];
    const struct node *mate = n;
    CHECK(count && first + count <= PORTS_MAX);
    memset(held, 0, (count + 63) / 64 * sizeof *held);
    do {
        const struct placement *p;
        TAILQ_FOREACH(p, &mate->parts, node_link)
        {
            uint32_t i = (uint32_t)p->port - first;
            if (i < count)
                held[i / 64] |= UINT64_C(1) << i % 64;
        }
    } while ((mate = mate->next_on_machine) != n);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t i = (c->meta.next_port + k) % count;
        if (!(held[i / 64] >> i % 64 & 1))
            return (int32_t)(first + i);
    }
    return 0;
}
