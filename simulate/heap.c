#include "simulate/heap.h"

#include "common/alloc.h"
#include "common/check.h"

#include <stdlib.h>

static bool before(const struct happening *a, const struct happening *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

void heap_push(struct heap *h, struct happening what)
{
    what.order = h->pushed++;
    VEC_RESERVE(h->items, h->count, h->cap);
    size_t i = h->count++;
    for (; i && before(&what, &h->items[(i - 1) / 2]); i = (i - 1) / 2)
        h->items[i] = h->items[(i - 1) / 2];
    h->items[i] = what;
}

int64_t heap_next_ms(const struct heap *h)
{
    return h->count ? h->items[0].at_ms : INT64_MAX;
}

struct happening heap_pop(struct heap *h)
{
    CHECK(h->count);
    struct happening first = h->items[0], last = h->items[--h->count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < h->count; i = child) {
        if (child + 1 < h->count && before(&h->items[child + 1], &h->items[child]))
            child++;
        if (!before(&h->items[child], &last))
            break;
        h->items[i] = h->items[child];
    }
    if (h->count)
        h->items[i] = last;
    return first;
}

void heap_free(struct heap *h)
{
    free(h->items);
    *h = (struct heap){0};
}
