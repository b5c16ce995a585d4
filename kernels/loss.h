// Losses over the logits [n][classes] of a classifier: sums over the samples, in double.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum loss_kind { LOSS_CROSS_ENTROPY, LOSS_MSE };

// Cross-entropy: -log softmax(logits)[label] (natural logarithm), its derivative softmax - onehot.
// Mean squared error: the mean over the classes of (logit - onehot)^2. grad, if not NULL, receives
// the derivative [n][classes].
double loss_sum(enum loss_kind kind, const float *logits, const int32_t *labels, size_t n,
                size_t classes, float *grad);
// The class of the largest logit of each sample (the first of equals), into classes_of[n].
void loss_classify(const float *logits, size_t n, size_t classes, int32_t *classes_of);
