// What a queue's row says of its jobs: how their nodes are chosen, and which of them goes first.
#include "scheduler/core/state.h"

#include <string.h>

const struct rule_entry *queue_of(const struct cluster *c, const struct job *j)
{
    const struct rule_entry *p = rule_by_id(c, j->queue.v);
    return p && p->row->kind == RULE_QUEUE ? p : NULL;
}

static enum queue_order order_of_word(const char *word)
{
    return strcmp(word, "fifo") == 0  ? ORDER_FIFO
           : strcmp(word, "las") == 0 ? ORDER_LAS
                                      : ORDER_PRIORITY;
}

void queue_resolve(struct cluster *c, struct rule_entry *p)
{
    enum policy own = policy_of_word(p->row->queue.placement);
    p->policy = own == POLICY_COUNT ? c->placing.policy : own;
    p->order = order_of_word(p->row->queue.order);
    if (p->order == ORDER_LAS && !p->held)
        p->held = xcalloc(LAS_LEVELS_MAX, sizeof *p->held);
    placing_count_for(c, p->policy);
}

void queue_check(const struct rule *row, struct text *wrong)
{
    enum { LEAST_MS = 1000 };
    if (row->queue.las_first_ms < LEAST_MS)
        text_add(wrong, "las_first must be at least 1s");
}
