// maxpool:K  the largest of each window of K x K; what is left at the edge is dropped.
#include "kernels/layer.h"
#include "kernels/onednn.h"

#include <string.h>

static int shape(struct layer *l, struct err *err)
{
    size_t k = l->number[0];
    if (l->in.sequence || l->in.height < k || l->in.width < k)
        return fail(err, E_INVALID, "needs an image of at least %zu x %zu", k, k);
    l->out = (struct shape){
        .height = l->in.height / k, .width = l->in.width / k, .channels = l->in.channels};
    return 0;
}

static void make(struct layer *l)
{
    l->state = onednn_pool_new(l->rows, l->in.height, l->in.width, l->in.channels, l->number[0]);
}

static void release(struct layer *l)
{
    onednn_pool_free(l->state);
}

static void forward(struct layer *l, const struct batch *b, const float *params, const float *in)
{
    (void)b, (void)params;
    onednn_pool_forward(l->state, in, l->output);
}

static void backward(struct layer *l, const struct batch *b, const float *params, float *grads,
                     const float *in, float *grad_in)
{
    (void)b, (void)params, (void)grads, (void)in;
    if (grad_in)
        onednn_pool_backward(l->state, l->grad, grad_in);
}

const struct layer_kind layer_maxpool = {
    .name = "maxpool",
    .help = "maxpool:K     the largest of each window of K x K",
    .numbers = 1,
    .shape = shape,
    .make = make,
    .forward = forward,
    .backward = backward,
    .free = release,
};
