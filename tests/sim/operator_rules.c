// Operators make queues, accounts, users and QoS, bound them, and say how the queue goes. When
// faults are over they make what is missing and lift every limit, so that all can end.
#include "tests/sim/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const queues[] = {"default", "gpu"};
static const char *const accounts[] = {"root", "default", "a", "b"};
static const char *const qos[] = {"normal", "high", "low"};

#define ANY(w, list) list[between(w, 0, sizeof list / sizeof *list - 1)]

// ---- what users name ----

void wish_names(struct sim *s, struct input_submit *in)
{
    struct world *w = &s->world;
    static const char *const names[] = {"u7", "u8", "u9"};
    in->owner_uid = (uint32_t)between(w, 7, 9);
    in->owner_name = names[in->owner_uid - 7];
    in->queue = chance(w, 300) ? ANY(w, queues) : NULL;
    in->account = chance(w, 200) ? "b" : NULL;
    in->qos = chance(w, 300) ? ANY(w, qos) : NULL;
}

// ---- rows ----

static const struct rule *row_found(const struct sim *s, enum rule_kind kind, const char *name)
{
    const struct tables *t = &s->disk.now;
    for (size_t i = 0; i < t->rules_count; i++) {
        const struct rule *r = &t->rules[i];
        AUTO(text) struct text key = {0};
        if (!r->id || r->removed || r->kind != kind)
            continue;
        rule_name(r, &key);
        if (strcmp(text_str(&key), name) == 0)
            return r;
    }
    return NULL;
}

struct rule *client_row(struct client *c, enum rule_kind kind)
{
    struct rule *r = xcalloc(1, sizeof *r);
    VEC_RESERVE(c->rows, c->rows_count, c->rows_cap);
    c->rows[c->rows_count++] = r;
    rule_init(r, kind);
    return r;
}

// As it is, or a new one.
static struct rule *row_of(struct sim *s, enum rule_kind kind, const char *name)
{
    const struct rule *old = row_found(s, kind, name);
    struct rule *r = client_row(s->client, kind);
    if (old) {
        memcpy(r, old, rule_size(kind));
        return r;
    }
    struct err err;
    if (kind == RULE_USER) {
        const char *slash = strchr(name, '/');
        snprintf(r->user.name, sizeof r->user.name, "%.*s", (int)(slash - name), name);
        snprintf(r->user.account, sizeof r->user.account, "%s", slash + 1);
        r->user.uid = name[1] - '0';
    } else if (kind != RULE_SETTINGS) {
        CHECK(rule_set_text(r, rule_field(kind, "name"), name, &err) == 0);
    }
    if (kind == RULE_ACCOUNT && strcmp(name, "b") == 0 && row_found(s, RULE_ACCOUNT, "a"))
        snprintf(r->account.parent, sizeof r->account.parent, "a");
    return r;
}

static void put(struct sim *s, const struct rule *row)
{
    struct ask ask = {.in = {.kind = INPUT_RULE_SET, .caller = {.admin = true}}};
    ask.in.rule.row = row;
    ask.in.rule.mode = RULE_PUT;
    send_ask(s, (struct asked){.of = ASK_OPERATOR}, ask);
}

static struct rule *any_row(struct sim *s)
{
    struct world *w = &s->world;
    static const char *const users[] = {"u7/a", "u7/b", "u8/b", "u9/default"};
    switch (between(w, 0, 4)) {
    case 0:
        return row_of(s, RULE_QUEUE, ANY(w, queues));
    case 1:
        return row_of(s, RULE_USER, ANY(w, users));
    case 2:
        return row_of(s, RULE_QOS, ANY(w, qos));
    case 3:
        return row_of(s, RULE_SETTINGS, "");
    default:
        return row_of(s, RULE_ACCOUNT, ANY(w, accounts));
    }
}

// ---- limits ----

static void bound(struct world *w, int64_t *limits, int count)
{
    int k = (int)between(w, 0, count - 1);
    limits[k] = chance(w, 200)              ? RULE_NONE
                : k == LIMIT_MEMORY         ? between(w, 50, 2000)
                : k == LIMIT_JOB_TIME       ? between(w, 5000, 60000)
                : k == LIMIT_SUBMITTED_JOBS ? between(w, 2, 20)
                : k == LIMIT_GPU_HOURS      ? between(w, 0, 3)
                                            : between(w, 0, 8);
}

static void change_settings(struct world *w, struct settings_rule *r)
{
    r->half_life_ms = chance(w, 500) ? 0 : between(w, 10000, 200000);
    r->usage_period_ms = chance(w, 800) ? 0 : 300000;
    r->enforce_accounts = chance(w, 100);
}

static void change_row(struct world *w, struct rule *r)
{
    static const char *const states[] = {"open", "open", "draining", "closed"};
    switch (r->kind) {
    case RULE_QUEUE:
        if (chance(w, 200))
            snprintf(r->queue.state, sizeof r->queue.state, "%s", ANY(w, states));
        queue_any_order(w, r);
        if (chance(w, 500))
            bound(w, r->queue.user_limits, LIMIT_USER_COUNT);
        else
            bound(w, r->queue.limits, LIMIT_COUNT);
        break;
    case RULE_ACCOUNT:
        bound(w, r->account.limits, LIMIT_COUNT);
        r->account.shares = between(w, 0, 4);
        break;
    case RULE_USER:
        bound(w, r->user.limits, LIMIT_COUNT);
        r->user.is_default = chance(w, 300);
        break;
    case RULE_QOS:
        r->qos.priority = between(w, 0, 2);
        r->qos.usage_percent = chance(w, 500) ? 100 : between(w, 0, 10000);
        if (chance(w, 500))
            bound(w, r->qos.user_limits, LIMIT_USER_COUNT);
        else
            bound(w, r->qos.limits, LIMIT_COUNT);
        break;
    case RULE_SETTINGS:
        change_settings(w, &r->settings);
        break;
    case RULE_RESERVATION:
    case RULE_KIND_COUNT:
        break;
    }
}

// ---- the queue ----

static void change_queueing(struct sim *s)
{
    struct world *w = &s->world;
    struct rule *row = row_of(s, RULE_SETTINGS, ""), first;
    rule_init(&first, RULE_SETTINGS);
    struct settings_rule *q = &row->settings, usual = first.settings;
    q->backfill_reservations = chance(w, 300) ? 0 : spread(w, 1, 30);
    q->weight_size = chance(w, 300) ? between(w, 0, 1 << 20) : 0;
    q->weight_fair_share = chance(w, 500) ? between(w, 0, 1 << 22) : 0;
    bool age_alone = chance(w, 300);
    q->weight_priority = age_alone ? 0 : usual.weight_priority;
    q->weight_nice = age_alone ? 0 : usual.weight_nice;
    q->weight_queue = age_alone ? 0 : usual.weight_queue;
    q->weight_qos = age_alone ? 0 : usual.weight_qos;
    q->age_full_ms = age_alone ? 60000 : usual.age_full_ms;
    q->backfill_depth = chance(w, 300) ? between(w, 1, 5) : usual.backfill_depth;
    put(s, row);
}

// ---- now and then ----

static void remove_some(struct sim *s)
{
    struct world *w = &s->world;
    struct ask ask = {.in = {.kind = INPUT_RULE_REMOVE, .caller = {.admin = true}}};
    static const struct {
        enum rule_kind kind;
        const char *name;
    } which[] = {{RULE_QUEUE, "gpu"}, {RULE_QOS, "low"}, {RULE_USER, "u7/b"}, {RULE_ACCOUNT, "b"}};
    int i = (int)between(w, 0, 3);
    ask.in.rule_name.kind = which[i].kind;
    ask.in.rule_name.name = which[i].name;
    send_ask(s, (struct asked){.of = ASK_OPERATOR}, ask);
}

static void rule_some(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    (void)arg;
    (void)n;
    if (s->calm)
        return;
    after(w, spread(w, 500, 60000), NULL, rule_some, NULL, 0);
    if (chance(w, 100)) {
        remove_some(s);
    } else if (chance(w, 150)) {
        change_queueing(s);
    } else {
        struct rule *r = any_row(s);
        change_row(w, r);
        put(s, r);
    }
}

// ---- when faults are over ----

static void lift(struct sim *s, enum rule_kind kind, const char *name)
{
    struct rule *r = row_of(s, kind, name);
    int64_t *limits = kind == RULE_QUEUE     ? r->queue.limits
                      : kind == RULE_ACCOUNT ? r->account.limits
                      : kind == RULE_QOS     ? r->qos.limits
                                             : r->user.limits;
    int64_t *of_users = kind == RULE_QUEUE ? r->queue.user_limits
                        : kind == RULE_QOS ? r->qos.user_limits
                                           : NULL;
    for (int k = 0; k < LIMIT_COUNT; k++)
        limits[k] = RULE_NONE;
    for (int k = 0; of_users && k < LIMIT_USER_COUNT; k++)
        of_users[k] = RULE_NONE;
    if (kind == RULE_QUEUE)
        snprintf(r->queue.state, sizeof r->queue.state, "open");
    put(s, r);
}

void rules_lift(struct sim *s)
{
    static const struct {
        enum rule_kind kind;
        const char *name;
    } all[] = {{RULE_ACCOUNT, "root"}, {RULE_ACCOUNT, "default"}, {RULE_ACCOUNT, "a"},
               {RULE_ACCOUNT, "b"},    {RULE_QOS, "normal"},      {RULE_QOS, "high"},
               {RULE_QOS, "low"},      {RULE_QUEUE, "default"},   {RULE_QUEUE, "gpu"},
               {RULE_USER, "u7/b"},    {RULE_USER, "u8/b"},       {RULE_USER, "u9/b"}};
    for (size_t i = 0; s->ruled && i < sizeof all / sizeof *all; i++)
        lift(s, all[i].kind, all[i].name);
    for (size_t i = 0; s->ruled && i < s->disk.now.rules_count; i++) { // who came by themselves
        const struct rule *r = &s->disk.now.rules[i];
        AUTO(text) struct text key = {0};
        if (!r->id || r->removed || r->kind != RULE_USER)
            continue;
        rule_name(r, &key);
        lift(s, RULE_USER, text_str(&key));
    }
}

void operator_rules_start(struct sim *s)
{
    struct world *w = &s->world;
    s->ruled = chance(w, 500);
    if (s->ruled)
        after(w, spread(w, 100, 60000), NULL, rule_some, NULL, 0);
}
