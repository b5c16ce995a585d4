// A feed-forward network: a list of layers over one flat parameter buffer, float32, row-major.
//
// Shapes: a batch is [n][features]. Layer k maps [n][in] to [n][out]; its parameters are
// params[offset .. offset + count). The gradient buffer has the same layout, and holds sums over
// the samples, not means. Built once, shape-checked; n at most `batch_max` afterwards.
//
//     struct network *net = network_new(batch_max);
//     network_add_dense(net, 784, 128); network_add_relu(net); network_add_dense(net, 128, 10);
//     network_init(net, seed);
//     const float *logits = network_forward(net, x, n);
//     network_backward(net, x, grad_logits, n, on_layer_done, arg);
#pragma once

#include <stddef.h>
#include <stdint.h>

struct network;

// The gradient of params[offset .. offset + count) is complete; layers come in reverse order.
typedef void network_done(void *arg, size_t offset, size_t count);

struct network *network_new(size_t batch_max);
void network_free(struct network *net);
void network_add_dense(struct network *net, size_t in, size_t out);
void network_add_relu(struct network *net);
// Ends building: allocates, fills weights by He et al. 2015 (uniform with variance 2 / in), biases
// 0.
void network_init(struct network *net, uint64_t seed);

size_t network_params_count(const struct network *net);
float *network_params(struct network *net);
float *network_grads(struct network *net);
size_t network_outputs(const struct network *net);
// The logits [n][outputs]; they live until the next forward.
const float *network_forward(struct network *net, const float *x, size_t n);
// grad: of the loss with respect to the logits, [n][outputs]. Overwrites all gradients.
void network_backward(struct network *net, const float *x, const float *grad, size_t n,
                      network_done *done, void *arg);
// Visits the parameter tensors: name ("layers.0.weight"), shape, offset.
void network_tensors(const struct network *net,
                     void (*visit)(void *arg, const char *name, const size_t *shape, size_t dims,
                                   size_t offset),
                     void *arg);
