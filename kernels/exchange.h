// The gradient exchange of data-parallel training: sums over all tasks, in an order that is ours.
//
// The buffer is summed bucket by bucket. A bucket is begun as soon as its gradient is complete:
// each task gets its chunk of the bucket from all tasks (non-blocking all-to-all), adds the chunks
// in rank order, and gives the sum to all (non-blocking all-gather). The result is the same bits on
// every task and in every run with the same number of tasks, whatever algorithm MPI chooses by
// size.
//
//     exchange_begin(x, grads, offset, count);   // for each bucket, during the backward pass
//     exchange_finish(x);                        // before the optimiser
#pragma once

#include <mpi.h>
#include <stddef.h>

struct exchange;

struct exchange *exchange_new(MPI_Comm comm);
void exchange_free(struct exchange *x);
// Sums buffer[offset .. offset + count) in place; untouched by the caller until exchange_finish().
void exchange_begin(struct exchange *x, float *buffer, size_t offset, size_t count);
void exchange_finish(struct exchange *x);
// Sums of a few doubles over all tasks, added in rank order; blocking.
void exchange_sum(struct exchange *x, double *values, int count);
