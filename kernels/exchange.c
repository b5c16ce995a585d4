#include "kernels/exchange.h"

#include "common/alloc.h"
#include "common/check.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct bucket {
    float *data;
    size_t count;
    float *parts; // [tasks][own chunk]
    size_t parts_cap;
    int *send_counts, *send_at, *recv_counts, *recv_at;
    MPI_Request request;
};

struct exchange {
    MPI_Comm comm;
    int rank, tasks;
    struct bucket *buckets; // kept with their memory from step to step
    size_t used, made, cap;
    double *sums;
    size_t sums_cap;
};

struct exchange *exchange_new(MPI_Comm comm)
{
    struct exchange *x = xcalloc(1, sizeof *x);
    x->comm = comm;
    MPI_Comm_rank(comm, &x->rank);
    MPI_Comm_size(comm, &x->tasks);
    return x;
}

void exchange_free(struct exchange *x)
{
    for (size_t i = 0; i < x->made; i++) {
        free(x->buckets[i].parts);
        free(x->buckets[i].send_counts);
    }
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

void exchange_begin(struct exchange *x, float *buffer, size_t offset, size_t count)
{
    if (x->tasks == 1)
        return;
    CHECK(count <= INT_MAX);
    struct bucket *b = next_bucket(x);
    b->data = buffer + offset;
    b->count = count;
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
                   b->recv_at, MPI_FLOAT, x->comm, &b->request);
}

static void add_in_rank_order(const struct exchange *x, struct bucket *b)
{
    size_t own = chunk_len(x, b, x->rank);
    float *sum = b->data + chunk_first(x, b, x->rank);
    memcpy(sum, b->parts, own * sizeof(float));
    for (int t = 1; t < x->tasks; t++)
        for (size_t i = 0; i < own; i++)
            sum[i] += b->parts[(size_t)t * own + i];
}

void exchange_finish(struct exchange *x)
{
    for (size_t i = 0; i < x->used; i++) {
        struct bucket *b = &x->buckets[i];
        MPI_Wait(&b->request, MPI_STATUS_IGNORE);
        add_in_rank_order(x, b);
        MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, b->data, b->send_counts, b->send_at,
                        MPI_FLOAT, x->comm, &b->request);
    }
    for (size_t i = 0; i < x->used; i++)
        MPI_Wait(&x->buckets[i].request, MPI_STATUS_IGNORE);
    x->used = 0;
}

void exchange_sum(struct exchange *x, double *values, int count)
{
    size_t all = (size_t)x->tasks * (size_t)count;
    if (x->tasks == 1)
        return;
    if (all > x->sums_cap) {
        x->sums_cap = all;
        x->sums = xreallocarray(x->sums, all, sizeof(double));
    }
    MPI_Allgather(values, count, MPI_DOUBLE, x->sums, count, MPI_DOUBLE, x->comm);
    for (int k = 0; k < count; k++) {
        values[k] = 0;
        for (int t = 0; t < x->tasks; t++)
            values[k] += x->sums[t * count + k];
    }
}
