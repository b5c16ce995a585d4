// What the shepherds of an MPI job tell each other through their agents, as agent/shepherd/run.c
// and agent/shell/peers.c have it: the fence in which all ranks meet in MPI_Init, and the news that
// a rank has left before. Frames are lost with the agents that carry them, and repeated.
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { COLLECTIVE = 7, RESEND_MS = 250, PIPE_MS = 1, DATA_BYTES = 16 };

static struct world *world_of(const struct sheep *p)
{
    return &p->keeper->sim->world;
}

static struct peer_frame *frame_new(const struct sheep *p, int32_t to, size_t len)
{
    struct peer_frame *f = xcalloc(1, sizeof *f + len);
    f->id = p->id;
    f->via = p->keeper;
    f->connection = p->connection;
    f->from = p->launch.index;
    f->to = to;
    f->len = len;
    return f;
}

// ---- the way: shepherd, agent, agent, shepherd ----

static void frame_reaches_agent(struct world *w, void *arg, uint64_t n);

static void send_between(struct keeper *from, struct keeper *to, struct peer_frame *f)
{
    struct world *w = &from->sim->world;
    if (w->now_ms < from->cut_until_ms || w->now_ms < to->cut_until_ms) {
        free(f);
        return;
    }
    f->via = to;
    after(w, between(w, 0, 3), &to->process, frame_reaches_agent, f, 0);
}

static void frame_reaches_agent(struct world *w, void *arg, uint64_t n)
{
    const struct peer_frame *f = arg;
    struct keeper *k = f->via;
    struct held *h = held_find(k, f->id);
    size_t size = sizeof *f + f->len;
    (void)w;
    (void)n;
    if (h && h->has_launch && h->launch.index == f->to) {
        sheep_send_frame(k, h, xmemdup(f, size));
    } else if (!h && !f->gone) { // what is not here is over
        struct peer_frame *answer = xmemdup(f, sizeof *f);
        *answer = (struct peer_frame){
            .id = f->id, .from = f->to, .to = f->from, .gone = true, .origin = k};
        send_between(k, f->origin, answer);
    }
}

static void frame_leaves(struct world *w, void *arg, uint64_t n)
{
    const struct peer_frame *f = arg;
    struct keeper *k = f->via;
    struct held *h = held_find(k, f->id);
    (void)w;
    (void)n;
    if (!h || !h->has_launch || h->connection != f->connection)
        return;
    struct peer_frame *copy = xmemdup(f, sizeof *f + f->len);
    copy->origin = k;
    send_between(k, &k->sim->keepers[h->launch.keepers[f->to]], copy);
}

static void send_frame(struct sheep *p, struct peer_frame *f)
{
    if (!p->connection) {
        free(f);
        return;
    }
    after(world_of(p), PIPE_MS, &p->keeper->process, frame_leaves, f, 0);
}

// ---- who has left ----

static int32_t untold(const struct sheep *p, int32_t i)
{
    int32_t nodes = p->launch.index ? 1 : p->launch.nodes_count;
    for (; p->core.left_rank >= 0 && i < nodes; i++)
        if (i != p->launch.index && !p->told[i])
            return i;
    return -1;
}

void mpi_tell_left(struct sheep *p)
{
    for (int32_t i = -1; (i = untold(p, i + 1)) >= 0;) {
        struct peer_frame *f = frame_new(p, i, 0);
        f->left = p->core.left_rank + 1;
        send_frame(p, f);
    }
}

bool mpi_owes(const struct sheep *p)
{
    return shepherd_is_well(&p->core) &&
           ((p->fences && fences_waiting(p->fences)) || untold(p, 0) >= 0);
}

// ---- the fence ----

static void run_fences(struct sheep *p)
{
    struct fence_output o;
    while (p->fences && fences_next(p->fences, &o)) {
        if (o.kind == FENCE_DONE) {
            if (o.len != (size_t)p->launch.nodes_count * DATA_BYTES)
                broken(p->keeper->sim, "a fence of %d nodes gave %zu bytes", p->launch.nodes_count,
                       o.len);
            p->gone_on = true;
            sheep_goes_on(p);
            continue;
        }
        struct peer_frame *f = frame_new(p, (int32_t)o.node, o.len);
        memcpy(f->payload, o.bytes, o.len);
        send_frame(p, f);
    }
}

// All local ranks are in MPI_Init.
void mpi_arrive(struct sheep *p)
{
    uint32_t nodes[PARTS_MAX];
    uint8_t data[DATA_BYTES] = {(uint8_t)p->launch.index};
    for (int32_t i = 0; i < p->launch.nodes_count; i++)
        nodes[i] = (uint32_t)i;
    judge_arrived(p->keeper->sim, p->id, p->launch.index);
    fences_begin(p->fences, COLLECTIVE, nodes, (size_t)p->launch.nodes_count, data, sizeof data);
    run_fences(p);
}

void mpi_take(struct sheep *p, const struct peer_frame *f)
{
    struct err err;
    if (!p->fences || f->from < 0 || f->from >= p->launch.nodes_count)
        return;
    if (f->left) {
        p->told[f->from] = true;
        sheep_hears_left(p, f->left - 1);
        struct peer_frame *answer = frame_new(p, f->from, 0);
        answer->heard = true;
        send_frame(p, answer);
    } else if (f->heard || f->gone) {
        p->told[f->from] = true;
        if (f->gone)
            fences_gone(p->fences, (uint32_t)f->from);
    } else if (fences_receive(p->fences, (uint32_t)f->from, f->payload, f->len, &err)) {
        broken(p->keeper->sim, "%s", err.message);
    }
    run_fences(p);
}

// The agent is there again.
void mpi_connected(struct sheep *p)
{
    if (!p->has_end)
        mpi_tell_left(p);
    if (p->fences) {
        fences_resend(p->fences);
        run_fences(p);
    }
}

static void resend(struct world *w, void *arg, uint64_t n)
{
    struct sheep *p = *(struct sheep **)arg;
    (void)n;
    if (p->has_end)
        return;
    if (fences_waiting(p->fences) || untold(p, 0) >= 0)
        mpi_connected(p);
    after(w, RESEND_MS, &p->process, resend, xmemdup(&p, sizeof p), 0);
}

void mpi_start(struct sheep *p)
{
    p->fences = fences_new((uint32_t)p->launch.index);
    after(world_of(p), RESEND_MS, &p->process, resend, xmemdup(&p, sizeof p), 0);
}
