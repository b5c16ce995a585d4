// Node lists of Alibaba's cluster openb: a node a row.
#include "simulate/formats.h"

#include "common/alloc.h"
#include "scheduler/core/node.h"

#include <string.h>

enum { NODES_NAME, NODES_CPU, NODES_MEMORY, NODES_GPUS, NODES_MODEL };
static const struct column COLUMNS[] = {
    {"sn", true}, {"cpu_milli", true}, {"memory_mib", true}, {"gpu", true}, {"model", false}};

static void nodes_row(struct reader *r)
{
    struct node_list *n = r->nodes;
    int64_t cpu, memory, gpus;
    const char *name = reader_text(r, NODES_NAME);
    if (!*name || r->fields.items[r->columns[NODES_NAME]].len > NODE_NAME_MAX) {
        reader_complain(r, reader_place(r, NODES_NAME), "a node's name has 1 to %d characters",
                        NODE_NAME_MAX);
        return;
    }
    if (!reader_int(r, NODES_CPU, "cpu_milli", 1000, INT64_C(1000) * CORESET_MAX, 0, &cpu) ||
        !reader_int(r, NODES_MEMORY, "memory_mib", 0, INT64_C(1) << 40, 0, &memory) ||
        !reader_int(r, NODES_GPUS, "gpu", 0, NODE_GPUS_MAX, 0, &gpus))
        return;
    if (strlen(reader_text(r, NODES_MODEL)) > NODE_NAME_MAX) {
        reader_complain(r, reader_place(r, NODES_MODEL), "the model's name is too long");
        return;
    }
    if (!cpu) {
        reader_complain(r, 0, "its cpu_milli is missing");
        return;
    }
    VEC_RESERVE(n->items, n->count, n->cap);
    n->items[n->count++] = (struct sim_node){
        .name = arena_strdup(&n->arena, name),
        .memory_mib = memory,
        .cores = (int32_t)(cpu / 1000),
        .gpus = (int32_t)gpus,
        .model = intern(&n->names, reader_text(r, NODES_MODEL)),
    };
}

const struct format format_openb_nodes = {
    .name = "openb_nodes",
    .what = "an openb node list",
    .delimiter = ',',
    .columns = COLUMNS,
    .columns_count = sizeof COLUMNS / sizeof *COLUMNS,
    .row = nodes_row,
    .nodes = true,
};
