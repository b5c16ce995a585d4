// What will start when, if nothing but time passes: the core itself run ahead, with agents that
// always answer and tasks that run until their time limit.
//
// It changes the state beyond repair: ask a copy. A job without a time limit never ends here, and
// what waits for it never starts. Jobs that end earlier than their limit make others start earlier
// than foretold.
#pragma once

#include "scheduler/core/cluster.h"

struct forecast_start {
    struct job_id job; // of an element of an array: the array
    int64_t element;   // of an array; else 0
    int64_t at_ms;     // boot clock
};

struct forecast {
    struct forecast_start *starts; // in order of time; owned
    size_t count, cap;
    bool cut; // the bound on placements was reached: what is missing starts later, if ever
};

// placements_max: how many attempts are placed at most.
void cluster_forecast(struct cluster *c, struct now now, size_t placements_max,
                      struct forecast *ret);
void forecast_free(struct forecast *f);
