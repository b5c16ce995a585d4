// Processes of an attempt, found through /proc. Used where no cgroup can be made, and as the last
// look in any case.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// All descendants of `ancestor` (children of children ..., not itself); with the subreaper flag
// set on the ancestor no descendant escapes, setsid and double forks included. Returns their
// number (may exceed max); zombies are left out.
size_t procs_descendants(pid_t ancestor, pid_t *ret, size_t max);
// The children alone, zombies included.
size_t procs_children(pid_t parent, pid_t *ret, size_t max);
// This process has no child, not even a zombie: with the subreaper flag, no descendant at all.
bool procs_no_child(void);
// All processes whose environment holds MUSTER_ATTEMPT=token, zombies left out, and those of which
// MUSTER_NODE is another than `node` (NULL: whichever).
size_t procs_with_token(const char *token, const char *node, pid_t *ret, size_t max);
// Resident memory of these processes together, KiB, shared pages counted for each.
long procs_rss_kib(const pid_t *pids, size_t count);
