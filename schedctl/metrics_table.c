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
    size_t seen; // how many rows came before it
};

static bool shown_above(const char *name)
{
    return strcmp(name, "phase") == 0 || strcmp(name, "progress") == 0 ||
           strcmp(name, "steps") == 0 || strcmp(name, "epochs") == 0;
}

struct rows {
    struct row *list; // in order of appearance
    size_t count, cap;
    json_t *index; // "TASK NAME" -> where
};

static struct row *row_of(struct rows *rows, int64_t task, const char *name)
{
    AUTO_FREE char *key = xasprintf("%" PRId64 " %s", task, name);
    const json_t *known = json_object_get(rows->index, key);
    if (known)
        return &rows->list[json_integer_value(known)];
    json_object_set_new(rows->index, key, json_integer((json_int_t)rows->count));
    VEC_RESERVE(rows->list, rows->count, rows->cap);
    rows->list[rows->count] = (struct row){.task = task, .name = name, .seen = rows->count};
    return &rows->list[rows->count++];
}

static void add_value(struct row *r, const json_t *v)
{
    if (!r->first)
        r->first = v;
    r->newest = v;
    if (!json_is_number(v))
        return;
    VEC_RESERVE(r->values, r->count, r->cap);
    r->values[r->count++] = json_number_value(v);
}

static int row_order(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->task != y->task)
        return x->task < y->task ? -1 : 1;
    return x->seen < y->seen ? -1 : 1;
}

// By task, then in order of appearance.
static void collect(const json_t *samples, struct rows *rows)
{
    size_t i;
    const char *name;
    json_t *s, *v;
    rows->index = json_object();
    json_array_foreach(samples, i, s) json_object_foreach(json_object_get(s, "values"), name, v)
    {
        if (!shown_above(name))
            add_value(row_of(rows, get_int(s, "task"), name), v);
    }
    json_decref(rows->index);
    if (rows->count)
        qsort(rows->list, rows->count, sizeof *rows->list, row_order);
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
    struct rows rows = {0};
    size_t i;
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
    }
    collect(json_object_get(answer, "samples"), &rows);
    if (!all && json_array_size(series) > 1)
        printf("%zu more report: --all\n", json_array_size(series) - 1);
    for (i = 0; i < rows.count; i++) {
        add_row(&t, &rows.list[i]);
        free(rows.list[i].values);
    }
    free(rows.list);
    if (rows.count) {
        putchar('\n');
        table_print(&t);
    }
}
