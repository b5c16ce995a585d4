// Random orders of operators about queues, accounts, users, QoS and settings: most make sense, some
// are refused.
#pragma once

#include "common/rng.h"
#include "scheduler/core/cluster.h"

#include <stdio.h>
#include <string.h>

struct rule_order {
    struct rule row;
    char name[RULE_NAME_SIZE * 2];
    struct input in; // points into the two above
};

static inline const char *rule_random_name(struct rng *r, enum rule_kind k)
{
    static const char *const qos[] = {"normal", "high", "low", "x", "y"};
    static const char *const accounts[] = {"root", "default", "a", "b", "c", "d"};
    static const char *const users[] = {"u7", "u8"};
    static const char *const queues[] = {"default", "gpu", "cpu"};
    return k == RULE_QOS       ? qos[rng_below(r, 5)]
           : k == RULE_ACCOUNT ? accounts[rng_below(r, 6)]
           : k == RULE_USER    ? users[rng_below(r, 2)]
                               : queues[rng_below(r, 3)];
}

// Any field, often a limit, gets a value.
static inline void rule_random_change(struct rng *r, struct rule *row)
{
    struct err err;
    size_t count;
    const struct rule_field *f = rule_fields(row->kind, &count);
    f += rng_below(r, count);
    char digits[24];
    snprintf(digits, sizeof digits, "%d", (int)rng_below(r, 30) + 1);
    if (f->type == RULE_TYPE_HIDDEN || strcmp(f->name, "name") == 0 || strcmp(f->name, "uid") == 0)
        return;
    if (f->type == RULE_TYPE_LIST || f->type == RULE_TYPE_NAME) {
        bool account = strcmp(f->name, "parent") == 0 || strcmp(f->name, "account") == 0 ||
                       strcmp(f->name, "accounts") == 0;
        bool none = f->type == RULE_TYPE_LIST && rng_below(r, 4);
        rule_set_text(row, f, none ? "" : rule_random_name(r, account ? RULE_ACCOUNT : RULE_QOS),
                      &err);
    } else if (strcmp(f->name, "state") == 0) {
        rule_set_text(row, f,
                      rng_below(r, 4)   ? "open"
                      : rng_below(r, 2) ? "draining"
                                        : "closed",
                      &err);
    } else if (f->type == RULE_TYPE_FLAG) {
        rule_set_text(row, f, rng_below(r, 2) ? "true" : "false", &err);
    } else if (f->type == RULE_TYPE_DURATION) {
        rule_set_text(row, f, rng_below(r, 2) ? "none" : "20s", &err);
    } else if (f->type == RULE_TYPE_LIMIT_MIB || f->type == RULE_TYPE_LIMIT_MS) {
        rule_set_text(row, f, "none", &err);
    } else {
        bool none = f->type == RULE_TYPE_LIMIT && rng_below(r, 4);
        rule_set_text(row, f, none ? "none" : digits, &err);
    }
}

static inline void rule_random(struct rng *r, const struct cluster *c, struct rule_order *ret)
{
    enum rule_kind k = (enum rule_kind)rng_below(r, RULE_RESERVATION);
    const char *name = rule_random_name(r, k);
    struct err err;
    snprintf(ret->name, sizeof ret->name, "%s", k == RULE_SETTINGS ? "" : name);
    if (k == RULE_USER)
        snprintf(ret->name, sizeof ret->name, "%s/%s", name, rule_random_name(r, RULE_ACCOUNT));
    ret->in = (struct input){.kind = INPUT_RULE_REMOVE, .caller = {.admin = true, .reply_to = 1}};
    ret->in.rule_name.kind = k;
    ret->in.rule_name.name = ret->name;
    if (rng_below(r, 4) == 0)
        return;
    const struct rule_entry *p = rule_find(c, k, ret->name);
    rule_init(&ret->row, k);
    if (p && rng_below(r, 2)) {
        memcpy(&ret->row, p->row, rule_size(k));
    } else if (k == RULE_USER) {
        rule_set_text(&ret->row, rule_field(k, "name"), name, &err);
        rule_set_text(&ret->row, rule_field(k, "account"), strchr(ret->name, '/') + 1, &err);
        ret->row.user.uid = name[1] - '0';
    } else if (k != RULE_SETTINGS) {
        rule_set_text(&ret->row, rule_field(k, "name"), name, &err);
    }
    for (int i = 0; i < 2; i++)
        rule_random_change(r, &ret->row);
    ret->in.kind = INPUT_RULE_SET;
    ret->in.rule.row = &ret->row;
    ret->in.rule.mode = RULE_PUT;
}
