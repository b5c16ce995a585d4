// Memory: allocation that cannot fail (the process ends when memory does), and owning pointers.
//
//     AUTO(text) struct text t = {0};      // text_free(&t) at the end of the scope
//     return TAKE(p);                      // gives p away: the variable becomes NULL
#pragma once

#include <stddef.h>

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t size);
// Array of count elements of size bytes; the product is checked.
void *xreallocarray(void *p, size_t count, size_t size);
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t len) __attribute__((malloc, returns_nonnull));
void *xmemdup(const void *p, size_t size) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

static inline void auto_free_pointer(void *pp)
{
    void **p = pp;
    __builtin_free(*p);
    *p = NULL;
}

// Frees a malloc'ed pointer at the end of its scope.
#define AUTO_FREE __attribute__((cleanup(auto_free_pointer)))
// Calls NAME_free(&variable) at the end of its scope.
#define AUTO(name) __attribute__((cleanup(name##_free)))

#define TAKE(p)                          \
    __extension__({                      \
        __typeof__(p) take_value_ = (p); \
        (p) = NULL;                      \
        take_value_;                     \
    })

// Grows a vector `type *items; size_t count, cap` so that one more item fits.
#define VEC_RESERVE(items, count, cap)                                \
    do {                                                              \
        if ((count) == (cap)) {                                       \
            (cap) = (cap) ? (cap)*2 : 8;                              \
            (items) = xreallocarray((items), (cap), sizeof *(items)); \
        }                                                             \
    } while (0)
