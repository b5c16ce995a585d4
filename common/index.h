// A hash table that holds nothing but pointers to items that live elsewhere: eight bytes a slot, at
// most seven eighths of them used, where a chained table's handle would cost 56 bytes an item.
// Open addressing with linear probing; a removal moves what follows back, so there are no
// tombstones. It never shrinks.
//
// The caller says how an item hashes and when it matches a key; no two items of a table may match
// the same key. The order of slots means nothing: nobody iterates over it.
//
//     static uint64_t hash_of(const void *item) { return index_mix(((const struct job
//     *)item)->id.v); } index_add(&ix, job, hash_of); struct job *j = index_find(&ix,
//     index_mix(id.v), is_id, &id);
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index {
    void **slots;
    size_t cap, count; // cap: 0 or a power of two
};

typedef uint64_t index_hash(const void *item);
typedef bool index_match(const void *item, const void *key);

void index_free(struct index *ix);
// NULL if there is none. `hash` is what hash_of() says of the item sought.
void *index_find(const struct index *ix, uint64_t hash, index_match *matches, const void *key);
void index_add(struct index *ix, void *item, index_hash *hash_of);
// CHECKs that it is there.
void index_remove(struct index *ix, void *item, index_hash *hash_of);

// Spreads the bits of a number (the finaliser of MurmurHash3).
static inline uint64_t index_mix(uint64_t v)
{
    v ^= v >> 33;
    v *= UINT64_C(0xff51afd7ed558ccd);
    v ^= v >> 33;
    v *= UINT64_C(0xc4ceb9fe1a85ec53);
    return v ^ v >> 33;
}
