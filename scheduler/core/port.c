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

void port_take(struct node *n, int32_t port)
{
    if (!port)
        return;
    if (n->ports_count == n->ports_cap) {
        n->ports_cap = (uint16_t)(n->ports_cap ? n->ports_cap * 2 : 4);
        n->ports = xreallocarray(n->ports, n->ports_cap, sizeof *n->ports);
    }
    n->ports[n->ports_count++] = (uint16_t)port;
}

void port_return(struct node *n, int32_t port)
{
    for (int i = 0; port && i < n->ports_count; i++)
        if (n->ports[i] == port) {
            n->ports[i] = n->ports[--n->ports_count];
            return;
        }
}

bool port_held(const struct node *n, int32_t port)
{
    const struct node *mate = n;
    if (!port)
        return false;
    do {
        for (int i = 0; i < mate->ports_count; i++)
            if (mate->ports[i] == port)
                return true;
    } while ((mate = mate->next_on_machine) != n);
    return false;
}

// All that the machine holds: when the next in turn is not free.
static int32_t find_among(const struct cluster *c, const struct node *n)
{
    uint32_t first = (uint32_t)c->limits.port_first, count = (uint32_t)c->limits.port_count;
    uint64_t held[PORTS_MAX / 64];
    const struct node *mate = n;
    memset(held, 0, (count + 63) / 64 * sizeof *held);
    do {
        for (int k = 0; k < mate->ports_count; k++) {
            uint32_t i = (uint32_t)mate->ports[k] - first;
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

int32_t port_find(const struct cluster *c, const struct node *n)
{
    uint32_t first = (uint32_t)c->limits.port_first, count = (uint32_t)c->limits.port_count;
    CHECK(count && first + count <= PORTS_MAX);
    int32_t next = (int32_t)(first + c->meta.next_port % count);
    return port_held(n, next) ? find_among(c, n) : next;
}
