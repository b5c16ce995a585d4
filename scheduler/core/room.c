#include "scheduler/core/room.h"

#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct room room_empty(const struct node *n)
{
    return (struct room){.memory_mib = n->memory_mib, .cores = n->cores, .gpus = n->gpus};
}

// How many of the numbers 0 .. end-1 the set has.
static int32_t count_below(const struct coreset *s, int32_t end)
{
    int32_t count = 0;
    for (int32_t i = 0; i * 64 < end; i++) {
        uint64_t w = s->w[i];
        if (end - i * 64 < 64)
            w &= (UINT64_C(1) << (end - i * 64)) - 1;
        count += __builtin_popcountll(w);
    }
    return count;
}

static int32_t gpus_below(uint64_t gpus, int32_t end)
{
    return __builtin_popcountll(end < 64 ? gpus & ((UINT64_C(1) << end) - 1) : gpus);
}

struct room room_of(const struct node *n)
{
    return (struct room){
        .memory_mib = n->memory_mib - n->used_memory_mib,
        .cores = n->cores - count_below(&n->used_cores, n->cores),
        .gpus = n->gpus - gpus_below(n->used_gpus, n->gpus),
        .parts = n->parts_count,
    };
}

int32_t room_capacity(const struct room *m, const struct request *r)
{
    int64_t k = least(m->cores / r->cpus, r->tasks);
    if (r->gpus)
        k = least(k, m->gpus / r->gpus);
    if (r->memory_mib)
        k = least(k, m->memory_mib / r->memory_mib);
    return k > 0 ? (int32_t)k : 0;
}

struct room room_least(const struct room *a, const struct room *b)
{
    return (struct room){
        .memory_mib = least(a->memory_mib, b->memory_mib),
        .cores = (int32_t)least(a->cores, b->cores),
        .gpus = (int32_t)least(a->gpus, b->gpus),
        .parts = a->parts > b->parts ? a->parts : b->parts,
    };
}

void rooms_add(struct rooms *rs, struct room m)
{
    VEC_RESERVE(rs->of, rs->count, rs->cap);
    rs->of[rs->count++] = m;
}

void rooms_copy(struct rooms *to, const struct rooms *from)
{
    if (to->cap < from->count) {
        to->of = xreallocarray(to->of, from->count, sizeof *to->of);
        to->cap = from->count;
    }
    if (from->count)
        memcpy(to->of, from->of, from->count * sizeof *to->of);
    to->count = from->count;
}

void rooms_fini(struct rooms *rs)
{
    free(rs->of);
    *rs = (struct rooms){0};
}

void rooms_give(struct rooms *rs, const struct cluster *c, const struct placement *p)
{
    const struct node *n = node_find(c, p->node);
    struct room *m = &rs->of[p->node.v - 1];
    m->memory_mib += p->memory_mib;
    m->cores += count_below(&p->cores, n->cores);
    m->gpus += gpus_below(p->gpus, n->gpus);
    m->parts--;
}

void rooms_take(struct rooms *rs, const struct request *r, const struct fit_node *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct room *m = &rs->of[f[i].node->id.v - 1];
        m->memory_mib -= f[i].tasks * r->memory_mib;
        m->cores -= f[i].tasks * r->cpus;
        m->gpus -= f[i].tasks * r->gpus;
        m->parts++;
    }
}
