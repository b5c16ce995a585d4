// What will happen, soonest first; of one instant, in the order in which it was added.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum happening_kind { HAPPEN_END, HAPPEN_FAILURE, HAPPEN_FENCE, HAPPEN_REPAIR };

struct happening {
    int64_t at_ms;
    uint64_t order; // set by heap_push()
    enum happening_kind kind;
    uint32_t which;   // job or node, by rank
    uint32_t attempt; // of the job; of the node: its boot
};

struct heap {
    struct happening *items;
    size_t count, cap;
    uint64_t pushed;
};

void heap_push(struct heap *h, struct happening what);
// INT64_MAX: nothing will.
int64_t heap_next_ms(const struct heap *h);
// The soonest; there must be one.
struct happening heap_pop(struct heap *h);
void heap_free(struct heap *h);
