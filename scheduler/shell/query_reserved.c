#include "scheduler/shell/query_reserved.h"

#include "common/alloc.h"
#include "common/hostlist.h"
#include "scheduler/core/cluster.h"
#include "scheduler/shell/query_internal.h"

#include <stdlib.h>
#include <string.h>

struct reserved_one {
    char name[RULE_NAME_SIZE];
    bool maintenance;
    int64_t start_ms, end_ms;
    struct names nodes; // sorted
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_start(const void *a, const void *b)
{
    const struct reserved_one *x = a, *y = b;
    if (x->start_ms != y->start_ms)
        return x->start_ms < y->start_ms ? -1 : 1;
    return strcmp(x->name, y->name);
}

void reserved_read(struct cluster *rules, int64_t now_ms, struct reserved *ret)
{
    struct err err;
    ret->now_ms = now_ms;
    for (int64_t id = 1; id < rule_settings(rules)->next_rule; id++) {
        const struct rule_entry *p = rule_by_id(rules, id);
        if (!p || p->row->kind != RULE_RESERVATION)
            continue;
        const struct reservation_rule *r = &p->row->reservation;
        struct reserved_one one = {.maintenance = r->maintenance};
        if (!reservation_next(r, now_ms, &one.start_ms, &one.end_ms) ||
            hostlist_expand(reservation_nodes(r), &one.nodes, &err))
            continue;
        memcpy(one.name, r->name, sizeof one.name);
        qsort(one.nodes.items, one.nodes.count, sizeof *one.nodes.items, by_text);
        VEC_RESERVE(ret->items, ret->count, ret->cap);
        ret->items[ret->count++] = one;
    }
    if (ret->count)
        qsort(ret->items, ret->count, sizeof *ret->items, by_start);
}

void reserved_json(const struct reserved *all, const char *node, struct text *t)
{
    put_open(t, "reservations", '[');
    for (size_t i = 0; i < all->count; i++) {
        const struct reserved_one *one = &all->items[i];
        if (!bsearch(&node, one->nodes.items, one->nodes.count, sizeof *one->nodes.items, by_text))
            continue;
        put_open(t, NULL, '{');
        put_str(t, "name", one->name);
        put_key(t, "maintenance");
        text_add(t, one->maintenance ? "true" : "false");
        put_key(t, "active");
        text_add(t, one->start_ms <= all->now_ms ? "true" : "false");
        put_int(t, "start_ms", one->start_ms);
        put_int(t, "end_ms", one->end_ms);
        text_addc(t, '}');
    }
    text_addc(t, ']');
}

void reserved_free(struct reserved *all)
{
    for (size_t i = 0; i < all->count; i++)
        names_free(&all->items[i].nodes);
    free(all->items);
    *all = (struct reserved){0};
}
