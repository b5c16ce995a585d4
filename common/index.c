#include "common/index.h"

#include "common/alloc.h"
#include "common/check.h"

#include <stdlib.h>

enum { CAP_FIRST = 16 };

void index_free(struct index *ix)
{
    free(ix->slots);
    *ix = (struct index){0};
}

void *index_find(const struct index *ix, uint64_t hash, index_match *matches, const void *key)
{
    if (!ix->count)
        return NULL;
    size_t mask = ix->cap - 1;
    for (size_t i = hash & mask; ix->slots[i]; i = (i + 1) & mask)
        if (matches(ix->slots[i], key))
            return ix->slots[i];
    return NULL;
}

static void put(struct index *ix, void *item, uint64_t hash)
{
    size_t mask = ix->cap - 1, i = hash & mask;
    while (ix->slots[i])
        i = (i + 1) & mask;
    ix->slots[i] = item;
}

static void grow(struct index *ix, index_hash *hash_of)
{
    void **old = ix->slots;
    size_t old_cap = ix->cap;
    ix->cap = old_cap ? old_cap * 2 : CAP_FIRST;
    ix->slots = xcalloc(ix->cap, sizeof *ix->slots);
    for (size_t i = 0; i < old_cap; i++)
        if (old[i])
            put(ix, old[i], hash_of(old[i]));
    free(old);
}

void index_add(struct index *ix, void *item, index_hash *hash_of)
{
    if ((ix->count + 1) * 8 > ix->cap * 7)
        grow(ix, hash_of);
    put(ix, item, hash_of(item));
    ix->count++;
}

void index_remove(struct index *ix, void *item, index_hash *hash_of)
{
    CHECK(ix->count);
    size_t mask = ix->cap - 1, hole = hash_of(item) & mask;
    while (ix->slots[hole] != item) {
        CHECK(ix->slots[hole]);
        hole = (hole + 1) & mask;
    }
    // Whatever was pushed past the hole moves into it, unless the hole lies before its own place.
    for (size_t i = (hole + 1) & mask; ix->slots[i]; i = (i + 1) & mask) {
        size_t home = hash_of(ix->slots[i]) & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        ix->slots[hole] = ix->slots[i];
        hole = i;
    }
    ix->slots[hole] = NULL;
    ix->count--;
}
