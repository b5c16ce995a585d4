// The cluster over time as a picture: nodes, or groups of nodes, as rows, what is given out of them
// as shade, the number of waiting jobs below.
#pragma once

#include "common/text.h"
#include "simulate/measures.h"

// Of a result with its spans and queue (sim_options.record). GPUs are shown where jobs hold any,
// else cores.
void svg_draw(const struct node_list *nodes, const struct sim_result *r, const struct measures *m,
              const char *title, struct text *ret);
