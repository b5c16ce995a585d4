// The scheduler's tables, written by whole batches as the store's writer does it: a transaction is
// there or it is not.
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

// What has a column is kept, and nothing else.
#define KEEP_VALUE(member) to->member = from->member;
#define KEEP_STR(member) to->member = from->member ? xstrdup(from->member) : NULL;
#define KEEP_TEXT(member) memcpy(to->member, from->member, sizeof to->member);
#define KEEP_TERM(member)
#define KEEP_DEPENDS(member) to->member = terms_copy(from->member, NULL);
#define KEEP_I64(member) KEEP_VALUE(member)
#define KEEP_HASH(member) KEEP_VALUE(member)
#define KEEP_CORES(member) KEEP_VALUE(member)
#define KEEP_STATE(member) KEEP_VALUE(member)
#define KEEP_REASON(member) KEEP_VALUE(member)
#define KEEP_SHARES(member) KEEP_VALUE(member)
#define KEEP(name, kind, member) KEEP_##kind(member)

static void keep_job(struct job *to, const struct job *from)
{
    free(to->detail);
    free(to->verdict_detail);
    terms_free(to->terms);
    *to = (struct job){0};
    JOB_COLUMNS(KEEP)
}

static void keep_node(struct node *to, const struct node *from)
{
    *to = (struct node){0};
    NODE_COLUMNS(KEEP)
}

static void keep_part(struct placement *to, const struct placement *from)
{
    *to = (struct placement){0};
    PLACEMENT_COLUMNS(KEEP)
}

static void keep_meta(struct cluster_meta *to, const struct cluster_meta *from)
{
    *to = (struct cluster_meta){0};
    META_COLUMNS(KEEP)
}

// Where the job's row is, or would be: rows are in order of their ids.
static size_t job_place(const struct tables *t, uint64_t id)
{
    size_t from = 0, to = t->jobs_count;
    if (to && t->jobs[to - 1].id.v < id)
        return to;
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (t->jobs[middle].id.v < id)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static void job_set(struct tables *t, const struct job *from)
{
    size_t i = job_place(t, from->id.v);
    if (i == t->jobs_count || t->jobs[i].id.v != from->id.v) {
        VEC_RESERVE(t->jobs, t->jobs_count, t->jobs_cap);
        memmove(t->jobs + i + 1, t->jobs + i, (t->jobs_count - i) * sizeof *t->jobs);
        t->jobs[i] = (struct job){0};
        t->jobs_count++;
    }
    keep_job(&t->jobs[i], from);
}

static struct placement *part_row(struct tables *t, uint64_t id)
{
    for (size_t i = 0; i < t->parts_count; i++)
        if (t->parts[i].id == id)
            return &t->parts[i];
    return NULL;
}

static void part_set(struct tables *t, const struct placement *from)
{
    struct placement *row = part_row(t, from->id);
    if (!row) {
        VEC_RESERVE(t->parts, t->parts_count, t->parts_cap);
        row = &t->parts[t->parts_count++];
    }
    keep_part(row, from);
}

static size_t wait_place(const struct tables *t, uint64_t id)
{
    size_t i = 0;
    while (i < t->waits_count && t->waits[i].id.v < id)
        i++;
    return i;
}

static void wait_set(struct tables *t, const struct wait *from)
{
    size_t i = wait_place(t, from->id.v);
    if (i == t->waits_count || t->waits[i].id.v != from->id.v) {
        VEC_RESERVE(t->waits, t->waits_count, t->waits_cap);
        memmove(t->waits + i + 1, t->waits + i, (t->waits_count - i) * sizeof *t->waits);
        t->waits_count++;
    }
    t->waits[i] = *from;
}

static void wait_drop(struct tables *t, uint64_t id)
{
    size_t i = wait_place(t, id);
    if (i < t->waits_count && t->waits[i].id.v == id)
        memmove(t->waits + i, t->waits + i + 1, (--t->waits_count - i) * sizeof *t->waits);
}

static void selector_set(struct tables *t, const struct selector *from)
{
    struct selector row = {.id = from->id};
    memcpy(row.text, from->text, sizeof row.text);
    VEC_RESERVE(t->selectors, t->selectors_count, t->selectors_cap);
    t->selectors[t->selectors_count++] = row;
}

static void node_set(struct tables *t, const struct node *from)
{
    CHECK(from->id.v <= sizeof t->nodes / sizeof *t->nodes);
    keep_node(&t->nodes[from->id.v - 1], from);
    if (from->id.v > t->nodes_count)
        t->nodes_count = from->id.v;
}

static void rule_set(struct tables *t, const struct rule *from)
{
    size_t count = (size_t)from->id;
    if (count > t->rules_count) {
        t->rules = xreallocarray(t->rules, count, sizeof *t->rules);
        memset(t->rules + t->rules_count, 0, (count - t->rules_count) * sizeof *t->rules);
        t->rules_count = count;
    }
    memcpy(&t->rules[count - 1], from, rule_size(from->kind));
}

static struct tally *tally_row(struct tables *t, int64_t id)
{
    for (size_t i = 0; i < t->tallies_count; i++)
        if (t->tallies[i].id == id)
            return &t->tallies[i];
    return NULL;
}

static void tally_set(struct tables *t, const struct tally *from)
{
    struct tally *to = tally_row(t, from->id);
    if (!to) {
        VEC_RESERVE(t->tallies, t->tallies_count, t->tallies_cap);
        to = &t->tallies[t->tallies_count++];
    }
    *to = (struct tally){0};
    TALLY_COLUMNS(KEEP)
}

static void apply_rules(struct tables *t, const struct store_batch *b)
{
    const struct store_slot *slot;
    for (slot = b->rules; slot; slot = slot->hh.next)
        rule_set(t, slot->row);
    for (slot = b->tallies; slot; slot = slot->hh.next)
        if (slot->row)
            tally_set(t, slot->row);
    for (size_t i = 0; i < b->tallies_gone_count; i++) {
        struct tally *row = tally_row(t, (int64_t)b->tallies_gone[i]);
        if (row)
            *row = t->tallies[--t->tallies_count];
    }
}

static void apply(struct tables *t, const struct store_batch *b)
{
    const struct store_slot *slot;
    apply_rules(t, b);
    for (slot = b->nodes; slot; slot = slot->hh.next)
        node_set(t, slot->row);
    for (slot = b->jobs; slot; slot = slot->hh.next)
        job_set(t, slot->row);
    for (slot = b->placements; slot; slot = slot->hh.next)
        if (slot->row)
            part_set(t, slot->row);
    for (size_t i = 0; i < b->gone_count; i++) {
        struct placement *row = part_row(t, b->gone[i]);
        if (row)
            *row = t->parts[--t->parts_count];
    }
    for (slot = b->waits; slot; slot = slot->hh.next)
        if (slot->row)
            wait_set(t, slot->row);
    for (size_t i = 0; i < b->waits_gone_count; i++)
        wait_drop(t, b->waits_gone[i]);
    for (size_t i = 0; i < b->selectors_count; i++)
        selector_set(t, &b->selectors[i]);
    t->tasks += b->tasks_count;
    t->events += b->events_count;
    if (b->meta_changed)
        keep_meta(&t->meta, &b->meta);
}

static void tables_fini(struct tables *t)
{
    for (size_t i = 0; i < t->jobs_count; i++) {
        free(t->jobs[i].detail);
        free(t->jobs[i].verdict_detail);
        terms_free(t->jobs[i].terms);
    }
    free(t->jobs);
    free(t->parts);
    free(t->waits);
    free(t->selectors);
    free(t->rules);
    free(t->tallies);
    *t = (struct tables){0};
}

static void *rows_copy(const void *rows, size_t size)
{
    return xmemdup(rows ? rows : "", size);
}

static void tables_copy(struct tables *to, const struct tables *from)
{
    tables_fini(to);
    *to = *from;
    to->jobs = NULL;
    to->jobs_cap = to->jobs_count = 0;
    for (size_t i = 0; i < from->jobs_count; i++)
        job_set(to, &from->jobs[i]);
    to->parts_cap = from->parts_count;
    to->parts = rows_copy(from->parts, from->parts_count * sizeof *from->parts);
    to->rules = rows_copy(from->rules, from->rules_count * sizeof *from->rules);
    to->tallies_cap = from->tallies_count;
    to->tallies = rows_copy(from->tallies, from->tallies_count * sizeof *from->tallies);
    to->waits_cap = from->waits_count;
    to->waits = rows_copy(from->waits, from->waits_count * sizeof *from->waits);
    to->selectors_cap = from->selectors_count;
    to->selectors = rows_copy(from->selectors, from->selectors_count * sizeof *from->selectors);
}

void disk_init(struct sim *s)
{
    s->disk.now.meta = (struct cluster_meta){.id = {rng_next(&s->world.rng) | 1},
                                             .next_job = 1,
                                             .next_node = 1,
                                             .next_placement = 1,
                                             .next_session = 1,
                                             .next_event = 1};
}

void disk_fini(struct sim *s)
{
    tables_fini(&s->disk.now);
    tables_fini(&s->disk.backup);
}

bool disk_commit(struct sim *s, struct store_batch *const *batches, size_t count)
{
    struct disk *d = &s->disk;
    bool full = s->world.now_ms < d->full_until_ms;
    if (d->fails_next || (full && d->reserve <= 0)) {
        d->fails_next = false;
        tell(&s->world, "commit fails%s", full ? ": the disk is full" : "");
        return false;
    }
    if (full)
        d->reserve--;
    for (size_t i = 0; i < count; i++) {
        apply(&d->now, batches[i]);
        judge_committed(s, batches[i]);
    }
    s->counts.commits++;
    return true;
}

int64_t disk_latency_ms(struct sim *s)
{
    struct world *w = &s->world;
    if (w->now_ms >= s->disk.slow_until_ms)
        return between(w, 1, 12);
    return chance(w, 500) ? spread(w, 1, 20000) : between(w, 1000, 20000);
}

bool disk_has_room(const struct sim *s)
{
    return s->world.now_ms >= s->disk.full_until_ms;
}

const struct job *disk_job(const struct sim *s, struct job_id id)
{
    const struct tables *t = &s->disk.now;
    size_t i = job_place(t, id.v);
    return i < t->jobs_count && t->jobs[i].id.v == id.v ? &t->jobs[i] : NULL;
}

enum reason_code disk_why(const struct sim *s, const struct job *j)
{
    const struct tables *t = &s->disk.now;
    if (!j->class_id.v)
        return j->reason.code;
    size_t i = wait_place(t, j->class_id.v);
    bool told = i < t->waits_count && t->waits[i].id.v == j->class_id.v;
    return told ? t->waits[i].reason.code : REASON_PRIORITY;
}

const struct placement *disk_part(const struct sim *s, struct job_uid uid, uint32_t attempt,
                                  struct node_id node)
{
    const struct tables *t = &s->disk.now;
    for (size_t i = 0; i < t->parts_count; i++)
        if (t->parts[i].uid.v == uid.v && t->parts[i].attempt == attempt &&
            t->parts[i].node.v == node.v)
            return &t->parts[i];
    return NULL;
}

struct job_id disk_request(const struct sim *s, struct request_id id)
{
    const struct tables *t = &s->disk.now;
    for (size_t i = 0; i < t->jobs_count; i++)
        if (t->jobs[i].request_id.hi == id.hi && t->jobs[i].request_id.lo == id.lo)
            return t->jobs[i].id;
    return (struct job_id){0};
}

static int part_order(const void *a, const void *b)
{
    const struct placement *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool has_part(const struct tables *t, struct job_id job)
{
    for (size_t i = 0; i < t->parts_count; i++)
        if (t->parts[i].job.v == job.v)
            return true;
    return false;
}

// Does a job that is loaded name it?
static bool is_wanted(const struct tables *t, struct selector_id id)
{
    for (size_t i = 0; i < t->jobs_count; i++) {
        const struct job *j = &t->jobs[i];
        if ((j->req.need.v == id.v || j->req.prefer.v == id.v) &&
            (!job_state_ended(j->state) || has_part(t, j->id)))
            return true;
    }
    return false;
}

struct cluster *disk_load(struct sim *s)
{
    struct tables *t = &s->disk.now;
    struct err err;
    struct cluster *c = cluster_new(&s->limits);
    cluster_load_meta(c, &t->meta);
    for (size_t i = 0; i < t->rules_count; i++)
        if (t->rules[i].id && !t->rules[i].removed)
            CHECKF(cluster_load_rule(c, &t->rules[i], &err) == 0, "%s", err.message);
    for (size_t i = 0; i < t->tallies_count; i++)
        CHECKF(cluster_load_tally(c, &t->tallies[i], &err) == 0, "%s", err.message);
    for (size_t i = 0; i < t->nodes_count; i++)
        CHECKF(cluster_load_node(c, &t->nodes[i], &err) == 0, "%s", err.message);
    if (t->parts_count)
        qsort(t->parts, t->parts_count, sizeof *t->parts, part_order);
    for (size_t i = 0; i < t->selectors_count; i++)
        if (is_wanted(t, t->selectors[i].id))
            CHECKF(cluster_load_selector(c, &t->selectors[i], &err) == 0, "%s", err.message);
    for (size_t i = 0; i < t->waits_count; i++)
        CHECKF(cluster_load_wait(c, &t->waits[i], &err) == 0, "%s", err.message);
    for (size_t i = 0; i < t->jobs_count; i++) {
        const struct job *j = &t->jobs[i];
        if (!job_state_ended(j->state) || has_part(t, j->id))
            CHECKF(cluster_load_job(c, j, &err) == 0, "%s", err.message);
    }
    for (size_t i = 0; i < t->parts_count; i++)
        CHECKF(cluster_load_placement(c, &t->parts[i], &err) == 0, "%s", err.message);
    return c;
}

void disk_backup(struct sim *s)
{
    tables_copy(&s->disk.backup, &s->disk.now);
    s->disk.has_backup = true;
}

void disk_restore(struct sim *s, bool with_term_file)
{
    uint64_t filed = s->disk.now.filed_term;
    tables_copy(&s->disk.now, &s->disk.backup);
    if (!with_term_file)
        s->disk.now.filed_term = filed;
    judge_restored(s);
}
