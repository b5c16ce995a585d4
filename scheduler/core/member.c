// To what jobs belong. Jobs with the same queue, user and QoS share one record of all the levels at
// which they count, so that a start or an end is a walk over a few tallies.
#include "scheduler/core/state.h"

#include <stdlib.h>

static void level(struct levels *ls, struct rule_entry *of, struct tally *t, const int64_t *limits,
                  int count)
{
    CHECK(ls->count < LEVELS_MAX);
    ls->items[ls->count++] = (struct level){of, t, limits, count};
}

static void relevel(struct cluster *c, struct member *m)
{
    struct levels *ls = &m->levels;
    const struct rule *q = m->queue->row, *s = m->qos->row;
    int64_t uid = m->user->row->user.uid;
    ls->count = 0;
    level(ls, m->queue, m->queue->tally, q->queue.limits, LIMIT_COUNT);
    level(ls, m->queue, tally_get(c, q->id, uid), q->queue.user_limits, LIMIT_USER_COUNT);
    level(ls, m->user, m->user->tally, m->user->row->user.limits, LIMIT_COUNT);
    for (struct rule_entry *a = m->user->parent; a; a = a->parent)
        level(ls, a, a->tally, a->row->account.limits, LIMIT_COUNT);
    level(ls, m->qos, m->qos->tally, s->qos.limits, LIMIT_COUNT);
    level(ls, m->qos, tally_get(c, s->id, uid), s->qos.user_limits, LIMIT_USER_COUNT);
}

struct member *member_get(struct cluster *c, struct rule_entry *queue, struct rule_entry *user,
                          struct rule_entry *qos)
{
    uint32_t ids[3] = {(uint32_t)queue->row->id, (uint32_t)user->row->id, (uint32_t)qos->row->id};
    struct member *m;
    HASH_FIND(by_ids, c->rules.members, ids, sizeof ids, m);
    if (m)
        return m;
    m = xcalloc(1, sizeof *m);
    for (int i = 0; i < 3; i++)
        m->ids[i] = ids[i];
    m->queue = queue;
    m->user = user;
    m->qos = qos;
    HASH_ADD(by_ids, c->rules.members, ids, sizeof m->ids, m);
    relevel(c, m);
    return m;
}

struct member *member_of(struct cluster *c, struct job *j)
{
    if (!j->member)
        j->member = member_get(c, rule_by_id(c, j->queue.v), rule_by_id(c, j->user.v),
                               rule_by_id(c, j->qos.v));
    return j->member;
}

void members_relevel(struct cluster *c)
{
    for (struct member *m = c->rules.members; m; m = m->by_ids.next)
        relevel(c, m);
}

void members_drop(struct cluster *c, const struct rule_entry *p)
{
    struct member *m, *next;
    HASH_ITER(by_ids, c->rules.members, m, next)
    {
        if (p && m->queue != p && m->user != p && m->qos != p)
            continue;
        HASH_DELETE(by_ids, c->rules.members, m);
        free(m);
    }
}
