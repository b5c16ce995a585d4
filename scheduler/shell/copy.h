// Questions that need a copy of the world: a forked child holds the core's memory as it is, may
// change it at will, writes its answer into a pipe and is gone. The scheduler itself never waits.
//
// The answer belongs to the turn whose state the child shows, and leaves when that is durable.
#pragma once

#include "scheduler/shell/server.h"

// Runs in the child: `s->cluster` is a private copy, nothing else of `s` may be used but what is
// plain memory. Appends the answer's JSON and returns its HTTP status.
typedef int copy_question(struct server *s, const void *arg, struct text *ret);

// Answers the request `handle`; arg (malloc'ed, may be NULL) is taken. When too many wait: 503.
void copy_ask(struct server *s, uint64_t handle, copy_question *question, void *arg);
// The same, but a status of 200 is given to `then`, in the scheduler itself, instead of to the
// client. It owns arg; `free_arg` is called for it when `then` is not.
typedef void copy_then(struct server *s, uint64_t handle, void *arg, const char *answer);
void copy_ask_then(struct server *s, uint64_t handle, copy_question *question, void *arg,
                   void (*free_arg)(void *arg), copy_then *then);
// Called by turn.c: after each round, when what was stepped has its batch; and when one is durable.
void copies_fork(struct server *s);
void copies_release(struct server *s);

// In such a child: runs the trial on a copy of its own, so that the next one finds the state
// unchanged, and waits. Appends what it said; false: it failed.
typedef void copy_trial(struct cluster *c, const void *arg, struct text *ret);
bool copy_try(struct cluster *c, copy_trial *trial, const void *arg, struct text *ret);
