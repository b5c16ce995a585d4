// Which nodes a reservation gets: those it names, or so many that suit it best; and what is in the
// way.
#include "common/hostlist.h"
#include "scheduler/core/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS_NAMED = 5 };

struct taking {
    struct cluster *c;
    const struct reservation_rule *r;
    int64_t id; // of the rule; 0: it is new
    struct span span;
    int64_t start_ms; // boot clock: of the next window, now if it is under way
};

// The reservation that has the node at a time of this one; NULL: none.
static const struct rule_entry *taken_by(const struct taking *t, const struct node *n)
{
    for (const struct window *w = windows_on(t->c, n); w; w = w->next)
        if (w->of != t->id && !w->maintenance && !t->r->maintenance &&
            spans_meet(&w->span, &t->span, t->c->now.wall_ms))
            return rule_by_id(t->c, w->of);
    return NULL;
}

// May the part reach into the reservation? Its own jobs may.
static bool reaches(const struct taking *t, const struct placement *p)
{
    const struct job *j = p->job.v ? job_find(t->c, p->job) : NULL;
    return p->ends_ms > t->start_ms && !(t->id && j && j->req.reservation.v == t->id);
}

static int parts_in_the_way(const struct taking *t, const struct node *n)
{
    int count = 0;
    const struct placement *p;
    TAILQ_FOREACH(p, &n->parts, node_link)
    count += reaches(t, p);
    return count;
}

// ---- choosing ----

struct candidate {
    const struct node *n;
    int in_the_way;
    bool had; // it is one of those chosen before
};

// Those chosen before, then those that jobs leave in time, then those with least on them.
static int by_fitness(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    const int64_t keys[][2] = {{y->had, x->had},
                               {x->in_the_way, y->in_the_way},
                               {x->n->parts_count, y->n->parts_count},
                               {x->n->id.v, y->n->id.v}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i][0] != keys[i][1])
            return keys[i][0] < keys[i][1] ? -1 : 1;
    return 0;
}

static size_t list_candidates(const struct taking *t, const char *before, struct candidate *ret)
{
    struct err err;
    size_t count = 0;
    AUTO(names) struct names had = {0};
    bool *was = xcalloc(t->c->nodes_count + 1, sizeof *was);
    if (*before && hostlist_expand(before, &had, &err))
        had.count = 0;
    for (size_t i = 0; i < had.count; i++) {
        const struct node *n = node_find_name(t->c, had.items[i]);
        if (n)
            was[n->id.v - 1] = true;
    }
    for (size_t i = 0; i < t->c->nodes_count; i++) {
        const struct node *n = t->c->nodes[i];
        int in_the_way = parts_in_the_way(t, n);
        if (!node_usable(n) || taken_by(t, n) || (in_the_way && !t->r->ignore_jobs && !was[i]))
            continue;
        ret[count++] = (struct candidate){n, in_the_way, was[i]};
    }
    free(was);
    return count;
}

// Writes the list of the best into ret (RULE_LIST_SIZE).
static void choose(const struct taking *t, const char *before, char *ret, struct text *wrong)
{
    struct candidate *all = xcalloc(t->c->nodes_count + 1, sizeof *all);
    size_t count = list_candidates(t, before, all), want = (size_t)t->r->node_count;
    if (count < want) {
        text_addf(wrong,
                  "it wants %zu nodes, and %zu are usable, in no other reservation then, and free "
                  "of jobs by its start%s",
                  want, count, t->r->ignore_jobs ? "" : " (ignore_jobs=true takes others too)");
        free(all);
        return;
    }
    qsort(all, count, sizeof *all, by_fitness);
    char **names = xcalloc(want + 1, sizeof *names);
    AUTO(text) struct text list = {0};
    for (size_t i = 0; i < want; i++)
        names[i] = (char *)all[i].n->name;
    hostlist_fold(names, want, &list);
    if (list.len >= RULE_LIST_SIZE)
        text_addf(wrong, "the list of %zu nodes is longer than %d characters; name them (nodes=)",
                  want, RULE_LIST_SIZE - 1);
    else
        snprintf(ret, RULE_LIST_SIZE, "%s", text_str(&list));
    free(names);
    free(all);
}

// ---- named ----

static void name_jobs(const struct taking *t, const struct names *names, struct text *wrong)
{
    AUTO(text) struct text jobs = {0};
    int64_t last = 0;
    int count = 0;
    for (size_t i = 0; i < names->count; i++) {
        const struct node *n = node_find_name(t->c, names->items[i]);
        const struct placement *p;
        TAILQ_FOREACH(p, &n->parts, node_link)
        {
            if (!reaches(t, p) || (int64_t)p->job.v == last)
                continue;
            last = (int64_t)p->job.v;
            if (count++ < JOBS_NAMED)
                text_addf(&jobs, "%s%" PRIu64 " on %s", jobs.len ? ", " : "", p->job.v, n->name);
        }
    }
    if (count)
        text_addf(wrong,
                  "jobs run there that may not have ended when it begins: %s%s; ignore_jobs=true "
                  "lets them run on",
                  text_str(&jobs), count > JOBS_NAMED ? " and others" : "");
}

static void check_named(const struct taking *t, bool moved, struct text *wrong)
{
    struct err err;
    AUTO(names) struct names names = {0};
    if (hostlist_expand(t->r->nodes, &names, &err))
        return; // it has been checked
    for (size_t i = 0; i < names.count; i++) {
        const struct node *n = node_find_name(t->c, names.items[i]);
        const struct rule_entry *p = taken_by(t, n);
        if (!p)
            continue;
        text_addf(wrong, "reservation \"%s\" has node %s at a time of this one", p->key, n->name);
        return;
    }
    if (moved && !t->r->ignore_jobs)
        name_jobs(t, &names, wrong);
}

// ---- the row ----

static struct taking taking_of(struct cluster *c, const struct reservation_rule *r, int64_t id)
{
    struct taking t = {
        .c = c, .r = r, .id = id, .span = reservation_span(r), .start_ms = INT64_MAX};
    int64_t start, end;
    if (span_next(&t.span, c->now.wall_ms, &start, &end))
        t.start_ms =
            start > c->now.wall_ms ? start - c->now.wall_ms + c->now.boot_ms : c->now.boot_ms;
    return t;
}

void reservation_take_nodes(struct cluster *c, struct rule *row, const struct rule_entry *old,
                            struct text *wrong)
{
    struct reservation_rule *r = &row->reservation;
    const struct reservation_rule *o = old ? &old->row->reservation : NULL;
    bool moved = !o || o->start_ms != r->start_ms || o->duration_ms != r->duration_ms ||
                 strcmp(o->repeat, r->repeat) || strcmp(o->nodes, r->nodes) ||
                 o->node_count != r->node_count || o->maintenance != r->maintenance;
    struct taking t = taking_of(c, r, old ? old->row->id : 0);
    char chosen[RULE_LIST_SIZE] = "";
    if (!r->node_count)
        check_named(&t, moved, wrong);
    else if (moved)
        choose(&t, o ? o->chosen : "", chosen, wrong);
    else
        memcpy(chosen, o->chosen, sizeof chosen);
    memset(r->chosen, 0, sizeof r->chosen);
    snprintf(r->chosen, sizeof r->chosen, "%s", chosen);
}

// It may keep them: all are usable, or its jobs run there.
static bool keeps(const struct cluster *c, const char *list, int64_t id)
{
    bool usable = true;
    struct err err;
    AUTO(names) struct names names = {0};
    if (hostlist_expand(list, &names, &err))
        return false;
    for (size_t i = 0; i < names.count; i++) {
        const struct node *n = node_find_name(c, names.items[i]);
        const struct placement *p;
        usable &= n && node_usable(n);
        if (!n)
            continue;
        TAILQ_FOREACH(p, &n->parts, node_link)
        {
            const struct job *j = p->job.v ? job_find(c, p->job) : NULL;
            if (j && j->req.reservation.v == id)
                return true;
        }
    }
    return usable && names.count > 0;
}

bool reservation_mend(struct cluster *c, struct rule_entry *p)
{
    struct reservation_rule *r = &p->row->reservation;
    char chosen[RULE_LIST_SIZE] = "";
    AUTO(text) struct text wrong = {0};
    struct taking t = taking_of(c, r, p->row->id);
    if (!r->node_count || t.start_ms == INT64_MAX || keeps(c, r->chosen, p->row->id))
        return false;
    choose(&t, r->chosen, chosen, &wrong);
    if (wrong.len || strcmp(chosen, r->chosen) == 0)
        return false; // too few others: it keeps what it has
    memset(r->chosen, 0, sizeof r->chosen);
    snprintf(r->chosen, sizeof r->chosen, "%s", chosen);
    rule_mark(c, p);
    emit(c, EVENT_RULE_CHANGED, NULL, NULL, "reservation \"%s\" has nodes %s from now on", p->key,
         chosen);
    return true;
}
