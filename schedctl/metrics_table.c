#include "schedctl/metrics_table.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "schedctl/present.h"
#include "schedctl/progress.h"
#include "schedctl/table.h"
#include "schedctl/verb.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TREND = 16 };

// One metric of one task.
struct row {
    int64_t task;
    const char *name;
    double *values; // finite ones, in order
    size_t count, cap;
    const json_t *first, *newest;
};

static bool shown_above(const char *name)
{
    return strcmp(name, "phase") == 0 || strcmp(name, "progress") == 0 ||
           strcmp(name, "steps") == 0 || strcmp(name, "epochs") == 0;
}

static struct row *row_of(struct row **rows, size_t *count, size_t *cap, int64_t task,
                          const char *name)
{
    for (size_t i = 0; i < *count; i++)
        if ((*rows)[i].task == task && strcmp((*rows)[i].name, name) == 0)
            return &(*rows)[i];
    VEC_RESERVE(*rows, *count, *cap);
    (*rows)[*count] = (struct row){.task = task, .name = name};
    return &(*rows)[(*count)++];
}

static void collect(const json_t *samples, int64_t task, struct row **rows, size_t *count,
                    size_t *cap)
{
    size_t i;
    const char *name;
    json_t *s, *v;
    json_array_foreach(samples, i, s)
    {
        if (get_int(s, "task") != task)
            continue;
        json_object_foreach(json_object_get(s, "values"), name, v)
        {
            if (shown_above(name))
                continue;
            struct row *r = row_of(rows, count, cap, task, name);
            if (!r->first)
                r->first = v;
            r->newest = v;
            if (!json_is_number(v))
                continue;
            VEC_RESERVE(r->values, r->count, r->cap);
            r->values[r->count++] = json_number_value(v);
        }
    }
}

// The mean of each of TREND parts of the series, as a height.
static void add_trend(const struct row *r, double least, double most, struct text *t)
{
    static const char *const bars[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                       "\u2585", "\u2586", "\u2587", "\u2588"};
    size_t parts = r->count < TREND ? r->count : TREND;
    for (size_t p = 0; p < parts && most > least; p++) {
        size_t from = p * r->count / parts, to = (p + 1) * r->count / parts;
        double sum = 0;
        for (size_t i = from; i < to; i++)
            sum += r->values[i];
        double height = (sum / (double)(to - from) - least) / (most - least);
        text_add(t, bars[(int)(height * 7.999)]);
    }
}

static void add_row(struct table *t, const struct row *r)
{
    AUTO(text) struct text first = {0}, newest = {0}, least = {0}, most = {0}, trend = {0};
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < r->count; i++) {
        low = r->values[i] < low ? r->values[i] : low;
        high = r->values[i] > high ? r->values[i] : high;
    }
    metric_value(r->first, &first);
    metric_value(r->newest, &newest);
    if (r->count) {
        metric_number(low, &least);
        metric_number(high, &most);
        add_trend(r, low, high, &trend);
    }
    table_cell(t, "%" PRId64, r->task);
    table_cell(t, "%s", r->name);
    table_cell(t, "%s", text_str(&first));
    table_cell(t, "%s", text_str(&newest));
    table_cell(t, "%s", text_str(&least));
    table_cell(t, "%s", text_str(&most));
    table_cell(t, "%s", text_str(&trend));
}

static void print_task(const json_t *series)
{
    AUTO(text) struct text t = {0}, clean = {0};
    json_t *newest = json_object_get(series, "newest");
    json_t *metrics =
        json_pack("{s:O,s:O?}", "values", newest, "progress", json_object_get(series, "progress"));
    text_addf(&t, "task %" PRId64 "  ", get_int(series, "task"));
    progress_text(metrics, PROGRESS_BAR, &t);
    text_add(&t, "  (");
    add_elapsed(&t, clock_wall_ms() - get_int(series, "at"));
    text_add(&t, " ago)");
    text_add_clean(&clean, text_str(&t));
    puts(text_str(&clean));
    json_decref(metrics);
}

void metrics_table_print(const char *job, const json_t *answer, bool all)
{
    static const struct column COLUMNS[] = {{"TASK", COLUMN_RIGHT},  {"METRIC", COLUMN_LEFT},
                                            {"FIRST", COLUMN_RIGHT}, {"NEWEST", COLUMN_RIGHT},
                                            {"LEAST", COLUMN_RIGHT}, {"GREATEST", COLUMN_RIGHT},
                                            {"TREND", COLUMN_LEFT}};
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    const json_t *series = json_object_get(answer, "series");
    struct row *rows = NULL;
    size_t count = 0, cap = 0, i;
    json_t *s;
    printf("job %s  %s, attempt %" PRId64 "\n", job, get_str(answer, "state"),
           get_int(answer, "attempt"));
    if (!json_array_size(series)) {
        printf("nothing was reported yet\n");
        return;
    }
    json_array_foreach(series, i, s)
    {
        if (i && !all)
            break;
        print_task(s);
        collect(json_object_get(answer, "samples"), get_int(s, "task"), &rows, &count, &cap);
    }
    if (!all && json_array_size(series) > 1)
        printf("%zu more tasks report: --all\n", json_array_size(series) - 1);
    for (i = 0; i < count; i++) {
        add_row(&t, &rows[i]);
        free(rows[i].values);
    }
    free(rows);
    if (count) {
        putchar('\n');
        table_print(&t);
    }
}
