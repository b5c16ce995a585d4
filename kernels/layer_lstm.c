// lstm:N  a state of N numbers after each step, from a state of zeros; gates i, f, c, o.
//
// Always over all rows of the buffers and all steps of the pass: what comes after a sample's end
// changes nothing before it, and has a gradient of zero. An operation is made for a number of steps
// when it occurs.
#include "common/alloc.h"
#include "kernels/layer.h"
#include "kernels/onednn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Each has memory for all that its backward pass wants to know, so few are kept.
enum { KEPT_MAX = 16 };

struct state {
    struct kept {
        size_t time;
        struct onednn_lstm *operation;
    } kept[KEPT_MAX];
    size_t next; // to be replaced
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
    l->state = xcalloc(1, sizeof(struct state));
}

static void release(struct layer *l)
{
    struct state *s = l->state;
    for (size_t i = 0; s && i < KEPT_MAX; i++)
        onednn_lstm_free(s->kept[i].operation);
    free(s);
}

static struct onednn_lstm *operation(const struct layer *l, const struct batch *b)
{
    struct state *s = l->state;
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (s->kept[i].time == b->time)
            return s->kept[i].operation;
    struct kept *k = &s->kept[s->next];
    s->next = (s->next + 1) % KEPT_MAX;
    onednn_lstm_free(k->operation);
    *k = (struct kept){b->time, onednn_lstm_new(b->time, b->rows, l->in.channels, l->number[0])};
    return k->operation;
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
