#include "kernels/optimiser.h"

#include "common/alloc.h"
#include "kernels/wide.h"

#include <math.h>
#include <stdlib.h>

void optimiser_init(struct optimiser *o, enum optimiser_kind kind, size_t count, float rate,
                    float momentum)
{
    *o = (struct optimiser){
        .kind = kind,
        .rate = rate > 0                ? rate
                : kind == OPTIMISER_SGD ? 0.02f
                                        : 0.002f,
        .momentum = momentum,
        .beta1 = 0.9f,
        .beta2 = 0.999f,
        .epsilon = 1e-8f,
        .count = count,
        .m = xcalloc(count, sizeof(float)),
        .v = kind == OPTIMISER_ADAM ? xcalloc(count, sizeof(float)) : NULL,
    };
}

void optimiser_fini(struct optimiser *o)
{
    free(o->m);
    free(o->v);
    *o = (struct optimiser){0};
}

WIDE static void sgd(struct optimiser *o, float *restrict params, const float *restrict grads,
                     float scale, float factor)
{
    float rate = o->rate * factor, momentum = o->momentum, *restrict m = o->m;
    for (size_t i = 0, n = o->count; i < n; i++) {
        m[i] = momentum * m[i] + grads[i] * scale;
        params[i] -= rate * m[i];
    }
}

WIDE static void adam(struct optimiser *o, float *restrict params, const float *restrict grads,
                      float scale, float factor)
{
    float c1 = 1 - powf(o->beta1, (float)o->step), c2 = 1 - powf(o->beta2, (float)o->step);
    float rate = o->rate * factor * sqrtf(c2) / c1, epsilon = o->epsilon * sqrtf(c2);
    float beta1 = o->beta1, beta2 = o->beta2, *restrict m = o->m, *restrict v = o->v;
    for (size_t i = 0, n = o->count; i < n; i++) {
        float g = grads[i] * scale;
        m[i] = beta1 * m[i] + (1 - beta1) * g;
        v[i] = beta2 * v[i] + (1 - beta2) * g * g;
        params[i] -= rate * m[i] / (sqrtf(v[i]) + epsilon);
    }
}

float schedule_factor(enum schedule_kind kind, int64_t step, int64_t steps)
{
    return kind == SCHEDULE_LINEAR ? 1.0f - (float)step / (float)steps : 1.0f;
}

void optimiser_step(struct optimiser *o, float *params, const float *grads, float scale,
                    float factor)
{
    o->step++;
    if (o->kind == OPTIMISER_SGD)
        sgd(o, params, grads, scale, factor);
    else
        adam(o, params, grads, scale, factor);
}
