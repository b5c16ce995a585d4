#include "common/alloc.h"
#include "common/clock.h"
#include "schedctl/ctl.h"
#include "schedctl/present.h"
#include "schedctl/progress.h"
#include "schedctl/table.h"

#include <inttypes.h>
#include <string.h>

static const char *const STATES[] = {"pending",   "starting", "running",   "stopping",
                                     "completed", "failed",   "cancelled", "timed_out",
                                     "lost",      "live",     "ended"};

static int check_state(const char *state, struct err *err)
{
    for (size_t i = 0; i < COUNT(STATES); i++)
        if (strcmp(state, STATES[i]) == 0)
            return 0;
    return fail(err, E_INVALID,
                "state \"%.64s\" is unknown. Use pending, starting, running, stopping, completed, "
                "failed, cancelled, timed_out, lost, live or ended.",
                state);
}

static void add_query(struct text *path, const char *key, const char *value)
{
    if (!value)
        return;
    text_addf(path, "%c%s=", strchr(text_str(path), '?') ? '&' : '?', key);
    client_escape(path, value);
}

// People look at what goes on; a script looks for its jobs, which may have ended meanwhile.
static int make_path(const struct ctl *ctl, struct text *path, struct err *err)
{
    const struct args *a = &ctl->args;
    const char *state = args_value(a, "state");
    if (!state && !ctl->json && !args_has(a, "all") && !args_has(a, "array"))
        state = "live";
    if (state && check_state(state, err))
        return E_INVALID;
    text_add(path, "/v1/jobs");
    add_query(path, "state", state);
    add_query(path, "user", args_value(a, "user"));
    add_query(path, "name", args_value(a, "name"));
    add_query(path, "array", args_value(a, "array"));
    add_query(path, "limit", args_value(a, "limit"));
    return 0;
}

static void add_state(struct table *t, const json_t *job)
{
    const json_t *array = json_object_get(job, "array");
    if (json_is_object(array))
        table_cell(t, "%s (%" PRId64 " of %" PRId64 " live)", get_str(job, "state"),
                   get_int(array, "live"), get_int(array, "count"));
    else
        table_cell(t, "%s", get_str(job, "state"));
}

static void add_what_goes_on(struct table *t, const json_t *job)
{
    AUTO(text) struct text progress = {0};
    bool completed = strcmp(get_str(job, "state"), "completed") == 0;
    if (*reason_of(job) == 0)
        progress_text(json_object_get(job, "metrics"), PROGRESS_BAR_SHORT, &progress);
    table_cell(t, "%s", completed ? "" : progress.len ? text_str(&progress) : reason_of(job));
}

// To what jobs belong is shown where one of them is not where all are that name nothing.
static bool is_told(const json_t *jobs, const char *key, const char *usual)
{
    size_t i;
    json_t *job;
    json_array_foreach(jobs, i,
                       job) if (*get_str(job, key) && strcmp(get_str(job, key), usual)) return true;
    return false;
}

static void print(const json_t *jobs)
{
    struct column columns[12] = {
        {"ID", COLUMN_RIGHT}, {"NAME", COLUMN_LEFT}, {"USER", COLUMN_LEFT}};
    static const struct column MORE[] = {
        {"STATE", COLUMN_LEFT}, {"TASKS", COLUMN_RIGHT}, {"SUBMITTED", COLUMN_LEFT},
        {"TIME", COLUMN_RIGHT}, {"NODES", COLUMN_LEFT},  {"REASON OR PROGRESS", COLUMN_LEFT}};
    static const struct {
        const char *title, *key, *usual;
    } BELONGS[] = {
        {"ACCOUNT", "account", "default"}, {"QUEUE", "queue", "default"}, {"QOS", "qos", "normal"}};
    bool told[COUNT(BELONGS)];
    size_t count = 3, i;
    for (size_t k = 0; k < COUNT(BELONGS); k++)
        if ((told[k] = is_told(jobs, BELONGS[k].key, BELONGS[k].usual)))
            columns[count++] = (struct column){BELONGS[k].title, COLUMN_LEFT};
    for (size_t k = 0; k < COUNT(MORE); k++)
        columns[count++] = MORE[k];
    AUTO(table) struct table t = table_begin(columns, count);
    int64_t now = clock_wall_ms();
    json_t *job;
    json_array_foreach(jobs, i, job)
    {
        AUTO(text) struct text id = {0}, submitted = {0}, elapsed = {0};
        add_job_name(&id, job);
        add_time(&submitted, get_int(job, "submitted_at"), now);
        add_job_elapsed(&elapsed, job, now);
        table_cell(&t, "%s", text_str(&id));
        table_cell(&t, "%s", get_str(job, "name"));
        table_cell(&t, "%s", get_str(job, "user"));
        for (size_t k = 0; k < COUNT(BELONGS); k++)
            if (told[k])
                table_cell(&t, "%s", get_str(job, BELONGS[k].key));
        add_state(&t, job);
        table_cell(&t, "%" PRId64, get_int(job, "tasks"));
        table_cell(&t, "%s", text_str(&submitted));
        table_cell(&t, "%s", text_str(&elapsed));
        table_cell(&t, "%s", get_str(job, "nodes"));
        add_what_goes_on(&t, job);
    }
    table_print(&t);
}

static int run_jobs(struct ctl *ctl)
{
    struct err err;
    json_t *answer = NULL;
    AUTO(text) struct text path = {0};
    if (make_path(ctl, &path, &err) || ctl_connect(ctl, &err) ||
        client_get(ctl->client, text_str(&path), &answer, &err))
        return report(&err);
    const json_t *jobs = json_object_get(answer, "jobs");
    if (ctl->json)
        ctl_print_json(jobs);
    else
        print(jobs);
    json_decref(answer);
    return CTL_OK;
}

static const struct opt OPTIONS[] = {
    {'a', "all", NULL, "ended jobs too (with -o json always, unless --state is given)"},
    {'s', "state", "STATE", "only jobs in this state; live and ended are groups of states"},
    {'u', "user", "USER", "only jobs of this user"},
    {0, "name", "NAME", "only jobs with this name"},
    {0, "array", "ID", "the elements of this array, ended ones too"},
    {0, "limit", "N", "at most N, the newest"},
};

const struct verb verb_jobs = {
    .name = "jobs",
    .usage = "[OPTIONS]",
    .summary = "list jobs: the live ones, or all with --all",
    .options = {{OPTIONS, COUNT(OPTIONS)}},
    .examples = {{"jobs", "What waits and what runs, and why."},
                 {"jobs --all --state failed", "What failed."},
                 {"jobs -o json", "Everything, for a script."},
                 {"jobs --state live -o json", "The live ones, for a script."}},
    .run = run_jobs,
};
