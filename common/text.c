#include "common/text.h"

#include "common/alloc.h"
#include "common/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void text_reserve(struct text *t, size_t more)
{
    size_t need = t->len + more + 1;
    if (need <= t->cap)
        return;
    t->cap = need > 2 * t->cap ? need : 2 * t->cap;
    t->p = xrealloc(t->p, t->cap);
}

void text_add_bytes(struct text *t, const void *p, size_t len)
{
    text_reserve(t, len);
    if (len)
        memcpy(t->p + t->len, p, len);
    t->len += len;
    t->p[t->len] = 0;
}

void text_add(struct text *t, const char *s)
{
    text_add_bytes(t, s, strlen(s));
}

void text_addc(struct text *t, char c)
{
    text_add_bytes(t, &c, 1);
}

void text_vaddf(struct text *t, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    CHECK(n >= 0);
    text_reserve(t, (size_t)n);
    vsnprintf(t->p + t->len, (size_t)n + 1, fmt, again);
    va_end(again);
    t->len += (size_t)n;
}

void text_addf(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    text_vaddf(t, fmt, ap);
    va_end(ap);
}

const char *text_str(const struct text *t)
{
    return t->p ? t->p : "";
}

void text_clear(struct text *t)
{
    t->len = 0;
    if (t->p)
        t->p[0] = 0;
}

void text_free(struct text *t)
{
    free(t->p);
    *t = (struct text){0};
}

char *text_take(struct text *t)
{
    char *p = t->p ? t->p : xstrdup("");
    *t = (struct text){0};
    return p;
}
