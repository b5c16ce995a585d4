// What will start when, if nothing but time passes: the core itself run ahead, with agents that
// always answer and tasks that run until their time limit.
//
// It changes the state beyond repair: ask a copy. A job without a time limit never ends here, and
// what waits for it never starts. Jobs that end earlier than their limit make others start earlier
// than foretold.
#pragma once

#include "scheduler/core/cluster.h"

struct forecast_row {
    struct job_id job;
    enum job_state state;      // when the forecast began
    int64_t first_ms, last_ms; // boot clock: when it is placed first and, an array or a job that is
                               // placed again, last; INT64_MAX: not foreseen
    int64_t placed;            // how often
    int64_t preempted;         // how often others have it stopped
    int64_t left;              // elements of an array that are not placed in the end
};

struct forecast {
    struct forecast_row *rows; // one a live job, by id; owned
    size_t count, cap;
    size_t placements;
    int64_t end_ms; // boot clock: the last thing that happened
    bool cut;       // the bound on placements was reached: what is missing starts later, if ever
};

// placements_max: how many attempts are placed at most.
void cluster_forecast(struct cluster *c, struct now now, size_t placements_max,
                      struct forecast *ret);
// NULL: the job was not live when the forecast began.
const struct forecast_row *forecast_find(const struct forecast *f, struct job_id job);
void forecast_free(struct forecast *f);
