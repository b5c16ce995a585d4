#include "kernels/network.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/rng.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS_MAX = 64 };

enum layer_kind { LAYER_DENSE, LAYER_RELU };

struct layer {
    enum layer_kind kind;
    size_t in, out;
    size_t offset, count; // parameters: weight [out][in], then bias [out]
    float *output;        // [batch_max][out]
    float *grad;          // of output
};

struct network {
    size_t batch_max, count, params_count;
    struct layer layers[LAYERS_MAX];
    float *params, *grads;
};

struct network *network_new(size_t batch_max)
{
    struct network *net = xcalloc(1, sizeof *net);
    net->batch_max = batch_max;
    return net;
}

void network_free(struct network *net)
{
    if (!net)
        return;
    for (size_t i = 0; i < net->count; i++) {
        free(net->layers[i].output);
        free(net->layers[i].grad);
    }
    free(net->params);
    free(net->grads);
    free(net);
}

static struct layer *add(struct network *net, enum layer_kind kind, size_t in, size_t out)
{
    CHECK(net->count < LAYERS_MAX && !net->params);
    CHECK(net->count == 0 || net->layers[net->count - 1].out == in);
    struct layer *l = &net->layers[net->count++];
    *l = (struct layer){.kind = kind, .in = in, .out = out};
    return l;
}

void network_add_dense(struct network *net, size_t in, size_t out)
{
    struct layer *l = add(net, LAYER_DENSE, in, out);
    l->offset = net->params_count;
    l->count = in * out + out;
    net->params_count += l->count;
}

void network_add_relu(struct network *net)
{
    CHECK(net->count);
    size_t n = net->layers[net->count - 1].out;
    add(net, LAYER_RELU, n, n);
}

static float uniform(struct rng *r)
{
    return (float)(rng_next(r) >> 40) / (float)(1 << 24) * 2.0f - 1.0f;
}

void network_init(struct network *net, uint64_t seed)
{
    struct rng rng = {seed};
    net->params = xcalloc(net->params_count, sizeof(float));
    net->grads = xcalloc(net->params_count, sizeof(float));
    for (size_t i = 0; i < net->count; i++) {
        struct layer *l = &net->layers[i];
        l->output = xcalloc(net->batch_max * l->out, sizeof(float));
        l->grad = xcalloc(net->batch_max * l->out, sizeof(float));
        if (l->kind != LAYER_DENSE)
            continue;
        float bound = sqrtf(6.0f / (float)l->in);
        for (size_t k = 0; k < l->in * l->out; k++)
            net->params[l->offset + k] = bound * uniform(&rng);
    }
}

size_t network_params_count(const struct network *net)
{
    return net->params_count;
}

float *network_params(struct network *net)
{
    return net->params;
}

float *network_grads(struct network *net)
{
    return net->grads;
}

size_t network_outputs(const struct network *net)
{
    return net->layers[net->count - 1].out;
}

// out[n][o] = in[n][i] * weight[o][i]^T + bias[o]
static void dense_forward(const struct network *net, const struct layer *l, const float *in,
                          size_t n)
{
    const float *weight = net->params + l->offset, *bias = weight + l->in * l->out;
    for (size_t s = 0; s < n; s++)
        memcpy(l->output + s * l->out, bias, l->out * sizeof(float));
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)l->out, (int)l->in, 1.0f, in,
                (int)l->in, weight, (int)l->in, 1.0f, l->output, (int)l->out);
}

static void dense_backward(struct network *net, const struct layer *l, const float *in, size_t n,
                           float *grad_in)
{
    const float *weight = net->params + l->offset;
    float *gw = net->grads + l->offset, *gb = gw + l->in * l->out;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)l->out, (int)l->in, (int)n, 1.0f,
                l->grad, (int)l->out, in, (int)l->in, 0.0f, gw, (int)l->in);
    memset(gb, 0, l->out * sizeof(float));
    for (size_t s = 0; s < n; s++)
        for (size_t o = 0; o < l->out; o++)
            gb[o] += l->grad[s * l->out + o];
    if (grad_in)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)l->in, (int)l->out,
                    1.0f, l->grad, (int)l->out, weight, (int)l->in, 0.0f, grad_in, (int)l->in);
}

static void relu_forward(const struct layer *l, const float *in, size_t n)
{
    for (size_t i = 0; i < n * l->out; i++)
        l->output[i] = in[i] > 0 ? in[i] : 0;
}

static void relu_backward(const struct layer *l, const float *in, size_t n, float *grad_in)
{
    for (size_t i = 0; grad_in && i < n * l->out; i++)
        grad_in[i] = in[i] > 0 ? l->grad[i] : 0;
}

const float *network_forward(struct network *net, const float *x, size_t n)
{
    CHECK(n <= net->batch_max && net->params);
    const float *in = x;
    for (size_t i = 0; i < net->count; i++) {
        struct layer *l = &net->layers[i];
        if (l->kind == LAYER_DENSE)
            dense_forward(net, l, in, n);
        else
            relu_forward(l, in, n);
        in = l->output;
    }
    return in;
}

void network_backward(struct network *net, const float *x, const float *grad, size_t n,
                      network_done *done, void *arg)
{
    struct layer *last = &net->layers[net->count - 1];
    memcpy(last->grad, grad, n * last->out * sizeof(float));
    for (size_t i = net->count; i-- > 0;) {
        struct layer *l = &net->layers[i];
        const float *in = i ? net->layers[i - 1].output : x;
        float *grad_in = i ? net->layers[i - 1].grad : NULL;
        if (l->kind == LAYER_DENSE)
            dense_backward(net, l, in, n, grad_in);
        else
            relu_backward(l, in, n, grad_in);
        if (done && l->count)
            done(arg, l->offset, l->count);
    }
}

void network_tensors(const struct network *net,
                     void (*visit)(void *arg, const char *name, const size_t *shape, size_t dims,
                                   size_t offset),
                     void *arg)
{
    size_t number = 0;
    for (size_t i = 0; i < net->count; i++) {
        const struct layer *l = &net->layers[i];
        char name[64];
        if (l->kind != LAYER_DENSE)
            continue;
        snprintf(name, sizeof name, "layers.%zu.weight", number);
        visit(arg, name, (size_t[]){l->out, l->in}, 2, l->offset);
        snprintf(name, sizeof name, "layers.%zu.bias", number++);
        visit(arg, name, (size_t[]){l->out}, 1, l->offset + l->in * l->out);
    }
}
