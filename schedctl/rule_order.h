// list, show, create, set and remove: the same for every noun of common/rule.h, which is the first
// word of the verb's name.
#pragma once

#include "schedctl/ctl.h"

int run_rule_list(struct ctl *ctl);
int run_rule_show(struct ctl *ctl);
int run_rule_create(struct ctl *ctl);
int run_rule_set(struct ctl *ctl);
int run_rule_remove(struct ctl *ctl);
int run_settings_show(struct ctl *ctl);
int run_settings_set(struct ctl *ctl);
