#include "common/alloc.h"
#include "common/clock.h"
#include "common/units.h"
#include "schedctl/ctl.h"
#include "schedctl/jobname.h"
#include "schedctl/present.h"
#include "schedctl/progress.h"
#include "schedctl/table.h"

#include <inttypes.h>
#include <stdio.h>

static void line(const char *title, const char *value)
{
    AUTO(text) struct text t = {0};
    text_add_clean(&t, value);
    if (t.len)
        printf("%-12s %s\n", title, text_str(&t));
}

static void time_line(const char *title, const json_t *job, const char *key)
{
    AUTO(text) struct text t = {0};
    add_full_time(&t, get_int(job, key));
    line(title, text_str(&t));
}

static void print_request(const json_t *job)
{
    AUTO(text) struct text t = {0};
    int64_t tasks = get_int(job, "tasks");
    text_addf(&t, "%" PRId64 " task%s of ", tasks, tasks == 1 ? "" : "s");
    add_amount(&t, job, "cpus");
    text_add(&t, get_milli(job, "cpus") == 1000 ? " core" : " cores");
    if (get_int(job, "memory_mib")) {
        text_add(&t, ", ");
        text_add_size_mib(&t, get_int(job, "memory_mib"));
    }
    if (get_milli(job, "gpus")) {
        text_add(&t, ", ");
        add_amount(&t, job, "gpus");
        text_add(&t, get_milli(job, "gpus") > 1000 ? " GPUs" : " GPU");
    }
    if (get_int(job, "tasks_per_node"))
        text_addf(&t, ", at most %" PRId64 " a node", get_int(job, "tasks_per_node"));
    if (json_is_true(json_object_get(job, "spread")))
        text_add(&t, ", spread over nodes");
    if (json_is_true(json_object_get(job, "exclusive")))
        text_add(&t, ", on nodes of its own");
    line("request", text_str(&t));
    line("constraint", get_str(job, "constraint"));
    line("prefers", get_str(job, "prefer"));
    text_clear(&t);
    if (get_int(job, "time_limit_ms"))
        text_add_duration_ms(&t, get_int(job, "time_limit_ms"));
    line("time limit", text_str(&t));
    line("dependency", get_str(job, "dependency"));
    time_line("begin", job, "begin_at");
    time_line("deadline", job, "deadline_at");
}

static void print_array(const json_t *job)
{
    const json_t *a = json_object_get(job, "array");
    AUTO(text) struct text t = {0};
    if (!json_is_object(a))
        return;
    int64_t first = get_int(a, "first"), count = get_int(a, "count");
    text_addf(&t,
              "%" PRId64 "-%" PRId64 ": %" PRId64 " not placed yet, %" PRId64 " live, %" PRId64
              " failed",
              first, first + count - 1, count - get_int(a, "next"), get_int(a, "live"),
              get_int(a, "failed"));
    if (get_int(a, "limit"))
        text_addf(&t, ", at most %" PRId64 " at once", get_int(a, "limit"));
    line("array", text_str(&t));
}

static void print_program(const json_t *job)
{
    AUTO(text) struct text t = {0};
    size_t i;
    json_t *arg;
    json_array_foreach(json_object_get(job, "argv"), i, arg)
        text_addf(&t, "%s%s", i ? " " : "", json_string_value(arg) ? json_string_value(arg) : "");
    line("program", text_str(&t));
    line("directory", get_str(job, "cwd"));
}

static void add_number(struct table *t, const json_t *object, const char *key)
{
    if (is_null(object, key))
        table_cell(t, "%s", "");
    else
        table_cell(t, "%" PRId64, get_int(object, key));
}

static void add_result(struct table *t, const json_t *r)
{
    AUTO(text) struct text cpu = {0}, memory = {0};
    if (!is_null(r, "user_ms") || !is_null(r, "system_ms"))
        add_elapsed(&cpu, get_int(r, "user_ms") + get_int(r, "system_ms"));
    if (!is_null(r, "peak_kib"))
        text_add_size_mib(&memory, (get_int(r, "peak_kib") + 1023) / 1024);
    add_number(t, r, "rank");
    table_cell(t, "%s", get_str(r, "node"));
    add_number(t, r, "exit_code");
    if (get_int(r, "signal"))
        table_cell(t, "%" PRId64, get_int(r, "signal"));
    else
        table_cell(t, "%s", "");
    table_cell(t, "%s", text_str(&cpu));
    table_cell(t, "%s", text_str(&memory));
}

static void print_tasks(const json_t *job)
{
    static const struct column COLUMNS[] = {
        {"TASK", COLUMN_RIGHT},   {"NODE", COLUMN_LEFT},      {"EXIT", COLUMN_RIGHT},
        {"SIGNAL", COLUMN_RIGHT}, {"CPU TIME", COLUMN_RIGHT}, {"PEAK MEMORY", COLUMN_RIGHT}};
    const json_t *results = json_object_get(job, "task_results");
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    size_t i;
    json_t *r;
    if (json_array_size(results) == 0)
        return;
    json_array_foreach(results, i, r) add_result(&t, r);
    putchar('\n');
    table_print(&t);
}

// "0-3", "0.5 of 4", "0-1 and 0.5 of 4"
static void add_cores(struct table *t, const json_t *p)
{
    AUTO(text) struct text s = {0};
    text_add(&s, get_str(p, "cores"));
    if (get_milli(p, "shared_cpus")) {
        text_add(&s, s.len ? " and " : "");
        add_amount(&s, p, "shared_cpus");
        text_addf(&s, " of %s", get_str(p, "shared_cores"));
    }
    table_cell(t, "%s", text_str(&s));
}

// "0,1", "0.5 of 0"
static void add_gpus(struct table *t, const json_t *p)
{
    AUTO(text) struct text s = {0};
    const json_t *shares = json_object_get(p, "gpu_shares");
    char gpu[16];
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(p, "gpus"), i, v)
    {
        snprintf(gpu, sizeof gpu, "%d", (int)json_integer_value(v));
        text_add(&s, i ? "," : "");
        if (json_object_get(shares, gpu)) {
            add_amount(&s, shares, gpu);
            text_add(&s, " of ");
        }
        text_add(&s, gpu);
    }
    table_cell(t, "%s", text_str(&s));
}

static void print_placements(const json_t *job)
{
    static const struct column COLUMNS[] = {{"NODE", COLUMN_LEFT},   {"FIRST TASK", COLUMN_RIGHT},
                                            {"TASKS", COLUMN_RIGHT}, {"CORES", COLUMN_LEFT},
                                            {"GPUS", COLUMN_LEFT},   {"PORT", COLUMN_RIGHT},
                                            {"STATE", COLUMN_LEFT}};
    const json_t *placements = json_object_get(job, "placements");
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    size_t i;
    json_t *p;
    if (json_array_size(placements) == 0)
        return;
    json_array_foreach(placements, i, p)
    {
        table_cell(&t, "%s", get_str(p, "node"));
        table_cell(&t, "%" PRId64, get_int(p, "first_rank"));
        table_cell(&t, "%" PRId64, get_int(p, "tasks"));
        add_cores(&t, p);
        add_gpus(&t, p);
        add_number(&t, p, "port");
        table_cell(&t, "%s", get_str(p, "state"));
    }
    putchar('\n');
    table_print(&t);
}

// "1.50 GPU-hours": what it has had of the cluster in all its attempts.
static void add_attained(const json_t *job, struct text *t)
{
    int64_t ms = get_int(job, "attained_ms");
    bool gpus = json_number_value(json_object_get(job, "gpus")) > 0;
    if (ms)
        text_addf(t, "%.2f %s-hours", (double)ms / 3600000, gpus ? "GPU" : "core");
}

static void print(const json_t *job)
{
    AUTO(text) struct text id = {0}, t = {0};
    add_job_name(&id, job);
    line("job", text_str(&id));
    line("name", get_str(job, "name"));
    line("user", get_str(job, "user"));
    line("account", get_str(job, "account"));
    line("queue", get_str(job, "queue"));
    line("qos", get_str(job, "qos"));
    if (*get_str(job, "reservation"))
        line("reservation", get_str(job, "reservation"));
    text_addf(&t, "%s%s%s", get_str(job, "state"), *reason_of(job) ? ": " : "", reason_of(job));
    line("state", text_str(&t));
    line("hint", get_str(json_object_get(job, "reason"), "hint"));
    if (!is_null(job, "exit_code")) {
        text_clear(&t);
        text_addf(&t, "%" PRId64, get_int(job, "exit_code"));
        line("exit code", text_str(&t));
    }
    text_clear(&t);
    text_addf(&t, "%" PRId64, get_int(job, "attempt"));
    line("attempt", text_str(&t));
    text_clear(&t);
    text_addf(&t, "%" PRId64, get_int(job, "priority"));
    line("priority", text_str(&t));
    print_request(job);
    print_array(job);
    print_program(job);
    line("nodes", get_str(job, "nodes"));
    time_line("submitted", job, "submitted_at");
    time_line("started", job, "started_at");
    time_line("ended", job, "ended_at");
    text_clear(&t);
    add_job_elapsed(&t, job, clock_wall_ms());
    line("run time", text_str(&t));
    text_clear(&t);
    add_attained(job, &t);
    line("attained", text_str(&t));
    text_clear(&t);
    progress_text(json_object_get(job, "metrics"), PROGRESS_BAR, &t);
    line("reported", text_str(&t));
    print_placements(job);
    print_tasks(job);
}

static int run_job_show(struct ctl *ctl)
{
    struct err err;
    const struct args *a = &ctl->args;
    for (size_t i = 0; i < a->operands_count; i++)
        if (job_name_check(a->operands[i], &err))
            return report(&err);
    if (ctl_connect(ctl, &err))
        return report(&err);
    json_t *all = json_array();
    int worst = CTL_OK;
    for (size_t i = 0; i < a->operands_count; i++) {
        json_t *job = NULL;
        AUTO_FREE char *path = job_path(a->operands[i], "");
        if (client_get(ctl->client, path, &job, &err)) {
            worst = report(&err);
            continue;
        }
        if (!ctl->json) {
            if (i)
                putchar('\n');
            print(job);
        }
        json_array_append_new(all, job);
    }
    if (ctl->json && a->operands_count > 1)
        ctl_print_json(all);
    else if (ctl->json && worst == CTL_OK)
        ctl_print_json(json_array_get(all, 0));
    json_decref(all);
    return worst;
}

const struct verb verb_job_show = {
    .name = "job show",
    .usage = "JOB...",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "everything about a job: request, nodes, results of its tasks",
    .text = "With -o json one job is an object, several are an array.",
    .examples = {{"job show 17", "Job 17."}, {"job show 17_3", "Element 3 of array 17."}},
    .run = run_job_show,
};
