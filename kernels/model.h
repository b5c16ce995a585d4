// A model as a safetensors file: the network's tensors, what its input needs (classes, scale of the
// pixels, vocabulary), and, in a checkpoint, all that a training needs to go on.
#pragma once

#include "kernels/corpus.h"
#include "kernels/network.h"
#include "kernels/optimiser.h"
#include "kernels/safetensors.h"

// Where a training stands.
struct progress {
    int64_t step;  // steps done
    int64_t batch; // samples of a step, over all tasks
    uint64_t seed;
};

// The model alone, or with optimiser and progress (both or none) a checkpoint. Views are borrowed
// by *ret until safetensors_free().
void model_pack(struct network *net, struct corpus *c, const struct optimiser *optimiser,
                const struct progress *p, struct safetensors *ret);
// What a network for the model's data must be: classes, scale, vocabulary go to *c (empty before),
// *ret_recipe lives as long as s. E_CORRUPT names what is missing. path is for messages.
int model_corpus(const struct safetensors *s, const char *path, struct corpus *c,
                 struct shape *ret_input, const char **ret_recipe, struct err *err);
// The tensors into net; E_INVALID names the first that is missing or of another shape, or other
// layers.
int model_restore(const struct safetensors *s, const char *path, struct network *net,
                  struct err *err);
// The rest of a checkpoint, for a training on the same data with the same kind of optimiser, seed
// and batch.
int model_resume(const struct safetensors *s, const char *path, struct corpus *c,
                 struct optimiser *optimiser, struct progress *inout, struct err *err);
