// conv:N:K  N channels out of windows of K x K, stride 1, zero padding that keeps the size.
//
// Always over all rows of the buffers, whatever n: rows from n on have a gradient of zero.
#include "kernels/layer.h"
#include "kernels/onednn.h"

#include <math.h>
#include <string.h>

static size_t kernel_elements(const struct layer *l)
{
    return l->number[1] * l->number[1];
}

static size_t weights(const struct layer *l)
{
    return l->number[0] * l->in.channels * kernel_elements(l);
}

static int shape(struct layer *l, struct err *err)
{
    if (l->in.sequence || l->in.height * l->in.width <= 1)
        return fail(err, E_INVALID, "needs an image");
    if (l->number[1] % 2 == 0 || l->number[1] > l->in.height || l->number[1] > l->in.width)
        return fail(err, E_INVALID, "needs an odd window that is not larger than the image");
    l->out = l->in;
    l->out.channels = l->number[0];
    l->count = weights(l) + l->number[0];
    return 0;
}

static void make(struct layer *l)
{
    l->state = onednn_conv_new(l->rows, l->in.height, l->in.width, l->in.channels, l->number[0],
                               l->number[1]);
}

static void release(struct layer *l)
{
    onednn_conv_free(l->state);
}

// He et al. 2015: uniform with variance 2 / inputs of an output.
static void init(const struct layer *l, float *params, struct rng *rng)
{
    float inputs = (float)(l->in.channels * kernel_elements(l));
    fill_uniform(params, weights(l), sqrtf(6.0f / inputs), rng);
    memset(params + weights(l), 0, l->number[0] * sizeof *params);
}

static void forward(struct layer *l, const struct batch *b, const float *params, const float *in)
{
    (void)b;
    onednn_conv_forward(l->state, in, params, params + weights(l), l->output);
}

static void backward(struct layer *l, const struct batch *b, const float *params, float *grads,
                     const float *in, float *grad_in)
{
    size_t row = shape_elements(l->out);
    memset(l->grad + b->n * row, 0, (b->rows - b->n) * row * sizeof *l->grad);
    onednn_conv_backward(l->state, in, params, l->grad, grad_in, grads, grads + weights(l));
}

static struct layer_tensor tensor(const struct layer *l, size_t i)
{
    if (i == 0)
        return (struct layer_tensor){
            "weight", 4, {l->number[0], l->in.channels, l->number[1], l->number[1]}};
    return (struct layer_tensor){"bias", 1, {l->number[0]}};
}

const struct layer_kind layer_conv = {
    .name = "conv",
    .help = "conv:N:K      N channels out of windows of K x K, same size",
    .numbers = 2,
    .shape = shape,
    .make = make,
    .init = init,
    .forward = forward,
    .backward = backward,
    .free = release,
    .tensor = tensor,
    .tensors = 2,
};
