// One training's state. Private to train.c (the whole), step.c (one step), resume.c (checkpoints).
#pragma once

#include "kernels/agree.h"
#include "kernels/exchange.h"
#include "kernels/keeper.h"
#include "kernels/metrics.h"
#include "kernels/model.h"
#include "kernels/report.h"
#include "kernels/train.h"

struct trainer {
    const struct train_options *o;
    struct tasks tasks;
    struct corpus corpus;
    struct feeder feeder;
    struct network *net;
    struct optimiser optimiser;
    struct exchange *exchange;
    struct metrics metrics;
    struct report report;
    struct keeper keeper;
    struct progress progress;
    uint32_t *order;  // of the epoch
    float *grad;      // [rows][classes]
    int64_t steps;    // of the whole training
    int64_t saved_ms; // when the last checkpoint was written
    // Agreed upon with each step, the same on every task.
    bool stopped, checkpoint_due;
};

// step.c: the global batch order[first .. first + len) of the epoch. Fills in its mean loss,
// samples and times.
void trainer_step(struct trainer *t, size_t first, size_t len, struct report_step *ret);
// Asks for a stop at the next step's end: from a signal handler.
void trainer_stop(void);

// What is no longer a finite number: says so, what to do, and returns the exit code. The parameters
// are the same on every task, so every task sees it at the same step.
int trainer_diverged(struct trainer *t, const char *what);

// resume.c. Both collective; they print what is wrong and return an exit code.
// Opens the directory and takes what is there: parameters, optimiser, progress.
int trainer_resume(struct trainer *t);
// What has diverged is not kept.
int trainer_checkpoint(struct trainer *t);
