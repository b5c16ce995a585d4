// A task's report channel: a pipe whose other end the task has as MUSTER_REPORT_FD. What it says
// goes to the agent as samples, at the pace of agent/core/sample.h; what comes too fast, or while
// there is no agent, is merged into the next one. A task that writes more than CHANNEL_BYTES_S is
// slowed down by its own pipe.
#pragma once

#include "agent/shepherd/run.h"

enum { CHANNEL_FD = 3, CHANNEL_BYTES_S = 4 << 20 };

struct channel;

// *ret_write_fd is the end for the task (close-on-exec; the caller closes it).
int channel_open(struct run *r, int32_t task, struct channel **ret, int *ret_write_fd,
                 struct err *err);
// Takes what is in the pipe now: the task has ended.
void channel_drain(struct channel *c);
// Takes the rest: no process of the attempt is left.
void channel_end(struct channel *c);
// What the first tasks said last, for END: up to 64 KiB.
void channels_newest(struct run *r, Muster__End *end);
void channels_newest_free(Muster__End *end);
// Sends what waits: all of it, or what the pace allows.
void channels_send(struct run *r, bool all);
