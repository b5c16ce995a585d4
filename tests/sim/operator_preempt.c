// Operators make QoS that preempt others, and make them again where an older database has none.
#include "tests/sim/client.h"

#include <stdio.h>
#include <string.h>

const char *const preempt_qos[PREEMPT_QOS_COUNT] = {"urgent", "spare", "scrap"};

const char *preempt_any_qos(struct sim *s)
{
    struct world *w = &s->world;
    if (!s->preempts || chance(w, 300))
        return NULL;
    return preempt_qos[chance(w, 350) ? 0 : between(w, 1, PREEMPT_QOS_COUNT - 1)];
}

static bool is_there(const struct sim *s, const char *name)
{
    const struct tables *t = &s->disk.now;
    for (size_t i = 0; i < t->rules_count; i++)
        if (t->rules[i].id && !t->rules[i].removed && t->rules[i].kind == RULE_QOS &&
            strcmp(t->rules[i].qos.name, name) == 0)
            return true;
    return false;
}

// The preempted ones come first: the other one names them.
static void look(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    (void)arg;
    (void)n;
    after(w, spread(w, 300, 5000), NULL, look, NULL, 0);
    for (int i = PREEMPT_QOS_COUNT - 1; i >= 0; i--) {
        struct ask ask = {.in = {.kind = INPUT_RULE_SET, .caller = {.admin = true}}};
        if (is_there(s, preempt_qos[i]))
            continue;
        ask.in.rule.row = &s->client->preempt_rows[i];
        ask.in.rule.mode = RULE_PUT;
        send_ask(s, (struct asked){.of = ASK_OPERATOR}, ask);
        return;
    }
}

void operator_preempt_start(struct sim *s)
{
    struct world *w = &s->world;
    s->preempts = chance(w, 500);
    if (!s->preempts)
        return;
    s->min_run_ms = chance(w, 500) ? 0 : spread(w, 100, 20000);
    for (int i = 0; i < PREEMPT_QOS_COUNT; i++) {
        struct rule *r = &s->client->preempt_rows[i];
        rule_init(r, RULE_QOS);
        snprintf(r->qos.name, sizeof r->qos.name, "%s", preempt_qos[i]);
        r->qos.min_run_time_ms = i ? s->min_run_ms : 0;
        r->qos.priority = i == 0 ? 10 : i == 1 ? between(w, 0, 2) : 0;
    }
    snprintf(s->client->preempt_rows[0].qos.preempts, RULE_LIST_SIZE, "%s,%s", preempt_qos[1],
             preempt_qos[2]);
    snprintf(s->client->preempt_rows[2].qos.preempt_mode, RULE_WORD_SIZE, "cancel");
    after(w, 0, NULL, look, NULL, 0);
}
