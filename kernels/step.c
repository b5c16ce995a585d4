// One step of a training: forward, loss, backward with the exchange, optimiser.
#include "common/clock.h"
#include "kernels/shard.h"
#include "kernels/trainer.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t stop_wanted;

void trainer_stop(void)
{
    stop_wanted = 1;
}

static void range_done(void *arg, size_t offset, size_t count)
{
    struct trainer *t = arg;
    exchange_begin(t->exchange, network_grads(t->net), offset, count);
}

static bool checkpoint_due(const struct trainer *t)
{
    return t->o->checkpoint && t->tasks.rank == 0 &&
           clock_boot_ms() - t->saved_ms >= t->o->checkpoint_ms;
}

void trainer_step(struct trainer *t, size_t first, size_t len, struct report_step *ret)
{
    int64_t begun = clock_steady_ns();
    size_t part, n, classes = network_outputs(t->net);
    shard_part(len, (size_t)t->tasks.rank, (size_t)t->tasks.count, &part, &n);
    struct batch b = feeder_take(&t->feeder, &t->corpus.train, t->order + first + part, 0, n);
    const float *logits = network_forward(t->net, &b);
    // Loss, wishes: what all tasks must see alike.
    double sums[3] = {0, stop_wanted, checkpoint_due(t)};
    sums[0] = loss_sum(t->o->loss, logits, t->feeder.labels, n, classes, t->grad);
    network_backward(t->net, &b, t->grad, range_done, t);
    int64_t computed = clock_steady_ns();
    exchange_finish(t->exchange);
    exchange_sum(t->exchange, sums, 3);
    ret->exposed_ns = t->tasks.count > 1 ? clock_steady_ns() - computed : 0;
    optimiser_step(&t->optimiser, network_params(t->net), network_grads(t->net), 1.0f / (float)len,
                   schedule_factor(t->o->schedule, t->progress.step, t->steps));
    t->progress.step++;
    t->stopped = sums[1] > 0;
    t->checkpoint_due = sums[2] > 0;
    ret->loss = sums[0] / (double)len;
    ret->samples = len;
    ret->ns = clock_steady_ns() - begun;
}

int trainer_diverged(struct trainer *t, const char *what)
{
    report_end_line(&t->report);
    if (t->tasks.rank == 0)
        fprintf(stderr,
                "muster-ml: %s is no longer a finite number after step %" PRId64
                ": the training has diverged. Choose a learning rate below %g with --lr%s.\n",
                what, t->progress.step, (double)t->optimiser.rate,
                t->o->checkpoint ? "; the last checkpoint is kept" : "");
    return EXIT_FAILED;
}
