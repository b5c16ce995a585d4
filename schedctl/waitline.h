// The one line on a terminal that says why a job does not start yet.
#pragma once

#include "schedctl/client.h"

#include <stdbool.h>
#include <stdint.h>

struct waitline {
    bool shown;
    int64_t since_ms; // first call of show
};

// Shows it, or shows it anew, if stderr is a terminal and the job has waited for a second.
void waitline_show(struct waitline *w, struct client *c, const char *job);
void waitline_clear(struct waitline *w);
