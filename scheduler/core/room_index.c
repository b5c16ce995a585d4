#include "scheduler/core/room_index.h"

#include "common/alloc.h"
#include "common/check.h"

#include <stdlib.h>
#include <string.h>

int index_gpu_class(int32_t gpus)
{
    return gpus <= 8 ? (gpus < 0 ? 0 : gpus) : gpus < 16 ? 9 : gpus < 32 ? 10 : gpus < 64 ? 11 : 12;
}

int index_core_class(int32_t cores)
{
    if (cores <= 64)
        return cores < 0 ? 0 : cores;
    return cores < 256 ? 65 + (cores - 64) / 16 : 77 + (cores - 256) / 64;
}

// ---- sets ----

static void set_add(struct node_set *s, size_t i)
{
    s->words[0][i / 64] |= UINT64_C(1) << i % 64;
    s->words[1][i / 4096] |= UINT64_C(1) << i / 64 % 64;
    s->top |= UINT64_C(1) << i / 4096;
    s->count++;
}

static void set_remove(struct node_set *s, size_t i)
{
    s->count--;
    if ((s->words[0][i / 64] &= ~(UINT64_C(1) << i % 64)))
        return;
    if ((s->words[1][i / 4096] &= ~(UINT64_C(1) << i / 64 % 64)))
        return;
    s->top &= ~(UINT64_C(1) << i / 4096);
}

// The bits of w from bit `from` on; from may be 64.
static uint64_t bits_from(uint64_t w, size_t from)
{
    return from < 64 ? w & ~UINT64_C(0) << from : 0;
}

static bool set_next(const struct node_set *s, size_t from, size_t *ret)
{
    if (from / 4096 >= 64)
        return false;
    uint64_t w = s->top >> from / 4096 & 1 ? bits_from(s->words[0][from / 64], from % 64) : 0;
    if (w) {
        *ret = from / 64 * 64 + (size_t)__builtin_ctzll(w);
        return true;
    }
    size_t block = from / 4096;
    w = s->top >> block & 1 ? bits_from(s->words[1][block], from / 64 % 64 + 1) : 0;
    if (!w) {
        w = bits_from(s->top, block + 1);
        if (!w)
            return false;
        block = (size_t)__builtin_ctzll(w);
        w = s->words[1][block];
    }
    size_t word = block * 64 + (size_t)__builtin_ctzll(w);
    *ret = word * 64 + (size_t)__builtin_ctzll(s->words[0][word]);
    return true;
}

static size_t words_of(size_t nodes, size_t level)
{
    return level   ? (nodes + 4095) / 4096
           : nodes ? nodes / 64 + 1
                   : 0; // a walk looks behind the last
}

static void set_widen(struct node_set *s, size_t from, size_t to)
{
    for (size_t level = 0; level < 2; level++) {
        size_t had = words_of(from, level), has = words_of(to, level);
        s->words[level] = xreallocarray(s->words[level], has, sizeof(uint64_t));
        memset(s->words[level] + had, 0, (has - had) * sizeof(uint64_t));
    }
}

// ---- the index ----

void index_grow(struct room_index *x)
{
    CHECK(x->count < 64 * 4096);
    if (x->count == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 64;
        for (int key = 0; key < INDEX_GPU_CLASSES * INDEX_CORE_CLASSES; key++) {
            struct node_set *s = x->sets[key / INDEX_CORE_CLASSES][key % INDEX_CORE_CLASSES];
            if (s)
                set_widen(s, x->cap, cap);
        }
        x->keys = xreallocarray(x->keys, cap, sizeof *x->keys);
        x->cap = cap;
    }
    x->keys[x->count++] = INDEX_NONE;
}

int index_set(struct room_index *x, uint32_t node, int key)
{
    int16_t *at = &x->keys[node - 1];
    int was = *at;
    if (was == key)
        return was;
    if (was != INDEX_NONE) {
        int g = was / INDEX_CORE_CLASSES, k = was % INDEX_CORE_CLASSES;
        set_remove(x->sets[g][k], node - 1);
        if (!x->sets[g][k]->count)
            x->used[g][k / 64] &= ~(UINT64_C(1) << k % 64);
    }
    *at = (int16_t)key;
    if (key == INDEX_NONE)
        return was;
    int g = key / INDEX_CORE_CLASSES, k = key % INDEX_CORE_CLASSES;
    if (!x->sets[g][k]) {
        x->sets[g][k] = xcalloc(1, sizeof(struct node_set));
        set_widen(x->sets[g][k], 0, x->cap);
    }
    set_add(x->sets[g][k], node - 1);
    x->used[g][k / 64] |= UINT64_C(1) << k % 64;
    return was;
}

void index_most(const struct room_index *x, int32_t *ret_gpus, int32_t *ret_cores)
{
    uint64_t any[2] = {0};
    *ret_gpus = *ret_cores = 0;
    for (int g = 0; g < INDEX_GPU_CLASSES; g++) {
        any[0] |= x->used[g][0];
        any[1] |= x->used[g][1];
        if (x->used[g][0] | x->used[g][1])
            *ret_gpus = g;
    }
    if (any[1])
        *ret_cores = 127 - __builtin_clzll(any[1]);
    else if (any[0])
        *ret_cores = 63 - __builtin_clzll(any[0]);
}

void index_fini(struct room_index *x)
{
    for (int key = 0; key < INDEX_GPU_CLASSES * INDEX_CORE_CLASSES; key++) {
        struct node_set *s = x->sets[key / INDEX_CORE_CLASSES][key % INDEX_CORE_CLASSES];
        if (!s)
            continue;
        free(s->words[0]);
        free(s->words[1]);
        free(s);
    }
    free(x->keys);
}

// ---- walks ----

struct index_walk index_tightest(const struct room_index *x, int32_t gpus, int32_t cores)
{
    struct index_walk w = {
        .index = x, .gpu_first = index_gpu_class(gpus), .core_first = index_core_class(cores)};
    w.gpu = w.gpu_first;
    w.core = w.core_first;
    return w;
}

struct index_walk index_roomiest(const struct room_index *x, int32_t gpus, int32_t cores)
{
    struct index_walk w = index_tightest(x, gpus, cores);
    w.roomiest = true;
    w.core = INDEX_CORE_CLASSES - 1;
    return w;
}

// The next class that is used, from this one on.
static bool tightest_class(struct index_walk *w)
{
    for (; w->gpu < INDEX_GPU_CLASSES; w->gpu++, w->core = w->core_first) {
        const uint64_t *used = w->index->used[w->gpu];
        for (int word = w->core / 64; word < 2; word++) {
            uint64_t bits = used[word];
            if (word == w->core / 64)
                bits = bits_from(bits, (size_t)(w->core % 64));
            if (bits) {
                w->core = word * 64 + __builtin_ctzll(bits);
                return true;
            }
        }
    }
    return false;
}

static bool roomiest_class(struct index_walk *w)
{
    for (; w->core >= w->core_first; w->core--, w->gpu = w->gpu_first)
        for (; w->gpu < INDEX_GPU_CLASSES; w->gpu++)
            if (w->index->used[w->gpu][w->core / 64] >> w->core % 64 & 1)
                return true;
    return false;
}

uint32_t index_next(struct index_walk *w)
{
    size_t found;
    while (w->roomiest ? roomiest_class(w) : tightest_class(w)) {
        if (w->at < w->index->count && set_next(w->index->sets[w->gpu][w->core], w->at, &found)) {
            w->at = found + 1;
            return (uint32_t)(found + 1);
        }
        w->at = 0;
        if (w->roomiest)
            w->gpu++;
        else
            w->core++;
    }
    return 0;
}
