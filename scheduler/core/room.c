#include "scheduler/core/room.h"

#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct room_view room_empty(const struct node *n)
{
    return (struct room_view){
        .room = {.memory_mib = n->memory_mib, .cores = n->cores, .gpus = n->gpus}};
}

struct room_view rooms_view(const struct rooms *rs, const struct node *n)
{
    size_t i = n->id.v - 1;
    return (struct room_view){.room = rs->of[i],
                              .gpu_milli = rs->gpu_milli + i * rs->stride,
                              .gpus = (int32_t)rs->stride};
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

static int64_t share_capacity(const struct room_view *v, int32_t milli)
{
    int64_t k = 0;
    if (!v->gpu_milli)
        return (int64_t)v->room.gpus * (1000 / milli);
    for (int32_t g = 0; g < v->gpus; g++)
        k += v->gpu_milli[g] / milli;
    return k;
}

static int64_t core_capacity(const struct room *m, const struct request *r)
{
    if (!r->cpu_milli)
        return m->cores / r->cpus;
    int64_t k = ((int64_t)m->cores * 1000 + m->pool_milli) / (r->cpus * 1000 + r->cpu_milli);
    return r->cpus ? least(k, m->cores / r->cpus) : k;
}

int32_t room_capacity(const struct room_view *v, const struct request *r)
{
    const struct room *m = &v->room;
    int64_t k = least(core_capacity(m, r), r->tasks);
    if (r->exclusive && m->parts)
        return 0;
    if (r->tasks_per_node)
        k = least(k, r->tasks_per_node);
    if (r->gpus)
        k = least(k, m->gpus / r->gpus);
    if (r->memory_mib)
        k = least(k, m->memory_mib / r->memory_mib);
    if (r->gpu_milli && k > 0)
        k = least(k, share_capacity(v, r->gpu_milli));
    return k > 0 ? (int32_t)k : 0;
}

struct room_view room_least(const struct room_view *a, const struct kept *kept, uint16_t *store)
{
    const struct room *x = &a->room, *y = &kept->spare;
    // A free core can be shared as well: what is shared later need not be so now.
    int64_t cores = least(x->cores, y->cores);
    int64_t total_milli =
        least(x->cores * INT64_C(1000) + x->pool_milli, y->cores * INT64_C(1000) + y->pool_milli);
    struct room_view v = {.room = {
                              .memory_mib = least(x->memory_mib, y->memory_mib),
                              .cores = (int32_t)cores,
                              .pool_milli = (int32_t)(total_milli - 1000 * cores),
                              .pool_cores = x->pool_cores,
                              .gpus = (int32_t)least(x->gpus, y->gpus),
                              .parts = x->parts > y->parts ? x->parts : y->parts,
                          }};
    if (!a->gpu_milli)
        return v;
    for (int32_t g = 0; g < a->gpus; g++)
        store[g] = kept->gpu_milli ? (uint16_t)least(a->gpu_milli[g], kept->gpu_milli[g])
                   : v.room.gpus   ? a->gpu_milli[g]
                                   : 0;
    v.gpu_milli = store;
    v.gpus = a->gpus;
    return v;
}

int32_t room_share_gpu(const uint16_t *gpu_milli, int32_t gpus, int32_t milli)
{
    int32_t best = -1;
    for (int32_t g = 0; g < gpus; g++)
        if (gpu_milli[g] >= milli && (best < 0 || gpu_milli[g] < gpu_milli[best]))
            best = g;
    return best;
}

void rooms_add(struct rooms *rs)
{
    if (rs->count == rs->cap) {
        rs->cap = rs->cap ? rs->cap * 2 : 8;
        rs->of = xreallocarray(rs->of, rs->cap, sizeof *rs->of);
        rs->gpu_milli = xreallocarray(rs->gpu_milli, rs->cap * rs->stride + 1, sizeof(uint16_t));
    }
    rs->of[rs->count] = (struct room){0};
    memset(rs->gpu_milli + rs->count * rs->stride, 0, rs->stride * sizeof(uint16_t));
    rs->count++;
}

// Room for nodes with so many GPUs.
static void widen(struct rooms *rs, size_t stride)
{
    uint16_t *wide = xcalloc(rs->cap * stride + 1, sizeof *wide);
    for (size_t i = 0; i < rs->count; i++)
        memcpy(wide + i * stride, rs->gpu_milli + i * rs->stride, rs->stride * sizeof *wide);
    free(rs->gpu_milli);
    rs->gpu_milli = wide;
    rs->stride = stride;
}

void rooms_count(struct rooms *rs, const struct node *n)
{
    if ((size_t)n->gpus > rs->stride)
        widen(rs, n->gpus > 32 ? 64 : n->gpus > 16 ? 32 : n->gpus > 8 ? 16 : 8);
    struct room *m = &rs->of[n->id.v - 1];
    uint16_t *milli = rs->gpu_milli + (n->id.v - 1) * rs->stride;
    int32_t pool_cores = n->pool_used_milli ? count_below(&n->pool_cores, n->cores) : 0;
    *m = (struct room){
        .memory_mib = n->memory_mib - n->used_memory_mib,
        .cores = n->cores - count_below(&n->used_cores, n->cores),
        .pool_milli = pool_cores * 1000 - n->pool_used_milli,
        .pool_cores = pool_cores,
        .parts = n->parts_count,
    };
    for (int32_t g = 0; g < (int32_t)rs->stride; g++) {
        milli[g] = g < n->gpus ? (uint16_t)(1000 - n->gpu_used_milli[g]) : 0;
        m->gpus += milli[g] == 1000;
    }
}

void rooms_copy(struct rooms *to, const struct rooms *from)
{
    size_t milli = from->cap * from->stride + 1;
    if (to->cap != from->cap || to->stride != from->stride) {
        to->of = xreallocarray(to->of, from->cap, sizeof *to->of);
        to->gpu_milli = xreallocarray(to->gpu_milli, milli, sizeof *to->gpu_milli);
    }
    to->cap = from->cap;
    to->stride = from->stride;
    to->count = from->count;
    if (!from->count)
        return;
    memcpy(to->of, from->of, from->count * sizeof *to->of);
    memcpy(to->gpu_milli, from->gpu_milli, from->count * from->stride * sizeof *to->gpu_milli);
}

void rooms_fini(struct rooms *rs)
{
    free(rs->of);
    free(rs->gpu_milli);
    *rs = (struct rooms){0};
}

void rooms_give(struct rooms *rs, const struct cluster *c, const struct placement *p)
{
    const struct node *n = node_find(c, p->node);
    struct room *m = &rs->of[p->node.v - 1];
    uint16_t *milli = rs->gpu_milli + (p->node.v - 1) * rs->stride;
    m->memory_mib += p->memory_mib;
    m->cores += count_below(&p->cores, n->cores);
    m->pool_milli += p->cpu_milli;
    if (p->cpu_milli && m->pool_milli == m->pool_cores * 1000) {
        m->cores += m->pool_cores;
        m->pool_milli = m->pool_cores = 0;
    }
    for (int32_t g = 0; g < n->gpus; g++) {
        int32_t held = placement_gpu_milli(p, g);
        milli[g] = (uint16_t)(milli[g] + held);
        m->gpus += held && milli[g] == 1000;
    }
    m->parts--;
}

static void take_cores(struct room *m, const struct request *r, int32_t tasks)
{
    int32_t milli = tasks * r->cpu_milli, more = 0;
    if (milli > m->pool_milli)
        more = (milli - m->pool_milli + 999) / 1000;
    m->cores -= tasks * r->cpus + more;
    m->pool_cores += more;
    m->pool_milli += more * 1000 - milli;
}

static void take_gpus(struct room *m, uint16_t *milli, int32_t gpus, const struct request *r,
                      const struct fit_node *f)
{
    for (int32_t k = f->tasks * r->gpus, g = 0; k > 0 && g < gpus; g++)
        if (milli[g] == 1000) {
            milli[g] = 0;
            m->gpus--;
            k--;
        }
    for (int32_t k = 0; r->gpu_milli && k < f->tasks; k++) {
        int32_t g = f->gpu ? f->gpu - 1 : room_share_gpu(milli, gpus, r->gpu_milli);
        m->gpus -= milli[g] == 1000;
        milli[g] = (uint16_t)(milli[g] - r->gpu_milli);
    }
}

void rooms_take(struct rooms *rs, const struct cluster *c, const struct request *r,
                const struct fit_node *f, size_t count)
{
    CHECK(rs->count == c->rooms.count);
    for (size_t i = 0; i < count; i++) {
        size_t at = f[i].node->id.v - 1;
        struct room *m = &rs->of[at];
        uint16_t *milli = rs->gpu_milli + at * rs->stride;
        if (r->exclusive) {
            *m = (struct room){.parts = m->parts + 1};
            memset(milli, 0, rs->stride * sizeof *milli);
            continue;
        }
        m->memory_mib -= f[i].tasks * r->memory_mib;
        m->parts++;
        take_cores(m, r, f[i].tasks);
        take_gpus(m, milli, (int32_t)rs->stride, r, &f[i]);
    }
}
