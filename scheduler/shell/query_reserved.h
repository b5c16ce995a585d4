// Reservations of nodes, as answers about nodes tell them.
//
//     struct reserved all = {0};
//     reserved_read(rules, wall_ms, &all);             // rules: query_rules_view()
//     reserved_json(&all, "n1", &text);                // `"reservations":[...]`
//     reserved_free(&all);
#pragma once

#include "common/text.h"

#include <stddef.h>
#include <stdint.h>

struct cluster;

// Those that have not ended, by the begin of their next time.
struct reserved {
    struct reserved_one *items; // owned
    size_t count, cap;
    int64_t now_ms;
};

void reserved_read(struct cluster *rules, int64_t now_ms, struct reserved *ret);
void reserved_json(const struct reserved *all, const char *node, struct text *t);
void reserved_free(struct reserved *all);
