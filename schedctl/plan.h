// What the plan verbs share: sending changes, showing their effects, applying them.
#pragma once

#include "schedctl/ctl.h"

extern const struct opt plan_options[];
enum { PLAN_OPTIONS_COUNT = 1 };

// Plans the changes, or applies them when --apply gives a token. Takes `changes`. `applicable`: the
// answer ends with the command that does it. Returns the exit code.
int plan_run(struct ctl *ctl, json_t *changes, bool applicable);
// One change a node that is named; what: its key in the API. Takes nothing.
int plan_nodes(struct ctl *ctl, const char *what, bool applicable);
