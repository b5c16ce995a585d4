// Softmax cross-entropy over logits [n][classes].
#pragma once

#include <stddef.h>
#include <stdint.h>

// The sum over the samples of -log softmax(logits)[label] (natural logarithm, in double). grad, if
// not NULL, receives its derivative [n][classes]: softmax - onehot. *ret_correct, if not NULL, the
// number of samples whose largest logit is the label's (the first of equals counts).
double loss_cross_entropy(const float *logits, const uint8_t *labels, size_t n, size_t classes,
                          float *grad, size_t *ret_correct);
