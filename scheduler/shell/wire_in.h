// A frame of an agent as an input of the core.
//
//     struct wire_input w;
//     if (wire_input(m, node, &w))
//         turn_input(s, &w.input);
//     wire_input_free(&w);
//
// What the frame claims is bounded here (counts, cores, GPUs) and judged by the core. Strings point
// into the frame.
#pragma once

#include "scheduler/core/cluster.h"

#include "proto/muster.pb-c.h"

struct wire_input {
    struct input input;
    void *list; // owned
};

// False: the frame is none for the core, or lacks what every one of its kind has.
bool wire_input(const Muster__FromAgent *m, struct node_id node, struct wire_input *ret);
void wire_input_free(struct wire_input *w);
