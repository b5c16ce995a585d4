#include "simulate/ledger.h"

#include "common/alloc.h"
#include "common/check.h"

#include <stdlib.h>
#include <string.h>

enum { WHOLE = 1000 };

void ledger_init(struct ledger *l, const struct node_list *nodes)
{
    *l = (struct ledger){.nodes = nodes,
                         .items = xreallocarray(NULL, nodes->count, sizeof *l->items)};
    for (size_t i = 0; i < nodes->count; i++) {
        struct ledger_node *n = &l->items[i];
        *n = (struct ledger_node){.memory_mib = nodes->items[i].memory_mib,
                                  .core_milli = nodes->items[i].cores * WHOLE};
        for (int32_t g = 0; g < nodes->items[i].gpus; g++)
            n->gpu_milli[g] = WHOLE;
    }
}

void ledger_fini(struct ledger *l)
{
    for (size_t i = 0; l->items && i < l->nodes->count; i++)
        free(l->items[i].sharing);
    free(l->items);
    *l = (struct ledger){0};
}

struct ledger_part ledger_part_of(const struct placement *p)
{
    struct ledger_part part = {
        .node = p->node.v - 1,
        .cores = p->cores,
        .pool = p->pool,
        .gpus = p->gpus,
        .shares = p->shares,
        .memory_mib = p->memory_mib,
        .core_milli = (int32_t)coreset_count(&p->cores) * WHOLE + p->cpu_milli,
    };
    for (uint64_t left = p->gpus; left; left &= left - 1)
        part.gpu_milli += placement_gpu_milli(p, __builtin_ctzll(left));
    return part;
}

static uint16_t held_of_gpu(const struct ledger_part *p, unsigned gpu)
{
    return p->shares.milli[gpu] ? p->shares.milli[gpu] : WHOLE;
}

static void take_cores(struct ledger_node *n, const struct ledger_part *p, const char *name)
{
    CHECKF(!coreset_intersects(&n->cores, &p->cores) && !coreset_intersects(&n->cores, &p->pool),
           "a core of %s was given out twice", name);
    for (unsigned c = coreset_next(&p->cores, 0); n->sharing && c < CORESET_MAX;
         c = coreset_next(&p->cores, c + 1))
        CHECKF(!n->sharing[c], "core %u of %s is shared and was given out whole", c, name);
    coreset_union(&n->cores, &p->cores);
    for (unsigned c = coreset_next(&p->pool, 0); c < CORESET_MAX;
         c = coreset_next(&p->pool, c + 1)) {
        if (!n->sharing)
            n->sharing = xcalloc(CORESET_MAX, sizeof *n->sharing);
        n->sharing[c]++;
    }
}

void ledger_take(struct ledger *l, struct ledger_part *p, int64_t now_ms)
{
    struct ledger_node *n = &l->items[p->node];
    const char *name = l->nodes->items[p->node].name;
    CHECKF(!p->held, "a part on %s was launched twice", name);
    take_cores(n, p, name);
    n->core_milli -= p->core_milli;
    n->memory_mib -= p->memory_mib;
    for (uint64_t left = p->gpus; left; left &= left - 1) {
        unsigned g = (unsigned)__builtin_ctzll(left);
        CHECKF(n->gpu_milli[g] >= held_of_gpu(p, g), "GPU %u of %s was given out twice", g, name);
        n->gpu_milli[g] = (uint16_t)(n->gpu_milli[g] - held_of_gpu(p, g));
    }
    CHECKF(n->core_milli >= 0 && n->memory_mib >= 0, "%s gave out more than it has", name);
    l->held_core_milli += p->core_milli;
    l->held_gpu_milli += p->gpu_milli;
    p->held = true;
    p->from_ms = now_ms;
}

void ledger_return(struct ledger *l, struct ledger_part *p)
{
    struct ledger_node *n = &l->items[p->node];
    CHECK(p->held);
    coreset_subtract(&n->cores, &p->cores);
    for (unsigned c = coreset_next(&p->pool, 0); c < CORESET_MAX; c = coreset_next(&p->pool, c + 1))
        n->sharing[c]--;
    n->core_milli += p->core_milli;
    n->memory_mib += p->memory_mib;
    for (uint64_t left = p->gpus; left; left &= left - 1) {
        unsigned g = (unsigned)__builtin_ctzll(left);
        n->gpu_milli[g] = (uint16_t)(n->gpu_milli[g] + held_of_gpu(p, g));
    }
    l->held_core_milli -= p->core_milli;
    l->held_gpu_milli -= p->gpu_milli;
    p->held = false;
}
