// dense:N  out[n][N] = in[n][i] * weight[N][i]^T + bias[N]; an image is taken as a vector.
#include "kernels/layer.h"
#include "kernels/wide.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

static size_t inputs(const struct layer *l)
{
    return shape_elements(l->in);
}

static size_t outputs(const struct layer *l)
{
    return l->out.channels;
}

static int shape(struct layer *l, struct err *err)
{
    if (l->in.sequence)
        return fail(err, E_INVALID,
                    "needs a vector or an image, not a sequence: put last or max "
                    "before it");
    l->out = shape_vector(l->number[0]);
    l->count = inputs(l) * outputs(l) + outputs(l);
    return 0;
}

// He et al. 2015: uniform with variance 2 / inputs.
static void init(const struct layer *l, float *params, struct rng *rng)
{
    fill_uniform(params, inputs(l) * outputs(l), sqrtf(6.0f / (float)inputs(l)), rng);
    memset(params + inputs(l) * outputs(l), 0, outputs(l) * sizeof *params);
}

static void forward(struct layer *l, const struct batch *b, const float *params, const float *in)
{
    size_t i = inputs(l), o = outputs(l);
    const float *bias = params + i * o;
    for (size_t s = 0; s < b->n; s++)
        memcpy(l->output + s * o, bias, o * sizeof *bias);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)b->n, (int)o, (int)i, 1.0f, in,
                (int)i, params, (int)i, 1.0f, l->output, (int)o);
}

WIDE static void add_row(float *restrict sum, const float *restrict row, size_t count)
{
    for (size_t k = 0; k < count; k++)
        sum[k] += row[k];
}

static void backward(struct layer *l, const struct batch *b, const float *params, float *grads,
                     const float *in, float *grad_in)
{
    size_t i = inputs(l), o = outputs(l), n = b->n;
    float *bias = grads + i * o;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)o, (int)i, (int)n, 1.0f, l->grad,
                (int)o, in, (int)i, 0.0f, grads, (int)i);
    memset(bias, 0, o * sizeof *bias);
    for (size_t s = 0; s < n; s++)
        add_row(bias, l->grad + s * o, o);
    if (grad_in)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)i, (int)o, 1.0f,
                    l->grad, (int)o, params, (int)i, 0.0f, grad_in, (int)i);
}

static struct layer_tensor tensor(const struct layer *l, size_t i)
{
    if (i == 0)
        return (struct layer_tensor){"weight", 2, {outputs(l), inputs(l)}};
    return (struct layer_tensor){"bias", 1, {outputs(l)}};
}

const struct layer_kind layer_dense = {
    .name = "dense",
    .help = "dense:N       N outputs, each of all inputs",
    .numbers = 1,
    .shape = shape,
    .init = init,
    .forward = forward,
    .backward = backward,
    .tensor = tensor,
    .tensors = 2,
};
