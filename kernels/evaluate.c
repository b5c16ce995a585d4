#include "kernels/evaluate.h"

#include "common/alloc.h"
#include "kernels/shard.h"

void evaluate(struct network *net, struct feeder *feeder, const struct dataset *d,
              enum loss_kind loss, struct exchange *x, int rank, int tasks, struct metrics *ret)
{
    size_t first, len, classes = network_outputs(net);
    AUTO_FREE int32_t *called = xcalloc(feeder->rows, sizeof *called);
    metrics_reset(ret);
    shard_part(d->count, (size_t)rank, (size_t)tasks, &first, &len);
    for (size_t at = 0; at < len; at += feeder->rows) {
        size_t n = len - at < feeder->rows ? len - at : feeder->rows;
        struct batch b = feeder_take(feeder, d, NULL, first + at, n);
        const float *logits = network_forward(net, &b);
        loss_classify(logits, n, classes, called);
        metrics_add(ret, loss_sum(loss, logits, feeder->labels, n, classes, NULL), feeder->labels,
                    called, n);
    }
    exchange_sum(x, ret->sums, metrics_sums_count(ret));
}
