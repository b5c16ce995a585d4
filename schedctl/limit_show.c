#include "common/alloc.h"
#include "common/rule.h"
#include "common/units.h"
#include "schedctl/ctl.h"
#include "schedctl/present.h"
#include "schedctl/table.h"

#include <stdio.h>
#include <string.h>

static void add_query(struct text *path, const char *key, const char *value)
{
    if (!value)
        return;
    text_addf(path, "%c%s=", strchr(text_str(path), '?') ? '&' : '?', key);
    client_escape(path, value);
}

static void amount_cell(struct table *t, const json_t *limit, const char *key)
{
    const char *word = get_str(limit, "limit");
    size_t len = strlen(word);
    double v = json_number_value(json_object_get(limit, key));
    AUTO(text) struct text value = {0};
    if (is_null(limit, key))
        text_add(&value, "");
    else if (len > 4 && strcmp(word + len - 4, "_mib") == 0 && v > 0)
        text_add_size_mib(&value, (int64_t)v);
    else if (len > 3 && strcmp(word + len - 3, "_ms") == 0)
        text_add_duration_ms(&value, (int64_t)v);
    else
        text_addf(&value, "%.10g", v);
    table_cell(t, "%s", text_str(&value));
}

static void print(const json_t *limits)
{
    static const struct column COLUMNS[] = {{"LEVEL", COLUMN_LEFT},
                                            {"LIMIT", COLUMN_LEFT},
                                            {"MOST", COLUMN_RIGHT},
                                            {"USED", COLUMN_RIGHT},
                                            {"BY", COLUMN_LEFT}};
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    size_t i;
    json_t *limit;
    json_array_foreach(limits, i, limit)
    {
        const struct rule_field *f =
            rule_field(rule_kind_parse(get_str(limit, "kind")), get_str(limit, "limit"));
        AUTO(text) struct text key = {0};
        if (f)
            rule_field_key(f, &key);
        table_cell(&t, "%s", get_str(limit, "level"));
        table_cell(&t, "%s", text_str(&key));
        amount_cell(&t, limit, "most");
        amount_cell(&t, limit, "used");
        table_cell(&t, "%s", get_str(limit, "top"));
    }
    table_print(&t);
}

static void print_users(const json_t *users)
{
    size_t i;
    json_t *u;
    json_array_foreach(users, i, u)
    {
        printf("%suser %s, account %s, queue %s, QoS %s\n", i ? "\n" : "", get_str(u, "user"),
               get_str(u, "account"), get_str(u, "queue"), get_str(u, "qos"));
        if (json_array_size(json_object_get(u, "limits")))
            print(json_object_get(u, "limits"));
        else
            printf("no limits\n");
    }
}

static int run_limit_show(struct ctl *ctl)
{
    struct err err;
    const struct args *a = &ctl->args;
    json_t *answer = NULL;
    AUTO(text) struct text path = {0};
    if (!args_value(a, "user") && (args_value(a, "queue") || args_value(a, "qos")))
        return complain(CTL_USAGE,
                        "--queue and --qos need --user USER: they say what bounds it there");
    text_add(&path, "/v1/limits");
    add_query(&path, "user", args_value(a, "user"));
    add_query(&path, "queue", args_value(a, "queue"));
    add_query(&path, "qos", args_value(a, "qos"));
    if (ctl_connect(ctl, &err) || client_get(ctl->client, text_str(&path), &answer, &err))
        return report(&err);
    if (ctl->json)
        ctl_print_json(json_object_get(answer, args_value(a, "user") ? "users" : "limits"));
    else if (args_value(a, "user"))
        print_users(json_object_get(answer, "users"));
    else
        print(json_object_get(answer, "limits"));
    json_decref(answer);
    return CTL_OK;
}

static const struct opt OPTIONS[] = {
    {'u', "user", "USER", "what bounds this user's jobs, in each account; USER/ACCOUNT: in one"},
    {0, "queue", "QUEUE", "in this queue (default)"},
    {0, "qos", "QOS", "under this QoS (that of jobs that name none)"},
};

const struct verb verb_limit_show = {
    .name = "limit show",
    .usage = "[OPTIONS]",
    .summary = "limits, what is used of them, and by whom",
    .options = {{OPTIONS, COUNT(OPTIONS)}},
    .examples = {{"limit show", "All limits there are."},
                 {"limit show --user ann --queue gpu", "What bounds jobs of ann in queue gpu."}},
    .run = run_limit_show,
};
