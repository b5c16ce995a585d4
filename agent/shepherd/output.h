// A task's output stream: a pipe drained at once, the spool file bounded.
//
// SPOOL/<attempt>/RANK.out and RANK.err hold the first `limit` bytes; what comes after is counted
// in RANK.out.dropped (decimal) and thrown away, so that the program never blocks on a full disk or
// a flood. A failed write counts as dropped.
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct output;

enum { OUTPUT_LIMIT_DEFAULT = 16 << 20 };

// Makes the file; *ret_write_fd is the end for the task (close-on-exec; the caller closes it).
int output_open(uv_loop_t *loop, const char *dir, uint32_t rank, const char *suffix, uint64_t limit,
                struct output **ret, int *ret_write_fd, struct err *err);
// Takes what is in the pipe now; a process that still holds it is not waited for.
void output_drain(struct output *o);
void output_close(struct output *o);
