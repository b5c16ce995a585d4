// How the tasks of an MPI job come to one verdict.
#pragma once

#include "common/err.h"

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

struct tasks {
    int rank, count;
    bool keeper; // the first task on its host: it keeps the host's files
};

// Collective. Returns an exit code: EXIT_ALONE with a message when a launcher failed to connect the
// ranks, which leaves each of them alone with size 1.
int tasks_find(struct tasks *ret);
// Collective: does what this task has read of `path`, told by its checksum, equal what task 0 has?
// E_CORRUPT: it does not.
int tasks_same(const struct tasks *t, uint32_t sum, const char *path, struct err *err);
// Collective: all tasks fail when one does; the first of them prints its message. True: failed.
bool tasks_fail(const struct tasks *t, int rc, const struct err *err);
