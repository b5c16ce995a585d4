// What can be asked for a job: one table for the flags of `submit` and `run`, for the keys of a job
// file, and for the keys of the API's JobRequest.
#pragma once

#include "common/err.h"
#include "schedctl/args.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

// JSON key, key of the job file (NULL: not there), kind, least, most, letter, flag (NULL: none),
// argument (NULL: a switch), help.
#define REQUEST_TABLE(X)                                                                           \
    X("argv", "argv", LIST, 0, 0, 0, NULL, NULL,                                                   \
      "the program and its arguments, a list of strings")                                          \
    X("argv", "script", SCRIPT, 0, 0, 0, NULL, NULL, "instead of argv: lines run by /bin/sh -c")   \
    X("name", "name", STRING, 0, 0, 0, "name", "NAME", "name of the job (else the program's)")     \
    X("tasks", "tasks", INTEGER, 1, 65536, 'n', "tasks", "N",                                      \
      "number of tasks, started together (1)")                                                     \
    X("nodes", "nodes", INTEGER, 1, 65535, 'N', "nodes", "N",                                      \
      "spread them over exactly N nodes (else as few as hold them)")                               \
    X("tasks_per_node", "tasks_per_node", INTEGER, 1, 65536, 0, "tasks-per-node", "N",             \
      "at most N tasks on one node")                                                               \
    X("spread", "spread", BOOLEAN, 0, 0, 0, "spread", NULL,                                        \
      "over as many nodes as there are tasks, if they are free (else over as few as hold them)")   \
    X("exclusive", "exclusive", BOOLEAN, 0, 0, 0, "exclusive", NULL,                               \
      "whole nodes that no other job has a part of")                                               \
    X("constraint", "constraint", STRING, 0, 0, 0, "constraint", "EXPR",                           \
      "only on nodes for which it holds: labels and properties such as \"zone=a & !spot\" or "     \
      "\"gpu.model=A100|H100 & gpu.memory>=40GiB\"")                                               \
    X("prefer", "prefer", STRING, 0, 0, 0, "prefer", "EXPR",                                       \
      "on nodes for which it holds if these are free, else on others")                             \
    X("cpus", "cpus", AMOUNT, 1, 1024000, 'c', "cpus", "N",                                        \
      "cores for each task; 0.5 or 1.5: a part of a core that other jobs share (1)")               \
    X("memory_mib", "memory", SIZE, 0, 0, 0, "memory", "SIZE",                                     \
      "memory for each task, as 512MiB or 2GiB (neither accounted nor limited)")                   \
    X("gpus", "gpus", SHARE, 0, 64000, 0, "gpus", "N",                                             \
      "GPUs for each task, or a share of one, as 0.25 (0)")                                        \
    X("time_limit_ms", "time", DURATION, 1, 0, 't', "time", "TIME",                                \
      "end it after this time, as 90s, 30m, 1h30m or 01:30:00 (no limit)")                         \
    X("grace_ms", "grace", DURATION, 0, 0, 0, "grace", "TIME",                                     \
      "time from SIGTERM to SIGKILL when it is ended (10s)")                                       \
    X("priority", "priority", INTEGER, -1000000, 1000000, 'p', "priority", "N",                    \
      "higher goes first (0)")                                                                     \
    X("nice", "nice", INTEGER, 0, 1000000, 0, "nice", "N",                                         \
      "give way: less urgent by so much, and by far less than one of --priority (0)")              \
    X("queue", "queue", STRING, 0, 0, 0, "queue", "NAME", "queue (default)")                       \
    X("account", "account", STRING, 0, 0, 0, "account", "NAME",                                    \
      "account that it counts for (the user's default one)")                                       \
    X("qos", "qos", STRING, 0, 0, 0, "qos", "NAME",                                                \
      "quality of service (the queue's, else the account's default)")                              \
    X("reservation", "reservation", STRING, 0, 0, 0, "reservation", "NAME",                        \
      "on the nodes and in the time of this reservation alone (outside of all)")                   \
    X("hold", "hold", BOOLEAN, 0, 0, 0, "hold", NULL,                                              \
      "wait for `schedctl job release` before it may start")                                       \
    X("array", "array", STRING, 0, 0, 0, "array", "FIRST-LAST",                                    \
      "one job for each number; tasks find it in MUSTER_ARRAY_INDEX")                              \
    X("mpi", "mpi", MPI, 0, 0, 0, "mpi", "KIND",                                                   \
      "MPI wire-up: auto (PMIx with more than one task), pmix or none")                            \
    X("on_lost", "on_lost", ON_LOST, 0, 0, 0, "on-lost", "WHAT",                                   \
      "when a node is not heard of: \"wait\" (the default), or \"requeue:T\" to start it again "   \
      "elsewhere after T, at least 10s")                                                           \
    X("max_attempts", "max_attempts", INTEGER, 1, 1000, 0, "max-attempts", "N",                    \
      "start it at most N times (1; 3 with requeue)")                                              \
    X("cwd", "cwd", STRING, 0, 0, 0, "cwd", "DIR", "directory of the tasks (the current one)")     \
    X("env", "env", MAP, 0, 0, 0, "env", "NAME[=VALUE]",                                           \
      "set a variable, or pass this one on; may be repeated")                                      \
    X("output_limit", "output_limit", BYTES, 0, 0, 0, "output-limit", "SIZE",                      \
      "keep so much of each task's stdout and stderr (16MiB)")                                     \
    X("bind", "bind", BOOLEAN, 0, 0, 0, NULL, NULL, "bind tasks to their cores (true)")            \
    X("allow_unsatisfiable", "allow_unsatisfiable", BOOLEAN, 0, 0, 0, "allow-unsatisfiable", NULL, \
      "wait for nodes that do not exist yet instead of being refused")                             \
    X("request_id", NULL, STRING, 0, 0, 0, "request-id", "ID",                                     \
      "name of this submission: repeated with the same one it makes no second job (random)")

enum request_kind {
    REQUEST_INTEGER,
    REQUEST_AMOUNT,   // 2 or 0.5; least and most in thousandths
    REQUEST_SHARE,    // whole, or below 1
    REQUEST_SIZE,     // -> MiB
    REQUEST_BYTES,    // a size -> bytes
    REQUEST_DURATION, // -> ms
    REQUEST_BOOLEAN,
    REQUEST_STRING,
    REQUEST_MPI,
    REQUEST_ON_LOST,
    REQUEST_LIST,
    REQUEST_SCRIPT,
    REQUEST_MAP,
};

struct request_field {
    const char *json, *key;
    enum request_kind kind;
    int64_t least, most;
    const char *flag, *help;
};

extern const struct request_field request_fields[];
extern const size_t request_fields_count;
// The flags of submit and run.
extern const struct opt request_options[];
enum {
#define X(...) +1
    REQUEST_OPTIONS_COUNT = 3 REQUEST_TABLE(X)
#undef X
};

// The field of a job file's key, or NULL.
const struct request_field *request_field_of_key(const char *key);
// A scalar as people write it to the JSON value of the field (not for LIST, SCRIPT and MAP). `what`
// names it in the message. E_INVALID.
int request_value(const struct request_field *f, const char *text, const char *what, json_t **ret,
                  struct err *err);

// The JobRequest of a command line: the job file (operand 0) if there is one, then the flags over
// it, then directory, request id and program. E_INVALID, E_TOO_LARGE.
int request_build(const struct args *a, json_t **ret, struct err *err);
