#include "simulate/nodes.h"

#include "common/alloc.h"
#include "scheduler/core/node.h"
#include "simulate/formats.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

static const struct format *const CLUSTERS[] = {&format_openb_nodes, &format_hosts, NULL};

struct seen {
    UT_hash_handle hh;
};

// Two nodes of one name would be one node.
static int check_names(const char *what, const struct node_list *n, struct err *err)
{
    struct seen *seen = xcalloc(n->count, sizeof *seen), *table = NULL, *found = NULL;
    int rc = 0;
    for (size_t i = 0; i < n->count && !rc; i++) {
        const char *name = n->items[i].name;
        HASH_FIND(hh, table, name, strlen(name), found);
        if (found)
            rc = fail(err, E_INVALID, "\"%.200s\" names the node %s twice.", what, name);
        else
            HASH_ADD_KEYPTR(hh, table, name, strlen(name), &seen[i]);
    }
    HASH_CLEAR(hh, table);
    free(seen);
    return rc;
}

static int read_lines(struct lines *lines, struct node_list *ret, struct err *err)
{
    struct reader r = {.lines = lines, .nodes = ret, .bad = &ret->bad};
    int rc = reader_run(&r, CLUSTERS, err);
    if (rc)
        return rc;
    if (!ret->count)
        return fail(err, E_INVALID, "\"%s\" names no node%s%s.", lines->path,
                    ret->bad.count ? ": " : "", ret->bad.count ? ret->bad.first[0] : "");
    return check_names(lines->path, ret, err);
}

int nodes_read(const char *path, struct node_list *ret, struct err *err)
{
    struct lines lines;
    int rc = lines_open(path, "Check the name given with --nodes.", &lines, err);
    if (rc)
        return rc;
    rc = read_lines(&lines, ret, err);
    lines_close(&lines);
    return rc;
}

int nodes_of_memory(const char *name, const void *bytes, size_t size, struct node_list *ret,
                    struct err *err)
{
    struct lines lines;
    lines_of_memory(name, bytes, size, &lines);
    int rc = read_lines(&lines, ret, err);
    lines_close(&lines);
    return rc;
}

// MaxProcs processors in MaxNodes nodes; the last one may be smaller.
static int of_header(const struct trace *t, struct node_list *ret, struct err *err)
{
    enum { CORES = 64 };
    int64_t procs = t->max_procs ? t->max_procs : t->max_nodes;
    int64_t cores = t->max_nodes > 0 ? (procs + t->max_nodes - 1) / t->max_nodes : CORES;
    if (cores > CORESET_MAX || procs / cores > SIM_NODES_MAX)
        return fail(err, E_TOO_LARGE,
                    "the trace's header tells of %" PRId64 " processors in %" PRId64
                    " nodes, more than a node may have. Say what there is with --nodes.",
                    procs, t->max_nodes);
    for (int64_t left = procs, i = 1; left > 0; left -= cores, i++) {
        VEC_RESERVE(ret->items, ret->count, ret->cap);
        ret->items[ret->count++] =
            (struct sim_node){.name = arena_printf(&ret->arena, "n%" PRId64, i),
                              .cores = (int32_t)(left < cores ? left : cores)};
    }
    return 0;
}

int nodes_of_trace(const struct trace *t, struct node_list *ret, struct err *err)
{
    if (t->max_procs || t->max_nodes)
        return of_header(t, ret, err);
    // 2,490 GPUs in 552 machines of two kinds (Jeon et al. 2019).
    if (t->format == format_philly.name)
        return nodes_parse("big[1-231] cores=64 gpus=8; small[1-321] cores=64 gpus=2", ret, err);
    // 16 g4dn.12xlarge (Qiao et al. 2021).
    if (t->format == format_pollux.name)
        return nodes_parse("n[1-16] cores=48 gpus=4 memory=192GiB model=T4", ret, err);
    return fail(err, E_INVALID,
                "the trace does not tell what its cluster was. Say it with --nodes FILE, or like "
                "--nodes \"n[1-16] cores=64 gpus=8\".");
}

void nodes_repeat(struct node_list *n, int64_t times)
{
    size_t count = n->count;
    for (int64_t k = 2; k <= times; k++)
        for (size_t i = 0; i < count; i++) {
            struct sim_node copy = n->items[i];
            copy.name = arena_printf(&n->arena, "%s-%" PRId64, copy.name, k);
            VEC_RESERVE(n->items, n->count, n->cap);
            n->items[n->count++] = copy;
        }
}

void node_list_free(struct node_list *n)
{
    free(n->items);
    complaints_free(&n->bad);
    interned_free(&n->names);
    arena_free(&n->arena);
    *n = (struct node_list){0};
}
