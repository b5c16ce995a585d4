// A feed-forward network: a list of layers over one flat parameter buffer, float32, row-major.
//
// A recipe is a list of layers in words, "conv:16:3 relu maxpool:2 dense:classes", checked against
// the shape of the input when the network is made. The gradient buffer has the layout of the
// parameters and holds sums over the samples, not means. A pass has at most `rows` samples and
// `time_max` steps.
//
//     struct network *net = network_new("dense:128 relu dense:classes", input, 10, rows, 0, &err);
//     network_init(net, seed);
//     const float *logits = network_forward(net, &batch);       // [n][classes]
//     network_backward(net, &batch, grad_logits, on_layer_done, arg);
#pragma once

#include "common/err.h"
#include "common/text.h"
#include "kernels/shape.h"

enum { LAYERS_MAX = 64 };

struct network;

// The gradient of params[offset .. offset + count) is complete; layers come in reverse order.
typedef void network_done(void *arg, size_t offset, size_t count);

// E_INVALID: the recipe's first fault, with the number of the layer. The output must be a vector of
// `classes`. Parameters are 0.
int network_new(const char *recipe, struct shape input, size_t classes, size_t rows,
                size_t time_max, struct network **ret, struct err *err);
void network_free(struct network *net);
// Fills the parameters, each kind of layer in its way, from the seed.
void network_init(struct network *net, uint64_t seed);

const char *network_recipe(const struct network *net);
// Are these its layers, however they are written?
bool network_is(const struct network *net, const char *recipe);
struct shape network_input(const struct network *net);
size_t network_params_count(const struct network *net);
float *network_params(struct network *net);
float *network_grads(struct network *net);
size_t network_outputs(const struct network *net);
// The logits [n][outputs]; they live until the next forward.
const float *network_forward(struct network *net, const struct batch *b);
// grad: of the loss with respect to the logits, [n][outputs]. Overwrites all gradients. done may be
// NULL.
void network_backward(struct network *net, const struct batch *b, const float *grad,
                      network_done *done, void *arg);

// A parameter tensor: "layers.0.weight"; names count the layers of the recipe from 0.
struct network_tensor {
    char name[64];
    size_t dims, shape[4];
    size_t offset, count;
};
// False: there is no i-th.
bool network_tensor(const struct network *net, size_t i, struct network_tensor *ret);
// A line a layer: number, name, output shape, parameters.
void network_summary(const struct network *net, struct text *ret);

// A ready-made recipe: "mlp", "cnn", "lstm". NULL: there is none of that name.
const char *network_preset(const char *name);
// "conv:N:K      N channels ...", a line a kind of layer.
void network_help(struct text *ret);
