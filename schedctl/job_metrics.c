#include "common/alloc.h"
#include "common/clock.h"
#include "common/units.h"
#include "schedctl/ctl.h"
#include "schedctl/interrupt.h"
#include "schedctl/jobname.h"
#include "schedctl/metrics_csv.h"
#include "schedctl/metrics_table.h"
#include "schedctl/present.h"
#include "schedctl/progress.h"
#include "schedctl/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { METRICS_PATIENCE_MS = 60000, METRICS_PAUSE_MS = 500 };

struct asked {
    struct ctl *ctl;
    const char *job;
    int64_t task, attempt, after; // task -1: all; attempt 0: the newest
    bool series_only;
    struct metrics_csv csv;
};

static int choose(struct asked *q, struct err *err)
{
    const struct args *a = &q->ctl->args;
    const char *task = args_value(a, "task"), *attempt = args_value(a, "attempt");
    q->task = -1;
    if (task && parse_int(task, "option --task", 0, INT32_MAX, &q->task, err))
        return E_INVALID;
    if (attempt && parse_int(attempt, "option --attempt", 1, UINT32_MAX, &q->attempt, err))
        return E_INVALID;
    return 0;
}

static int fetch(const struct asked *q, json_t **ret, struct err *err)
{
    AUTO(text) struct text query = {0};
    text_addf(&query, "/metrics?after=%" PRId64, q->after);
    if (q->task >= 0)
        text_addf(&query, "&task=%" PRId64, q->task);
    if (q->series_only)
        text_add(&query, "&limit=0");
    if (q->attempt)
        text_addf(&query, "&attempt=%" PRId64, q->attempt);
    AUTO_FREE char *path = job_path(q->job, text_str(&query));
    return client_get(q->ctl->client, path, ret, err);
}

// The whole: further pages are appended to the first. What comes meanwhile is not waited for.
static int fetch_all(struct asked *q, json_t **ret, struct err *err)
{
    int rc = fetch(q, ret, err);
    while (!rc && json_is_true(json_object_get(*ret, "more"))) {
        json_t *page = NULL;
        q->attempt = get_int(*ret, "attempt");
        q->after = get_int(*ret, "next");
        if ((rc = fetch(q, &page, err)) == 0) {
            json_array_extend(json_object_get(*ret, "samples"), json_object_get(page, "samples"));
            json_object_set(*ret, "next", json_object_get(page, "next"));
            json_object_set(*ret, "more", json_object_get(page, "more"));
        }
        json_decref(page);
    }
    return rc;
}

// All series, but the samples of the first alone.
static int fetch_first(struct asked *q, json_t **ret, struct err *err)
{
    json_t *answer = NULL, *first = NULL;
    q->series_only = true;
    int rc = fetch(q, &answer, err);
    q->series_only = false;
    const json_t *series = rc ? NULL : json_array_get(json_object_get(answer, "series"), 0);
    if (!series) {
        *ret = answer;
        return rc;
    }
    q->task = get_int(series, "task");
    q->attempt = get_int(answer, "attempt");
    if ((rc = fetch_all(q, &first, err))) {
        json_decref(answer);
        return rc;
    }
    json_object_set(answer, "samples", json_object_get(first, "samples"));
    json_decref(first);
    *ret = answer;
    return 0;
}

static void tell_refused(const json_t *answer)
{
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(answer, "series"), i, s)
    {
        AUTO(text) struct text why = {0};
        text_add_clean(&why, get_str(s, "refusal"));
        if (get_int(s, "refused"))
            remark("task %" PRId64 ": refused lines: %" PRId64 ", the last one: %s",
                   get_int(s, "task"), get_int(s, "refused"), text_str(&why));
    }
}

static int once(struct asked *q, struct err *err)
{
    json_t *answer = NULL;
    bool all = q->ctl->json || q->ctl->csv || args_has(&q->ctl->args, "all") || q->task >= 0;
    int rc = all ? fetch_all(q, &answer, err) : fetch_first(q, &answer, err);
    if (rc)
        return rc;
    if (q->ctl->json) {
        ctl_print_json(answer);
    } else if (q->ctl->csv) {
        metrics_csv_header(&q->csv, json_object_get(answer, "samples"));
        metrics_csv_rows(&q->csv, get_int(answer, "attempt"), json_object_get(answer, "samples"));
    } else {
        metrics_table_print(q->job, answer, args_has(&q->ctl->args, "all"));
    }
    if (!q->ctl->json)
        tell_refused(answer);
    json_decref(answer);
    return 0;
}

// ---- following ----

static void print_line(const json_t *sample)
{
    AUTO(text) struct text t = {0}, clean = {0};
    json_t *values = json_object_get(sample, "values");
    json_t *metrics =
        json_pack("{s:O,s:O?}", "values", values, "progress", json_object_get(values, "progress"));
    add_time(&t, get_int(sample, "at"), clock_wall_ms());
    text_addf(&t, "  task %" PRId64 "  ", get_int(sample, "task"));
    progress_text(metrics, PROGRESS_BAR, &t);
    text_add_clean(&clean, text_str(&t));
    puts(text_str(&clean));
    json_decref(metrics);
}

static void print_new(struct asked *q, const json_t *answer)
{
    const json_t *samples = json_object_get(answer, "samples");
    size_t i;
    json_t *s;
    if (q->ctl->csv && json_array_size(samples)) {
        metrics_csv_header(&q->csv, samples);
        metrics_csv_rows(&q->csv, get_int(answer, "attempt"), samples);
    }
    json_array_foreach(samples, i, s)
    {
        if (q->ctl->json) {
            json_object_set_new(s, "attempt", json_integer(get_int(answer, "attempt")));
            json_dumpf(s, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
            putchar('\n');
        } else if (!q->ctl->csv) {
            print_line(s);
        }
    }
    fflush(stdout);
}

// A job that has ended says nothing new once an answer brought nothing; what was on its way when
// it ended has a moment.
static int follow(struct asked *q, struct err *err)
{
    int fd = interrupt_catch(), last = 0;
    bool over = false;
    client_patience(q->ctl->client, METRICS_PATIENCE_MS);
    client_stop_when(q->ctl->client, &interrupt_count, 1);
    while (!over && !interrupt_count) {
        json_t *answer = NULL;
        int rc = fetch(q, &answer, err);
        if (rc)
            return interrupt_count ? 0 : rc;
        size_t count = json_array_size(json_object_get(answer, "samples"));
        bool more = json_is_true(json_object_get(answer, "more"));
        print_new(q, answer);
        q->after = get_int(answer, "next");
        last = state_ended(get_str(answer, "state")) && !count ? last + 1 : 0;
        over = last > 1;
        json_decref(answer);
        if (ferror(stdout))
            return fail(err, E_IO, "cannot write the output: %m");
        if (!over && !more)
            interrupt_pause(fd, METRICS_PAUSE_MS);
    }
    return 0;
}

static int run_job_metrics(struct ctl *ctl)
{
    struct err err;
    struct asked q = {.ctl = ctl, .job = ctl->args.operands[0]};
    if (job_name_check(q.job, &err) || choose(&q, &err) || ctl_connect(ctl, &err))
        return report(&err);
    int rc = args_has(&ctl->args, "follow") ? follow(&q, &err) : once(&q, &err);
    metrics_csv_free(&q.csv);
    return rc ? (int)report(&err) : CTL_OK;
}

static const struct opt OPTIONS[] = {
    {'f', "follow", NULL, "go on with new samples until the job has ended"},
    {0, "task", "N", "only of task N"},
    {'a', "all", NULL, "the table of all tasks (only of the first that reports)"},
    {0, "attempt", "N", "of attempt N (the newest)"},
};

const struct verb verb_job_metrics = {
    .name = "job metrics",
    .usage = "JOB [OPTIONS]",
    .operands_min = 1,
    .operands_max = 1,
    .csv = true,
    .summary = "what a job's tasks report: progress, loss, any number",
    .text =
        "A task reports by writing JSON objects, one a line, to the descriptor "
        "MUSTER_REPORT_FD; `muster-report` does that from a shell. With -o csv there is a row a "
        "sample, with -o json the API's object; with -f a JSON object a line. Long series are "
        "thinned.",
    .options = {{OPTIONS, COUNT(OPTIONS)}},
    .examples = {{"job metrics 17", "First, newest, least and greatest value of each metric."},
                 {"job metrics 17 -f", "Each sample as it comes."},
                 {"job metrics 17 --task 0 -o csv > loss.csv", "For a plot."}},
    .run = run_job_metrics,
};
