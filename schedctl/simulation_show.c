// What a simulation came to, for people and for scripts.
#include "common/alloc.h"
#include "common/units.h"
#include "schedctl/simulation.h"
#include "schedctl/table.h"
#include "schedctl/verb.h"

#include <inttypes.h>
#include <stdio.h>

void simulation_show_json(const struct simulation *s)
{
    AUTO(text) struct text t = {0};
    if (s->policies_count > 1)
        text_addc(&t, '[');
    for (size_t i = 0; i < s->policies_count; i++) {
        if (i)
            text_addc(&t, ',');
        measures_json(&s->measures[i], s->path, &s->trace, &t);
    }
    if (s->policies_count > 1)
        text_addc(&t, ']');
    puts(text_str(&t));
}

static void seconds_cell(struct table *t, double s)
{
    AUTO(text) struct text x = {0};
    text_add_duration_ms(&x, (int64_t)(s * 1000 + 0.5));
    table_cell(t, "%s", text_str(&x));
}

static void percent_cell(struct table *t, double part)
{
    if (part < 0)
        table_cell(t, "%s", "");
    else
        table_cell(t, "%.2f %%", 100 * part);
}

static void show_spreads(const struct measures *m)
{
    static const struct column COLUMNS[] = {{"PER JOB", COLUMN_LEFT},
                                            {"MEAN", COLUMN_RIGHT},
                                            {"P50", COLUMN_RIGHT},
                                            {"P99", COLUMN_RIGHT},
                                            {"MAX", COLUMN_RIGHT}};
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    const struct {
        const char *name;
        const struct spread *s;
    } rows[] = {{"wait", &m->wait_s}, {"completion time", &m->completion_s}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        const double values[] = {rows[i].s->mean, rows[i].s->p50, rows[i].s->p99, rows[i].s->max};
        table_cell(&t, "%s", rows[i].name);
        for (size_t k = 0; k < COUNT(values); k++)
            seconds_cell(&t, values[k]);
    }
    const double slow[] = {m->slowdown.mean, m->slowdown.p50, m->slowdown.p99, m->slowdown.max};
    table_cell(&t, "%s", "bounded slowdown");
    for (size_t k = 0; k < COUNT(slow); k++)
        table_cell(&t, "%.2f", slow[k]);
    table_print(&t);
}

static void show_cluster(const struct measures *m)
{
    static const struct column COLUMNS[] = {{"CLUSTER", COLUMN_LEFT},
                                            {"THERE ARE", COLUMN_RIGHT},
                                            {"USED", COLUMN_RIGHT},
                                            {"GIVEN OUT", COLUMN_RIGHT},
                                            {"FRAGMENTED", COLUMN_RIGHT}};
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    table_cell(&t, "%s", "cores");
    table_cell(&t, "%" PRId64, m->cores);
    percent_cell(&t, m->core_utilisation);
    percent_cell(&t, m->core_allocation);
    table_cell(&t, "%s", "");
    table_cell(&t, "%s", "GPUs");
    table_cell(&t, "%" PRId64, m->gpus);
    percent_cell(&t, m->gpu_utilisation);
    percent_cell(&t, m->gpu_allocation);
    percent_cell(&t, m->fragmentation);
    table_print(&t);
}

static void add_count(struct text *t, int64_t count, const char *what)
{
    if (count)
        text_addf(t, "%s%" PRId64 " %s", t->len ? ", " : "", count, what);
}

static void show_one(const struct simulation *s)
{
    const struct measures *m = &s->measures[0];
    AUTO(text) struct text jobs = {0}, took = {0};
    add_count(&jobs, m->completed, "completed");
    add_count(&jobs, m->arrive ? m->running : 0, "placed");
    add_count(&jobs, m->arrive ? 0 : m->running, "still running");
    add_count(&jobs, m->waiting, "still waiting");
    add_count(&jobs, m->dropped, "dropped");
    add_count(&jobs, m->refused, "refused, since they fit nowhere");
    add_count(&jobs, m->failed, "failed");
    add_count(&jobs, m->not_submitted, "not submitted");
    add_count(&jobs, (int64_t)s->trace.never_ran, "left out, since they never ran");
    add_count(&jobs, m->requeues, "requeues");
    add_count(&jobs, m->preemptions, "preemptions");
    add_count(&jobs, m->failures, "node failures");
    printf("%s (%s) on %" PRId64 " nodes, policy %s\n", s->path, s->trace.format, m->nodes,
           m->policy);
    text_add_duration_ms(&took, (int64_t)(m->makespan_s * 1000));
    printf("%s: %s\n", m->arrive ? "tasks" : "jobs", text_str(&jobs));
    if (!m->arrive) {
        printf("from the first submission to the last end: %s\n\n", text_str(&took));
        show_spreads(m);
    }
    putchar('\n');
    show_cluster(m);
    printf("\nsimulated in %.2f s (%.2f s of a processor): %" PRIu64 " placements, %" PRIu64
           " steps\n",
           m->wall_s, m->cpu_s, m->placements, m->steps);
}

static void compare_cells(struct table *t, const struct measures *m)
{
    table_cell(t, "%s", m->policy);
    table_cell(t, "%" PRId64, m->arrive ? m->running : m->completed);
    if (!m->arrive) {
        seconds_cell(t, m->wait_s.mean);
        seconds_cell(t, m->wait_s.p99);
        table_cell(t, "%.2f", m->slowdown.mean);
        seconds_cell(t, m->completion_s.mean);
    }
    percent_cell(t, m->core_allocation);
    percent_cell(t, m->gpu_allocation);
    percent_cell(t, m->fragmentation);
    table_cell(t, "%.2f", m->cpu_s);
}

static void show_all(const struct simulation *s)
{
    static const struct column TIMED[] = {
        {"POLICY", COLUMN_LEFT},         {"COMPLETED", COLUMN_RIGHT},
        {"MEAN WAIT", COLUMN_RIGHT},     {"P99 WAIT", COLUMN_RIGHT},
        {"MEAN SLOWDOWN", COLUMN_RIGHT}, {"MEAN COMPLETION", COLUMN_RIGHT},
        {"CORES", COLUMN_RIGHT},         {"GPUS", COLUMN_RIGHT},
        {"FRAGMENTED", COLUMN_RIGHT},    {"CPU SECONDS", COLUMN_RIGHT}};
    static const struct column ARRIVE[] = {
        {"POLICY", COLUMN_LEFT}, {"PLACED", COLUMN_RIGHT},     {"CORES", COLUMN_RIGHT},
        {"GPUS", COLUMN_RIGHT},  {"FRAGMENTED", COLUMN_RIGHT}, {"CPU SECONDS", COLUMN_RIGHT}};
    bool arrive = s->options.arrive;
    AUTO(table)
    struct table t = table_begin(arrive ? ARRIVE : TIMED, arrive ? COUNT(ARRIVE) : COUNT(TIMED));
    for (size_t i = 0; i < s->policies_count; i++)
        compare_cells(&t, &s->measures[i]);
    printf("%s (%s) on %" PRId64 " nodes\n\n", s->path, s->trace.format, s->measures[0].nodes);
    table_print(&t);
}

void simulation_show(const struct simulation *s)
{
    if (s->policies_count == 1)
        show_one(s);
    else
        show_all(s);
}
