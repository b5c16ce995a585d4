// One `schedctl simulate`: what is simulated, and what it came to.
#pragma once

#include "common/err.h"
#include "simulate/measures.h"

struct simulation {
    const char *path; // of the trace
    struct trace trace;
    struct node_list nodes;
    struct sim_options options; // policy and seed of the first
    struct sim_policy *policies;
    size_t policies_count;
    const char *svg, *csv;     // files to write; NULL: none
    struct measures *measures; // one a policy
};

// Runs every policy: one here, several in a process each. E_IO, E_SYSTEM.
int simulation_run(struct simulation *s, struct err *err);
// On stdout.
void simulation_show(const struct simulation *s);
void simulation_show_json(const struct simulation *s);
void simulation_free(struct simulation *s);
