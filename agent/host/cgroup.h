// The one place that knows cgroups: v2, or the v1 controllers where those are what is mounted.
//
// An attempt's group is "<base>/<node>/<attempt name>" below each hierarchy that can be used
// (v2: the unified one with memory, pids and cpu delegated; v1: memory, freezer, pids, cpu, each if
// writable). Nothing usable is no error: cgroup_features() says what there is and the caller
// degrades (procs.h). Limits are set by the agent when it makes the group; the shepherd only
// enters tasks, kills, and reads.
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cgroup_features {
    bool v2, memory, pids, freezer, cpu, kill; // kill: every member can be ended at once
    char detail[128];                          // for `node show`
};

// Looks at the mounts below root ("" for the live system, else a fake tree for tests) and tries to
// make `base` ("muster/<cluster>"). Never fails: features are false.
struct cgroup_host;
struct cgroup_host *cgroup_host_open(const char *root, const char *base);
// The shepherd's view, as its user: the hierarchies in which it may put tasks into the group
// `tasks` that the agent made for it. Never NULL.
struct cgroup_host *cgroup_host_join(const char *root, const char *base, const char *tasks);
void cgroup_host_close(struct cgroup_host *h);
// Removes the base group and what is above it, as far as nobody else has a group there.
void cgroup_host_retire(struct cgroup_host *h);
struct cgroup_features cgroup_features(const struct cgroup_host *h);

// Makes the group `name` with a memory limit (MiB; 0: none), owned by uid so that its shepherd can
// use it. 0 even when nothing is usable.
//
// v2 lets an ordinary user move, and bear, processes only below a group that is the user's as a
// whole. So the group of another user has two: NAME/tasks with the limit, and NAME/shepherd, into
// which the agent moves the shepherd.
int cgroup_make(struct cgroup_host *h, const char *name, int64_t memory_mib, uid_t uid,
                struct err *err);
// Weighs the group's tasks against those of others on the same cores: thousandths of a core, by
// cpu.weight or cpu.shares. No ceiling: what others leave idle may be used. v1 has a group for it
// only where `shared`: others' tasks are on cores of their own. Where there is no such controller
// nothing happens.
void cgroup_weigh(struct cgroup_host *h, const char *name, int64_t cpu_milli, bool shared,
                  uid_t uid);
// The group for the tasks: `name`, or NAME/tasks; malloc'ed.
char *cgroup_tasks(const struct cgroup_host *h, const char *name, uid_t uid);
// Moves the shepherd into NAME/shepherd, where there is one.
void cgroup_adopt(struct cgroup_host *h, const char *name, pid_t shepherd);
// To be called in the child between fork and exec (async-signal-safe): moves itself in.
int cgroup_enter(struct cgroup_host *h, const char *name);
// As fork(), into the group; name NULL: no group. The child may only make system calls.
pid_t cgroup_fork(struct cgroup_host *h, const char *name);
// Members, as procs_descendants(); 0 if none or unusable.
size_t cgroup_members(struct cgroup_host *h, const char *name, pid_t *ret, size_t max);
// SIGKILL to every member, without a race against fork (v2 cgroup.kill; v1 freeze, kill, thaw).
void cgroup_kill(struct cgroup_host *h, const char *name);
// Number of OOM kills, and peak use in MiB; -1: unknown.
int64_t cgroup_oom_kills(struct cgroup_host *h, const char *name);
int64_t cgroup_peak_mib(struct cgroup_host *h, const char *name);
// Removes the group (and sub-groups); it must be empty, but for a shepherd that is about to go.
int cgroup_remove(struct cgroup_host *h, const char *name);
