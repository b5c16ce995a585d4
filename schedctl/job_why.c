#include "common/alloc.h"
#include "common/clock.h"
#include "common/units.h"
#include "schedctl/ctl.h"
#include "schedctl/jobname.h"
#include "schedctl/present.h"
#include "schedctl/table.h"
#include "schedctl/when.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// "schedctl account set physics max_cores=4"
static void add_lift_command(struct text *t, const json_t *lift)
{
    const char *to = get_str(lift, "to");
    text_addf(t, "schedctl %s set ", get_str(lift, "kind"));
    text_add_clean(t, get_str(lift, "name"));
    text_addf(t, strchr(to, ' ') ? " %s='%s'" : " %s=%s", get_str(lift, "key"), to);
}

// Never, not under the present limits, or later.
static void print_verdict(const json_t *why)
{
    static const char *const sentences[][2] = {
        {"never",
         "Never: no nodes of this cluster could hold it, were all of them empty and usable."},
        {"not_now", "Later: the nodes that are usable now could not hold it, were they empty."},
        {"reserved", "Later: it starts when a reservation lets it."},
        {"resources", "Later: it starts when enough of what others hold is free."},
        {"turn", "Later: there is room for it now, but it is not its turn."},
    };
    if (strcmp(get_str(why, "verdict"), "never") && *get_str(why, "limit")) {
        AUTO(text) struct text t = {0};
        const json_t *lift = json_object_get(why, "lift");
        bool said = strstr(reason_of(why), get_str(why, "limit"));
        text_add_clean(&t, get_str(why, "limit"));
        printf(said ? "Not under the present limits, whatever others use.\n"
                    : "Not under the present limits: %s.\n",
               text_str(&t));
        if (json_is_object(lift)) {
            AUTO(text) struct text command = {0};
            add_lift_command(&command, lift);
            printf("An operator can lift it: `%s`.\n", text_str(&command));
        }
        return;
    }
    for (size_t i = 0; i < COUNT(sentences); i++)
        if (strcmp(get_str(why, "verdict"), sentences[i][0]) == 0)
            printf("%s\n", sentences[i][1]);
}

static void print_start(const json_t *why)
{
    AUTO(text) struct text start = {0}, latest = {0};
    add_full_time(&start, get_int(why, "expected_start"));
    add_full_time(&latest, get_int(why, "starts_at"));
    if (get_int(why, "position"))
        printf("Position in the queue: %" PRId64 " of %" PRId64 ".\n", get_int(why, "position"),
               get_int(why, "waiting"));
    if (start.len)
        printf("Expected start: %s, if what runs uses its time limits up.\n", text_str(&start));
    else if (strcmp(get_str(why, "verdict"), "resources") == 0 ||
             strcmp(get_str(why, "verdict"), "turn") == 0)
        printf("Expected start: not in sight: what it waits for has no time limit.\n");
    if (latest.len)
        printf("Latest start: %s, kept for it as long as running jobs keep their limits.\n",
               text_str(&latest));
}

// Parts that weigh nothing are left out.
static void print_priority(const json_t *why)
{
    static const struct column COLUMNS[] = {{"PRIORITY", COLUMN_LEFT},
                                            {"WEIGHT", COLUMN_RIGHT},
                                            {"FACTOR", COLUMN_RIGHT},
                                            {"PART", COLUMN_RIGHT}};
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(why, "factors"), i, f)
    {
        if (!get_int(f, "weight"))
            continue;
        table_cell(&t, "%s", get_str(f, "name"));
        table_cell(&t, "%" PRId64, get_int(f, "weight"));
        table_cell(&t, "%.6g", json_number_value(json_object_get(f, "factor")));
        table_cell(&t, "%" PRId64, get_int(f, "part"));
    }
    table_cell(&t, "%s", "sum");
    table_cell(&t, "%s", "");
    table_cell(&t, "%s", "");
    table_cell(&t, "%" PRId64, get_int(why, "priority"));
    printf("\n");
    table_print(&t);
}

static void print_conditions(const json_t *why)
{
    static const struct column COLUMNS[] = {{"CONDITION", COLUMN_LEFT},
                                            {"NODES", COLUMN_RIGHT},
                                            {"TASKS", COLUMN_RIGHT},
                                            {"ENOUGH", COLUMN_LEFT}};
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(why, "conditions"), i, row)
    {
        table_cell(&t, "%s", get_str(row, "text"));
        table_cell(&t, "%" PRId64, get_int(row, "nodes"));
        table_cell(&t, "%" PRId64, get_int(row, "tasks"));
        table_cell(&t, "%s",
                   json_is_true(json_object_get(row, "fails"))    ? "no   <-"
                   : json_is_true(json_object_get(row, "enough")) ? "yes"
                                                                  : "no");
    }
    printf("\n");
    table_print(&t);
}

static void add_cell(struct table *t, const json_t *object, const char *key)
{
    AUTO(text) struct text s = {0};
    add_amount(&s, object, key);
    table_cell(t, "%s", text_str(&s));
}

static void print_holders(const json_t *why)
{
    static const struct column COLUMNS[] = {{"HELD BY", COLUMN_LEFT}, {"NODES", COLUMN_RIGHT},
                                            {"CORES", COLUMN_RIGHT},  {"GPUS", COLUMN_RIGHT},
                                            {"MEMORY", COLUMN_RIGHT}, {"UNTIL", COLUMN_LEFT}};
    const json_t *holders = json_object_get(why, "holders");
    if (!json_array_size(holders))
        return;
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    size_t i;
    json_t *h;
    json_array_foreach(holders, i, h)
    {
        AUTO(text) struct text memory = {0}, until = {0};
        text_add_size_mib(&memory, get_int(h, "memory_mib"));
        add_full_time(&until, get_int(h, "until"));
        if (get_int(h, "job"))
            table_cell(&t, "job %" PRId64, get_int(h, "job"));
        else
            table_cell(&t, "%s", "an unknown attempt");
        table_cell(&t, "%" PRId64, get_int(h, "nodes"));
        add_cell(&t, h, "cores");
        add_cell(&t, h, "gpus");
        table_cell(&t, "%s", get_int(h, "memory_mib") ? text_str(&memory) : "");
        table_cell(&t, "%s", get_int(h, "until") ? text_str(&until) : "no time limit");
    }
    printf("\n");
    table_print(&t);
}

// The value of a key as its option takes it.
static void add_value(struct text *t, const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    if (strcmp(key, "memory_mib") == 0)
        text_addf(t, "%" PRId64 "MiB", get_int(object, key));
    else if (strcmp(key, "time_limit_ms") == 0)
        text_addf(t, "%" PRId64 "m", get_int(object, key) / 60000);
    else if (json_is_string(v))
        text_addf(t, "\"%s\"", json_string_value(v));
    else
        add_amount(t, object, key);
}

// "--tasks 2 instead of 4", "without --constraint ..."
static void add_change(struct text *t, const char *key, const json_t *change, const json_t *was)
{
    static const char *const options[][2] = {{"tasks", "--tasks"},
                                             {"nodes", "--nodes"},
                                             {"tasks_per_node", "--tasks-per-node"},
                                             {"exclusive", "--exclusive"},
                                             {"constraint", "--constraint"},
                                             {"cpus", "--cpus"},
                                             {"gpus", "--gpus"},
                                             {"memory_mib", "--memory"},
                                             {"time_limit_ms", "--time"}};
    const char *option = key;
    for (size_t i = 0; i < COUNT(options); i++)
        if (strcmp(key, options[i][0]) == 0)
            option = options[i][1];
    const json_t *v = json_object_get(change, key), *before = json_object_get(was, key);
    bool none = json_is_null(v) || json_is_false(v);
    bool any = get_milli(change, key) == 0 &&
               (strcmp(key, "nodes") == 0 || strcmp(key, "tasks_per_node") == 0);
    if (none || any) {
        text_addf(t, "without %s", option);
        if (!json_is_boolean(before)) {
            text_addc(t, ' ');
            add_value(t, was, key);
        }
        return;
    }
    text_addf(t, "with %s ", option);
    add_value(t, change, key);
    text_add(t, " instead of ");
    if (json_is_number(before) && get_milli(was, key) == 0)
        text_add(t, "none");
    else
        add_value(t, was, key);
}

// "max_cores of account "physics" raised from 3 to 4 (schedctl account set physics max_cores=4)"
static void add_lifted(struct text *t, const json_t *limit)
{
    const char *kind = get_str(limit, "kind"), *name = get_str(limit, "name"),
               *key = get_str(limit, "key"), *to = get_str(limit, "to");
    text_addf(t, "if %s of %s \"", key, strcmp(kind, "qos") ? kind : "QoS");
    text_add_clean(t, name);
    text_addf(t, "\" were %s instead of %s (", to, get_str(limit, "from"));
    add_lift_command(t, limit);
    text_addc(t, ')');
}

static void print_relaxations(const json_t *why)
{
    const json_t *list = json_object_get(why, "relaxations");
    size_t i;
    json_t *r, *v;
    const char *key;
    if (json_array_size(list))
        printf("\nIt would start now (each tried on a copy of the cluster):\n");
    json_array_foreach(list, i, r)
    {
        AUTO(text) struct text t = {0};
        if (json_is_true(json_object_get(r, "released")))
            text_add(&t, "if it were released");
        if (json_is_true(json_object_get(r, "first")))
            text_addf(&t, "%sif it were first in the queue", t.len ? ", and " : "");
        size_t l;
        json_t *limit;
        json_array_foreach(json_object_get(r, "limits"), l, limit)
        {
            text_add(&t, t.len ? ", and " : "");
            add_lifted(&t, limit);
        }
        int changes = 0;
        json_object_foreach(json_object_get(r, "change"), key, v)
        {
            text_add(&t, changes++ ? " and " : t.len ? ", and " : "");
            add_change(&t, key, json_object_get(r, "change"), json_object_get(r, "instead_of"));
        }
        printf("  %s\n", text_str(&t));
    }
}

// Of a job that runs or has ended: how long it waited and for what, and how long it ran.
static void print_life(const json_t *why)
{
    static const struct column COLUMNS[] = {
        {"SINCE", COLUMN_LEFT}, {"WAITED", COLUMN_RIGHT}, {"FOR", COLUMN_LEFT}};
    const json_t *waits = json_object_get(why, "waits");
    int64_t started = get_int(why, "started_at"), ended = get_int(why, "ended_at"), waited = 0;
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    size_t i;
    json_t *w;
    json_array_foreach(waits, i, w)
    {
        AUTO(text) struct text since = {0}, ms = {0};
        add_full_time(&since, get_int(w, "since"));
        text_add_duration_ms(&ms, get_int(w, "ms"));
        table_cell(&t, "%s", text_str(&since));
        table_cell(&t, "%s", text_str(&ms));
        table_cell(&t, "%s", get_str(w, "text"));
        waited += get_int(w, "ms");
    }
    AUTO(text) struct text all = {0};
    text_add(&all, "It waited ");
    text_add_duration_ms(&all, waited);
    if (started) {
        text_add(&all, ended ? ", and ran " : ", and has run ");
        text_add_duration_ms(&all, (ended ? ended : clock_wall_ms()) - started);
    }
    printf("%s.\n", text_str(&all));
    if (json_array_size(waits)) {
        printf("\n");
        table_print(&t);
    }
}

static void print(const char *name, const json_t *why)
{
    AUTO(text) struct text t = {0};
    const json_t *reason = json_object_get(why, "reason");
    text_addf(&t, "job %s is %s", name, get_str(why, "state"));
    if (*reason_of(why)) {
        text_add(&t, ": ");
        text_add_clean(&t, reason_of(why));
    }
    printf("%s\n", text_str(&t));
    if (*get_str(why, "last_attempt"))
        printf("its last attempt ended: %s\n", get_str(why, "last_attempt"));
    if (*get_str(reason, "hint"))
        printf("%s\n", get_str(reason, "hint"));
    if (!json_array_size(json_object_get(why, "conditions"))) {
        if (strcmp(get_str(why, "state"), "pending"))
            print_life(why);
        return;
    }
    print_verdict(why);
    print_start(why);
    print_priority(why);
    print_conditions(why);
    print_holders(why);
    print_relaxations(why);
}

static void print_past(int64_t at_ms, const json_t *why)
{
    AUTO(text) struct text t = {0}, when = {0}, since = {0};
    add_full_time(&when, at_ms);
    add_full_time(&since, get_int(why, "since"));
    text_addf(&t, "at %s: ", text_str(&when));
    text_add_clean(&t, get_str(why, "text"));
    if (since.len)
        text_addf(&t, " (since %s)", text_str(&since));
    printf("%s\n", text_str(&t));
}

static int run_job_why(struct ctl *ctl)
{
    struct err err;
    json_t *why = NULL;
    const char *name = ctl->args.operands[0], *at = args_value(&ctl->args, "at");
    int64_t at_ms = 0;
    if (at && parse_when(at, "--at", &at_ms, &err))
        return report(&err);
    if (job_name_check(name, &err) || ctl_connect(ctl, &err))
        return report(&err);
    AUTO_FREE char *path = job_path(name, "/why");
    if (at) {
        AUTO_FREE char *now = TAKE(path);
        path = xasprintf("%s?at=%" PRId64, now, at_ms);
    }
    if (client_get(ctl->client, path, &why, &err))
        return report(&err);
    if (ctl->json)
        ctl_print_json(why);
    else if (at)
        print_past(at_ms, why);
    else
        print(name, why);
    json_decref(why);
    return CTL_OK;
}

static const struct opt OPTIONS[] = {
    {0, "at", "TIME", "what it waited for then: 14:05, 2026-11-25T08:00 or -10m"},
};

const struct verb verb_job_why = {
    .name = "job why",
    .usage = "JOB",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "why a job waits, or why it ended",
    .options = {{OPTIONS, COUNT(OPTIONS)}},
    .examples = {{"job why 17", "The scheduler's reason, and what can be done about it."},
                 {"job why 17 --at -10m", "What it waited for ten minutes ago."}},
    .run = run_job_why,
};
