#include "common/hostlist.h"

#include "common/alloc.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 18 };

void names_add(struct names *n, const char *name)
{
    VEC_RESERVE(n->items, n->count, n->cap);
    n->items[n->count++] = xstrdup(name);
}

static void names_shrink(struct names *n, size_t count)
{
    while (n->count > count)
        free(n->items[--n->count]);
}

void names_free(struct names *n)
{
    names_shrink(n, 0);
    free(n->items);
    *n = (struct names){0};
}

// ---- folding ----

// A name cut before its closing number.
struct host {
    const char *name;
    size_t prefix;   // length of what stands before the number
    int width;       // digits of the number; 0: the name ends without one
    uint64_t number; // 0 without one
};

static struct host host_cut(const char *name)
{
    size_t len = strlen(name), at = len;
    while (at > 0 && isdigit((unsigned char)name[at - 1]) && len - at < DIGITS_MAX)
        at--;
    struct host h = {.name = name, .prefix = at, .width = (int)(len - at)};
    if (h.width)
        h.number = strtoull(name + at, NULL, 10);
    return h;
}

static int prefix_order(const struct host *a, const struct host *b)
{
    size_t least = a->prefix < b->prefix ? a->prefix : b->prefix;
    int by_bytes = memcmp(a->name, b->name, least);
    if (by_bytes)
        return by_bytes;
    return a->prefix < b->prefix ? -1 : a->prefix > b->prefix;
}

static int host_order(const void *pa, const void *pb)
{
    const struct host *a = pa, *b = pb;
    int by_prefix = prefix_order(a, b);
    if (by_prefix)
        return by_prefix;
    if (!a->width != !b->width)
        return a->width ? 1 : -1;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return a->width < b->width ? -1 : a->width > b->width;
}

static bool host_equal(const struct host *a, const struct host *b)
{
    return host_order(a, b) == 0;
}

// Digits of v when written with at least `width` of them.
static int written_width(uint64_t v, int width)
{
    int digits = snprintf(NULL, 0, "%" PRIu64, v);
    return digits > width ? digits : width;
}

static bool continues(const struct host *first, const struct host *last, const struct host *next)
{
    return next->number == last->number + 1 &&
           next->width == written_width(next->number, first->width);
}

// Adds the runs of hosts[0 .. count), which share a prefix and have numbers.
static void fold_numbers(const struct host *hosts, size_t count, struct text *ret)
{
    if (count == 1) {
        text_add(ret, hosts[0].name);
        return;
    }
    text_add_bytes(ret, hosts[0].name, hosts[0].prefix);
    text_addc(ret, '[');
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && continues(&hosts[i], &hosts[end - 1], &hosts[end]))
            end++;
        if (i)
            text_addc(ret, ',');
        text_add(ret, hosts[i].name + hosts[i].prefix);
        if (end > i + 1)
            text_addf(ret, "-%s", hosts[end - 1].name + hosts[end - 1].prefix);
        i = end;
    }
    text_addc(ret, ']');
}

void hostlist_fold(char *const *names, size_t count, struct text *ret)
{
    AUTO_FREE struct host *hosts = xcalloc(count + 1, sizeof *hosts);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        hosts[i] = host_cut(names[i]);
    qsort(hosts, count, sizeof *hosts, host_order);
    for (size_t i = 0; i < count; i++)
        if (!kept || !host_equal(&hosts[kept - 1], &hosts[i]))
            hosts[kept++] = hosts[i];
    for (size_t i = 0; i < kept;) {
        size_t end = i + 1;
        while (hosts[i].width && end < kept && prefix_order(&hosts[i], &hosts[end]) == 0)
            end++;
        if (i)
            text_addc(ret, ',');
        if (hosts[i].width)
            fold_numbers(hosts + i, end - i, ret);
        else
            text_add(ret, hosts[i].name);
        i = end;
    }
}

// ---- expanding ----

struct expansion {
    const char *list; // the whole, for messages
    struct names *ret;
    struct err *err;
};

static int malformed(struct expansion *x, const char *at, const char *what)
{
    return fail(x->err, E_INVALID,
                "host list \"%.64s\": %s at character %zu. Write it as n[1-4,7].", x->list, what,
                (size_t)(at - x->list) + 1);
}

static int add_name(struct expansion *x, const char *at, const char *name, size_t len)
{
    if (len == 0)
        return malformed(x, at, "a name is missing");
    if (len > HOSTLIST_NAME_MAX)
        return malformed(x, at, "a name is too long");
    if (x->ret->count >= HOSTLIST_MAX)
        return fail(x->err, E_TOO_LARGE, "host list \"%.64s\" has more than %d names", x->list,
                    HOSTLIST_MAX);
    AUTO_FREE char *copy = xstrndup(name, len);
    names_add(x->ret, copy);
    return 0;
}

// A number with its digits counted; advances *s.
static int parse_number(struct expansion *x, const char **s, uint64_t *ret, int *ret_width)
{
    const char *begin = *s;
    while (isdigit((unsigned char)**s))
        (*s)++;
    *ret_width = (int)(*s - begin);
    if (*s == begin || *s - begin > DIGITS_MAX)
        return malformed(x, begin, "a number is missing or too long");
    *ret = strtoull(begin, NULL, 10);
    return 0;
}

static int expand_name(struct expansion *x, const char *done, const char *s, const char *end);

// One "3" or "08-11" inside brackets; `rest` is what follows the closing bracket.
static int expand_range(struct expansion *x, const char *done, const char **s, const char *rest,
                        const char *end)
{
    uint64_t first, last;
    int width, last_width, rc;
    const char *begin = *s;
    if ((rc = parse_number(x, s, &first, &width)))
        return rc;
    last = first;
    if (**s == '-') {
        (*s)++;
        if ((rc = parse_number(x, s, &last, &last_width)))
            return rc;
    }
    if (last < first)
        return malformed(x, begin, "a range falls");
    if (last - first >= HOSTLIST_MAX)
        return fail(x->err, E_TOO_LARGE, "host list \"%.64s\" has more than %d names", x->list,
                    HOSTLIST_MAX);
    for (uint64_t v = first; v <= last; v++) {
        AUTO_FREE char *longer = xasprintf("%s%0*" PRIu64, done, width, v);
        if ((rc = expand_name(x, longer, rest, end)))
            return rc;
    }
    return 0;
}

// Adds every name that begins with `done` and goes on with s .. end.
static int expand_name(struct expansion *x, const char *done, const char *s, const char *end)
{
    size_t plain = strcspn(s, "[],");
    if (s + plain > end)
        plain = (size_t)(end - s);
    if (strlen(done) + plain > HOSTLIST_NAME_MAX)
        return malformed(x, s, "a name is too long");
    AUTO_FREE char *longer = xasprintf("%s%.*s", done, (int)plain, s);
    s += plain;
    if (s == end)
        return add_name(x, s, longer, strlen(longer));
    if (*s != '[')
        return malformed(x, s, "an unexpected bracket");
    const char *close = memchr(s, ']', (size_t)(end - s));
    if (!close)
        return malformed(x, s, "a bracket is not closed");
    do {
        s++;
        int rc = expand_range(x, longer, &s, close + 1, end);
        if (rc)
            return rc;
    } while (*s == ',');
    return s == close ? 0 : malformed(x, s, "an unexpected character");
}

int hostlist_expand(const char *list, struct names *ret, struct err *err)
{
    struct expansion x = {.list = list, .ret = ret, .err = err};
    size_t before = ret->count;
    const char *s = list;
    for (;;) {
        const char *end = s;
        for (int depth = 0; *end && (depth || *end != ','); end++)
            depth = *end == '[' ? 1 : *end == ']' ? 0 : depth;
        int rc = expand_name(&x, "", s, end);
        if (rc) {
            names_shrink(ret, before);
            return rc;
        }
        if (!*end)
            return 0;
        s = end + 1;
    }
}
