// A row of common/rule.h and the API's object for it.
#pragma once

#include "common/rule.h"

#include <jansson.h>

// Unknown members are passed over; what makes no sense stays at its initial value.
void rule_from_json(const json_t *object, enum rule_kind k, struct rule *ret);
json_t *rule_field_json(const struct rule *r, const struct rule_field *f);
// As people read it; times as they are here.
void rule_add_local(const struct rule *r, const struct rule_field *f, struct text *ret);
// "key=value" into the row and the member into the object: of a reservation also end=TIME.
// E_INVALID with a suggestion for an unknown key.
int rule_take_setting(const char *setting, struct rule *r, json_t *object, struct err *err);
