// A layer of a network: shapes in and out, its part of the parameters, its output, its operations.
// Private to the network and to the files layer_*.c, one a kind.
//
// Ownership: the network owns its layers, their `output` and `grad`; `state` is the kind's own.
// output and grad (of the loss with respect to output) are [rows][elements], for sequences
// [time_max][rows][channels].
#pragma once

#include "common/err.h"
#include "common/rng.h"
#include "kernels/shape.h"

struct layer;

struct layer_kind {
    const char *name; // in a recipe
    const char *help; // what follows the name, and what it does
    // Checks in and the numbers of the recipe, sets out and count. E_INVALID, naming what it needs.
    int (*shape)(struct layer *l, struct err *err);
    // May be NULL: nothing to allocate, no parameters to fill.
    void (*make)(struct layer *l);
    void (*init)(const struct layer *l, float *params, struct rng *rng);
    void (*forward)(struct layer *l, const struct batch *b, const float *params, const float *in);
    // Overwrites grads (sums over the samples) and grad_in, unless that is NULL.
    void (*backward)(struct layer *l, const struct batch *b, const float *params, float *grads,
                     const float *in, float *grad_in);
    void (*free)(struct layer *l);
    // The names and shapes of its tensors, in the order in which they lie in the parameters.
    struct layer_tensor {
        const char *name;
        size_t dims, shape[4];
    } (*tensor)(const struct layer *l, size_t i);
    size_t tensors;
    size_t numbers; // that the recipe must give
};

enum { LAYER_NUMBERS_MAX = 2 };

struct layer {
    const struct layer_kind *kind;
    size_t number[LAYER_NUMBERS_MAX];
    struct shape in, out;
    size_t rows, time_max;
    size_t offset, count; // of the parameters
    float *output, *grad;
    void *state;
};

extern const struct layer_kind layer_dense, layer_relu, layer_sigmoid, layer_tanh, layer_conv,
    layer_maxpool, layer_embedding, layer_lstm, layer_last, layer_max;

// Uniform in [-bound, bound).
static inline void fill_uniform(float *p, size_t count, float bound, struct rng *rng)
{
    for (size_t i = 0; i < count; i++)
        p[i] = bound * ((float)(rng_next(rng) >> 40) / (float)(1 << 24) * 2.0f - 1.0f);
}
