// Drives the scheduler's core in tests: steps it, keeps the tables that a store would keep,
// collects the narration, and can restart the core from those tables.
#pragma once

#include "scheduler/core/cluster.h"

#include "common/alloc.h"
#include "common/check.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct harness {
    struct cluster *c;
    struct cluster_limits limits;
    struct now now;
    // The tables.
    struct cluster_meta meta;
    struct job *jobs; // by id - 1; id 0: no row
    size_t jobs_cap;
    struct node *nodes; // by id - 1
    size_t nodes_count, nodes_cap;
    struct selector *selectors;
    size_t selectors_count, selectors_cap;
    struct placement *parts; // unordered
    size_t parts_count, parts_cap;
    struct rule *rules; // by id - 1; id 0: no row
    size_t rules_cap;
    struct tally *tallies; // unordered
    size_t tallies_count, tallies_cap;
    struct wait *waits; // unordered
    size_t waits_count, waits_cap;
    // What was said since the last look, a line each.
    struct text story;
    void (*on_effect)(void *arg, const struct effect *e);
    void *arg;
};

static inline void harness_store_job(struct harness *h, const struct job *j)
{
    if (j->id.v > h->jobs_cap) {
        size_t cap = j->id.v * 2 + 64;
        h->jobs = xreallocarray(h->jobs, cap, sizeof *h->jobs);
        memset(h->jobs + h->jobs_cap, 0, (cap - h->jobs_cap) * sizeof *h->jobs);
        h->jobs_cap = cap;
    }
    struct job *row = &h->jobs[j->id.v - 1];
    free(row->detail);
    free(row->verdict_detail);
    *row = *j;
    row->detail = j->detail ? xstrdup(j->detail) : NULL;
    row->verdict_detail = j->verdict_detail ? xstrdup(j->verdict_detail) : NULL;
}

static inline struct placement *harness_part(struct harness *h, uint64_t id)
{
    for (size_t i = 0; i < h->parts_count; i++)
        if (h->parts[i].id == id)
            return &h->parts[i];
    return NULL;
}

static inline void harness_store_rule(struct harness *h, const struct rule *r)
{
    if ((size_t)r->id > h->rules_cap) {
        size_t cap = (size_t)r->id * 2 + 16;
        h->rules = xreallocarray(h->rules, cap, sizeof *h->rules);
        memset(h->rules + h->rules_cap, 0, (cap - h->rules_cap) * sizeof *h->rules);
        h->rules_cap = cap;
    }
    memcpy(&h->rules[r->id - 1], r, rule_size(r->kind));
}

static inline struct tally *harness_tally(struct harness *h, int64_t id)
{
    for (size_t i = 0; i < h->tallies_count; i++)
        if (h->tallies[i].id == id)
            return &h->tallies[i];
    return NULL;
}

static inline void harness_store_rules(struct harness *h, const struct outcome *o)
{
    for (size_t i = 0; i < o->rules_count; i++)
        harness_store_rule(h, &o->rules[i]);
    for (size_t i = 0; i < o->tallies_gone_count; i++) {
        struct tally *row = harness_tally(h, (int64_t)o->tallies_gone[i]);
        if (row)
            *row = h->tallies[--h->tallies_count];
    }
    for (size_t i = 0; i < o->tallies_count; i++) {
        struct tally *row = harness_tally(h, o->tallies[i].id);
        if (!row) {
            VEC_RESERVE(h->tallies, h->tallies_count, h->tallies_cap);
            row = &h->tallies[h->tallies_count++];
        }
        *row = o->tallies[i];
    }
}

static inline struct wait *harness_wait(struct harness *h, uint64_t class)
{
    for (size_t i = 0; i < h->waits_count; i++)
        if (h->waits[i].id.v == class)
            return &h->waits[i];
    return NULL;
}

static inline void harness_store_waits(struct harness *h, const struct outcome *o)
{
    for (size_t i = 0; i < o->waits_count; i++) {
        struct wait *row = harness_wait(h, o->waits[i].id.v);
        if (!row) {
            VEC_RESERVE(h->waits, h->waits_count, h->waits_cap);
            row = &h->waits[h->waits_count++];
        }
        *row = o->waits[i];
    }
    for (size_t i = 0; i < o->waits_gone_count; i++) {
        struct wait *row = harness_wait(h, o->waits_gone[i]);
        if (row)
            *row = h->waits[--h->waits_count];
    }
}

// Why a job waits, by the tables alone, as whoever reads the database finds it.
static inline enum reason_code harness_why(struct harness *h, uint64_t id)
{
    const struct job *j = &h->jobs[id - 1];
    const struct wait *all = harness_wait(h, 0), *own = harness_wait(h, j->class_id.v);
    if (!j->class_id.v)
        return j->reason.code;
    if (all && all->reason.code)
        return all->reason.code;
    return own ? own->reason.code : REASON_PRIORITY;
}

static inline void harness_store(struct harness *h, const struct outcome *o)
{
    harness_store_rules(h, o);
    for (size_t i = 0; i < o->jobs_count; i++)
        harness_store_job(h, &o->jobs[i]);
    for (size_t i = 0; i < o->nodes_count; i++) {
        VEC_RESERVE(h->nodes, h->nodes_count, h->nodes_cap);
        h->nodes[o->nodes[i].id.v - 1] = o->nodes[i];
        if (o->nodes[i].id.v > h->nodes_count)
            h->nodes_count = o->nodes[i].id.v;
    }
    for (size_t i = 0; i < o->placements_count; i++) {
        struct placement *row = harness_part(h, o->placements[i].id);
        if (!row) {
            VEC_RESERVE(h->parts, h->parts_count, h->parts_cap);
            row = &h->parts[h->parts_count++];
        }
        *row = o->placements[i];
    }
    for (size_t i = 0; i < o->selectors_count; i++) {
        VEC_RESERVE(h->selectors, h->selectors_count, h->selectors_cap);
        h->selectors[h->selectors_count++] = o->selectors[i];
    }
    for (size_t i = 0; i < o->placements_gone_count; i++) {
        struct placement *row = harness_part(h, o->placements_gone[i]);
        if (row)
            *row = h->parts[--h->parts_count];
    }
    harness_store_waits(h, o);
    if (o->meta_changed)
        h->meta = o->meta;
}

static inline void harness_finish_turn(struct harness *h)
{
    const struct outcome *o = cluster_outcome(h->c);
    for (int i = 0; o->continue_wanted && i < 64; i++) {
        struct input in = {.kind = INPUT_CONTINUE};
        cluster_step(h->c, h->now, &in);
        o = cluster_outcome(h->c);
    }
    harness_store(h, o);
    for (size_t i = 0; i < o->events_count; i++) {
        text_add(&h->story, o->events[i].text);
        text_addc(&h->story, '\n');
    }
    for (size_t i = 0; h->on_effect && i < o->effects_count; i++)
        h->on_effect(h->arg, &o->effects[i]);
    cluster_check(h->c);
}

// One turn with one input, stored, checked, its effects handed out in order.
static inline void harness_step(struct harness *h, const struct input *in)
{
    cluster_turn_begin(h->c);
    cluster_step(h->c, h->now, in);
    harness_finish_turn(h);
}

// The settings of a new cluster.
static inline struct settings_rule harness_settings(void)
{
    struct rule row;
    rule_init(&row, RULE_SETTINGS);
    return row.settings;
}

// An operator sets them all.
static inline void harness_set(struct harness *h, struct settings_rule s)
{
    struct rule row = {.kind = RULE_SETTINGS, .settings = s};
    struct input in = {.kind = INPUT_RULE_SET, .caller = {.admin = true}};
    in.rule.row = &row;
    in.rule.mode = RULE_PUT;
    harness_step(h, &in);
}

// "key=value key=value" over the row that stands, or over a new one.
static inline void harness_put(struct harness *h, const struct caller *who, enum rule_mode mode,
                               enum rule_kind k, const char *name, const char *settings)
{
    struct rule r;
    struct err err;
    char key[64], value[128];
    int n;
    rule_init(&r, k);
    const struct rule_entry *p = mode == RULE_CREATE ? NULL : rule_find(h->c, k, name);
    if (p)
        memcpy(&r, p->row, rule_size(k));
    else if (k != RULE_SETTINGS && rule_set_text(&r, rule_field(k, "name"), name, &err))
        fail_msg("%s", err.message);
    for (const char *at = settings; sscanf(at, " %63[^=]=%127s%n", key, value, &n) == 2; at += n) {
        const struct rule_field *f = rule_field(k, key);
        if (!f || rule_set_text(&r, f, value, &err))
            fail_msg("%s: %s", key, f ? err.message : "unknown");
    }
    struct input in = {.kind = INPUT_RULE_SET, .caller = *who};
    in.rule.row = &r;
    in.rule.mode = mode;
    harness_step(h, &in);
}

// A queue with these settings: "NAME key=value key=value".
static inline void harness_queue(struct harness *h, const char *line)
{
    const struct caller boss = {.admin = true};
    char name[RULE_NAME_SIZE];
    int n;
    CHECK(sscanf(line, "%63s%n", name, &n) == 1);
    harness_put(h, &boss, RULE_PUT, RULE_QUEUE, name, line + n);
    if (!rule_find(h->c, RULE_QUEUE, name))
        fail_msg("no queue \"%s\"", line);
}

static inline int harness_job_order(const void *a, const void *b)
{
    const struct placement *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static inline int harness_wait_order(const void *a, const void *b)
{
    const struct wait *x = a, *y = b;
    return x->id.v < y->id.v ? -1 : x->id.v > y->id.v;
}

// Does a job that is loaded name it?
static inline bool harness_wants(struct harness *h, const bool *has_parts, struct selector_id id)
{
    for (size_t i = 0; i < h->jobs_cap; i++) {
        const struct job *j = &h->jobs[i];
        if (j->id.v && (!job_state_ended(j->state) || has_parts[j->id.v]) &&
            (j->req.need.v == id.v || j->req.prefer.v == id.v))
            return true;
    }
    return false;
}

// A new core from the tables.
static inline struct cluster *harness_load(struct harness *h)
{
    struct err err;
    struct cluster *c = cluster_new(&h->limits);
    cluster_load_meta(c, &h->meta);
    for (size_t i = 0; i < h->rules_cap; i++)
        if (h->rules[i].id && !h->rules[i].removed)
            CHECKF(cluster_load_rule(c, &h->rules[i], &err) == 0, "%s", err.message);
    for (size_t i = 0; i < h->tallies_count; i++)
        CHECKF(cluster_load_tally(c, &h->tallies[i], &err) == 0, "%s", err.message);
    for (size_t i = 0; i < h->nodes_count; i++)
        CHECKF(cluster_load_node(c, &h->nodes[i], &err) == 0, "%s", err.message);
    if (h->parts_count)
        qsort(h->parts, h->parts_count, sizeof *h->parts, harness_job_order);
    if (h->waits_count)
        qsort(h->waits, h->waits_count, sizeof *h->waits, harness_wait_order);
    for (size_t i = 0; i < h->waits_count; i++)
        CHECKF(cluster_load_wait(c, &h->waits[i], &err) == 0, "%s", err.message);
    AUTO_FREE bool *has_parts = xcalloc(h->jobs_cap + 1, sizeof *has_parts);
    for (size_t i = 0; i < h->parts_count; i++)
        has_parts[h->parts[i].job.v] = true;
    for (size_t i = 0; i < h->selectors_count; i++)
        if (harness_wants(h, has_parts, h->selectors[i].id))
            CHECKF(cluster_load_selector(c, &h->selectors[i], &err) == 0, "%s", err.message);
    for (size_t i = 0; i < h->jobs_cap; i++) {
        struct job *j = &h->jobs[i];
        if (j->id.v && (!job_state_ended(j->state) || has_parts[j->id.v]))
            CHECKF(cluster_load_job(c, j, &err) == 0, "%s", err.message);
    }
    for (size_t i = 0; i < h->parts_count; i++)
        CHECKF(cluster_load_placement(c, &h->parts[i], &err) == 0, "%s", err.message);
    return c;
}

// The reloaded state must equal the live one.
static inline void harness_compare(struct harness *h)
{
    struct cluster *again = harness_load(h);
    AUTO(text) struct text live = {0};
    AUTO(text) struct text loaded = {0};
    cluster_dump(h->c, &live);
    cluster_dump(again, &loaded);
    if (strcmp(text_str(&live), text_str(&loaded)) != 0)
        fail_msg("live:\n%s\nreloaded:\n%s", text_str(&live), text_str(&loaded));
    cluster_free(again);
}

static inline void harness_start(struct harness *h, bool same_boot, bool hold, uint64_t term_seen)
{
    cluster_start(h->c, h->now, hold ? h->meta.term : h->meta.term + 1, 42, same_boot, hold,
                  term_seen);
    harness_finish_turn(h);
}

// The scheduler dies and starts again from what it stored.
static inline void harness_restart(struct harness *h, bool same_boot)
{
    cluster_free(h->c);
    h->c = harness_load(h);
    harness_start(h, same_boot, false, 0);
}

static inline void harness_init_with(struct harness *h, struct cluster_limits limits)
{
    *h = (struct harness){.limits = limits, .now = {.boot_ms = 1000, .wall_ms = 1700000000000}};
    h->meta = (struct cluster_meta){.id = {0xc1},
                                    .next_job = 1,
                                    .next_node = 1,
                                    .next_placement = 1,
                                    .next_session = 1,
                                    .next_event = 1,
                                    .next_class = 1};
    h->c = cluster_new(&h->limits);
    cluster_load_meta(h->c, &h->meta);
    harness_start(h, false, false, 0);
}

static inline void harness_init(struct harness *h)
{
    harness_init_with(h, CLUSTER_LIMITS_DEFAULT);
}

static inline void harness_fini(struct harness *h)
{
    cluster_free(h->c);
    for (size_t i = 0; i < h->jobs_cap; i++) {
        free(h->jobs[i].detail);
        free(h->jobs[i].verdict_detail);
    }
    free(h->jobs);
    free(h->nodes);
    free(h->parts);
    free(h->rules);
    free(h->tallies);
    free(h->waits);
    free(h->selectors);
    text_free(&h->story);
}
