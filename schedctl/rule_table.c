// What stands: list and show.
#include "common/alloc.h"
#include "common/check.h"
#include "schedctl/present.h"
#include "schedctl/rule_json.h"
#include "schedctl/rule_order.h"
#include "schedctl/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static enum rule_kind kind_of(const struct ctl *ctl)
{
    const char *name = ctl->args.verb->name;
    AUTO_FREE char *word = xstrndup(name, strcspn(name, " "));
    enum rule_kind k = rule_kind_parse(word);
    CHECK(k < RULE_KIND_COUNT);
    return k;
}

// ---- list ----

// What differs from a new row: "priority=10 max_gpus=8".
static void add_settings(const struct rule *r, struct text *ret)
{
    struct rule initial;
    size_t count;
    const struct rule_field *f = rule_fields(r->kind, &count);
    rule_init(&initial, r->kind);
    for (size_t i = 0; i < count; i++) {
        bool shown_else = strcmp(f[i].name, "name") == 0 || strcmp(f[i].name, "uid") == 0 ||
                          (r->kind == RULE_USER && strcmp(f[i].name, "account") == 0);
        if (rule_field_is_hidden(&f[i]) || shown_else || rule_field_equal(r, &initial, &f[i]))
            continue;
        text_add(ret, ret->len ? " " : "");
        rule_field_key(&f[i], ret);
        text_addc(ret, '=');
        AUTO(text) struct text value = {0};
        rule_add_local(r, &f[i], &value);
        text_addf(ret, strchr(text_str(&value), ' ') ? "\"%s\"" : "%s", text_str(&value));
    }
}

static void add_use_cells(struct table *t, const json_t *object)
{
    const json_t *use = json_object_get(object, "use");
    static const char *const keys[] = {"running_jobs", "submitted_jobs", "cores", "gpus"};
    for (size_t i = 0; i < COUNT(keys); i++)
        table_cell(t, "%.10g", json_number_value(json_object_get(use, keys[i])));
    table_cell(t, "%.1f", json_number_value(json_object_get(use, "core_hours")));
    table_cell(t, "%.1f", json_number_value(json_object_get(use, "gpu_hours")));
}

static void print_levels(const json_t *list, enum rule_kind k)
{
    static const struct column COLUMNS[] = {
        {"NAME", COLUMN_LEFT},       {"RUNNING", COLUMN_RIGHT}, {"SUBMITTED", COLUMN_RIGHT},
        {"CORES", COLUMN_RIGHT},     {"GPUS", COLUMN_RIGHT},    {"CORE HOURS", COLUMN_RIGHT},
        {"GPU HOURS", COLUMN_RIGHT}, {"SETTINGS", COLUMN_LEFT}};
    static const struct column USERS[] = {
        {"NAME", COLUMN_LEFT},        {"ACCOUNT", COLUMN_LEFT},  {"UID", COLUMN_RIGHT},
        {"FAIR SHARE", COLUMN_RIGHT}, {"RUNNING", COLUMN_RIGHT}, {"SUBMITTED", COLUMN_RIGHT},
        {"CORES", COLUMN_RIGHT},      {"GPUS", COLUMN_RIGHT},    {"CORE HOURS", COLUMN_RIGHT},
        {"GPU HOURS", COLUMN_RIGHT},  {"SETTINGS", COLUMN_LEFT}};
    bool users = k == RULE_USER;
    AUTO(table)
    struct table t =
        users ? table_begin(USERS, COUNT(USERS)) : table_begin(COLUMNS, COUNT(COLUMNS));
    size_t i;
    json_t *object;
    json_array_foreach(list, i, object)
    {
        struct rule r;
        AUTO(text) struct text settings = {0};
        rule_from_json(object, k, &r);
        add_settings(&r, &settings);
        table_cell(&t, "%s", get_str(object, "name"));
        if (users) {
            table_cell(&t, "%s", get_str(object, "account"));
            table_cell(&t, "%" PRId64, get_int(object, "uid"));
            table_cell(&t, "%.3f", json_number_value(json_object_get(object, "fair_share")));
        }
        add_use_cells(&t, object);
        table_cell(&t, "%s", text_str(&settings));
    }
    table_print(&t);
}

static void print_reservations(const json_t *list)
{
    static const struct column COLUMNS[] = {{"NAME", COLUMN_LEFT},  {"NEXT", COLUMN_LEFT},
                                            {"UNTIL", COLUMN_LEFT}, {"NOW", COLUMN_LEFT},
                                            {"NODES", COLUMN_LEFT}, {"SETTINGS", COLUMN_LEFT}};
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    size_t i;
    json_t *object;
    json_array_foreach(list, i, object)
    {
        struct rule r;
        AUTO(text) struct text settings = {0}, start = {0}, end = {0};
        rule_from_json(object, RULE_RESERVATION, &r);
        add_settings(&r, &settings);
        if (get_int(object, "next_start_ms"))
            add_full_time(&start, get_int(object, "next_start_ms"));
        if (get_int(object, "next_end_ms"))
            add_full_time(&end, get_int(object, "next_end_ms"));
        table_cell(&t, "%s", get_str(object, "name"));
        table_cell(&t, "%s", text_str(&start));
        table_cell(&t, "%s", text_str(&end));
        table_cell(&t, "%s", json_is_true(json_object_get(object, "active")) ? "active" : "");
        table_cell(&t, "%s", get_str(object, "has_nodes"));
        table_cell(&t, "%s", text_str(&settings));
    }
    table_print(&t);
}

int run_rule_list(struct ctl *ctl)
{
    struct err err;
    enum rule_kind k = kind_of(ctl);
    json_t *answer = NULL;
    AUTO(text) struct text path = {0};
    text_addf(&path, "/v1/%s", rule_kind_plural(k));
    if (ctl_connect(ctl, &err) || client_get(ctl->client, text_str(&path), &answer, &err))
        return report(&err);
    const json_t *list = json_object_get(answer, rule_kind_plural(k));
    if (ctl->json)
        ctl_print_json(list);
    else if (k == RULE_RESERVATION)
        print_reservations(list);
    else
        print_levels(list, k);
    json_decref(answer);
    return CTL_OK;
}

// ---- show ----

static void line(const char *title, const char *value)
{
    AUTO(text) struct text t = {0};
    text_add_clean(&t, value);
    printf("%-27s %s\n", title, t.len ? text_str(&t) : "none");
}

static void print_use(const json_t *object)
{
    const char *key;
    json_t *v;
    json_object_foreach(json_object_get(object, "use"), key, v)
    {
        AUTO(text) struct text title = {0}, value = {0};
        text_addf(&title, "used: %s", key);
        if (json_is_integer(v))
            text_addf(&value, "%" PRId64, (int64_t)json_integer_value(v));
        else
            text_addf(&value, "%.3f", json_number_value(v));
        line(text_str(&title), text_str(&value));
    }
    if (json_object_get(object, "fair_share"))
        printf("%-27s %.3f\n", "fair share",
               json_number_value(json_object_get(object, "fair_share")));
}

static void print_next(const json_t *object)
{
    AUTO(text) struct text next = {0};
    if (get_int(object, "next_start_ms")) {
        add_full_time(&next, get_int(object, "next_start_ms"));
        text_add(&next, " to ");
        add_full_time(&next, get_int(object, "next_end_ms"));
        text_add(&next, json_is_true(json_object_get(object, "active")) ? ", now" : "");
    }
    line("next time", text_str(&next));
    line("its nodes", get_str(object, "has_nodes"));
}

// "default (best_fit)"
static void add_in_effect(const json_t *object, struct text *value)
{
    const char *word = json_string_value(json_object_get(object, "placement_in_effect"));
    if (word && strcmp(word, text_str(value)))
        text_addf(value, " (%s)", word);
}

static void print_one(const json_t *object, enum rule_kind k)
{
    struct rule r;
    size_t count;
    const struct rule_field *f = rule_fields(k, &count);
    rule_from_json(object, k, &r);
    for (size_t i = 0; i < count; i++) {
        AUTO(text) struct text key = {0}, value = {0};
        if (rule_field_is_hidden(&f[i]))
            continue;
        rule_field_key(&f[i], &key);
        rule_add_local(&r, &f[i], &value);
        if (k == RULE_QUEUE && strcmp(f[i].name, "placement") == 0)
            add_in_effect(object, &value);
        line(text_str(&key), text_str(&value));
    }
    if (k == RULE_RESERVATION)
        print_next(object);
    print_use(object);
}

static int show(struct ctl *ctl, enum rule_kind k, const char *path)
{
    struct err err;
    json_t *answer = NULL;
    if (ctl_connect(ctl, &err) || client_get(ctl->client, path, &answer, &err))
        return report(&err);
    const json_t *several = json_object_get(answer, rule_kind_plural(k));
    size_t i;
    json_t *object;
    if (ctl->json)
        ctl_print_json(several ? several : answer);
    else if (!several)
        print_one(answer, k);
    else
        json_array_foreach(several, i, object)
        {
            if (i)
                putchar('\n');
            print_one(object, k);
        }
    json_decref(answer);
    return CTL_OK;
}

int run_rule_show(struct ctl *ctl)
{
    enum rule_kind k = kind_of(ctl);
    const char *name = ctl->args.operands[0];
    AUTO_FREE char *first = xstrndup(name, k == RULE_USER ? strcspn(name, "/") : strlen(name));
    AUTO(text) struct text path = {0};
    text_addf(&path, "/v1/%s/", rule_kind_plural(k));
    client_escape(&path, first);
    if (strlen(first) < strlen(name)) {
        text_addc(&path, '/');
        client_escape(&path, name + strlen(first) + 1);
    }
    return show(ctl, k, text_str(&path));
}

int run_settings_show(struct ctl *ctl)
{
    return show(ctl, RULE_SETTINGS, "/v1/settings");
}
