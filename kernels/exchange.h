// The gradient exchange of data-parallel training: sums over all tasks, in an order that is ours.
//
// The buffer is summed bucket by bucket, while the backward pass goes on: neighbouring ranges are
// gathered until a bucket is worth a message; each task gets its chunk of the bucket from all tasks
// (non-blocking all-to-all), adds the chunks in rank order, and gives the sum to all (non-blocking
// all-gather). The result is the same bits on every task and in every run with the same number of
// tasks, whatever algorithm MPI chooses by size. MPI makes progress only when it is called:
// exchange_begin() and exchange_finish() do that.
//
//     exchange_begin(x, grads, offset, count);   // for each range, during the backward pass
//     exchange_finish(x);                        // before the optimiser
#pragma once

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

// A bucket is sent when it has so many bytes.
enum { EXCHANGE_BUCKET_BYTES = 256 << 10 };

struct exchange;

// Collective; so is the other end.
struct exchange *exchange_new(MPI_Comm comm, size_t bucket_bytes);
void exchange_free(struct exchange *x);
// Sums buffer[offset .. offset + count) in place; untouched by the caller until exchange_finish().
// The same calls, in the same order, on every task.
void exchange_begin(struct exchange *x, float *buffer, size_t offset, size_t count);
void exchange_finish(struct exchange *x);
// Sums of doubles over all tasks, added in rank order; blocking.
void exchange_sum(struct exchange *x, double *values, size_t count);
