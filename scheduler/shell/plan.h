// What a change would do: tried on a copy of the cluster (copy.h), which is run ahead with and
// without it.
//
// The answer carries a token of its effects. Applying the change with that token tries it once
// more, and refuses if the effects would be others by now.
#pragma once

#include "scheduler/shell/server.h"

struct plan; // a list of changes that were asked for

// body: {"changes":[{"submit":JobRequest} | {"drain":NODE,"reason"} | {"resume":NODE} |
// {"remove":NODE,"reason"} | {"add":COUNT,"cores","memory_mib","gpus"} |
// {"rule":{"do":"create"|"change"|"put"|"remove","kind","name","set":{...}}}...]}. E_INVALID; *ret
// is the caller's.
int plan_read(const struct cluster *c, const json_t *body, const struct http_req *r,
              struct plan **ret, struct err *err);
void plan_free(struct plan *p);
// Answers the request with the effects; takes p.
void plan_ask(struct server *s, uint64_t handle, struct plan *p);
// Makes the changes if their effects are still those of the token, and answers; takes p. E_INVALID
// for what can only be planned.
void plan_apply(struct server *s, uint64_t handle, struct plan *p, const char *token);
