// Measures as JSON, jobs as CSV.
#include "common/alloc.h"
#include "common/json.h"
#include "simulate/measures.h"

#include <inttypes.h>
#include <string.h>

static void put_real(struct text *t, const char *key, double v)
{
    put_key(t, key);
    text_addf(t, "%.6g", v);
}

// null where there is nothing to measure.
static void put_percent(struct text *t, const char *key, double v)
{
    if (v < 0) {
        put_null(t, key);
        return;
    }
    put_key(t, key);
    text_addf(t, "%.4f", 100 * v);
}

static void put_spread(struct text *t, const char *key, const struct spread *s)
{
    put_open(t, key, '{');
    put_real(t, "mean", s->mean);
    put_real(t, "p50", s->p50);
    put_real(t, "p99", s->p99);
    put_real(t, "max", s->max);
    text_addc(t, '}');
}

static void put_curve(struct text *t, const struct measures *m)
{
    put_open(t, "gpu_allocation_by_arrival", '[');
    for (size_t k = 0; k < SIM_CURVE && m->curve[k] >= 0; k++) {
        put_next(t);
        text_addf(t, "%d.%d", m->curve[k] / 10, m->curve[k] % 10);
    }
    text_addc(t, ']');
}

static void put_counts(struct text *t, const struct measures *m)
{
    put_int(t, "jobs_submitted", m->submitted);
    put_int(t, "jobs_completed", m->completed);
    put_int(t, "jobs_refused", m->refused);
    put_int(t, "jobs_failed", m->failed);
    put_int(t, "jobs_waiting", m->waiting);
    put_int(t, "jobs_running", m->running);
    put_int(t, "jobs_not_submitted", m->not_submitted);
    put_int(t, "requeues", m->requeues);
    put_int(t, "preemptions", m->preemptions);
    put_int(t, "node_failures", m->failures);
}

void measures_json(const struct measures *m, const char *trace, const struct trace *t,
                   struct text *ret)
{
    text_addc(ret, '{');
    put_str(ret, "trace", trace);
    put_str(ret, "format", t->format);
    put_str(ret, "policy", m->policy);
    put_int(ret, "seed", (int64_t)m->seed);
    put_int(ret, "lines_unreadable", (int64_t)t->bad.count);
    put_int(ret, "jobs_never_ran", (int64_t)t->never_ran);
    put_int(ret, "nodes", m->nodes);
    put_int(ret, "cores", m->cores);
    put_int(ret, "gpus", m->gpus);
    if (m->arrive) {
        put_int(ret, "tasks_arrived", m->submitted);
        put_int(ret, "tasks_placed", m->running);
        put_int(ret, "tasks_dropped", m->dropped);
        put_curve(ret, m);
    } else {
        put_counts(ret, m);
        put_real(ret, "makespan_s", m->makespan_s);
        put_spread(ret, "wait_s", &m->wait_s);
        put_spread(ret, "bounded_slowdown", &m->slowdown);
        put_spread(ret, "completion_s", &m->completion_s);
        put_percent(ret, "core_utilisation_pct", m->core_utilisation);
        put_percent(ret, "gpu_utilisation_pct", m->gpu_utilisation);
    }
    put_percent(ret, "core_allocation_pct", m->core_allocation);
    put_percent(ret, "gpu_allocation_pct", m->gpu_allocation);
    put_percent(ret, "gpu_fragmentation_pct", m->fragmentation);
    put_key(ret, "stopped");
    text_add(ret, m->stopped ? "true" : "false");
    put_int(ret, "placements", (int64_t)m->placements);
    put_int(ret, "turns", (int64_t)m->turns);
    put_int(ret, "steps", (int64_t)m->steps);
    put_real(ret, "wall_s", m->wall_s);
    put_real(ret, "cpu_s", m->cpu_s);
    text_addc(ret, '}');
}

static void put_csv_text(struct text *t, const char *s)
{
    if (!strpbrk(s, ",\"\n\r")) {
        text_add(t, s);
        return;
    }
    text_addc(t, '"');
    for (; *s; s++) {
        if (*s == '"')
            text_addc(t, '"');
        text_addc(t, *s);
    }
    text_addc(t, '"');
}

// Seconds with a point only where there are thousandths; empty: not.
static void put_csv_ms(struct text *t, int64_t ms)
{
    text_addc(t, ',');
    if (ms < 0)
        return;
    put_number(t, ms / 1000);
    if (ms % 1000)
        text_addf(t, ".%03d", (int)(ms % 1000));
}

static void put_csv_int(struct text *t, int64_t v)
{
    text_addc(t, ',');
    put_number(t, v);
}

void jobs_csv(const struct trace *t, const struct sim_result *r, struct text *ret)
{
    static const char *const words[] = {[SIM_NOT_SUBMITTED] = "not_submitted",
                                        [SIM_WAITING] = "waiting",
                                        [SIM_RUNNING] = "running",
                                        [SIM_COMPLETED] = "completed",
                                        [SIM_REFUSED] = "refused",
                                        [SIM_DROPPED] = "dropped",
                                        [SIM_FAILED] = "failed"};
    text_add(ret, "job,name,user,account,queue,tasks,gpus,submit_s,run_s,start_s,end_s,nodes,"
                  "attempts,state,reason\r\n");
    for (size_t i = 0; i < t->count; i++) {
        const struct trace_job *j = &t->jobs[i];
        const struct sim_job *s = &r->jobs[i];
        put_number(ret, j->number);
        text_addc(ret, ',');
        put_csv_text(ret, j->name ? j->name : "");
        const int32_t names[] = {j->user, j->account, j->queue};
        for (size_t k = 0; k < 3; k++) {
            text_addc(ret, ',');
            put_csv_text(ret, interned_name(&t->names, names[k]));
        }
        put_csv_int(ret, j->tasks);
        put_csv_ms(ret, (int64_t)j->tasks * (j->gpus ? j->gpus * INT64_C(1000) : j->gpu_milli));
        put_csv_ms(ret, s->submit_ms);
        put_csv_ms(ret, j->run_ms);
        put_csv_ms(ret, s->start_ms);
        put_csv_ms(ret, s->end_ms);
        put_csv_int(ret, s->nodes);
        put_csv_int(ret, s->attempts);
        text_addf(ret, ",%s,%s\r\n", words[s->fate], s->reason ? reason_word(s->reason) : "");
    }
}
