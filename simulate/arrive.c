// Jobs as they are submitted.
#include "simulate/workload.h"
#include "simulate/world.h"

#include "common/alloc.h"

#include <stdio.h>
#include <stdlib.h>

enum { FRAGMENTATION_SAMPLES = 200 };

int64_t arrive_next_ms(const struct world *w)
{
    return w->arrived < w->trace->count ? w->trace->jobs[w->arrived].submit_ms : INT64_MAX;
}

static int64_t time_limit(const struct world *w, const struct trace_job *j)
{
    if (w->options->limits == SIM_LIMITS_NONE || w->options->arrive)
        return 0;
    int64_t least = j->run_ms > 0 ? j->run_ms : 1; // 0 would be none
    return w->options->limits == SIM_LIMITS_TRACE && j->limit_ms > least ? j->limit_ms : least;
}

static struct request request_of(const struct world *w, const struct trace_job *j)
{
    return (struct request){
        .tasks = j->tasks,
        .nodes = j->nodes,
        .cpus = j->cpu_milli ? j->cpu_milli / 1000 : 1,
        .cpu_milli = j->cpu_milli % 1000,
        .gpus = j->gpus,
        .gpu_milli = j->gpu_milli,
        .memory_mib = w->accounts_memory ? j->memory_mib : 0,
        .time_limit_ms = time_limit(w, j),
        // A lease that only a failure ends; see faults.c.
        .lease_ms = w->options->mtbf_ms ? FOREVER_MS : 0,
    };
}

static const char *need_of(const struct world *w, const struct trace_job *j,
                           char store[SELECTOR_TEXT_MAX + 1])
{
    if (!j->models)
        return NULL;
    snprintf(store, SELECTOR_TEXT_MAX + 1, "gpu.model=%s",
             interned_name(&w->trace->names, j->models));
    return store;
}

void arrive_typical(struct world *w)
{
    const struct trace *t = w->trace;
    if (!w->options->arrive)
        return;
    struct typical *all = xcalloc(t->count + 1, sizeof *all);
    char(*needs)[SELECTOR_TEXT_MAX + 1] = xcalloc(t->count + 1, sizeof *needs);
    for (size_t i = 0; i < t->count; i++)
        all[i] = (struct typical){.req = request_of(w, &t->jobs[i]),
                                  .need = need_of(w, &t->jobs[i], needs[i]),
                                  .count = 1};
    cluster_set_typical(w->cluster, all, t->count);
    free(needs);
    free(all);
}

static void submit(struct world *w, size_t job)
{
    const struct trace_job *j = &w->trace->jobs[job];
    struct input in = {
        .kind = INPUT_SUBMIT,
        .caller = {.reply_to = job + 1, .uid = 1000u + (uint32_t)j->user},
        .submit = {.uid = {job + 1},
                   .owner_uid = 1000u + (uint32_t)j->user,
                   .owner_gid = 1000u + (uint32_t)j->account,
                   .req = request_of(w, j),
                   .max_attempts = w->options->mtbf_ms ? ATTEMPTS_MAX : 0},
    };
    char need[SELECTOR_TEXT_MAX + 1];
    in.submit.need = need_of(w, j, need);
    w->result->jobs[job].fate = SIM_WAITING;
    w->waiting++;
    w->news_ms = world_ms(w);
    world_step(w, &in);
}

static void sample_fragmentation(struct world *w)
{
    size_t every = w->trace->count / FRAGMENTATION_SAMPLES + 1;
    if (w->options->arrive || !w->result->gpu_milli || w->arrived % every)
        return;
    w->fragmentation += fragmentation(&w->shapes, &w->ledger);
    w->fragmentation_samples++;
}

void arrive_due(struct world *w)
{
    while (arrive_next_ms(w) <= world_ms(w)) {
        submit(w, w->arrived++);
        sample_fragmentation(w);
        if (w->options->arrive)
            return;
    }
}

void arrive_answered(struct world *w, const struct effect *e)
{
    size_t job = e->reply.to - 1;
    struct sim_job *j = &w->result->jobs[job];
    if (w->runs[job].id.v)
        return; // of a cancel
    if (e->reply.ok) {
        w->runs[job].id = e->reply.job;
        return;
    }
    j->reason = e->reply.reason.code;
    w->waiting--;
    world_settle(w, job, w->options->arrive ? SIM_DROPPED : SIM_REFUSED);
}

static void draw_curve(struct world *w)
{
    struct sim_result *r = w->result;
    int64_t arrived = w->demand_gpu_milli * 100 / r->gpu_milli;
    for (int64_t k = arrived; k >= 0 && k < SIM_CURVE && r->curve[k] < 0; k--)
        r->curve[k] = (int32_t)(w->ledger.held_gpu_milli * 1000 / r->gpu_milli);
}

void arrive_judge(struct world *w)
{
    if (!w->options->arrive || w->answers_count || w->judged == w->arrived)
        return;
    size_t job = w->judged++;
    struct sim_job *j = &w->result->jobs[job];
    const struct trace_job *t = &w->trace->jobs[job];
    if (j->fate == SIM_WAITING) {
        struct input *in = world_answer(w, INPUT_CANCEL);
        in->caller = (struct caller){.reply_to = job + 1, .admin = true};
        in->job = w->runs[job].id;
        w->waiting--;
        world_settle(w, job, SIM_DROPPED);
    } else if (j->fate == SIM_RUNNING) {
        w->settled++;
    }
    w->demand_gpu_milli += workload_gpu_milli(t);
    draw_curve(w);
}
