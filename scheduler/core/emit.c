// What a step says: changed rows, facts with their narration, effects.
#include "scheduler/core/state.h"

#include <stdio.h>
#include <string.h>

void job_mark(struct cluster *c, struct job *j)
{
    if (!j->dirty)
        pointers_push(&c->dirty_jobs, j);
    j->dirty = true;
}

void node_mark(struct cluster *c, struct node *n)
{
    if (!n->dirty)
        pointers_push(&c->dirty_nodes, n);
    n->dirty = true;
    c->pass_wanted = true;
}

void part_mark(struct cluster *c, struct placement *p)
{
    if (p->dirty)
        return;
    p->dirty_at = c->dirty_parts.count;
    pointers_push(&c->dirty_parts, p);
    p->dirty = true;
}

void meta_mark(struct cluster *c)
{
    c->meta_dirty = true;
}

struct event *emit(struct cluster *c, enum event_kind kind, const struct job *j,
                   const struct node *n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(&c->arena, fmt, ap);
    va_end(ap);
    size_t count = c->out.events_count;
    VEC_RESERVE(c->events, count, c->cap.events);
    struct event *e = &c->events[c->out.events_count++];
    *e = (struct event){.kind = kind, .at_ms = c->now.wall_ms, .text = text};
    if (kind != EVENT_NOTE) {
        e->id = c->meta.next_event++;
        meta_mark(c);
    }
    if (j) {
        e->job = j->id;
        e->attempt = j->attempt;
        e->class_id = j->class_id;
    }
    if (n)
        e->node = n->id;
    return e;
}

struct effect *effect_add(struct cluster *c, enum effect_kind kind)
{
    size_t count = c->out.effects_count;
    VEC_RESERVE(c->effects, count, c->cap.effects);
    struct effect *e = &c->effects[c->out.effects_count++];
    *e = (struct effect){.kind = kind};
    return e;
}

struct effect *effect_to(struct cluster *c, struct node *n, enum effect_kind kind)
{
    if (!n->ready || c->meta.recovery_hold)
        return NULL;
    struct effect *e = effect_add(c, kind);
    e->node = n->id;
    e->link = n->link;
    e->session = n->session;
    e->request = n->request;
    return e;
}

void reply_ok(struct cluster *c, const struct caller *to, struct job_id job)
{
    if (!to->reply_to)
        return;
    struct effect *e = effect_add(c, EFFECT_REPLY);
    e->reply.to = to->reply_to;
    e->reply.ok = true;
    e->reply.job = job;
}

void reply_refuse(struct cluster *c, const struct caller *to, struct reason r, const char *detail)
{
    if (!to->reply_to)
        return;
    struct effect *e = effect_add(c, EFFECT_REPLY);
    e->reply.to = to->reply_to;
    e->reply.reason = r;
    e->reply.detail = arena_strdup(&c->arena, detail);
}

void wake_by(struct cluster *c, int64_t at_ms)
{
    if (at_ms < c->tick_at_ms)
        c->tick_at_ms = at_ms;
}

static void add_reason(struct cluster *c, const struct reason *r, const char *detail,
                       struct text *ret)
{
    AUTO(text) struct text limit = {0};
    const struct node *n = node_find(c, r->node);
    if (reason_is_limit(r->code))
        cluster_limit_text(c, r, &limit);
    reason_text(r, n ? n->name : NULL, limit.len ? text_str(&limit) : detail, ret);
}

void cluster_reason_text(struct cluster *c, const struct reason *r, struct text *ret)
{
    add_reason(c, r, NULL, ret);
}

const char *reason_say(struct cluster *c, const struct reason *r, const char *detail)
{
    AUTO(text) struct text t = {0};
    add_reason(c, r, detail, &t);
    return arena_strdup(&c->arena, text_str(&t));
}

const char *job_label(struct cluster *c, const struct job *j)
{
    if (j->array.v)
        return arena_printf(&c->arena, "%" PRIu64 "_%" PRId64, j->array.v, j->element);
    return arena_printf(&c->arena, "%" PRIu64, j->id.v);
}

#define COPY_DIRTY(type, dirty, field)                                         \
    do {                                                                       \
        type *rows = arena_alloc(&c->arena, (dirty).count * sizeof(type) + 1); \
        size_t n = 0;                                                          \
        for (size_t i = 0; i < (dirty).count; i++)                             \
            if ((dirty).items[i])                                              \
                rows[n++] = *(type *)(dirty).items[i];                         \
        c->out.field = rows;                                                   \
        c->out.field##_count = n;                                              \
    } while (0)

static void copy_rules(struct cluster *c)
{
    struct rule *rows = arena_alloc(&c->arena, c->dirty_rules.count * sizeof *rows + 1);
    for (size_t i = 0; i < c->dirty_rules.count; i++) {
        const struct rule_entry *p = c->dirty_rules.items[i];
        memcpy(&rows[i], p->row, rule_size(p->row->kind));
    }
    c->out.rules = rows;
    c->out.rules_count = c->dirty_rules.count;
}

// The rows of classes, that of the whole queue among them.
static void copy_waits(struct cluster *c)
{
    struct wait *rows = arena_alloc(&c->arena, (c->dirty_classes.count + 1) * sizeof *rows);
    size_t n = 0;
    if (c->queue_wait_dirty)
        rows[n++] = c->queue_wait;
    for (size_t i = 0; i < c->dirty_classes.count; i++)
        if (c->dirty_classes.items[i])
            rows[n++] = ((const struct job_class *)c->dirty_classes.items[i])->wait;
    c->out.waits = rows;
    c->out.waits_count = n;
    c->out.waits_gone = c->waits_gone;
}

const struct outcome *cluster_outcome(struct cluster *c)
{
    copy_rules(c);
    COPY_DIRTY(struct tally, c->dirty_tallies, tallies);
    c->out.tallies_gone = c->tallies_gone;
    copy_waits(c);
    COPY_DIRTY(struct job, c->dirty_jobs, jobs);
    COPY_DIRTY(struct node, c->dirty_nodes, nodes);
    COPY_DIRTY(struct placement, c->dirty_parts, placements);
    c->out.placements_gone = c->gone;
    c->out.selectors = c->selectors_new;
    c->out.tasks = c->tasks;
    c->out.events = c->events;
    c->out.effects = c->effects;
    c->out.meta = c->meta;
    c->out.meta_changed = c->meta_dirty;
    c->out.continue_wanted = c->pass_wanted || c->pass.running;
    c->out.wake_at_ms = c->tick_at_ms;
    return &c->out;
}
