// Data-parallel training of a classifier. Exit codes are the program's.
#pragma once

#include "kernels/optimiser.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_DATA = 3,
    EXIT_ALONE = 4,
    EXIT_STOPPED = 143
};
enum { HIDDEN_MAX = 16 };

struct train_options {
    const char *train_images, *train_labels, *test_images, *test_labels; // paths
    const char *save;                                                    // NULL: do not
    int64_t hidden[HIDDEN_MAX];
    int hidden_count;
    int64_t epochs, steps, batch; // steps 0: all of the epochs; batch: of all tasks together
    uint64_t seed;
    enum optimiser_kind optimiser;
    float rate, momentum;
    bool json; // progress as JSON objects
};

// Between MPI_Init and MPI_Finalize; the same options on every task. Returns an exit code, the same
// on every task.
int train(const struct train_options *o);
