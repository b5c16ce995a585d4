// A growing, always NUL-terminated string.
//
// A zeroed struct is an empty text. `p` is NULL until something was added; text_str() never is.
//
//     AUTO(text) struct text t = {0};
//     text_addf(&t, "%d nodes", n);
//     puts(text_str(&t));
#pragma once

#include <stdarg.h>
#include <stddef.h>

struct text {
    char *p;
    size_t len, cap;
};

void text_add(struct text *t, const char *s);
void text_add_bytes(struct text *t, const void *p, size_t len);
void text_addc(struct text *t, char c);
void text_addf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_vaddf(struct text *t, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
const char *text_str(const struct text *t);
// Empties it and keeps the memory.
void text_clear(struct text *t);
void text_free(struct text *t);
// Gives the malloc'ed string away (never NULL) and leaves an empty text.
char *text_take(struct text *t);
