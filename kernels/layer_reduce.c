// last, max: a sequence becomes a vector: the last step of each sample, or the largest of each
// channel over its steps.
#include "common/alloc.h"
#include "kernels/layer.h"
#include "kernels/wide.h"

#include <stdlib.h>
#include <string.h>

static int shape(struct layer *l, struct err *err)
{
    if (!l->in.sequence || !l->in.channels)
        return fail(err, E_INVALID, "needs a sequence of vectors");
    l->out = shape_vector(l->in.channels);
    return 0;
}

static void last_forward(struct layer *l, const struct batch *b, const float *params,
                         const float *in)
{
    size_t n = l->out.channels;
    (void)params;
    for (size_t s = 0; s < b->n; s++)
        memcpy(l->output + s * n, in + ((size_t)(b->lengths[s] - 1) * b->rows + s) * n,
               n * sizeof *in);
}

static void last_backward(struct layer *l, const struct batch *b, const float *params, float *grads,
                          const float *in, float *grad_in)
{
    size_t n = l->out.channels;
    (void)params, (void)grads, (void)in;
    memset(grad_in, 0, b->time * b->rows * n * sizeof *grad_in);
    for (size_t s = 0; s < b->n; s++)
        memcpy(grad_in + ((size_t)(b->lengths[s] - 1) * b->rows + s) * n, l->grad + s * n,
               n * sizeof *grad_in);
}

// state: the step of each channel's largest value, [rows][channels].
static void max_make(struct layer *l)
{
    l->state = xcalloc(l->rows * l->out.channels, sizeof(int32_t));
}

static void max_free(struct layer *l)
{
    free(l->state);
}

// Of step t, where it is larger.
WIDE static void take_larger(float *restrict best, int32_t *restrict where,
                             const float *restrict in, int32_t t, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        bool larger = in[k] > best[k];
        best[k] = larger ? in[k] : best[k];
        where[k] = larger ? t : where[k];
    }
}

static void max_forward(struct layer *l, const struct batch *b, const float *params,
                        const float *in)
{
    size_t n = l->out.channels;
    (void)params;
    for (size_t s = 0; s < b->n; s++) {
        int32_t *where = (int32_t *)l->state + s * n;
        memcpy(l->output + s * n, in + s * n, n * sizeof *in);
        memset(where, 0, n * sizeof *where);
        for (int32_t t = 1; t < b->lengths[s]; t++)
            take_larger(l->output + s * n, where, in + ((size_t)t * b->rows + s) * n, t, n);
    }
}

static void max_backward(struct layer *l, const struct batch *b, const float *params, float *grads,
                         const float *in, float *grad_in)
{
    size_t n = l->out.channels;
    const int32_t *where = l->state;
    (void)params, (void)grads, (void)in;
    memset(grad_in, 0, b->time * b->rows * n * sizeof *grad_in);
    for (size_t s = 0; s < b->n; s++)
        for (size_t k = 0; k < n; k++)
            grad_in[((size_t)where[s * n + k] * b->rows + s) * n + k] = l->grad[s * n + k];
}

const struct layer_kind layer_last = {.name = "last",
                                      .help = "last          the last step of a sequence",
                                      .shape = shape,
                                      .forward = last_forward,
                                      .backward = last_backward};
const struct layer_kind layer_max = {.name = "max",
                                     .help = "max           the largest over the steps",
                                     .shape = shape,
                                     .make = max_make,
                                     .forward = max_forward,
                                     .backward = max_backward,
                                     .free = max_free};
