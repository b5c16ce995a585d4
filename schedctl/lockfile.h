// The lock files of a cluster's processes: each holds its process's number as text and is locked
// while it lives. A process is only ever signalled through its lock: a number in a file that nobody
// locks means nothing, it may belong to another process by now.
//
// The look takes and drops a shared lock: don't look at a process that is just starting.
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <sys/types.h>

// Whether somebody holds it, and who (0 if the file does not say). A file that is not there is not
// held.
bool lockfile_held(const char *path, pid_t *ret_pid);
// Signals the holder, if there is one. true: it was sent.
bool lockfile_signal(const char *path, int signal);
