// embedding:N  a vector of N numbers for each token id; id 0 (after the end) is the zero vector.
#include "kernels/layer.h"

#include <math.h>
#include <string.h>

static int shape(struct layer *l, struct err *err)
{
    if (!l->in.sequence || l->in.channels)
        return fail(err, E_INVALID, "needs token ids");
    l->out = (struct shape){.sequence = true, .height = 1, .width = 1, .channels = l->number[0]};
    l->count = l->in.height * l->number[0]; // of token ids, height is the vocabulary's size
    return 0;
}

// Uniform with variance 1, but for id 0.
static void init(const struct layer *l, float *params, struct rng *rng)
{
    size_t n = l->number[0];
    memset(params, 0, n * sizeof *params);
    fill_uniform(params + n, l->count - n, sqrtf(3.0f), rng);
}

static void forward(struct layer *l, const struct batch *b, const float *params, const float *in)
{
    size_t n = l->number[0];
    (void)in;
    memset(l->output, 0, b->time * b->rows * n * sizeof *l->output);
    for (size_t s = 0; s < b->n; s++)
        for (size_t t = 0; t < (size_t)b->lengths[s]; t++)
            memcpy(l->output + (t * b->rows + s) * n,
                   params + (size_t)b->ids[s * b->time_max + t] * n, n * sizeof *params);
}

static void backward(struct layer *l, const struct batch *b, const float *params, float *grads,
                     const float *in, float *grad_in)
{
    size_t n = l->number[0];
    (void)params, (void)in, (void)grad_in;
    memset(grads, 0, l->count * sizeof *grads);
    for (size_t s = 0; s < b->n; s++)
        for (size_t t = 0; t < (size_t)b->lengths[s]; t++) {
            float *row = grads + (size_t)b->ids[s * b->time_max + t] * n;
            const float *g = l->grad + (t * b->rows + s) * n;
            for (size_t k = 0; k < n; k++)
                row[k] += g[k];
        }
}

static struct layer_tensor tensor(const struct layer *l, size_t i)
{
    (void)i;
    return (struct layer_tensor){"weight", 2, {l->in.height, l->number[0]}};
}

const struct layer_kind layer_embedding = {
    .name = "embedding",
    .help = "embedding:N   a vector of N for each token id",
    .numbers = 1,
    .shape = shape,
    .init = init,
    .forward = forward,
    .backward = backward,
    .tensor = tensor,
    .tensors = 1,
};
