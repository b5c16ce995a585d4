#include "common/coreset.h"

#include "common/check.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

unsigned coreset_count(const struct coreset *s)
{
    unsigned n = 0;
    for (int i = 0; i < CORESET_WORDS; i++)
        n += (unsigned)__builtin_popcountll(s->w[i]);
    return n;
}

bool coreset_empty(const struct coreset *s)
{
    return coreset_next(s, 0) == CORESET_MAX;
}

bool coreset_equal(const struct coreset *a, const struct coreset *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool coreset_intersects(const struct coreset *a, const struct coreset *b)
{
    for (int i = 0; i < CORESET_WORDS; i++)
        if (a->w[i] & b->w[i])
            return true;
    return false;
}

bool coreset_contains(const struct coreset *all, const struct coreset *part)
{
    for (int i = 0; i < CORESET_WORDS; i++)
        if (part->w[i] & ~all->w[i])
            return false;
    return true;
}

void coreset_union(struct coreset *a, const struct coreset *b)
{
    for (int i = 0; i < CORESET_WORDS; i++)
        a->w[i] |= b->w[i];
}

void coreset_subtract(struct coreset *a, const struct coreset *b)
{
    for (int i = 0; i < CORESET_WORDS; i++)
        a->w[i] &= ~b->w[i];
}

struct coreset coreset_first(unsigned n)
{
    CHECK(n <= CORESET_MAX);
    struct coreset s = {0};
    for (unsigned i = 0; i < n; i++)
        coreset_add(&s, i);
    return s;
}

unsigned coreset_next(const struct coreset *s, unsigned from)
{
    while (from < CORESET_MAX) {
        uint64_t w = s->w[from / 64] >> (from % 64);
        if (w)
            return from + (unsigned)__builtin_ctzll(w);
        from = (from / 64 + 1) * 64;
    }
    return CORESET_MAX;
}

struct coreset coreset_slice(const struct coreset *s, unsigned skip, unsigned n)
{
    struct coreset out = {0};
    unsigned i = coreset_next(s, 0);
    for (; skip && i < CORESET_MAX; skip--)
        i = coreset_next(s, i + 1);
    for (; n; n--) {
        CHECK(i < CORESET_MAX);
        coreset_add(&out, i);
        i = coreset_next(s, i + 1);
    }
    return out;
}

void text_add_coreset(struct text *t, const struct coreset *s)
{
    const char *comma = "";
    unsigned i = coreset_next(s, 0);
    while (i < CORESET_MAX) {
        unsigned last = i;
        while (last + 1 < CORESET_MAX && coreset_has(s, last + 1))
            last++;
        if (last == i)
            text_addf(t, "%s%u", comma, i);
        else
            text_addf(t, "%s%u-%u", comma, i, last);
        comma = ",";
        i = coreset_next(s, last + 1);
    }
}

static int parse_member(const char **s, unsigned *ret)
{
    if (!isdigit((unsigned char)**s))
        return -1;
    char *end;
    unsigned long v = strtoul(*s, &end, 10);
    if (v >= CORESET_MAX)
        return -1;
    *ret = (unsigned)v;
    *s = end;
    return 0;
}

int coreset_parse(const char *list, const char *what, struct coreset *ret, struct err *err)
{
    struct coreset out = {0};
    const char *s = list;
    while (*s) {
        unsigned first, last;
        if (parse_member(&s, &first))
            goto bad;
        last = first;
        if (*s == '-') {
            s++;
            if (parse_member(&s, &last) || last < first)
                goto bad;
        }
        for (unsigned i = first; i <= last; i++)
            coreset_add(&out, i);
        if (*s == ',' && s[1])
            s++;
        else if (*s)
            goto bad;
    }
    *ret = out;
    return 0;
bad:
    return fail(err, E_INVALID,
                "%s \"%.64s\" is not a list of numbers below %d. Write it as 0-3,8.", what, list,
                CORESET_MAX);
}
