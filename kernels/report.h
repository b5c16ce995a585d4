// What a training says: to people (a line that moves on a terminal, else a line a second), as JSON,
// and on the report channel MUSTER_REPORT_FD, one JSON object a line.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report {
    int rank, tasks, fd; // fd: the report channel; -1: none
    bool json, terminal, line_open;
    int64_t started_ms, shown_ms, samples;
};

void report_init(struct report *r, int rank, int tasks, bool json);
void report_step(struct report *r, int64_t epoch, int64_t epochs, int64_t step, int64_t steps,
                 double loss, size_t samples);
void report_epoch(struct report *r, int64_t epoch, int64_t epochs, double train_loss,
                  double test_loss, double accuracy);
// The last lines: with a checksum of the parameters, and `test accuracy NN.N %`.
void report_end(struct report *r, double accuracy, const float *params, size_t count);
