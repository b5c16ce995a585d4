#include "kernels/loss.h"

#include <math.h>

double loss_cross_entropy(const float *logits, const uint8_t *labels, size_t n, size_t classes,
                          float *grad, size_t *ret_correct)
{
    double total = 0;
    size_t correct = 0;
    for (size_t s = 0; s < n; s++) {
        const float *z = logits + s * classes;
        size_t best = 0;
        double sum = 0;
        for (size_t k = 1; k < classes; k++)
            if (z[k] > z[best])
                best = k;
        for (size_t k = 0; k < classes; k++)
            sum += exp((double)z[k] - (double)z[best]);
        total += log(sum) + (double)z[best] - (double)z[labels[s]];
        correct += best == labels[s];
        for (size_t k = 0; grad && k < classes; k++)
            grad[s * classes + k] =
                (float)(exp((double)z[k] - (double)z[best]) / sum) - (k == labels[s] ? 1.0f : 0.0f);
    }
    if (ret_correct)
        *ret_correct = correct;
    return total;
}
