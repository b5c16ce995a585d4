// First-order optimisers over one flat parameter buffer, float32.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum optimiser_kind { OPTIMISER_SGD, OPTIMISER_ADAM };

struct optimiser {
    enum optimiser_kind kind;
    float rate;
    float momentum;              // SGD: v = momentum * v + g; p -= rate * v
    float beta1, beta2, epsilon; // Adam: Kingma and Ba 2015, with bias correction
    size_t count, step;
    float *m, *v;
};

// rate 0: the default, 0.02 for SGD and 0.002 for Adam.
void optimiser_init(struct optimiser *o, enum optimiser_kind kind, size_t count, float rate,
                    float momentum);
void optimiser_fini(struct optimiser *o);
// grads are multiplied by scale first (1 / samples of the global batch), the rate by `factor`.
void optimiser_step(struct optimiser *o, float *params, const float *grads, float scale,
                    float factor);

// How the rate falls: not at all, or linearly to 0 at the last step.
enum schedule_kind { SCHEDULE_LINEAR, SCHEDULE_CONSTANT };
// The factor of step `step` (from 0) of `steps`.
float schedule_factor(enum schedule_kind kind, int64_t step, int64_t steps);
