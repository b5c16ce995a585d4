// The stored state as canonical text, from the same column lists as the database.
#include "scheduler/core/state.h"

#include <stdlib.h>

static void add_i64(struct text *t, const char *name, int64_t v)
{
    if (v)
        text_addf(t, " %s=%" PRId64, name, v);
}

static void add_str(struct text *t, const char *name, const char *s)
{
    if (s && *s)
        text_addf(t, " %s=\"%s\"", name, s);
}

static void add_hash(struct text *t, const char *name, const struct spec_hash *h)
{
    text_addf(t, " %s=", name);
    for (size_t i = 0; i < sizeof h->b; i++)
        text_addf(t, "%02x", h->b[i]);
}

static void add_cores(struct text *t, const char *name, const struct coreset *s)
{
    text_addf(t, " %s=", name);
    text_add_coreset(t, s);
}

static void add_shares(struct text *t, const char *name, const struct gpu_shares *s)
{
    AUTO(text) struct text list = {0};
    text_add_shares(&list, s);
    add_str(t, name, text_str(&list));
}

#define DUMP_I64(name, member) add_i64(t, #name, (int64_t)row->member);
#define DUMP_STR(name, member) add_str(t, #name, row->member);
#define DUMP_TEXT(name, member) add_str(t, #name, row->member);
#define DUMP_HASH(name, member) add_hash(t, #name, &row->member);
#define DUMP_SHARES(name, member) add_shares(t, #name, &row->member);
#define DUMP_CORES(name, member) add_cores(t, #name, &row->member);
#define DUMP_STATE(name, member) add_i64(t, #name, (int64_t)row->member);
#define DUMP_REASON(name, member) add_str(t, #name, reason_word(row->member));
#define DUMP(name, kind, member) DUMP_##kind(name, member)

static void dump_job(const struct job *row, struct text *t)
{
    text_add(t, "job");
    JOB_COLUMNS(DUMP)
    text_addc(t, '\n');
}

static void dump_node(const struct node *row, struct text *t)
{
    text_add(t, "node");
    NODE_COLUMNS(DUMP)
    text_addc(t, '\n');
}

static void dump_placement(const struct placement *row, struct text *t)
{
    text_add(t, "placement");
    PLACEMENT_COLUMNS(DUMP)
    text_addc(t, '\n');
}

static void dump_rules(const struct cluster *c, struct text *t)
{
    for (size_t i = 0; i < c->rules.count; i++) {
        const struct rule_entry *p = c->rules.by_id[i];
        size_t count;
        if (!p)
            continue;
        const struct rule_field *f = rule_fields(p->row->kind, &count);
        text_addf(t, "%s id=%" PRId64, rule_kind_word(p->row->kind), p->row->id);
        for (size_t k = 0; k < count; k++)
            if (rule_field_is_text(&f[k]))
                add_str(t, f[k].name, rule_text(p->row, &f[k]));
            else
                add_i64(t, f[k].name, rule_number_of(p->row, &f[k]));
        text_addc(t, '\n');
    }
}

static int tally_order(const void *a, const void *b)
{
    const struct tally *x = *(const struct tally *const *)a, *y = *(const struct tally *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void dump_tallies(const struct cluster *c, struct text *t)
{
    size_t count = HASH_CNT(by_id, c->rules.tallies), i = 0;
    const struct tally **all = xcalloc(count + 1, sizeof(void *));
    for (const struct tally *y = c->rules.tallies; y; y = y->by_id.next)
        all[i++] = y;
    if (i)
        qsort(all, i, sizeof(void *), tally_order);
    for (size_t k = 0; k < i; k++) {
        const struct tally *row = all[k];
        text_add(t, "tally");
        TALLY_COLUMNS(DUMP)
        text_addc(t, '\n');
    }
    free(all);
}

static int placement_order(const void *a, const void *b)
{
    const struct placement *x = *(const struct placement *const *)a;
    const struct placement *y = *(const struct placement *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void dump_jobs(const struct cluster *c, struct text *t)
{
    const struct job *j;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    if (!job_state_ended(j->state) || !TAILQ_EMPTY(&j->parts))
        dump_job(j, t);
}

static void dump_wait(const struct wait *row, struct text *t)
{
    text_add(t, "wait");
    WAIT_COLUMNS(DUMP)
    text_addc(t, '\n');
}

static int wait_order(const void *a, const void *b)
{
    const struct wait *x = *(const struct wait *const *)a, *y = *(const struct wait *const *)b;
    return x->id.v < y->id.v ? -1 : x->id.v > y->id.v;
}

static void dump_waits(const struct cluster *c, struct text *t)
{
    const struct wait **rows = xcalloc(c->classes_by_id.count + 1, sizeof(void *));
    size_t count = 0;
    struct class_order *queue = &((struct cluster *)c)->queue;
    struct job_class *k;
    RB_FOREACH(k, class_order, queue)
    if (k->stored)
        rows[count++] = &k->wait;
    if (count)
        qsort(rows, count, sizeof(void *), wait_order);
    dump_wait(&c->queue_wait, t);
    for (size_t i = 0; i < count; i++)
        dump_wait(rows[i], t);
    free(rows);
}

static int selector_order(const void *a, const void *b)
{
    const struct selector *x = *(const struct selector *const *)a;
    const struct selector *y = *(const struct selector *const *)b;
    return x->id.v < y->id.v ? -1 : x->id.v > y->id.v;
}

static void dump_selectors(const struct cluster *c, struct text *t)
{
    size_t count = HASH_CNT(by_id, c->selectors_by_id), i = 0;
    const struct selector **all = xcalloc(count + 1, sizeof(void *)), *row;
    for (row = c->selectors_by_id; row; row = row->by_id.next)
        if (row->jobs)
            all[i++] = row;
    if (i)
        qsort(all, i, sizeof(void *), selector_order);
    for (size_t k = 0; k < i; k++) {
        row = all[k];
        text_add(t, "selector");
        SELECTOR_COLUMNS(DUMP)
        text_addc(t, '\n');
    }
    free(all);
}

void cluster_dump(const struct cluster *c, struct text *t)
{
    const struct cluster_meta *row = &c->meta;
    text_add(t, "meta");
    META_COLUMNS(DUMP)
    text_addc(t, '\n');
    dump_rules(c, t);
    dump_tallies(c, t);
    for (size_t i = 0; i < c->nodes_count; i++)
        dump_node(c->nodes[i], t);
    dump_waits(c, t);
    dump_selectors(c, t);
    dump_jobs(c, t);
    const struct placement **parts = xcalloc(c->parts_count + 1, sizeof(void *)), *p;
    size_t count = 0;
    for (size_t i = 0; i < c->nodes_count; i++)
        TAILQ_FOREACH(p, &c->nodes[i]->parts, node_link)
    parts[count++] = p;
    if (count)
        qsort(parts, count, sizeof(void *), placement_order);
    for (size_t i = 0; i < count; i++)
        dump_placement(parts[i], t);
    free(parts);
}
