#include "scheduler/core/breach.h"

#include "common/alloc.h"
#include "common/hostlist.h"
#include "common/units.h"
#include "scheduler/core/state.h"

#include <stdlib.h>

static struct breach *add(struct breaches *all, const char *kind, int64_t of, struct text *text)
{
    VEC_RESERVE(all->items, all->count, all->cap);
    struct breach *b = &all->items[all->count++];
    *b = (struct breach){.kind = kind, .of = of, .text = text_take(text)};
    return b;
}

// Jobs that wait and that a limit keeps whatever the others do.
static void find_kept(struct cluster *c, struct breaches *ret)
{
    struct job *j;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    {
        struct text t = {0};
        struct reason r;
        if (!j->in_class || !limit_never(c, j, &r))
            continue;
        text_addf(&t, "job %" PRIu64 " could not start: ", j->id.v);
        cluster_reason_text(c, &r, &t);
        add(ret, "limit", r.a >> 8, &t)->job = j->id;
    }
}

static bool counts_at(const struct cluster *c, const struct job *j, const struct limit_row *l)
{
    uint32_t id = (uint32_t)l->of->row->id;
    const struct rule_entry *account = rule_by_id(c, j->account.v);
    if (l->uid >= 0 && j->owner_uid != (uint32_t)l->uid)
        return false;
    return j->queue.v == id || j->user.v == id || j->qos.v == id ||
           (account && l->of->row->kind == RULE_ACCOUNT && account_below(account, l->of));
}

static void add_running(const struct cluster *c, const struct limit_row *l, struct text *t)
{
    enum { SHOWN = 10 };
    const struct job *j;
    int n = 0;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    {
        if (TAILQ_EMPTY(&j->parts) || job_state_ended(j->state) || !counts_at(c, j, l) ||
            n++ > SHOWN)
            continue;
        if (n > SHOWN)
            text_add(t, ", ...");
        else
            text_addf(t, "%s%" PRIu64, n == 1 ? "; jobs " : ", ", j->id.v);
    }
}

// What is held at once above its limit: nothing is stopped for that, but nothing starts either.
static void find_over(struct cluster *c, struct breaches *ret)
{
    struct limit_row *rows;
    size_t count;
    limits_of_all(c, &rows, &count);
    for (size_t i = 0; i < count; i++) {
        const struct limit_row *l = &rows[i];
        struct text t = {0};
        if (l->kind >= LIMIT_JOB_CORES || l->used_milli <= l->most * 1000)
            continue;
        text_addf(&t, "%s of ", l->limit);
        limit_add_level(c, l->of, l->uid, &t);
        text_addf(&t, " would be %" PRId64 ", and ", l->most);
        text_add_milli(&t, l->used_milli);
        text_add(&t, " are used");
        add_running(c, l, &t);
        struct breach *b = add(ret, "over", l->of->row->id, &t);
        b->sort = (int64_t)l->kind << 33 | (l->uid + 1);
    }
    free(rows);
}

static bool may_use(const struct cluster *c, const struct job *j, const struct reservation_rule *r)
{
    const struct rule_entry *user = rule_by_id(c, j->user.v),
                            *account = rule_by_id(c, j->account.v);
    char name[RULE_NAME_SIZE];
    if (user && user->row->kind == RULE_USER && rule_list_has(r->users, user->row->user.name))
        return true;
    for (size_t at = 0; rule_list_next(r->accounts, &at, name);) {
        const struct rule_entry *above = rule_find(c, RULE_ACCOUNT, name);
        if (account && above && account_below(account, above))
            return true;
    }
    return false;
}

// By its time limit.
static bool ends_before(const struct job *j, int64_t at_ms)
{
    int64_t end_ms;
    return j->req.time_limit_ms && j->started_at_ms &&
           !__builtin_add_overflow(j->started_at_ms, j->req.time_limit_ms, &end_ms) &&
           end_ms <= at_ms;
}

static void find_in_the_way(struct cluster *c, const struct rule *row, const struct node *n,
                            int64_t start_ms, struct breaches *ret)
{
    const struct reservation_rule *r = &row->reservation;
    const struct placement *p;
    TAILQ_FOREACH(p, &n->parts, node_link)
    {
        const struct job *j = job_find(c, p->job);
        struct text t = {0};
        if (!j || ends_before(j, start_ms) || (!r->maintenance && may_use(c, j, r)))
            continue;
        text_addf(&t, "job %" PRIu64 " on node %s may run past the beginning of reservation \"%s\"",
                  j->id.v, n->name, r->name);
        struct breach *b = add(ret, "reservation", row->id, &t);
        b->job = j->id;
        b->sort = n->id.v;
    }
}

// Jobs that run on nodes that are promised to others by then.
static void find_reserved(struct cluster *c, struct breaches *ret)
{
    struct err err;
    for (size_t i = 0; i < c->rules.count; i++) {
        const struct rule *row = c->rules.by_id[i] ? c->rules.by_id[i]->row : NULL;
        AUTO(names) struct names names = {0};
        int64_t start_ms, end_ms;
        if (!row || row->kind != RULE_RESERVATION ||
            !reservation_next(&row->reservation, c->now.wall_ms, &start_ms, &end_ms) ||
            hostlist_expand(reservation_nodes(&row->reservation), &names, &err))
            continue;
        for (size_t k = 0; k < names.count; k++) {
            const struct node *n = cluster_node_by_name(c, names.items[k]);
            if (n)
                find_in_the_way(c, row, n, start_ms, ret);
        }
    }
}

void breaches_find(struct cluster *c, struct breaches *ret)
{
    find_kept(c, ret);
    find_over(c, ret);
    find_reserved(c, ret);
}

void breaches_free(struct breaches *b)
{
    for (size_t i = 0; i < b->count; i++)
        free(b->items[i].text);
    free(b->items);
    *b = (struct breaches){0};
}
