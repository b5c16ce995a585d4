// What the files about agents share: the links, and how a frame goes out.
//
// agents.c keeps the links and takes frames; wire_in.c turns a frame into an input of the core;
// wire_out.c an effect into a frame; outputs.c asks nodes for the output of tasks;
// samples.c takes what tasks report.
#pragma once

#include "scheduler/shell/server.h"

#include <sys/queue.h>

struct link {
    uint64_t id;
    char name[NODE_NAME_MAX + 1];
    struct node_id node;
    uint64_t session; // newest WELCOME sent
    uint64_t dropped;
    TAILQ_ENTRY(link) list;
};

struct link *link_find(uint64_t id);
// Where other agents reach a node's agent; "" before its first HELLO.
const char *link_address(struct node_id node);
void link_send(struct server *s, uint64_t link, uint64_t session, Muster__ToAgent *m);
// What tasks reported; samples of tasks that are not on the node are dropped.
void samples_arrived(struct server *s, struct node_id node, const Muster__Samples *m);
// What of a sample is taken, as a JSON object; false: nothing. *ret_progress NaN: not told.
bool sample_values(const Muster__Sample *m, struct text *ret, double *ret_progress);
// What the tasks of an attempt said last comes with its END too, which is never lost. Before the
// END itself.
void samples_of_end(struct server *s, struct node_id node, const Muster__End *m);
void output_arrived(struct server *s, const Muster__OutputData *d);
