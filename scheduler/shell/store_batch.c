// A batch: deep copies of what turns changed, waiting for the writer.
#include "scheduler/shell/store_internal.h"

#include "common/alloc.h"
#include "common/check.h"

#include <stdlib.h>
#include <string.h>

// Memory for the hash tables ends the process like any other; uthash's default would do the same
// with less of a message.
struct store_batch *store_batch_new(void)
{
    return xcalloc(1, sizeof(struct store_batch));
}

void store_batch_free(struct store_batch *b)
{
    if (!b)
        return;
    HASH_CLEAR(hh, b->jobs);
    HASH_CLEAR(hh, b->nodes);
    HASH_CLEAR(hh, b->placements);
    HASH_CLEAR(hh, b->rules);
    HASH_CLEAR(hh, b->tallies);
    free(b->tallies_gone);
    HASH_CLEAR(hh, b->waits);
    HASH_CLEAR(hh, b->specs);
    HASH_CLEAR(hh, b->inventories);
    free(b->gone);
    free(b->waits_gone);
    free(b->selectors);
    free(b->tasks);
    free(b->events);
    arena_free(&b->arena);
    free(b);
}

// The row's place, made when it is new: a later row replaces an earlier one.
static void *slot_row(struct store_batch *b, struct store_slot **table, uint64_t id, size_t size)
{
    struct store_slot *slot;
    HASH_FIND(hh, *table, &id, sizeof id, slot);
    if (!slot) {
        slot = arena_alloc(&b->arena, sizeof *slot);
        slot->id = id;
        HASH_ADD(hh, *table, id, sizeof slot->id, slot);
    }
    if (!slot->row)
        slot->row = arena_alloc(&b->arena, size);
    return slot->row;
}

static void add_job(struct store_batch *b, const struct job *from)
{
    struct job *row = slot_row(b, &b->jobs, from->id.v, sizeof *row);
    *row = *from;
    row->detail = arena_strdup(&b->arena, from->detail);
    row->verdict_detail = arena_strdup(&b->arena, from->verdict_detail);
}

static void add_placement_gone(struct store_batch *b, uint64_t id)
{
    struct store_slot *slot;
    HASH_FIND(hh, b->placements, &id, sizeof id, slot);
    if (slot)
        slot->row = NULL;
    VEC_RESERVE(b->gone, b->gone_count, b->gone_cap);
    b->gone[b->gone_count++] = id;
}

static void add_tally_gone(struct store_batch *b, uint64_t id)
{
    struct store_slot *slot;
    HASH_FIND(hh, b->tallies, &id, sizeof id, slot);
    if (slot)
        slot->row = NULL;
    VEC_RESERVE(b->tallies_gone, b->tallies_gone_count, b->tallies_gone_cap);
    b->tallies_gone[b->tallies_gone_count++] = id;
}

static void add_rules(struct store_batch *b, const struct outcome *o)
{
    for (size_t i = 0; i < o->rules_count; i++) {
        const struct rule *r = &o->rules[i];
        memcpy(slot_row(b, &b->rules, (uint64_t)r->id, rule_size(r->kind)), r, rule_size(r->kind));
    }
    for (size_t i = 0; i < o->tallies_gone_count; i++)
        add_tally_gone(b, o->tallies_gone[i]);
    for (size_t i = 0; i < o->tallies_count; i++) {
        const struct tally *t = &o->tallies[i];
        *(struct tally *)slot_row(b, &b->tallies, (uint64_t)t->id, sizeof *t) = *t;
    }
}

static void add_wait_gone(struct store_batch *b, uint64_t id)
{
    struct store_slot *slot;
    HASH_FIND(hh, b->waits, &id, sizeof id, slot);
    if (slot)
        slot->row = NULL;
    VEC_RESERVE(b->waits_gone, b->waits_gone_count, b->waits_gone_cap);
    b->waits_gone[b->waits_gone_count++] = id;
}

static void add_event(struct store_batch *b, const struct event *from)
{
    if (from->kind == EVENT_NOTE)
        return;
    VEC_RESERVE(b->events, b->events_count, b->events_cap);
    struct event *row = &b->events[b->events_count++];
    *row = *from;
    row->text = arena_strdup(&b->arena, from->text ? from->text : "");
}

void store_batch_add(struct store_batch *b, const struct outcome *o)
{
    add_rules(b, o);
    for (size_t i = 0; i < o->jobs_count; i++)
        add_job(b, &o->jobs[i]);
    for (size_t i = 0; i < o->nodes_count; i++)
        *(struct node *)slot_row(b, &b->nodes, o->nodes[i].id.v, sizeof(struct node)) = o->nodes[i];
    for (size_t i = 0; i < o->placements_count; i++) {
        const struct placement *p = &o->placements[i];
        *(struct placement *)slot_row(b, &b->placements, p->id, sizeof *p) = *p;
    }
    for (size_t i = 0; i < o->placements_gone_count; i++)
        add_placement_gone(b, o->placements_gone[i]);
    for (size_t i = 0; i < o->waits_count; i++)
        *(struct wait *)slot_row(b, &b->waits, o->waits[i].id.v, sizeof(struct wait)) = o->waits[i];
    for (size_t i = 0; i < o->waits_gone_count; i++)
        add_wait_gone(b, o->waits_gone[i]);
    for (size_t i = 0; i < o->selectors_count; i++) {
        VEC_RESERVE(b->selectors, b->selectors_count, b->selectors_cap);
        b->selectors[b->selectors_count++] = o->selectors[i];
    }
    for (size_t i = 0; i < o->tasks_count; i++) {
        VEC_RESERVE(b->tasks, b->tasks_count, b->tasks_cap);
        b->tasks[b->tasks_count++] = o->tasks[i];
    }
    for (size_t i = 0; i < o->events_count; i++)
        add_event(b, &o->events[i]);
    if (o->meta_changed) {
        b->meta = o->meta;
        b->meta_changed = true;
    }
}

void store_batch_add_spec(struct store_batch *b, const struct spec_hash *hash, const void *bytes,
                          size_t len)
{
    struct store_spec *spec;
    HASH_FIND(hh, b->specs, hash, sizeof *hash, spec);
    if (spec)
        return;
    spec = arena_alloc(&b->arena, sizeof *spec);
    spec->hash = *hash;
    spec->bytes = len ? arena_copy(&b->arena, bytes, len) : "";
    spec->len = len;
    HASH_ADD(hh, b->specs, hash, sizeof spec->hash, spec);
}

void store_batch_add_inventory(struct store_batch *b, struct node_id node, const char *json)
{
    struct store_inventory *in;
    HASH_FIND(hh, b->inventories, &node, sizeof node, in);
    if (!in) {
        in = arena_alloc(&b->arena, sizeof *in);
        in->node = node;
        HASH_ADD(hh, b->inventories, node, sizeof in->node, in);
    }
    in->json = arena_strdup(&b->arena, json);
}
