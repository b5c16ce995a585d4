#include "kernels/vocabulary.h"

#include "common/alloc.h"
#include "common/check.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct token {
    UT_hash_handle hh;
    size_t count;
    int32_t id;
    size_t len;
    char bytes[];
};

size_t utf8_length(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n = p[0] < 0x80   ? 1
               : p[0] < 0xc2 ? 0
               : p[0] < 0xe0 ? 2
               : p[0] < 0xf0 ? 3
               : p[0] < 0xf5 ? 4
                             : 0;
    if (n == 0 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

// The next token from *at on; its length, or 0 at the end.
static size_t next_token(const struct vocabulary *v, const char *text, size_t len, size_t *at)
{
    if (!v->words)
        return *at < len ? utf8_length(text + *at, len - *at) : 0;
    while (*at < len && is_space(text[*at]))
        (*at)++;
    size_t n = 0;
    while (*at + n < len && !is_space(text[*at + n]))
        n++;
    return n;
}

static struct token *find(const struct vocabulary *v, const char *bytes, size_t len)
{
    struct token *t;
    HASH_FIND(hh, v->by_text, bytes, len, t);
    return t;
}

static struct token *add(struct vocabulary *v, const char *bytes, size_t len)
{
    struct token *t = xcalloc(1, sizeof *t + len);
    t->len = len;
    memcpy(t->bytes, bytes, len);
    HASH_ADD_KEYPTR(hh, v->by_text, t->bytes, t->len, t);
    return t;
}

static void drop(struct vocabulary *v, struct token *t)
{
    HASH_DEL(v->by_text, t);
    free(t);
}

void vocabulary_free(struct vocabulary *v)
{
    struct token *t, *next;
    HASH_ITER(hh, v->by_text, t, next)
    drop(v, t);
    v->size = 0;
}

void vocabulary_count(struct vocabulary *v, const char *text, size_t len)
{
    size_t n;
    for (size_t at = 0; (n = next_token(v, text, len, &at)); at += n) {
        struct token *t = find(v, text + at, n);
        if (!t)
            t = add(v, text + at, n);
        t->count++;
    }
}

static int by_bytes(const struct token *a, const struct token *b)
{
    int order = memcmp(a->bytes, b->bytes, a->len < b->len ? a->len : b->len);
    return order ? order : a->len < b->len ? -1 : a->len > b->len;
}

static int by_count(const struct token *a, const struct token *b)
{
    return a->count != b->count ? (a->count > b->count ? -1 : 1) : by_bytes(a, b);
}

static int by_id(const struct token *a, const struct token *b)
{
    return a->id < b->id ? -1 : a->id > b->id;
}

void vocabulary_close(struct vocabulary *v, size_t max)
{
    struct token *t, *next;
    v->size = VOCABULARY_FIRST;
    HASH_SORT(v->by_text, by_count);
    HASH_ITER(hh, v->by_text, t, next)
    {
        if (t->count < 2 || v->size >= max)
            drop(v, t);
        else
            t->id = (int32_t)v->size++;
    }
}

size_t vocabulary_ids(const struct vocabulary *v, const char *text, size_t len, size_t max,
                      int32_t *ret)
{
    size_t n, count = 0;
    for (size_t at = 0; count < max && (n = next_token(v, text, len, &at)); at += n) {
        const struct token *t = find(v, text + at, n);
        ret[count++] = t ? t->id : VOCABULARY_UNKNOWN;
    }
    return count;
}

void vocabulary_text(struct vocabulary *v, struct text *ret)
{
    HASH_SORT(v->by_text, by_id);
    for (const struct token *t = v->by_text; t; t = t->hh.next) {
        text_add_bytes(ret, t->bytes, t->len);
        text_addc(ret, '\n');
    }
}

int vocabulary_parse(struct vocabulary *ret, bool words, const char *text, size_t len,
                     struct err *err)
{
    struct vocabulary v = {.words = words, .size = VOCABULARY_FIRST};
    for (const char *p = text, *end = text + len; p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = stop ? (size_t)(stop - p) : 0;
        if (n == 0 || v.size >= VOCABULARY_MAX || find(&v, p, n)) {
            vocabulary_free(&v);
            return fail(err, E_CORRUPT, "token %zu of the vocabulary is %s", v.size,
                        n ? "there twice, or one too many" : "empty");
        }
        add(&v, p, n)->id = (int32_t)v.size++;
        p = stop + 1;
    }
    *ret = v;
    return 0;
}
