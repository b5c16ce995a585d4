// Qualities of service, and whose jobs may preempt whose.
#include "scheduler/core/state.h"

#include <string.h>

bool qos_may_preempt(const struct cluster *c, struct qos_id a, struct qos_id b)
{
    const struct rule_entry *p = rule_by_id(c, a.v), *q = rule_by_id(c, b.v);
    return p && q && p->preempts >> q->index & 1;
}

// All that can be preempted from these on, by however many steps.
static uint64_t reached(const struct cluster *c, uint64_t from)
{
    uint64_t all = from, before;
    do {
        before = all;
        for (int i = 0; i < RULES_QOS_MAX; i++)
            if (all >> i & 1)
                all |= c->rules.qos[i]->preempts;
    } while (all != before);
    return all;
}

void qos_check(const struct cluster *c, const struct rule *row, const struct rule_entry *old,
               struct text *wrong)
{
    char name[RULE_NAME_SIZE];
    size_t at = 0;
    if (!old && HASH_CNT(by_name, c->rules.by_name[RULE_QOS]) >= RULES_QOS_MAX) {
        text_addf(wrong, "there are %d QoS, as many as there may be", RULES_QOS_MAX);
        return;
    }
    while (rule_list_next(row->qos.preempts, &at, name)) {
        const struct rule_entry *q = rule_find(c, RULE_QOS, name);
        bool itself = strcmp(name, row->qos.name) == 0;
        if (!itself && (!q || !old || !(reached(c, UINT64_C(1) << q->index) >> old->index & 1)))
            continue;
        text_addf(wrong, "QoS \"%s\" would preempt itself%s%s%s", row->qos.name,
                  itself ? "" : " by way of \"", itself ? "" : name, itself ? "" : "\"");
        return;
    }
}
