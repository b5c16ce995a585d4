// Judges a network on a data set, each task on its part; the result is the same on every task.
#pragma once

#include "kernels/dataset.h"
#include "kernels/exchange.h"
#include "kernels/loss.h"
#include "kernels/metrics.h"
#include "kernels/network.h"

// Collective. metrics are reset first. feeder's rows are the network's.
void evaluate(struct network *net, struct feeder *feeder, const struct dataset *d,
              enum loss_kind loss, struct exchange *x, int rank, int tasks, struct metrics *ret);
