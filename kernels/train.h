// Data-parallel training of a classifier.
#pragma once

#include "kernels/corpus.h"
#include "kernels/exits.h"
#include "kernels/loss.h"
#include "kernels/optimiser.h"

struct train_options {
    struct corpus_options data;
    const char *recipe;           // the network's layers
    const char *save;             // file for the trained model; NULL: none
    const char *checkpoint;       // directory; NULL: none
    int64_t checkpoint_ms;        // between two checkpoints
    bool resume;                  // go on from what another training left in the directory
    int64_t epochs, steps, batch; // steps 0: all of the epochs; batch: of all tasks together
    uint64_t seed;
    enum loss_kind loss;
    enum optimiser_kind optimiser;
    enum schedule_kind schedule;
    float rate, momentum;
    bool json; // progress as JSON objects
};

// Between MPI_Init and MPI_Finalize; the same options on every task. Returns an exit code
// (exits.h), the same on every task.
int train(const struct train_options *o);
