// Nodes that fail, at random and independently: all that runs there is gone, and the node is back,
// rebooted, after its repair.
//
// The scheduler hears nothing until then. What it does when a lease ends it does here when an
// operator declares the node off, at the time at which the lease would have ended: so a lease needs
// no heartbeats, of which a long trace would have millions.
#include "simulate/world.h"

#include "common/check.h"

#include <math.h>

enum { LEASE_MS = 10 * 60 * 1000, MARGIN_MS = LEASE_MS / 10 + 5000 };

// Exponentially distributed.
static int64_t draw_ms(struct world *w, double mean_ms)
{
    double u = ((double)(rng_next(&w->rng) >> 11) + 0.5) / 9007199254740992.0; // (0, 1)
    double ms = -log(u) * mean_ms;
    return ms < 1 ? 1 : ms > 1e15 ? (int64_t)1e15 : (int64_t)ms;
}

// Of all nodes together: the next one to fail is drawn when it happens.
static void plan_failure(struct world *w)
{
    double mean_ms = (double)w->options->mtbf_ms / (double)w->nodes->count;
    heap_push(&w->heap, (struct happening){.at_ms = world_ms(w) + draw_ms(w, mean_ms),
                                           .kind = HAPPEN_FAILURE});
}

void faults_begin(struct world *w)
{
    w->rng.state = w->options->seed;
    if (w->options->mtbf_ms)
        plan_failure(w);
}

// What ran there is gone without a word.
static void lose_parts(struct world *w, uint32_t node)
{
    const struct node *n = cluster_node(w->cluster, (struct node_id){node + 1});
    const struct placement *p;
    TAILQ_FOREACH(p, &n->parts, node_link)
    {
        uint32_t job = (uint32_t)p->uid.v - 1;
        struct run *r = &w->runs[job];
        for (int32_t i = 0; i < r->parts_count; i++)
            if (r->parts[i].node == node && r->parts[i].held && p->attempt == r->attempt) {
                agents_return(w, job, &r->parts[i], false);
                agents_break(w, job, false);
            }
    }
}

static void fail_node(struct world *w)
{
    uint32_t node = (uint32_t)rng_below(&w->rng, w->nodes->count);
    struct sim_agent *a = &w->agents[node];
    plan_failure(w);
    if (!a->session)
        return; // it is down already
    lose_parts(w, node);
    a->session = 0;
    a->boot++;
    w->result->failures++;
    struct input in = {.kind = INPUT_LINK_DOWN, .link_down = node + 1};
    world_step(w, &in);
    struct happening what = {.which = node, .attempt = a->boot};
    what.kind = HAPPEN_FENCE;
    what.at_ms = world_ms(w) + LEASE_MS + MARGIN_MS;
    heap_push(&w->heap, what);
    what.kind = HAPPEN_REPAIR;
    what.at_ms = world_ms(w) + draw_ms(w, (double)w->options->repair_ms);
    heap_push(&w->heap, what);
}

static void fence_node(struct world *w, uint32_t node)
{
    struct input in = {.kind = INPUT_NODE_FENCE,
                       .caller = {.admin = true},
                       .node = {.name = w->nodes->items[node].name, .reason = "its leases ended"}};
    world_step(w, &in);
}

void faults_happen(struct world *w, const struct happening *what)
{
    switch (what->kind) {
    case HAPPEN_FAILURE:
        fail_node(w);
        break;
    case HAPPEN_FENCE:
        if (!w->agents[what->which].session && w->agents[what->which].boot == what->attempt)
            fence_node(w, what->which);
        break;
    case HAPPEN_REPAIR:
        agents_link(w, what->which);
        break;
    case HAPPEN_END:
        CHECK(false);
    }
}
