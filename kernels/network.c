#include "kernels/network.h"

#include "common/alloc.h"
#include "common/check.h"
#include "kernels/layer.h"
#include "kernels/recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMS_MAX = 1 << 29 };
static const double OUTPUT_MAX = 8589934592.0; // of one layer, for all rows: 32 GiB

struct network {
    char *recipe;
    struct shape input;
    size_t rows, time_max, count, params_count;
    struct layer layers[LAYERS_MAX];
    float *params, *grads;
};

// ---- making ----

static int misfit(const struct layer *l, size_t i, const struct err *why, struct err *err)
{
    AUTO(text) struct text in = {0};
    shape_text(l->in, &in);
    return fail(err, E_INVALID, "layer %zu (%s): %s. What comes in is %s.", i + 1, l->kind->name,
                why->message, text_str(&in));
}

// Far from where sizes overflow, and a checkpoint can be read again.
static int check_size(const struct network *net, const struct layer *l, struct err *err)
{
    double samples = (double)net->rows * (double)(l->out.sequence ? net->time_max : 1);
    if (l->count > PARAMS_MAX - net->params_count)
        return fail(err, E_INVALID, "a network of more than %d parameters", PARAMS_MAX);
    if ((double)shape_elements(l->out) * samples > OUTPUT_MAX)
        return fail(err, E_INVALID, "puts out more than %.0f numbers for %.0f samples", OUTPUT_MAX,
                    (double)net->rows);
    return 0;
}

static int fit_shapes(struct network *net, size_t classes, struct err *err)
{
    struct shape at = net->input;
    for (size_t i = 0; i < net->count; i++) {
        struct layer *l = &net->layers[i];
        struct err why;
        l->in = at;
        l->rows = net->rows;
        l->time_max = net->time_max;
        if (l->kind->shape(l, &why) || check_size(net, l, &why))
            return misfit(l, i, &why, err);
        l->offset = net->params_count;
        net->params_count += l->count;
        at = l->out;
    }
    if (at.sequence || shape_elements(at) != classes) {
        AUTO(text) struct text out = {0};
        shape_text(at, &out);
        return fail(err, E_INVALID,
                    "the last layer gives %s, not one number for each of %zu classes. End with "
                    "dense:classes.",
                    text_str(&out), classes);
    }
    return 0;
}

static void make_layer(const struct network *net, struct layer *l)
{
    size_t elements = shape_elements(l->out) * net->rows * (l->out.sequence ? net->time_max : 1);
    l->output = xcalloc(elements, sizeof(float));
    l->grad = xcalloc(elements, sizeof(float));
    if (l->kind->make)
        l->kind->make(l);
}

int network_new(const char *recipe, struct shape input, size_t classes, size_t rows,
                size_t time_max, struct network **ret, struct err *err)
{
    CHECK(time_max % BATCH_STEPS == 0);
    struct network *net = xcalloc(1, sizeof *net);
    net->input = input;
    net->rows = rows;
    net->time_max = time_max;
    int rc = recipe_parse(recipe, classes, LAYERS_MAX, net->layers, &net->count, err);
    if (rc == 0)
        rc = fit_shapes(net, classes, err);
    if (rc) {
        free(net);
        return rc;
    }
    net->recipe = xstrdup(recipe);
    net->params = xcalloc(net->params_count, sizeof(float));
    net->grads = xcalloc(net->params_count, sizeof(float));
    for (size_t i = 0; i < net->count; i++)
        make_layer(net, &net->layers[i]);
    *ret = net;
    return 0;
}

void network_free(struct network *net)
{
    if (!net)
        return;
    for (size_t i = 0; i < net->count; i++) {
        struct layer *l = &net->layers[i];
        if (l->kind->free)
            l->kind->free(l);
        free(l->output);
        free(l->grad);
    }
    free(net->params);
    free(net->grads);
    free(net->recipe);
    free(net);
}

void network_init(struct network *net, uint64_t seed)
{
    struct rng rng = {seed};
    for (size_t i = 0; i < net->count; i++) {
        const struct layer *l = &net->layers[i];
        if (l->kind->init)
            l->kind->init(l, net->params + l->offset, &rng);
    }
}

// ---- questions ----

const char *network_recipe(const struct network *net)
{
    return net->recipe;
}

bool network_is(const struct network *net, const char *recipe)
{
    struct layer other[LAYERS_MAX];
    struct err err;
    size_t count;
    if (recipe_parse(recipe, network_outputs(net), LAYERS_MAX, other, &count, &err) ||
        count != net->count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (other[i].kind != net->layers[i].kind ||
            memcmp(other[i].number, net->layers[i].number, sizeof other[i].number) != 0)
            return false;
    return true;
}

struct shape network_input(const struct network *net)
{
    return net->input;
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
    return shape_elements(net->layers[net->count - 1].out);
}

static void fill_tensor(const struct layer *l, size_t layer, size_t i, size_t offset,
                        struct network_tensor *ret)
{
    struct layer_tensor t = l->kind->tensor(l, i);
    *ret = (struct network_tensor){.dims = t.dims, .offset = offset, .count = 1};
    snprintf(ret->name, sizeof ret->name, "layers.%zu.%s", layer, t.name);
    for (size_t d = 0; d < t.dims; d++) {
        ret->shape[d] = t.shape[d];
        ret->count *= t.shape[d];
    }
}

bool network_tensor(const struct network *net, size_t i, struct network_tensor *ret)
{
    for (size_t k = 0; k < net->count; k++) {
        const struct layer *l = &net->layers[k];
        size_t offset = l->offset;
        for (size_t t = 0; t < l->kind->tensors; t++, i--) {
            fill_tensor(l, k, t, offset, ret);
            if (i == 0)
                return true;
            offset += ret->count;
        }
    }
    return false;
}

void network_summary(const struct network *net, struct text *ret)
{
    AUTO(text) struct text input = {0};
    shape_text(net->input, &input);
    text_addf(ret, "%5s  %-12s %-16s %s\n", "layer", "kind", "output", "parameters");
    text_addf(ret, "%5s  %-12s %-16s\n", "", "input", text_str(&input));
    for (size_t i = 0; i < net->count; i++) {
        const struct layer *l = &net->layers[i];
        AUTO(text) struct text out = {0};
        shape_text(l->out, &out);
        text_addf(ret, "%5zu  %-12s %-16s %zu\n", i, l->kind->name, text_str(&out), l->count);
    }
    text_addf(ret, "%zu parameters\n", net->params_count);
}

// ---- passes ----

const float *network_forward(struct network *net, const struct batch *b)
{
    CHECK(b->n <= net->rows && b->rows == net->rows);
    CHECK(!net->input.sequence ||
          (b->time <= net->time_max && b->time_max == net->time_max && b->time % BATCH_STEPS == 0));
    const float *in = b->x;
    for (size_t i = 0; i < net->count; i++) {
        struct layer *l = &net->layers[i];
        l->kind->forward(l, b, net->params + l->offset, in);
        in = l->output;
    }
    return in;
}

void network_backward(struct network *net, const struct batch *b, const float *grad,
                      network_done *done, void *arg)
{
    struct layer *last = &net->layers[net->count - 1];
    memcpy(last->grad, grad, b->n * network_outputs(net) * sizeof *grad);
    for (size_t i = net->count; i-- > 0;) {
        struct layer *l = &net->layers[i];
        const float *in = i ? net->layers[i - 1].output : b->x;
        float *grad_in = i ? net->layers[i - 1].grad : NULL;
        l->kind->backward(l, b, net->params + l->offset, net->grads + l->offset, in, grad_in);
        if (done && l->count)
            done(arg, l->offset, l->count);
    }
}
