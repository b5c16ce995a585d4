#include "common/alloc.h"
#include "common/units.h"
#include "schedctl/ctl.h"
#include "schedctl/nodenames.h"
#include "schedctl/present.h"
#include "schedctl/table.h"

#include <inttypes.h>
#include <string.h>

static void add_jobs(struct table *t, const json_t *node)
{
    enum { SHOWN_MAX = 4 };
    AUTO(text) struct text s = {0};
    const json_t *jobs = json_object_get(node, "jobs");
    size_t i, count = json_array_size(jobs);
    json_t *id;
    json_array_foreach(jobs, i, id)
    {
        if (i == SHOWN_MAX)
            break;
        text_addf(&s, "%s%" PRId64, i ? "," : "", (int64_t)json_integer_value(id));
    }
    if (count > SHOWN_MAX)
        text_addf(&s, " and %zu more", count - SHOWN_MAX);
    table_cell(t, "%s", text_str(&s));
}

static void add_share(struct table *t, const json_t *node, const char *used, const char *all)
{
    AUTO(text) struct text s = {0};
    if (get_int(node, all)) {
        add_amount(&s, node, used);
        text_addf(&s, "/%" PRId64, get_int(node, all));
    }
    table_cell(t, "%s", text_str(&s));
}

// The state, or what it is kept for now; and below REASON the next time at which it will be.
static void add_state(struct table *t, const json_t *node)
{
    const json_t *next = json_array_get(json_object_get(node, "reservations"), 0);
    const char *state = get_str(node, "state");
    if (strcmp(state, "up") == 0 && json_is_true(json_object_get(next, "active")))
        state = json_is_true(json_object_get(next, "maintenance")) ? "maintenance" : "reserved";
    table_cell(t, "%s", state);
}

static void add_reason(struct table *t, const json_t *node)
{
    AUTO(text) struct text s = {0};
    text_add(&s, reason_of(node));
    if (!s.len)
        add_reservation(&s, json_array_get(json_object_get(node, "reservations"), 0));
    table_cell(t, "%s", text_str(&s));
}

static void add_row(struct table *t, const json_t *node)
{
    AUTO(text) struct text used = {0}, memory = {0};
    text_add_size_mib(&used, get_int(node, "memory_used_mib"));
    text_add_size_mib(&memory, get_int(node, "memory_mib"));
    table_cell(t, "%s", get_str(node, "name"));
    add_state(t, node);
    add_share(t, node, "cores_used", "cores");
    if (!get_int(node, "memory_mib"))
        table_cell(t, "%s", "");
    else if (!get_int(node, "memory_used_mib"))
        table_cell(t, "0/%s", text_str(&memory));
    else
        table_cell(t, "%s/%s", text_str(&used), text_str(&memory));
    add_share(t, node, "gpus_used", "gpus");
    add_jobs(t, node);
    table_cell(t, "%s", get_str(node, "gpu_model"));
    table_cell(t, "%s", get_str(node, "labels"));
    add_reason(t, node);
}

static void print(const json_t *nodes)
{
    static const struct column COLUMNS[] = {
        {"NODE", COLUMN_LEFT},    {"STATE", COLUMN_LEFT},  {"CORES", COLUMN_RIGHT},
        {"MEMORY", COLUMN_RIGHT}, {"GPUS", COLUMN_RIGHT},  {"JOBS", COLUMN_LEFT},
        {"MODEL", COLUMN_LEFT},   {"LABELS", COLUMN_LEFT}, {"REASON", COLUMN_LEFT}};
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    size_t i;
    json_t *node;
    json_array_foreach(nodes, i, node) add_row(&t, node);
    table_print(&t);
}

// Only the nodes that are named. E_NOT_FOUND for one that is not there.
static int select_nodes(json_t *nodes, const struct names *names, json_t **ret, struct err *err)
{
    json_t *some = json_array();
    for (size_t n = 0; n < names->count; n++) {
        size_t i, before = json_array_size(some);
        json_t *node;
        json_array_foreach(nodes, i, node) if (strcmp(get_str(node, "name"), names->items[n]) == 0)
            json_array_append(some, node);
        if (json_array_size(some) == before) {
            json_decref(some);
            return fail(err, E_NOT_FOUND,
                        "there is no node \"%.64s\". `schedctl nodes` lists them.",
                        names->items[n]);
        }
    }
    *ret = some;
    return 0;
}

static int run_nodes(struct ctl *ctl)
{
    struct err err;
    json_t *answer = NULL, *nodes;
    AUTO(names) struct names names = {0};
    if (nodenames_parse(&ctl->args, &names, &err) || ctl_connect(ctl, &err) ||
        client_get(ctl->client, "/v1/nodes", &answer, &err))
        return report(&err);
    nodes = json_incref(json_object_get(answer, "nodes"));
    json_decref(answer);
    if (names.count) {
        json_t *some = NULL;
        int rc = select_nodes(nodes, &names, &some, &err);
        json_decref(nodes);
        if (rc)
            return report(&err);
        nodes = some;
    }
    if (ctl->json)
        ctl_print_json(nodes);
    else
        print(nodes);
    json_decref(nodes);
    return CTL_OK;
}

const struct verb verb_nodes = {
    .name = "nodes",
    .usage = "[NODES...]",
    .operands_max = -1,
    .summary = "list nodes, with what is used of them",
    .examples = {{"nodes", "All."}, {"nodes 'n[1-4]' -o json", "Four of them, for a script."}},
    .run = run_nodes,
};
