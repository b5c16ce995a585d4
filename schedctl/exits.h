// Exit codes: one table, shown by `schedctl help exit-codes`.
//
// A function that fails returns 0 or a negative errcode (common/err.h); the verb that handles it
// prints it once and returns the exit code that stands for it:
//
//     if (client_get(ctl->client, path, &job, &err))
//         return report(&err);
#pragma once

#include "common/err.h"

#define EXIT_TABLE(X)                                                   \
    X(CTL_OK, 0, "it worked")                                           \
    X(CTL_FAILED, 1, "the operation failed, or a job did not complete") \
    X(CTL_USAGE, 2, "wrong usage or bad input: nothing was done")       \
    X(CTL_NO_SCHEDULER, 3, "no scheduler answers there")                \
    X(CTL_REFUSED, 4, "the scheduler understood and refused")           \
    X(CTL_NOT_FOUND, 5, "there is no such job or node")                 \
    X(CTL_TIMEOUT, 6, "the time was over before it happened")

enum ctl_exit {
#define X(name, value, doc) name = value,
    EXIT_TABLE(X)
#undef X
};

enum ctl_exit exit_of(enum errcode code);
// Prints `schedctl: MESSAGE.` on stderr and returns its exit code.
enum ctl_exit report(const struct err *err);
// The same for a message made here.
enum ctl_exit complain(enum ctl_exit code, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
// A remark on stderr that is no failure.
void remark(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
