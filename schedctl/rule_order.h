// list, show, create, set and remove: the same for every noun of common/rule.h, which is the first
// word of the verb's name.
#pragma once

#include "common/rule.h"
#include "schedctl/ctl.h"

int run_rule_list(struct ctl *ctl);
int run_rule_show(struct ctl *ctl);
int run_rule_create(struct ctl *ctl);
int run_rule_set(struct ctl *ctl);
int run_rule_remove(struct ctl *ctl);
int run_settings_show(struct ctl *ctl);
int run_settings_set(struct ctl *ctl);

// The settings from operand `from` on, into the row and into the API's object.
int rule_take_settings(const struct args *a, size_t from, struct rule *r, json_t *body,
                       struct err *err);
