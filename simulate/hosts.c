// Nodes as people write them: "n[1-16] cores=64 gpus=8 memory=512GiB model=A100 rack=r1".
#include "simulate/formats.h"

#include "common/alloc.h"
#include "common/hostlist.h"
#include "common/units.h"
#include "scheduler/core/node.h"

#include <stdlib.h>
#include <string.h>

static int take_word(const char *word, struct node_list *n, struct sim_node *node, struct err *err)
{
    const char *value = strchr(word, '=');
    size_t key = value ? (size_t)(value - word) : strlen(word);
    int64_t v = 0;
    if (!value || !value[1])
        return fail(err, E_INVALID, "\"%.80s\" is not like cores=64", word);
    if (strlen(++value) > NODE_NAME_MAX)
        return fail(err, E_INVALID, "\"%.80s\" is too long", word);
    if (strncmp(word, "cores", key) == 0) {
        if (parse_int(value, "cores", 1, CORESET_MAX, &v, err))
            return E_INVALID;
        node->cores = (int32_t)v;
    } else if (strncmp(word, "gpus", key) == 0) {
        if (parse_int(value, "gpus", 0, NODE_GPUS_MAX, &v, err))
            return E_INVALID;
        node->gpus = (int32_t)v;
    } else if (strncmp(word, "memory", key) == 0) {
        return parse_size_mib(value, "memory", &node->memory_mib, err);
    } else if (strncmp(word, "model", key) == 0) {
        node->model = intern(&n->names, value);
    } else if (strncmp(word, "rack", key) == 0) {
        node->rack = arena_strdup(&n->arena, value);
    } else {
        return fail(err, E_INVALID,
                    "\"%.*s\" is not known. A node has cores, gpus, memory, model and rack.",
                    (int)(key < 40 ? key : 40), word);
    }
    return 0;
}

static int take_words(char *words, struct node_list *n, struct sim_node *node, struct err *err)
{
    char *rest = NULL;
    for (char *w = strtok_r(words, " \t", &rest); w; w = strtok_r(NULL, " \t", &rest)) {
        int rc = take_word(w, n, node, err);
        if (rc)
            return rc;
    }
    if (!node->cores)
        return fail(err, E_INVALID, "cores=N is missing");
    return 0;
}

int nodes_add_line(const char *line, struct node_list *ret, struct err *err)
{
    AUTO(names) struct names hosts = {0};
    AUTO_FREE char *copy = xstrndup(line, strcspn(line, "#"));
    struct sim_node node = {0};
    char *p = copy + strspn(copy, " \t");
    if (!*p)
        return 0;
    size_t len = strcspn(p, " \t");
    char *rest = p + len + (p[len] != 0);
    p[len] = 0;
    int rc = hostlist_expand(p, &hosts, err);
    if (!rc)
        rc = take_words(rest, ret, &node, err);
    for (size_t i = 0; !rc && i < hosts.count; i++)
        if (strlen(hosts.items[i]) > NODE_NAME_MAX)
            rc = fail(err, E_INVALID, "the node name \"%.80s\" is too long", hosts.items[i]);
    for (size_t i = 0; !rc && i < hosts.count; i++) {
        node.name = arena_strdup(&ret->arena, hosts.items[i]);
        VEC_RESERVE(ret->items, ret->count, ret->cap);
        ret->items[ret->count++] = node;
    }
    return rc;
}

int nodes_parse(const char *spec, struct node_list *ret, struct err *err)
{
    for (const char *p = spec; *p;) {
        size_t len = strcspn(p, ";");
        AUTO_FREE char *line = xstrndup(p, len);
        struct err why;
        if (nodes_add_line(line, ret, &why))
            return fail(err, E_INVALID, "the nodes \"%.80s\": %.600s", line, why.message);
        p += len + (p[len] == ';');
    }
    if (!ret->count)
        return fail(err, E_INVALID, "no nodes are given. Say for example n[1-16] cores=64.");
    return 0;
}

static bool hosts_knows(const char *line, size_t len)
{
    (void)len;
    return line[strspn(line, " \t")] == '#' || strstr(line, "cores=");
}

static void hosts_line(struct reader *r, char *line, size_t len)
{
    struct err err;
    if (strlen(line) != len)
        reader_complain(r, (int64_t)strlen(line) + 1, "a NUL byte");
    else if (nodes_add_line(line, r->nodes, &err))
        reader_complain(r, 0, "%s", err.message);
}

const struct format format_hosts = {
    .name = "hosts",
    .what = "lines like \"n[1-16] cores=64 gpus=8 memory=512GiB model=A100 rack=r1\"",
    .knows = hosts_knows,
    .line = hosts_line,
    .nodes = true,
};
