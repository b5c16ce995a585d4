// Choosing among the usable nodes for a request, on what is free now. Private to fit.c.
#pragma once

#include "scheduler/core/state.h"

// What is asked of which nodes.
struct question {
    const struct request *r;
    enum fit_view view;
    enum policy policy;        // for one node, on what is free now
    const struct rooms *rooms; // these instead of the live ones; NULL: by the view
    int64_t at_ms;             // of `rooms`: when it would begin
    const struct selector *need, *prefer;
    int32_t base, more; // tasks a node when r->nodes says how many: `more` nodes get one more
};

// Tasks of r that the node can take.
int32_t question_capacity(struct cluster *c, const struct question *q, const struct node *n);
// The chosen nodes with their tasks in c->fit_scratch; how many, 0: it does not fit.
size_t choose_one(struct cluster *c, const struct question *q); // one node for all tasks
size_t choose_free(struct cluster *c, const struct question *q);
// The same on as few switches as hold it. 0: it does not fit, or topology says nothing of it.
size_t choose_near(struct cluster *c, const struct question *q);

// What of it decides where it fits; the rest, padding too, is zero, so that shapes compare as
// bytes.
struct request request_shape(const struct request *r);
// The answer of `look` for the cluster as if empty, kept by shape (whole.c): how many nodes.
size_t whole_kept(struct cluster *c, const struct question *q,
                  size_t (*look)(struct cluster *c, const struct question *q));

// On f, all nodes that hold a task of r (choose_among.c): reorders f; the first ones are chosen.
size_t choose_fewest(const struct request *r, const struct rooms *rooms, struct fit_node *f,
                     size_t count);
size_t choose_exactly(const struct question *q, struct fit_node *f, size_t count);
size_t choose_spread(const struct request *r, struct fit_node *f, size_t count);
