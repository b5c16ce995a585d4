// lstm:N  a state of N numbers after each step, from a state of zeros; gates i, f, c, o.
//
// Always over all rows of the buffers and all steps of the pass: what comes after a sample's end
// changes nothing before it, and has a gradient of zero. An operation is made for each number of
// steps that occurs.
#include "common/alloc.h"
#include "kernels/layer.h"
#include "kernels/onednn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct state {
    struct onednn_lstm **by_time; // [time_max / BATCH_STEPS + 1]
    size_t count;
};

static size_t weights_x(const struct layer *l)
{
    return l->in.channels * 4 * l->number[0];
}

static size_t weights_h(const struct layer *l)
{
    return l->number[0] * 4 * l->number[0];
}

static int shape(struct layer *l, struct err *err)
{
    if (!l->in.sequence || !l->in.channels)
        return fail(err, E_INVALID, "needs a sequence of vectors: put embedding before it");
    l->out = (struct shape){.sequence = true, .height = 1, .width = 1, .channels = l->number[0]};
    l->count = weights_x(l) + weights_h(l) + 4 * l->number[0];
    return 0;
}

static void make(struct layer *l)
{
    struct state *s = xcalloc(1, sizeof *s);
    s->count = l->time_max / BATCH_STEPS + 1;
    s->by_time = xcalloc(s->count, sizeof *s->by_time);
    l->state = s;
}

static void release(struct layer *l)
{
    struct state *s = l->state;
    for (size_t i = 0; s && i < s->count; i++)
        onednn_lstm_free(s->by_time[i]);
    if (s)
        free(s->by_time);
    free(s);
}

static struct onednn_lstm *operation(const struct layer *l, const struct batch *b)
{
    struct state *s = l->state;
    struct onednn_lstm **at = &s->by_time[b->time / BATCH_STEPS];
    if (!*at)
        *at = onednn_lstm_new(b->time, b->rows, l->in.channels, l->number[0]);
    return *at;
}

// Uniform with bound 1 / sqrt(N); the forget gate's bias is 1 (Jozefowicz et al. 2015).
static void init(const struct layer *l, float *params, struct rng *rng)
{
    size_t n = l->number[0], weights = weights_x(l) + weights_h(l);
    fill_uniform(params, weights, 1.0f / sqrtf((float)n), rng);
    for (size_t k = 0; k < 4 * n; k++)
        params[weights + k] = k / n == 1 ? 1.0f : 0.0f;
}

static void forward(struct layer *l, const struct batch *b, const float *params, const float *in)
{
    const float *h = params + weights_x(l), *bias = h + weights_h(l);
    onednn_lstm_forward(operation(l, b), in, params, h, bias, l->output);
}

static void backward(struct layer *l, const struct batch *b, const float *params, float *grads,
                     const float *in, float *grad_in)
{
    const float *h = params + weights_x(l), *bias = h + weights_h(l);
    float *gh = grads + weights_x(l), *gbias = gh + weights_h(l);
    onednn_lstm_backward(operation(l, b), in, params, h, bias, l->output, l->grad, grad_in, grads,
                         gh, gbias);
}

static struct layer_tensor tensor(const struct layer *l, size_t i)
{
    size_t n = l->number[0];
    if (i == 0)
        return (struct layer_tensor){"weight_x", 3, {l->in.channels, 4, n}};
    if (i == 1)
        return (struct layer_tensor){"weight_h", 3, {n, 4, n}};
    return (struct layer_tensor){"bias", 2, {4, n}};
}

const struct layer_kind layer_lstm = {
    .name = "lstm",
    .help = "lstm:N        a state of N after each step",
    .numbers = 1,
    .shape = shape,
    .make = make,
    .init = init,
    .forward = forward,
    .backward = backward,
    .free = release,
    .tensor = tensor,
    .tensors = 3,
};
