#include "simulate/measures.h"

#include "common/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double percentile(const double *sorted, size_t count, size_t percent)
{
    size_t rank = (count * percent + 99) / 100;
    return sorted[rank ? rank - 1 : 0];
}

struct spread spread_of(double *values, size_t count)
{
    double sum = 0;
    if (!count)
        return (struct spread){0};
    qsort(values, count, sizeof *values, by_value);
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return (struct spread){sum / (double)count, percentile(values, count, 50),
                           percentile(values, count, 99), values[count - 1]};
}

static double seconds(int64_t ms)
{
    return (double)ms / 1000;
}

// Bounded slowdown: the time in the system over the run, of which at least 10 s are counted.
static double slowdown(const struct trace_job *j, const struct sim_job *r)
{
    double run = fmax(seconds(j->run_ms), SLOWDOWN_LEAST_S);
    return fmax(seconds(r->end_ms - r->submit_ms) / run, 1);
}

static void add_spreads(const struct trace *t, const struct sim_result *r, struct measures *m)
{
    double *wait = xreallocarray(NULL, t->count, 3 * sizeof *wait);
    double *slow = wait + t->count, *completion = slow + t->count;
    size_t n = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct sim_job *j = &r->jobs[i];
        if (j->fate != SIM_COMPLETED)
            continue;
        wait[n] = seconds(j->start_ms - j->submit_ms);
        slow[n] = slowdown(&t->jobs[i], j);
        completion[n++] = seconds(j->end_ms - j->submit_ms);
    }
    m->wait_s = spread_of(wait, n);
    m->slowdown = spread_of(slow, n);
    m->completion_s = spread_of(completion, n);
    free(wait);
}

static void count_fates(const struct sim_result *r, struct measures *m)
{
    int64_t fates[SIM_FATE_COUNT] = {0};
    for (size_t i = 0; i < r->jobs_count; i++) {
        fates[r->jobs[i].fate]++;
        if (r->jobs[i].attempts > 1)
            m->requeues += r->jobs[i].attempts - 1;
    }
    m->completed = fates[SIM_COMPLETED];
    m->refused = fates[SIM_REFUSED];
    m->dropped = fates[SIM_DROPPED];
    m->failed = fates[SIM_FAILED];
    m->waiting = fates[SIM_WAITING];
    m->running = fates[SIM_RUNNING];
    m->not_submitted = fates[SIM_NOT_SUBMITTED];
    m->submitted = (int64_t)r->jobs_count - m->not_submitted;
}

// Part of the capacity over the makespan; with arrivals, of the capacity at the end.
static double part(bool arrive, int64_t at_end, int64_t over_time_s, double makespan_s,
                   int64_t capacity_milli)
{
    if (!capacity_milli)
        return -1;
    if (arrive)
        return (double)at_end / (double)capacity_milli;
    return makespan_s > 0 ? (double)over_time_s / makespan_s / (double)capacity_milli : 0;
}

void measures_of(const struct trace *t, const struct node_list *nodes, const struct sim_options *o,
                 const struct sim_result *r, double wall_s, double cpu_s, struct measures *ret)
{
    struct measures m = {
        .seed = o->seed,
        .nodes = (int64_t)nodes->count,
        .cores = r->core_milli / 1000,
        .gpus = r->gpu_milli / 1000,
        .failures = r->failures,
        .preemptions = r->preemptions,
        .makespan_s = seconds(r->end_ms),
        .fragmentation = r->gpu_milli ? r->fragmentation : -1,
        .wall_s = wall_s,
        .cpu_s = cpu_s,
        .turns = r->turns,
        .steps = r->steps,
        .placements = r->placements,
        .arrive = o->arrive,
        .stopped = r->stopped,
    };
    memcpy(m.policy, o->policy.name, sizeof m.policy);
    memcpy(m.curve, r->curve, sizeof m.curve);
    count_fates(r, &m);
    if (!o->arrive)
        add_spreads(t, r, &m);
    m.core_utilisation =
        part(o->arrive, r->held_core_milli, r->used_core_s, m.makespan_s, r->core_milli);
    m.gpu_utilisation =
        part(o->arrive, r->held_gpu_milli, r->used_gpu_s, m.makespan_s, r->gpu_milli);
    m.core_allocation =
        part(o->arrive, r->held_core_milli, r->held_core_s, m.makespan_s, r->core_milli);
    m.gpu_allocation =
        part(o->arrive, r->held_gpu_milli, r->held_gpu_s, m.makespan_s, r->gpu_milli);
    *ret = m;
}
