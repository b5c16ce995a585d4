#include "kernels/exchange.h"

#include "common/alloc.h"
#include "common/check.h"
#include "kernels/wide.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum bucket_phase { BUCKET_SCATTERS, BUCKET_SUMMED, BUCKET_GATHERS, BUCKET_DONE };

struct bucket {
    float *data;
    size_t count;
    float *parts; // [tasks][own chunk]
    size_t parts_cap;
    int *send_counts, *send_at, *recv_counts, *recv_at;
    MPI_Request request;
    enum bucket_phase phase;
};

struct exchange {
    // Two communicators: each sees its collectives in the same order on every task, although tasks
    // come to the second half of a bucket at different times.
    MPI_Comm scatter, gather;
    int rank, tasks;
    size_t bucket_count;    // elements that a bucket waits for
    struct bucket *buckets; // kept with their memory from step to step
    size_t used, gathering, made, cap;
    float *pending; // a range that is not yet a bucket
    size_t pending_count;
    double *sums;
    size_t sums_cap;
};

struct exchange *exchange_new(MPI_Comm comm, size_t bucket_bytes)
{
    struct exchange *x = xcalloc(1, sizeof *x);
    MPI_Comm_dup(comm, &x->scatter);
    MPI_Comm_dup(comm, &x->gather);
    MPI_Comm_rank(comm, &x->rank);
    MPI_Comm_size(comm, &x->tasks);
    x->bucket_count = bucket_bytes / sizeof(float);
    return x;
}

void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->made; i++) {
        free(x->buckets[i].parts);
        free(x->buckets[i].send_counts);
    }
    MPI_Comm_free(&x->scatter);
    MPI_Comm_free(&x->gather);
    free(x->buckets);
    free(x->sums);
    free(x);
}

static size_t chunk_first(const struct exchange *x, const struct bucket *b, int task)
{
    return b->count * (size_t)task / (size_t)x->tasks;
}

static size_t chunk_len(const struct exchange *x, const struct bucket *b, int task)
{
    return chunk_first(x, b, task + 1) - chunk_first(x, b, task);
}

static struct bucket *next_bucket(struct exchange *x)
{
    if (x->used == x->made) {
        VEC_RESERVE(x->buckets, x->made, x->cap);
        struct bucket *b = &x->buckets[x->made++];
        *b = (struct bucket){0};
        b->send_counts = xcalloc(4 * (size_t)x->tasks, sizeof(int));
        b->send_at = b->send_counts + x->tasks;
        b->recv_counts = b->send_at + x->tasks;
        b->recv_at = b->recv_counts + x->tasks;
    }
    return &x->buckets[x->used++];
}

static void scatter(struct exchange *x, float *data, size_t count)
{
    CHECK(count <= INT_MAX);
    struct bucket *b = next_bucket(x);
    b->data = data;
    b->count = count;
    b->phase = BUCKET_SCATTERS;
    size_t own = chunk_len(x, b, x->rank);
    if (own * (size_t)x->tasks > b->parts_cap) {
        b->parts_cap = own * (size_t)x->tasks;
        b->parts = xreallocarray(b->parts, b->parts_cap, sizeof(float));
    }
    for (int t = 0; t < x->tasks; t++) {
        b->send_counts[t] = (int)chunk_len(x, b, t);
        b->send_at[t] = (int)chunk_first(x, b, t);
        b->recv_counts[t] = (int)own;
        b->recv_at[t] = (int)own * t;
    }
    MPI_Ialltoallv(b->data, b->send_counts, b->send_at, MPI_FLOAT, b->parts, b->recv_counts,
                   b->recv_at, MPI_FLOAT, x->scatter, &b->request);
}

WIDE static void add_to(float *restrict sum, const float *restrict part, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += part[i];
}

static void add_in_rank_order(const struct exchange *x, struct bucket *b)
{
    size_t own = chunk_len(x, b, x->rank);
    float *sum = b->data + chunk_first(x, b, x->rank);
    memcpy(sum, b->parts, own * sizeof(float));
    for (int t = 1; t < x->tasks; t++)
        add_to(sum, b->parts + (size_t)t * own, own);
}

static bool over(struct bucket *b, bool wait)
{
    int done = 1;
    if (wait)
        MPI_Wait(&b->request, MPI_STATUS_IGNORE);
    else
        MPI_Test(&b->request, &done, MPI_STATUS_IGNORE);
    return done;
}

// Takes every bucket as far as it goes; the gathers begin in the order of the buckets.
static void advance(struct exchange *x, bool wait)
{
    for (size_t i = 0; i < x->used; i++) {
        struct bucket *b = &x->buckets[i];
        if (b->phase == BUCKET_SCATTERS && over(b, wait)) {
            add_in_rank_order(x, b);
            b->phase = BUCKET_SUMMED;
        }
        if (b->phase == BUCKET_SUMMED && x->gathering == i) {
            MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, b->data, b->send_counts, b->send_at,
                            MPI_FLOAT, x->gather, &b->request);
            b->phase = BUCKET_GATHERS;
            x->gathering++;
        } else if (b->phase == BUCKET_GATHERS && over(b, false)) {
            b->phase = BUCKET_DONE;
        }
    }
}

static void flush(struct exchange *x)
{
    if (x->pending_count)
        scatter(x, x->pending, x->pending_count);
    x->pending_count = 0;
}

void exchange_begin(struct exchange *x, float *buffer, size_t offset, size_t count)
{
    float *data = buffer + offset;
    if (x->tasks == 1)
        return;
    if (x->pending_count && data + count != x->pending)
        flush(x);
    x->pending = data;
    x->pending_count += count;
    if (x->pending_count >= x->bucket_count)
        flush(x);
    advance(x, false);
}

void exchange_finish(struct exchange *x)
{
    if (x->tasks == 1)
        return;
    flush(x);
    advance(x, true);
    for (size_t i = 0; i < x->used; i++)
        if (x->buckets[i].phase == BUCKET_GATHERS)
            MPI_Wait(&x->buckets[i].request, MPI_STATUS_IGNORE);
    x->used = x->gathering = 0;
}

void exchange_sum(struct exchange *x, double *values, size_t count)
{
    size_t all = (size_t)x->tasks * count;
    if (x->tasks == 1)
        return;
    CHECK(all <= INT_MAX);
    if (all > x->sums_cap) {
        x->sums_cap = all;
        x->sums = xreallocarray(x->sums, all, sizeof(double));
    }
    MPI_Allgather(values, (int)count, MPI_DOUBLE, x->sums, (int)count, MPI_DOUBLE, x->scatter);
    for (size_t k = 0; k < count; k++) {
        values[k] = 0;
        for (int t = 0; t < x->tasks; t++)
            values[k] += x->sums[(size_t)t * count + k];
    }
}
