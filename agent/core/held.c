#include "agent/core/held.h"

static uint32_t gpu_milli(const struct agent_held *h, int g)
{
    if (!(h->gpus >> g & 1))
        return 0;
    return h->gpu_milli[g] ? h->gpu_milli[g] : 1000;
}

bool agent_held_within(const struct agent_held *h, const struct agent_given *given)
{
    unsigned cores = given->cores < CORESET_MAX ? (unsigned)given->cores : CORESET_MAX;
    struct coreset all = coreset_first(cores);
    uint64_t gpus = given->gpus < AGENT_GPUS_MAX ? (UINT64_C(1) << given->gpus) - 1 : UINT64_MAX;
    return coreset_contains(&all, &h->cores) && coreset_contains(&all, &h->pool) &&
           !(h->gpus & ~gpus) && h->memory_mib <= given->memory_mib;
}

bool agent_held_clash(const struct agent_held *a, const struct agent_held *b)
{
    if (coreset_intersects(&a->cores, &b->cores) || coreset_intersects(&a->cores, &b->pool) ||
        coreset_intersects(&a->pool, &b->cores) || (a->port && a->port == b->port))
        return true;
    for (uint64_t both = a->gpus & b->gpus; both; both &= both - 1) {
        int g = __builtin_ctzll(both);
        if (gpu_milli(a, g) + gpu_milli(b, g) > 1000)
            return true;
    }
    return false;
}

void agent_held_add(struct agent_held_sum *sum, const struct agent_held *h)
{
    sum->memory_mib += h->memory_mib;
    for (uint64_t left = h->gpus; left; left &= left - 1)
        sum->gpu_milli[__builtin_ctzll(left)] += gpu_milli(h, __builtin_ctzll(left));
}

int32_t agent_held_of_pool(const struct agent_held *h, const struct coreset *pool)
{
    return h->cpu_milli && coreset_contains(pool, &h->pool) ? h->cpu_milli : 0;
}

bool agent_held_over(const struct agent_held_sum *sum)
{
    for (int g = 0; g < AGENT_GPUS_MAX; g++)
        if (sum->gpu_milli[g] > 1000)
            return true;
    return false;
}
