#include "kernels/loss.h"

#include <math.h>

static size_t largest(const float *z, size_t classes)
{
    size_t best = 0;
    for (size_t k = 1; k < classes; k++)
        if (z[k] > z[best])
            best = k;
    return best;
}

static double cross_entropy(const float *z, size_t label, size_t classes, float *grad)
{
    double sum = 0, top = (double)z[largest(z, classes)];
    for (size_t k = 0; k < classes; k++)
        sum += exp((double)z[k] - top);
    for (size_t k = 0; grad && k < classes; k++)
        grad[k] = (float)(exp((double)z[k] - top) / sum) - (k == label ? 1.0f : 0.0f);
    return log(sum) + top - (double)z[label];
}

static double mean_squared_error(const float *z, size_t label, size_t classes, float *grad)
{
    double sum = 0;
    for (size_t k = 0; k < classes; k++) {
        double d = (double)z[k] - (k == label);
        sum += d * d;
        if (grad)
            grad[k] = (float)(2 * d / (double)classes);
    }
    return sum / (double)classes;
}

double loss_sum(enum loss_kind kind, const float *logits, const int32_t *labels, size_t n,
                size_t classes, float *grad)
{
    double total = 0;
    for (size_t s = 0; s < n; s++) {
        const float *z = logits + s * classes;
        float *g = grad ? grad + s * classes : NULL;
        total += kind == LOSS_MSE ? mean_squared_error(z, (size_t)labels[s], classes, g)
                                  : cross_entropy(z, (size_t)labels[s], classes, g);
    }
    return total;
}

void loss_classify(const float *logits, size_t n, size_t classes, int32_t *classes_of)
{
    for (size_t s = 0; s < n; s++)
        classes_of[s] = (int32_t)largest(logits + s * classes, classes);
}
