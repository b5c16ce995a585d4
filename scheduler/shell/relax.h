// The smallest changes with which a waiting job would start now: of its turn, of what it asks for,
// of the limits that keep it. Each is tried by the core on a copy.
#pragma once

#include "scheduler/core/cluster.h"

// {"kind", "name", "key", "from", "to"}: what an operator would have to change in a row. key NULL:
// in a list.
void put_lift(struct text *t, const char *key, const struct rule *from, const struct rule *to,
              const struct rule_field *f);
// Runs in a copy (copy.h). Appends "relaxations", a list; the first costs least.
void put_relaxations(struct cluster *c, const struct job *j, struct text *t);
