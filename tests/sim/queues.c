// Operators who change the queues: how their jobs are ordered and where these go.
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { QUEUES = 2, WANTED_EVERY_MS = 10000 };

struct queues {
    struct rule rows[QUEUES]; // as the operators want them
};

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

static void want(struct sim *s, int i)
{
    struct world *w = &s->world;
    struct rule *r = &s->queues->rows[i];
    char name[RULE_NAME_SIZE];
    memcpy(name, r->queue.name, sizeof name);
    rule_init(r, RULE_QUEUE);
    memcpy(r->queue.name, name, sizeof name);
    set_word(w, r, "placement");
    set_word(w, r, "order");
    r->queue.priority = between(w, 0, 2);
    r->queue.las_levels = between(w, 1, 4);
    r->queue.las_first_ms = spread(w, 1000, 60000);
    r->queue.las_factor = between(w, 2, 4);
    r->queue.las_promote = chance(w, 200) ? 0 : spread(w, 1, 20);
}

static void put(struct sim *s, int i)
{
    struct ask ask = {.in = {.kind = INPUT_RULE_SET, .caller = {.admin = true}}};
    ask.in.rule.row = &s->queues->rows[i];
    ask.in.rule.mode = RULE_PUT;
    client_operates(s, ask);
}

static void change(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    int i = (int)between(w, 0, QUEUES - 1);
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
    for (int i = 0; i < QUEUES; i++)
        if (!is_durable(s, &s->queues->rows[i]))
            put(s, i);
    after(w, WANTED_EVERY_MS, NULL, insist, NULL, 0);
}

const char *queues_any(struct sim *s)
{
    return chance(&s->world, 500) ? NULL
                                  : s->queues->rows[between(&s->world, 0, QUEUES - 1)].queue.name;
}

void queues_start(struct sim *s)
{
    struct world *w = &s->world;
    struct queues *q = s->queues = xcalloc(1, sizeof *q);
    memcpy(q->rows[0].queue.name, "default", sizeof "default");
    memcpy(q->rows[1].queue.name, "other", sizeof "other");
    for (int i = 0; i < QUEUES; i++)
        want(s, i);
    after(w, 1, NULL, insist, NULL, 0);
    after(w, spread(w, 5000, 200000), NULL, change, NULL, 0);
}

void queues_fini(struct sim *s)
{
    free(s->queues);
}
