// relu, sigmoid, tanh: element by element, on anything but token ids.
#include "kernels/layer.h"
#include "kernels/wide.h"

#include <math.h>

static int shape(struct layer *l, struct err *err)
{
    if (!shape_elements(l->in))
        return fail(err, E_INVALID, "needs numbers, not token ids: put embedding before it");
    l->out = l->in;
    return 0;
}

static size_t elements(const struct layer *l, const struct batch *b)
{
    return shape_elements(l->out) * (l->out.sequence ? b->time * b->rows : b->n);
}

WIDE static void rectify(float *restrict out, const float *restrict in, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = in[i] > 0 ? in[i] : 0;
}

WIDE static void rectify_grad(float *restrict out, const float *restrict in,
                              const float *restrict grad, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float g = grad[i];
        out[i] = in[i] > 0 ? g : 0;
    }
}

static void relu_forward(struct layer *l, const struct batch *b, const float *params,
                         const float *in)
{
    (void)params;
    rectify(l->output, in, elements(l, b));
}

static void relu_backward(struct layer *l, const struct batch *b, const float *params, float *grads,
                          const float *in, float *grad_in)
{
    (void)params, (void)grads;
    if (grad_in)
        rectify_grad(grad_in, in, l->grad, elements(l, b));
}

static void sigmoid_forward(struct layer *l, const struct batch *b, const float *params,
                            const float *in)
{
    (void)params;
    for (size_t i = 0, n = elements(l, b); i < n; i++)
        l->output[i] = 1.0f / (1.0f + expf(-in[i]));
}

static void sigmoid_backward(struct layer *l, const struct batch *b, const float *params,
                             float *grads, const float *in, float *grad_in)
{
    (void)params, (void)grads, (void)in;
    for (size_t i = 0, n = elements(l, b); grad_in && i < n; i++)
        grad_in[i] = l->grad[i] * l->output[i] * (1 - l->output[i]);
}

static void tanh_forward(struct layer *l, const struct batch *b, const float *params,
                         const float *in)
{
    (void)params;
    for (size_t i = 0, n = elements(l, b); i < n; i++)
        l->output[i] = tanhf(in[i]);
}

static void tanh_backward(struct layer *l, const struct batch *b, const float *params, float *grads,
                          const float *in, float *grad_in)
{
    (void)params, (void)grads, (void)in;
    for (size_t i = 0, n = elements(l, b); grad_in && i < n; i++)
        grad_in[i] = l->grad[i] * (1 - l->output[i] * l->output[i]);
}

const struct layer_kind layer_relu = {.name = "relu",
                                      .help = "relu          max(x, 0)",
                                      .shape = shape,
                                      .forward = relu_forward,
                                      .backward = relu_backward};
const struct layer_kind layer_sigmoid = {.name = "sigmoid",
                                         .help = "sigmoid       1 / (1 + exp(-x))",
                                         .shape = shape,
                                         .forward = sigmoid_forward,
                                         .backward = sigmoid_backward};
const struct layer_kind layer_tanh = {.name = "tanh",
                                      .help = "tanh          tanh(x)",
                                      .shape = shape,
                                      .forward = tanh_forward,
                                      .backward = tanh_backward};
