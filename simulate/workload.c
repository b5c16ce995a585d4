#include "simulate/workload.h"

#include "common/alloc.h"
#include "common/rng.h"

#include <stdlib.h>

void workload_limit(struct trace *t, int64_t limit)
{
    if ((uint64_t)limit < t->count)
        t->count = (size_t)limit;
}

void workload_load(struct trace *t, int64_t factor_milli)
{
    for (size_t i = 0; i < t->count; i++) {
        __int128 v = (__int128)t->jobs[i].submit_ms * 1000 / factor_milli;
        t->jobs[i].submit_ms = v < INT64_MAX / 4 ? (int64_t)v : INT64_MAX / 4;
    }
}

void workload_repeat(struct trace *t, int64_t times)
{
    enum { APART_MS = 500 };
    size_t count = t->count, next = 0;
    struct trace_job *all = xreallocarray(NULL, count * (size_t)times, sizeof *all);
    // Merged by submission: copy k of job i comes k * APART_MS after it.
    AUTO_FREE size_t *at = xcalloc((size_t)times, sizeof *at);
    while (next < count * (size_t)times) {
        int64_t best = -1, best_ms = INT64_MAX;
        for (int64_t k = 0; k < times; k++) {
            if (at[k] == count)
                continue;
            int64_t ms = t->jobs[at[k]].submit_ms + k * APART_MS;
            if (ms < best_ms) {
                best_ms = ms;
                best = k;
            }
        }
        all[next] = t->jobs[at[best]++];
        all[next++].submit_ms = best_ms;
    }
    free(t->jobs);
    t->jobs = all;
    t->count = t->cap = next;
}

int64_t workload_gpu_milli(const struct trace_job *j)
{
    return (int64_t)j->tasks * (j->gpus ? j->gpus * INT64_C(1000) : j->gpu_milli);
}

static void shuffle(struct trace *t, struct rng *rng)
{
    for (size_t i = t->count; i > 1; i--) {
        size_t k = rng_below(rng, i);
        struct trace_job swap = t->jobs[i - 1];
        t->jobs[i - 1] = t->jobs[k];
        t->jobs[k] = swap;
    }
}

int workload_arrive(struct trace *t, const struct node_list *nodes, int64_t target_milli,
                    uint64_t seed, struct err *err)
{
    struct rng rng = {seed};
    int64_t gpus = 0, listed = 0, demand = 0;
    for (size_t i = 0; i < nodes->count; i++)
        gpus += nodes->items[i].gpus;
    for (size_t i = 0; i < t->count; i++)
        listed += workload_gpu_milli(&t->jobs[i]);
    if (!gpus || !listed)
        return fail(err, E_INVALID,
                    gpus ? "no job of the trace asks for a GPU, so --arrive has no measure."
                         : "no node has a GPU, so --arrive has no measure. See --nodes.");
    shuffle(t, &rng);
    size_t count = 0, from = t->count;
    __int128 target = (__int128)gpus * target_milli; // 1000 thousandths times gpus / 1000
    for (; count < TRACE_JOBS_MAX && demand < target; count++) {
        if (count == t->count) {
            struct trace_job again = t->jobs[rng_below(&rng, from)];
            VEC_RESERVE(t->jobs, t->count, t->cap);
            t->jobs[t->count++] = again;
        }
        demand += workload_gpu_milli(&t->jobs[count]);
    }
    t->count = count;
    for (size_t i = 0; i < t->count; i++)
        t->jobs[i].submit_ms = (int64_t)i;
    return 0;
}
