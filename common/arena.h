// Memory that is given back all at once. Pointers live until arena_reset() or arena_free().
//
//     struct arena a = {0};
//     char *s = arena_printf(&a, "job %d", 1);
//     arena_reset(&a);
#pragma once

#include <stdarg.h>
#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *head;
};

// Zeroed and aligned for any type.
void *arena_alloc(struct arena *a, size_t size);
void *arena_copy(struct arena *a, const void *p, size_t size);
// NULL stays NULL.
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
void arena_reset(struct arena *a);
void arena_free(struct arena *a);
