#include "common/arena.h"

#include "common/alloc.h"
#include "common/check.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 16 << 10 };

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    alignas(max_align_t) char data[];
};

static struct arena_block *block_new(struct arena *a, size_t least)
{
    size_t size = least > ARENA_BLOCK ? least : ARENA_BLOCK;
    struct arena_block *b = xmalloc(sizeof *b + size);
    *b = (struct arena_block){.next = a->head, .size = size};
    a->head = b;
    return b;
}

static size_t aligned(size_t size)
{
    size_t align = alignof(max_align_t);
    return (size + align - 1) / align * align;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size = aligned(size);
    struct arena_block *b = a->head;
    if (!b || b->size - b->used < size)
        b = block_new(a, size);
    void *p = b->data + b->used;
    b->used += size;
    memset(p, 0, size);
    return p;
}

void *arena_copy(struct arena *a, const void *p, size_t size)
{
    void *q = arena_alloc(a, size);
    if (size)
        memcpy(q, p, size);
    return q;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s ? arena_copy(a, s, strlen(s) + 1) : NULL;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;
    struct arena_block *b = a->head;
    size_t room = b ? b->size - b->used : 0;
    va_copy(again, ap);
    int n = vsnprintf(room ? b->data + b->used : NULL, room, fmt, ap);
    CHECK(n >= 0);
    if ((size_t)n < room) { // it stands where it belongs
        char *here = b->data + b->used;
        b->used += aligned((size_t)n + 1);
        va_end(again);
        return here;
    }
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *p = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}

// Keeps one ordinary block.
void arena_reset(struct arena *a)
{
    struct arena_block *keep = NULL;
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        if (!keep && b->size == ARENA_BLOCK)
            keep = b;
        else
            free(b);
    }
    a->head = keep;
    if (keep) {
        keep->next = NULL;
        keep->used = 0;
    }
}

void arena_free(struct arena *a)
{
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    a->head = NULL;
}
