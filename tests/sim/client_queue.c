// Operators who change the queues: how their jobs are ordered and where these go.
#include "tests/sim/client.h"

#include <stdio.h>
#include <string.h>

enum { WANTED_EVERY_MS = 10000 };

static const char *const names[CLIENT_QUEUES] = {"default", "other"};

static void set_word(struct world *w, struct rule *r, const char *field)
{
    const struct rule_field *f = rule_field(RULE_QUEUE, field);
    AUTO_FREE char *words = xstrdup(f->words);
    const char *word[16];
    int n = 0;
    for (char *at = words; at && n < 16; n++)
        word[n] = strsep(&at, "|");
    struct err err;
    CHECKF(rule_set_text(r, f, word[between(w, 0, n - 1)], &err) == 0, "%s", err.message);
}

void queue_any_order(struct world *w, struct rule *r)
{
    set_word(w, r, "placement");
    set_word(w, r, "order");
    r->queue.priority = between(w, 0, 2);
    r->queue.las_levels = between(w, 1, 4);
    r->queue.las_first_ms = spread(w, 1000, 60000);
    r->queue.las_factor = between(w, 2, 4);
    r->queue.las_promote = chance(w, 200) ? 0 : spread(w, 1, 20);
}

static void want(struct sim *s, int i)
{
    struct rule *r = &s->client->queues[i];
    rule_init(r, RULE_QUEUE);
    snprintf(r->queue.name, sizeof r->queue.name, "%s", names[i]);
    queue_any_order(&s->world, r);
}

static void put(struct sim *s, int i)
{
    struct ask ask = {.in = {.kind = INPUT_RULE_SET, .caller = {.admin = true}}};
    ask.in.rule.row = &s->client->queues[i];
    ask.in.rule.mode = RULE_PUT;
    send_ask(s, (struct asked){.of = ASK_OPERATOR}, ask);
}

static void change(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    int i = (int)between(w, 0, CLIENT_QUEUES - 1);
    (void)arg;
    (void)n;
    if (s->calm)
        return;
    want(s, i);
    put(s, i);
    after(w, spread(w, 5000, 200000), NULL, change, NULL, 0);
}

static bool is_durable(const struct sim *s, const struct rule *want)
{
    const struct tables *t = &s->disk.now;
    for (size_t i = 0; i < t->rules_count; i++) {
        const struct rule *r = &t->rules[i];
        if (r->id && !r->removed && r->kind == RULE_QUEUE &&
            strcmp(r->queue.name, want->queue.name) == 0)
            return memcmp(&r->queue, &want->queue, sizeof r->queue) == 0;
    }
    return false;
}

// What was told may be lost, or an older database be restored.
static void insist(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    (void)arg;
    (void)n;
    for (int i = 0; i < CLIENT_QUEUES; i++)
        if (!is_durable(s, &s->client->queues[i]))
            put(s, i);
    after(w, WANTED_EVERY_MS, NULL, insist, NULL, 0);
}

const char *any_queue(struct sim *s)
{
    struct world *w = &s->world;
    return chance(w, 500) ? NULL : names[between(w, 0, CLIENT_QUEUES - 1)];
}

void queues_start(struct sim *s)
{
    struct world *w = &s->world;
    for (int i = 0; i < CLIENT_QUEUES; i++)
        want(s, i);
    if (s->ruled) // operator_rules.c
        return;
    after(w, 1, NULL, insist, NULL, 0);
    after(w, spread(w, 5000, 200000), NULL, change, NULL, 0);
}
