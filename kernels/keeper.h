// The directory in which a training keeps its checkpoint, so that the next attempt goes on from it.
//
//     DIR/checkpoint.safetensors   the newest, replaced atomically
//     DIR/claim                    "JOB ATTEMPT STEP": who may write, and what was written
//     DIR/lock                     held while either changes
//
// Fenced by attempt: an attempt of a job claims the directory before its first step, and from then
// on no earlier attempt can write there, whatever still runs of it. Outside of Muster (no
// MUSTER_ATTEMPT) there is no job, JOB is "-", and the training that came last has the directory.
// One task a host keeps the host's copy; hosts that share the directory write it once.
#pragma once

#include "common/err.h"
#include "kernels/safetensors.h"

#include <stdbool.h>
#include <stdint.h>

struct keeper {
    char *dir, *path; // path: of the checkpoint
    char job[64];     // "": none
    int64_t attempt;
    bool there; // a checkpoint was there when it was opened
    bool ours;  // and it is of this job
};

// Makes DIR if need be and claims it. E_REFUSED: a later attempt has it. E_EXISTS: a checkpoint of
// another training is there and `resume` is not set. E_IO.
int keeper_open(struct keeper *k, const char *dir, bool resume, struct err *err);
// The checkpoint's path, the caller's to free; NULL: there is none. Claims nothing.
char *keeper_find(const char *dir);
void keeper_close(struct keeper *k);
// E_REFUSED: a later attempt, or another training, has claimed the directory. E_IO, E_NO_SPACE.
int keeper_save(struct keeper *k, const struct safetensors *s, int64_t step, struct err *err);
