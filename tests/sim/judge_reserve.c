// Reservations, judged by their rows and by nothing of the core's: what was placed reaches into
// none that is not its own.
#include "tests/sim/judge.h"

#include "common/hostlist.h"

#include <string.h>

enum {
    RULES_MOST = 4096,
    TOLERANCE_MS = 1001, // the wall clock may be off by a second before the core looks again
    TIMES_MOST = 4000,
};

struct part {
    const struct job *j;
    const char *node;
    int64_t from_ms, until_ms; // wall clock; until INT64_MAX: no limit
};

static bool has_node(const struct reservation_rule *r, const char *node)
{
    struct err err;
    AUTO(names) struct names list = {0};
    bool found = false;
    CHECK(hostlist_expand(reservation_nodes(r), &list, &err) == 0);
    for (size_t i = 0; i < list.count; i++)
        found |= strcmp(list.items[i], node) == 0;
    return found;
}

// One time after the other. Is there one that begins before until_ms and ends after from_ms?
static bool meets(const struct reservation_rule *r, int64_t from_ms, int64_t until_ms)
{
    int64_t day_ms = 86400000, period_ms = r->repeat[0] == 'd'   ? day_ms
                                           : r->repeat[0] == 'w' ? 7 * day_ms
                                                                 : 0;
    for (int i = 0; i < TIMES_MOST; i++) {
        int64_t start_ms = r->start_ms + i * period_ms;
        if (start_ms < until_ms && start_ms + r->duration_ms > from_ms)
            return true;
        if (!period_ms || start_ms >= until_ms)
            return false;
    }
    return false;
}

// Is there one that holds all of it?
static bool holds(const struct reservation_rule *r, int64_t from_ms, int64_t until_ms)
{
    for (int64_t at = from_ms; at <= from_ms + TOLERANCE_MS; at += TOLERANCE_MS) {
        int64_t start_ms, end_ms;
        if (reservation_next(r, at, &start_ms, &end_ms) && start_ms - TOLERANCE_MS <= from_ms &&
            until_ms <= end_ms + TOLERANCE_MS)
            return true;
    }
    return false;
}

static void judge_part(struct sim *s, const struct part *p)
{
    const struct cluster *c = s->scheduler.cluster;
    const struct request *q = &p->j->req;
    for (int64_t id = 1; id < rule_settings(c)->next_rule && id < RULES_MOST; id++) {
        const struct rule_entry *e = rule_by_id(c, id);
        if (!e || e->row->kind != RULE_RESERVATION)
            continue;
        const struct reservation_rule *r = &e->row->reservation;
        bool own = q->reservation.v == id, there = has_node(r, p->node);
        int64_t until_ms = own && !q->time_limit_ms ? p->from_ms + q->grace_ms : p->until_ms;
        if (own && (!there || r->maintenance || !holds(r, p->from_ms, until_ms)))
            broken(s, "job %" PRIu64 " is placed on %s outside of its reservation %s", p->j->id.v,
                   p->node, r->name);
        if (own || !there || (q->reservation.v && !q->time_limit_ms))
            continue;
        if (meets(r, p->from_ms + TOLERANCE_MS,
                  p->until_ms == INT64_MAX ? INT64_MAX : p->until_ms - TOLERANCE_MS))
            broken(s, "job %" PRIu64 " is placed on %s, and reaches into reservation %s",
                   p->j->id.v, p->node, r->name);
    }
}

void judge_placed(struct sim *s, const struct event *e)
{
    const struct cluster *c = s->scheduler.cluster;
    const struct job *j = cluster_job(c, e->job);
    const struct node *n = cluster_node(c, e->node);
    struct part p = {.j = j, .from_ms = clock_wall(&s->world, &s->scheduler.machine.clock)};
    if (!j || !n)
        return;
    p.node = n->name;
    p.until_ms =
        j->req.time_limit_ms ? p.from_ms + j->req.time_limit_ms + j->req.grace_ms : INT64_MAX;
    judge_part(s, &p);
}
