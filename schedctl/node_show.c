#include "common/alloc.h"
#include "common/units.h"
#include "schedctl/ctl.h"
#include "schedctl/present.h"
#include "schedctl/table.h"

#include <inttypes.h>
#include <stdio.h>

static void line(int indent, const char *title, const char *value)
{
    AUTO(text) struct text t = {0}, name = {0};
    text_add_clean(&t, value);
    text_add_clean(&name, title);
    printf("%*s%-*s %s\n", indent, "", 20 - indent, text_str(&name), text_str(&t));
}

static void add_scalar(struct text *t, const json_t *v)
{
    if (json_is_string(v)) {
        text_add(t, json_string_value(v));
        return;
    }
    AUTO_FREE char *s = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    text_add(t, s ? s : "?");
}

static bool is_flat(const json_t *v)
{
    const char *key;
    json_t *m;
    size_t i;
    if (json_is_object(v))
        json_object_foreach((json_t *)v, key,
                            m) if (json_is_object(m) || json_is_array(m)) return false;
    if (json_is_array(v))
        json_array_foreach(v, i, m) if (json_is_object(m) || json_is_array(m)) return false;
    return true;
}

// "kind disk, size 100" of an object without members of members, or "a, b" of an array.
static void add_flat(struct text *t, const json_t *v)
{
    const char *key;
    json_t *m;
    size_t i, start = t->len;
    json_array_foreach(v, i, m)
    {
        text_add(t, i ? ", " : "");
        add_scalar(t, m);
    }
    json_object_foreach((json_t *)v, key, m)
    {
        if (json_is_null(m))
            continue;
        text_addf(t, "%s%s ", t->len > start ? ", " : "", key);
        add_scalar(t, m);
    }
}

// Whatever the inventory holds, as indented lines; what is null is unknown and left out.
static void print_inventory(const json_t *v, int indent)
{
    enum { DEPTH_MAX = 12 };
    const char *key;
    json_t *m;
    size_t i;
    if (indent > DEPTH_MAX)
        return;
    json_object_foreach((json_t *)v, key, m)
    {
        AUTO(text) struct text t = {0};
        if (json_is_null(m) || (json_is_array(m) && json_array_size(m) == 0))
            continue;
        if (!json_is_object(m) && !json_is_array(m)) {
            add_scalar(&t, m);
            line(indent, key, text_str(&t));
        } else if (is_flat(m)) {
            add_flat(&t, m);
            line(indent, key, text_str(&t));
        } else {
            line(indent, key, "");
            print_inventory(m, indent + 2);
        }
    }
    json_array_foreach(v, i, m)
    {
        AUTO(text) struct text t = {0};
        if (is_flat(m)) {
            add_flat(&t, m);
            printf("%*s%s\n", indent, "", text_str(&t));
        } else {
            printf("%*s- %zu\n", indent, "", i);
            print_inventory(m, indent + 2);
        }
    }
}

static void print_use(const json_t *node)
{
    AUTO(text) struct text t = {0};
    add_amount(&t, node, "cores_used");
    text_addf(&t, " of %" PRId64 " used", get_int(node, "cores"));
    if (*get_str(node, "shared_cores"))
        text_addf(&t, "; parts of %s", get_str(node, "shared_cores"));
    line(0, "cores", text_str(&t));
    text_clear(&t);
    text_add_size_mib(&t, get_int(node, "memory_used_mib"));
    text_add(&t, " of ");
    text_add_size_mib(&t, get_int(node, "memory_mib"));
    text_add(&t, " used");
    line(0, "memory", text_str(&t));
    text_clear(&t);
    add_amount(&t, node, "gpus_used");
    text_addf(&t, " of %" PRId64 " used", get_int(node, "gpus"));
    if (get_int(node, "gpus"))
        line(0, "GPUs", text_str(&t));
}

static void print_description(const json_t *node)
{
    AUTO(text) struct text t = {0};
    text_add(&t, get_str(node, "gpu_model"));
    if (get_int(node, "gpu_memory_mib")) {
        text_add(&t, t.len ? ", " : "");
        text_add_size_mib(&t, get_int(node, "gpu_memory_mib"));
        text_add(&t, " each");
    }
    if (t.len)
        line(0, "GPU model", text_str(&t));
    if (*get_str(node, "labels"))
        line(0, "labels", get_str(node, "labels"));
    if (*get_str(node, "labels_set"))
        line(0, "set by operators", get_str(node, "labels_set"));
    size_t i;
    json_t *of;
    json_array_foreach(json_object_get(node, "reservations"), i, of)
    {
        text_clear(&t);
        add_reservation(&t, of);
        text_add(&t, json_is_true(json_object_get(of, "maintenance")) ? ", maintenance" : "");
        text_add(&t, json_is_true(json_object_get(of, "active")) ? ", now" : "");
        line(0, "reserved", text_str(&t));
    }
    if (*get_str(node, "switch"))
        line(0, "switch", get_str(node, "switch"));
    if (*get_str(node, "numa_cores"))
        line(0, "cores a domain", get_str(node, "numa_cores"));
}

static void print(const json_t *node)
{
    AUTO(text) struct text at = {0};
    line(0, "node", get_str(node, "name"));
    line(0, "state", get_str(node, "state"));
    if (*reason_of(node))
        line(0, "reason", reason_of(node));
    add_full_time(&at, get_int(node, "reason_at"));
    if (at.len)
        line(0, "since", text_str(&at));
    if (*get_str(node, "reason_user"))
        line(0, "by", get_str(node, "reason_user"));
    text_clear(&at);
    add_full_time(&at, get_int(node, "unreachable_since"));
    if (at.len)
        line(0, "unreachable since", text_str(&at));
    print_use(node);
    print_description(node);
    line(0, "boot", get_str(node, "boot_id"));
    line(0, "machine", get_str(node, "machine_id"));
    const json_t *placements = json_object_get(node, "placements");
    if (json_array_size(placements)) {
        puts("\nplacements");
        print_inventory(placements, 2);
    }
    const json_t *inventory = json_object_get(node, "inventory");
    if (json_is_object(inventory)) {
        puts("\ninventory");
        print_inventory(inventory, 2);
    }
}

static int run_node_show(struct ctl *ctl)
{
    struct err err;
    json_t *node = NULL;
    AUTO(text) struct text path = {0};
    text_add(&path, "/v1/nodes/");
    client_escape(&path, ctl->args.operands[0]);
    if (ctl_connect(ctl, &err) || client_get(ctl->client, text_str(&path), &node, &err))
        return report(&err);
    if (ctl->json)
        ctl_print_json(node);
    else
        print(node);
    json_decref(node);
    return CTL_OK;
}

const struct verb verb_node_show = {
    .name = "node show",
    .usage = "NODE",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "everything about a node: use, reason, inventory",
    .text = "Only what could be read is shown; what is unknown is left out.",
    .examples = {{"node show n1", "Node n1."}},
    .run = run_node_show,
};
