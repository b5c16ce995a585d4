// Directories outside the spool that an MPI attempt needs on a node: a short one for sockets (their
// paths hold 107 bytes) and one in shared memory. Removed by the shepherd at the end, by the agent
// when the shepherd could not.
#pragma once

#include "common/err.h"
#include "common/ids.h"

#include <sys/types.h>

enum { SCRATCH_PATH_MAX = 256 };

struct scratch {
    char dir[SCRATCH_PATH_MAX]; // /tmp/muster-UID/ATTEMPT.NODE
    char shm[SCRATCH_PATH_MAX]; // /dev/shm/muster-ATTEMPT.NODE
};

struct scratch scratch_name(struct attempt_id id, const char *node, uid_t uid);
// E_DENIED when somebody else holds the name.
int scratch_make(const struct scratch *s, struct err *err);
void scratch_remove(const struct scratch *s);
