#include "kernels/shard.h"

#include "common/rng.h"

void shard_permute(uint32_t *order, size_t count, uint64_t seed, uint64_t epoch)
{
    struct rng rng = {seed};
    rng.state = rng_next(&rng) ^ epoch * UINT64_C(0xd1342543de82ef95);
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (size_t i = count; i > 1; i--) {
        size_t k = (size_t)rng_below(&rng, i);
        uint32_t t = order[i - 1];
        order[i - 1] = order[k];
        order[k] = t;
    }
}

void shard_part(size_t len, size_t task, size_t tasks, size_t *ret_first, size_t *ret_len)
{
    size_t first = len * task / tasks;
    *ret_first = first;
    *ret_len = len * (task + 1) / tasks - first;
}
