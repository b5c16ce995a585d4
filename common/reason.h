// Every reason why something waits, was refused or ended: one table, the same words in the log, in
// the API, in `schedctl why` and in the tests.
//
// A reason carries up to three numbers; its sentence is made from the template, in which %a, %b and
// %c stand for them, %t for the first as a duration in ms, %n for a node's name and %d for a free
// detail (a program's own message); "(s)" is a plural's, after the number before it.
//
//     struct reason r = {.code = REASON_RESOURCES, .a = 4, .b = 1};
//     reason_text(&r, NULL, NULL, &text);      // "waits ..."
#pragma once

#include "common/ids.h"
#include "common/text.h"

#include <stdbool.h>
#include <stdint.h>

// Name, word (scripts match it; stable), template, hint (what the user can do; may be "").
#define REASON_TABLE(X)                                                                           \
    X(NONE, "none", "", "")                                                                       \
    /* why a job waits */                                                                         \
    X(PRIORITY, "priority", "waits for its turn: jobs before it in the queue wait too", "")       \
    X(RESOURCES, "resources",                                                                     \
      "waits for free resources: it needs %a core(s) on %b node(s); free on "                     \
      "usable nodes: %c",                                                                         \
      "")                                                                                         \
    X(RESOURCES_GPUS, "resources_gpus",                                                           \
      "waits for free GPUs: it needs %a on %b node(s); free on usable nodes: %c", "")             \
    X(RESOURCES_MEMORY, "resources_memory",                                                       \
      "waits for free memory: it needs %a MiB on %b node(s); free on usable "                     \
      "nodes: %c MiB",                                                                            \
      "")                                                                                         \
    X(RESOURCES_SCATTERED, "resources_scattered",                                                 \
      "waits: enough is free altogether (%c cores for its %a), but not as it needs "              \
      "it, on %b node(s) with all of a task's resources together",                                \
      "")                                                                                         \
    X(RESOURCES_CONSTRAINT, "resources_constraint",                                               \
      "waits for nodes for which its constraint holds: on them too little is free for its %a "    \
      "core(s) on %b node(s)",                                                                    \
      "")                                                                                         \
    X(RESOURCES_EXCLUSIVE, "resources_exclusive",                                                 \
      "waits for %b node(s) that no other job has a part of", "")                                 \
    X(RESOURCES_SHARE, "resources_share",                                                         \
      "waits for shares of GPUs: it needs %a thousandths of one for each of its %b task(s)", "")  \
    X(RESOURCES_PORTS, "resources_ports",                                                         \
      "waits for a free port on node %n: all %a of its machine are held", "")                     \
    X(WOULD_DELAY, "would_delay",                                                                 \
      "could start now, but would delay job %a, for which room is kept",                          \
      "A time limit (--time) that ends before then lets a job fill in.")                          \
    X(PREEMPTS, "preempts", "waits until %b job(s) that it preempts have stopped, job %a first",  \
      "")                                                                                         \
    X(NO_NODES, "no_nodes", "waits for nodes: none of the %a known is usable",                    \
      "See `schedctl nodes` for nodes that are down, unreachable or drained.")                    \
    X(NODES_UNUSABLE, "nodes_unusable",                                                           \
      "waits for nodes: it needs %a node(s) of this size; %b of the %c known are usable",         \
      "See `schedctl nodes` for nodes that are down, unreachable or drained.")                    \
    X(HELD, "held", "is held", "`schedctl job release` lets it go on.")                           \
    X(RECOVERY_HOLD, "recovery_hold",                                                             \
      "waits because the scheduler is in recovery hold: the database is older than the cluster",  \
      "Check the database, then `schedctl recover --accept`.")                                    \
    X(REQUEUED, "requeued", "waits for its next attempt: the last one ended: %d", "")             \
    X(UNSATISFIABLE_WAIT, "unsatisfiable_wait",                                                   \
      "waits for nodes that do not exist yet: needs %a node(s) with %b core(s); the cluster has " \
      "%c",                                                                                       \
      "Add nodes, or cancel it.")                                                                 \
    X(UNSATISFIABLE_WAIT_GPUS, "unsatisfiable_wait_gpus",                                         \
      "waits for nodes that do not exist yet: needs %a node(s) with %b GPU(s); the cluster has "  \
      "%c",                                                                                       \
      "Add nodes, or cancel it.")                                                                 \
    X(UNSATISFIABLE_WAIT_MEMORY, "unsatisfiable_wait_memory",                                     \
      "waits for nodes that do not exist yet: needs %a node(s) with %b MiB of memory; the "       \
      "cluster has %c",                                                                           \
      "Add nodes, or cancel it.")                                                                 \
    X(UNSATISFIABLE_WAIT_CONSTRAINT, "unsatisfiable_wait_constraint",                             \
      "waits for nodes that do not exist yet: needs %a node(s) of this size for which its "       \
      "constraint holds; the cluster has %b",                                                     \
      "Add nodes or labels, or cancel it.")                                                       \
    X(UNSATISFIABLE_WAIT_TASKS, "unsatisfiable_wait_tasks",                                       \
      "waits for nodes that do not exist yet: needs %a task(s) of %b core(s) each; the cluster "  \
      "has room for %c",                                                                          \
      "Add nodes, or cancel it.")                                                                 \
    X(LIMIT_WAIT, "limit_wait", "waits at a limit: %d",                                           \
      "`schedctl limit show` lists what bounds a user, and who uses it.")                         \
    X(LIMIT_TURN, "limit_turn", "waits for its turn: a job before it waits at %d", "")            \
    X(QUEUE_DRAINING, "queue_draining", "waits because queue \"%d\" is draining and starts none", \
      "An operator ends it with `schedctl queue set NAME state=open`.")                           \
    X(RESERVED, "reserved", "waits because nodes it would run on are kept by reservation %d",     \
      "A time limit (--time) that ends before then lets it run before.")                          \
    X(RESERVATION_BEGINS, "reservation_begins", "waits for its reservation %d", "")               \
    X(RESERVATION_FULL, "reservation_full",                                                       \
      "waits for free resources in its reservation: it needs %a core(s) on %b node(s)", "")       \
    X(RESERVATION_OVER, "reservation_over",                                                       \
      "can never run in its reservation %d, which is over or too short for it",                   \
      "Cancel it and submit it anew, without --reservation or with a shorter --time.")            \
    X(ENDING, "ending", "its earlier attempt is still ending on node %n", "")                     \
    /* why something was refused */                                                               \
    X(UNSATISFIABLE, "unsatisfiable",                                                             \
      "can never run: needs %a node(s) with %b core(s); the cluster has %c",                      \
      "Ask for less, or submit with --allow-unsatisfiable to wait for new nodes.")                \
    X(UNSATISFIABLE_CONSTRAINT, "unsatisfiable_constraint",                                       \
      "can never run: needs %a node(s) of this size for which its constraint holds; the cluster " \
      "has %b",                                                                                   \
      "Ask for other nodes, or submit with --allow-unsatisfiable to wait for new ones.")          \
    X(UNSATISFIABLE_TASKS, "unsatisfiable_tasks",                                                 \
      "can never run: needs %a task(s) of %b core(s) each; the cluster has room for %c",          \
      "Ask for less, or submit with --allow-unsatisfiable to wait for new nodes.")                \
    X(UNSATISFIABLE_MEMORY, "unsatisfiable_memory",                                               \
      "can never run: needs %a node(s) with %b MiB of memory; the cluster has %c",                \
      "Ask for less, or submit with --allow-unsatisfiable to wait for new nodes.")                \
    X(UNSATISFIABLE_GPUS, "unsatisfiable_gpus",                                                   \
      "can never run: needs %a node(s) with %b GPU(s); the cluster has %c",                       \
      "Ask for less, or submit with --allow-unsatisfiable to wait for new nodes.")                \
    X(UNSATISFIABLE_RESERVED, "unsatisfiable_reserved",                                           \
      "can never run: each node that could hold it is reserved again before it would have ended", \
      "Ask for a shorter --time.")                                                                \
    X(UNSATISFIABLE_OUTSIDE, "unsatisfiable_outside",                                             \
      "can never run: the nodes of its reservation cannot hold it, or not for long enough",       \
      "Ask for less, or for a shorter --time.")                                                   \
    X(LIMIT, "limit", "is over a limit: %d",                                                      \
      "`schedctl limit show` lists what bounds a user, and who uses it.")                         \
    X(NOT_ALLOWED, "not_allowed", "is not allowed: %d", "")                                       \
    X(QUEUE_CLOSED, "queue_closed", "queue \"%d\" is closed: it takes no jobs",                   \
      "`schedctl queue list` shows the others.")                                                  \
    X(NO_SUCH_RULE, "no_such", "there is no %d", "")                                              \
    X(RULE_EXISTS, "exists", "there is already a %d", "Change it with `set`.")                    \
    X(RULE_INVALID, "invalid_rule", "this cannot be: %d", "")                                     \
    X(RULE_IN_USE, "in_use", "cannot remove %d", "")                                              \
    X(BAD_REQUEST, "bad_request", "the request is malformed: %d", "")                             \
    X(NO_SUCH_JOB, "no_such_job", "there is no such job", "`schedctl jobs --all` lists them.")    \
    X(NO_SUCH_NODE, "no_such_node", "there is no such node", "`schedctl nodes` lists them.")      \
    X(JOB_ENDED, "job_ended", "the job has already ended", "")                                    \
    X(NOT_HELD, "not_held", "the job is not held", "")                                            \
    X(NOT_PENDING, "not_pending", "the job is not pending", "")                                   \
    X(NOT_OWNER, "not_owner", "the job belongs to another user", "")                              \
    X(NOT_OPERATOR, "not_operator", "this is for the cluster's operator",                         \
      "Ask root, or the user whom the scheduler runs as.")                                        \
    X(IN_RECOVERY, "in_recovery", "the scheduler is in recovery hold and only answers questions", \
      "Check the database, then `schedctl recover --accept`.")                                    \
    X(NOT_IN_RECOVERY, "not_in_recovery", "the scheduler is not in recovery hold", "")            \
    X(TOO_MANY, "too_many", "a bound is reached: at most %a", "")                                 \
    X(NODE_CONNECTED, "node_connected",                                                           \
      "node %n is connected; fencing is for machines that are off",                               \
      "Use `schedctl node drain`, or stop the agent first.")                                      \
    /* why an agent was refused */                                                                \
    X(NODE_CLONED, "node_cloned", "another machine or state directory already holds the name %n", \
      "If that machine is gone for ever: `schedctl node fence %n`.")                              \
    X(FOREIGN_CLUSTER, "foreign_cluster", "the agent of node %n belongs to another cluster", "")  \
    X(BAD_MESSAGE, "bad_message", "node %n sent a message that makes no sense here: %d", "")      \
    /* why an attempt or a job ended */                                                           \
    X(EXITED, "exited", "ended by itself with exit code %a", "")                                  \
    X(SIGNALLED, "signalled", "task %b was killed by signal %a", "")                              \
    X(TASK_FAILED, "task_failed", "task %b ended with exit code %a on node %n", "")               \
    X(MPI_ABORTED, "mpi_aborted", "task %b called MPI_Abort with code %a", "")                    \
    X(MPI_NOT_INITIALISED, "mpi_not_initialised",                                                 \
      "task %b ended without MPI_Init while other tasks wait in it", "")                          \
    X(MPI_NOT_FINALISED, "mpi_not_finalised", "task %b ended without MPI_Finalize", "")           \
    X(MPI_SPAWN, "mpi_spawn", "task %b called MPI_Comm_spawn, which is not supported",            \
      "Start all tasks with the job (-n), or start them by mpirun in a job of one task with "     \
      "--mpi none.")                                                                              \
    X(CANCELLED, "cancelled", "was cancelled by user %a", "")                                     \
    X(PREEMPTED, "preempted", "was preempted by job %a", "")                                      \
    X(TIME_LIMIT, "time_limit", "reached its time limit of %t", "Ask for more with --time.")      \
    X(RESERVATION_ENDED, "reservation_ended", "had no time limit, and its reservation ended",     \
      "Ask for a time limit with --time.")                                                        \
    X(OUT_OF_MEMORY, "out_of_memory", "task %c was killed: it used %a MiB of %b MiB",             \
      "Ask for more with --memory.")                                                              \
    X(LEASE_EXPIRED, "lease_expired", "node %n was not heard of for longer than the lease", "")   \
    X(NODE_REBOOTED, "node_rebooted", "node %n was rebooted", "")                                 \
    X(NODE_STOPPED, "node_stopped", "node %n was stopped with everything that ran on it", "")     \
    X(NODE_FENCED, "node_fenced", "an operator declared node %n off", "")                         \
    X(PREPARE_FAILED, "prepare_failed", "node %n could not prepare it: %d", "")                   \
    X(PORT_TAKEN, "port_taken", "port %a of node %n is in use by another program",                \
      "See who listens in the range of ports that jobs are given.")                               \
    X(NODE_BUSY, "node_busy", "node %n still holds what the order needs: %d", "")                 \
    X(LAUNCH_EXPIRED, "launch_expired", "the order reached node %n after its lease", "")          \
    X(START_FAILED, "start_failed", "cannot start the program on node %n: %d", "")                \
    X(SHEPHERD_LOST, "shepherd_lost", "the shepherd on node %n died", "")                         \
    X(PARTNER_ENDED, "partner_ended", "another part of the same attempt ended", "")               \
    X(ATTEMPTS_USED, "attempts_used", "no attempt is left of %a: %d", "Raise --max-attempts.")    \
    X(NEVER_STARTED, "never_started", "was stopped before it started", "")                        \
    X(QUARANTINED, "quarantined", "node %n runs an attempt that the database does not know", "")  \
    X(ARRAY_FAILED, "array_failed", "%a of %b elements did not complete", "")                     \
    X(DRAINED, "drained", "node %n is drained: %d", "`schedctl node resume %n` ends it.")

enum reason_code {
#define X(name, word, template, hint) REASON_##name,
    REASON_TABLE(X)
#undef X
        REASON_COUNT
};

struct reason {
    enum reason_code code;
    struct node_id node;
    int64_t a, b, c;
};

// Does it name a reservation by its id?
static inline bool reason_is_reservation(enum reason_code code)
{
    return code == REASON_RESERVED || code == REASON_RESERVATION_BEGINS ||
           code == REASON_RESERVATION_OVER;
}

// Is its detail known only to the scheduler's core (cluster_limit_text()): a limit's or a
// reservation's?
static inline bool reason_is_limit(enum reason_code code)
{
    return code == REASON_LIMIT_WAIT || code == REASON_LIMIT_TURN ||
           code == REASON_QUEUE_DRAINING || reason_is_reservation(code);
}

// Does it wait for nodes that the cluster does not have?
static inline bool reason_wants_new_nodes(enum reason_code code)
{
    return code >= REASON_UNSATISFIABLE_WAIT && code <= REASON_UNSATISFIABLE_WAIT_TASKS;
}

const char *reason_word(enum reason_code code);
// The unfilled hint; "" if there is none.
const char *reason_hint(enum reason_code code);
// REASON_COUNT if the word is unknown.
enum reason_code reason_parse(const char *word);
// Appends the sentence. `node` and `detail` may be NULL ("?" and "" then).
void reason_text(const struct reason *r, const char *node, const char *detail, struct text *ret);
