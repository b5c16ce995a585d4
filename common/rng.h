// SplitMix64 (Steele, Lea, Flood 2014): a seeded generator for tests, the simulator and shuffles.
// Not for secrets.
#pragma once

#include <stdint.h>

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// Uniform in [0, n), n > 0, without bias (Lemire 2019).
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
    for (;;) {
        __uint128_t m = (__uint128_t)rng_next(r) * n;
        if ((uint64_t)m >= -n % n)
            return (uint64_t)(m >> 64);
    }
}
