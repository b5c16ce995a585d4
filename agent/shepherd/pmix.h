// The PMIx server as the shepherd sees it: a plugin, loaded only for jobs that need it, so that a
// plain job pays nothing for libpmix and hwloc.
//
// Lookup: muster-pmix.so beside the shepherd's own binary, then ../lib/muster.
#pragma once

#include "agent/shepherd/run.h"

// Loads the plugin, starts the server and registers the namespace and the local ranks.
int pmix_open(struct run *r, struct pmix **ret, struct err *err);
// Adds to a task's environment what PMIx and Open MPI need; before the fork.
int pmix_task(struct pmix *p, int32_t local, char ***env, struct err *err);
// Takes what the server has heard so far: what a task said before it ended comes before its end.
void pmix_take(struct pmix *p);
// A collective is complete (data of all nodes, concatenated) or has failed (data NULL).
void pmix_fence_done(struct pmix *p, uint64_t collective, uint32_t sequence, const uint8_t *data,
                     size_t len, bool failed);
// All tasks have ended: fails what waits and removes the directories. The server itself ends with
// the process.
void pmix_close(struct pmix *p);
