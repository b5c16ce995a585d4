// What a training says: to people (a bar that moves on a terminal, else a line a second), as JSON,
// and on the report channel MUSTER_REPORT_FD, one JSON object a line.
#pragma once

#include "kernels/metrics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report {
    int rank, tasks, fd; // fd: the report channel; -1: none
    bool json, terminal, line_open;
    int64_t shown_ms, samples;
    int64_t ns, exposed_ns; // of all steps
    double loss_sum;        // of the epoch
    int64_t loss_steps;
};

void report_init(struct report *r, int rank, int tasks, bool json);
// A step that was done; steps and epochs count from 1.
struct report_step {
    int64_t epoch, epochs, step, steps;
    double loss;
    size_t samples;
    int64_t ns, exposed_ns; // what it took; how much of that it waited for the exchange
};
void report_step(struct report *r, const struct report_step *s);
// part: "dev" or "test", on which the network was judged.
// Before somebody else writes on the terminal: the line of progress is not gone on with.
void report_end_line(struct report *r);
void report_epoch(struct report *r, int64_t epoch, int64_t epochs, const char *part, double loss,
                  double accuracy);
// The last lines: by class, throughput of the steps, a checksum of the parameters, `test accuracy
// NN.N %`.
void report_end(struct report *r, const struct metrics *m, metrics_name *name, const void *arg,
                const float *params, size_t count);
