// The machines of a simulated cluster.
//
//     AUTO(node_list) struct node_list n = {0};
//     nodes_parse("n[1-16] cores=64 gpus=8 memory=512GiB model=A100 rack=r1", &n, &err);
#pragma once

#include "common/arena.h"
#include "common/err.h"
#include "simulate/complaints.h"
#include "simulate/interned.h"

#include <stddef.h>
#include <stdint.h>

enum { SIM_NODES_MAX = 1000000 };

struct sim_node {
    const char *name;   // lives as long as the list
    const char *rack;   // "spine1/rack3"; NULL: unknown
    int64_t memory_mib; // 0: not accounted
    int32_t cores, gpus;
    int32_t model; // of its GPUs, a name; 0: unknown
};

struct node_list {
    struct sim_node *items;
    size_t count, cap;
    struct complaints bad;
    struct interned names;
    struct arena arena;
};

struct trace;
// From a file: an openb node list, or lines "HOSTS cores=N [gpus=N] [memory=SIZE] [model=NAME]
// [rack=PATH]" with "#" comments. E_NOT_FOUND, E_CORRUPT, E_INVALID, E_TOO_LARGE.
int nodes_read(const char *path, struct node_list *ret, struct err *err);
// The same from memory.
int nodes_of_memory(const char *name, const void *bytes, size_t size, struct node_list *ret,
                    struct err *err);
// From such lines, separated by ";". E_INVALID names what is wrong.
int nodes_parse(const char *spec, struct node_list *ret, struct err *err);
// One line of them appended. On failure *ret is as it was.
int nodes_add_line(const char *line, struct node_list *ret, struct err *err);
// As the trace's header or format tells: MaxProcs processors in MaxNodes equal nodes (of 64 cores
// if their number is unknown); the machines that Philly and Pollux jobs ran on. E_INVALID: it
// tells nothing.
int nodes_of_trace(const struct trace *t, struct node_list *ret, struct err *err);
// Every node `times` times: n1, n1-2, n1-3 ...
void nodes_repeat(struct node_list *n, int64_t times);
void node_list_free(struct node_list *n);
