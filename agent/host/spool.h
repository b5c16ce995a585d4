// The spool: a directory an attempt with what its tasks wrote. It is bounded: the attempts that
// wrote longest ago give way first, those that are held never.
#pragma once

#include "common/err.h"
#include "common/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool_limit {
    int64_t bytes;
    size_t attempts;
    int64_t young_s; // younger ones stay: they may have just begun
};

struct spool_trimmed {
    size_t attempts, removed; // left, removed
    int64_t bytes;            // left
};

// held: attempts that run or have not been reported, any order. Takes long: not on a loop.
int spool_trim(const char *dir, const struct spool_limit *limit, const struct attempt_id *held,
               size_t held_count, struct spool_trimmed *ret, struct err *err);
// A tenth of the file system, at most 10 GiB.
int64_t spool_limit_default(const char *dir);
