// Which samples a task sees: the seeded permutation of an epoch, its global batches, and the part
// of each that belongs to a task. The samples of a step do not depend on the number of tasks.
#pragma once

#include <stddef.h>
#include <stdint.h>

// order[0 .. count) becomes a permutation that depends on seed and epoch alone (Fisher-Yates).
void shard_permute(uint32_t *order, size_t count, uint64_t seed, uint64_t epoch);
// The part of task `task` of `tasks` in a slice of `len`: [*ret_first, *ret_first + *ret_len).
// Parts follow each other in order of task and differ by at most one.
void shard_part(size_t len, size_t task, size_t tasks, size_t *ret_first, size_t *ret_len);
