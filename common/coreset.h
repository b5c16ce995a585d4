// A set of core (or GPU) numbers 0..1023 of one node; a value, copied freely.
//
// Text form is the kernel's cpulist: "0-3,8".
#pragma once

#include "common/err.h"
#include "common/text.h"

#include <stdbool.h>
#include <stdint.h>

enum { CORESET_MAX = 1024, CORESET_WORDS = CORESET_MAX / 64 };

struct coreset {
    uint64_t w[CORESET_WORDS];
};

static inline bool coreset_has(const struct coreset *s, unsigned i)
{
    return s->w[i / 64] >> (i % 64) & 1;
}
static inline void coreset_add(struct coreset *s, unsigned i)
{
    s->w[i / 64] |= UINT64_C(1) << (i % 64);
}
static inline void coreset_remove(struct coreset *s, unsigned i)
{
    s->w[i / 64] &= ~(UINT64_C(1) << (i % 64));
}
unsigned coreset_count(const struct coreset *s);
bool coreset_empty(const struct coreset *s);
bool coreset_equal(const struct coreset *a, const struct coreset *b);
bool coreset_intersects(const struct coreset *a, const struct coreset *b);
bool coreset_contains(const struct coreset *all, const struct coreset *part);
void coreset_union(struct coreset *a, const struct coreset *b);
void coreset_subtract(struct coreset *a, const struct coreset *b);
// {0 .. n-1}
struct coreset coreset_first(unsigned n);
// Members of s in rank order [skip, skip + n).
struct coreset coreset_slice(const struct coreset *s, unsigned skip, unsigned n);
// Least member >= from, or CORESET_MAX.
unsigned coreset_next(const struct coreset *s, unsigned from);
void text_add_coreset(struct text *t, const struct coreset *s);
int coreset_parse(const char *list, const char *what, struct coreset *ret, struct err *err);
