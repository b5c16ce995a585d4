// A job as the core knows it: ids, requests, state. Programs, arguments and environments stay in
// the store, found by `spec`.
//
//                 place                 all started            KILL sent
//     pending ------------> starting ------------> running ------------> stopping
//        ^   \                  |                     |                      |
//        |    \ cancel          |   every part of the attempt is over (docs/protocol.md, Lease 4)
//        |     v                v                     v                      v
//        |   cancelled     completed | failed | cancelled | timed_out | lost
//        +------ requeue: the next attempt of a restartable job
//
// An array is one record; an element becomes a job of its own (array, element) when it is placed,
// and returns into the record's counters when it has ended.
#pragma once

#include "common/ids.h"
#include "common/reason.h"
#include "scheduler/core/placement.h"
#include "scheduler/core/selector.h"
#include "scheduler/core/terms.h"
#include "scheduler/core/wait.h"

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

// Name, word (stable), is it an end?
#define JOB_STATE_TABLE(X)          \
    X(PENDING, "pending", false)    \
    X(STARTING, "starting", false)  \
    X(RUNNING, "running", false)    \
    X(STOPPING, "stopping", false)  \
    X(COMPLETED, "completed", true) \
    X(FAILED, "failed", true)       \
    X(CANCELLED, "cancelled", true) \
    X(TIMED_OUT, "timed_out", true) \
    X(LOST, "lost", true)

enum job_state {
#define X(name, word, ended) JOB_##name,
    JOB_STATE_TABLE(X)
#undef X
        JOB_STATE_COUNT
};

const char *job_state_word(enum job_state s);
bool job_state_ended(enum job_state s);

enum {
    JOB_TASKS_MAX = 65536,
    JOB_ARRAY_MAX = 1000000,
    JOB_ATTEMPTS_MAX = 1000,
    JOB_NICE_MAX = 1000000,
};

// SHA-256 of the specification's bytes.
struct spec_hash {
    uint8_t b[32];
};
// 128-bit hash of (owner, the client's request id); zero if it gave none.
struct request_id {
    uint64_t hi, lo;
};

// What one attempt needs. Every task asks for the same.
struct request {
    int32_t tasks;          // 1 .. JOB_TASKS_MAX
    int32_t nodes;          // exactly so many, tasks spread evenly; 0: as few as hold them
    int32_t cpus;           // cores a task that no other has
    int32_t cpu_milli;      // 0 .. 999 thousandths of a core more, of cores that others share
    int32_t gpus;           // whole GPUs a task
    int32_t gpu_milli;      // or 1 .. 999 thousandths of one GPU; 0: none
    int64_t memory_mib;     // a task; 0: not accounted and not limited
    int32_t tasks_per_node; // at most so many; 0: as many as fit
    bool exclusive;         // nodes that no other job has a part on, whole
    bool spread; // one task a node, round and round, instead of as few nodes as hold them
    bool pmix;   // tasks need PMIx: prepare on every node, then go
    struct selector_id need;           // nodes that it holds for alone; 0: any
    struct selector_id prefer;         // these first
    struct reservation_id reservation; // on its nodes and in its time alone; 0: outside of all
    int64_t time_limit_ms;             // 0: none
    int64_t grace_ms;                  // between SIGTERM and SIGKILL
    int64_t lease_ms;                  // on_lost requeue:T; 0: on_lost wait
};

// The first thing wrong with it, or NULL.
const char *request_wrong(const struct request *r);

struct member;
struct job {
    struct job_id id; // 0: a free slot
    struct job_uid uid;
    struct spec_hash spec;
    struct request_id request_id;
    uint32_t owner_uid, owner_gid;
    struct request req;
    struct queue_id queue;
    struct account_id account; // the one of `user`
    struct user_id user;
    struct qos_id qos;
    int32_t priority; // higher first
    int32_t nice;     // higher later: what the owner gives away
    int32_t max_attempts;
    bool held;
    bool allow_unsatisfiable;
    bool cancelled; // durable wish: beats any requeue
    bool begun;     // a task of it has started, in any attempt
    int8_t level;   // not stored: in a queue that goes by attained service, while it waits

    enum job_state state;
    uint32_t attempt;      // number of the newest attempt; 0: none yet
    int32_t attempts_used; // attempts that started a task
    int32_t exit_code;     // of the first task that failed; 128 + signal; 0
    struct reason reason;  // why it waits, or how it ended
    char *detail;          // the reason's %d; may be NULL; owned
    struct reason verdict; // why the present attempt must end; NONE while it may go on
    char *verdict_detail;  // owned
    int64_t submitted_at_ms, started_at_ms, ended_at_ms; // wall clock; 0: not yet

    struct job_terms *terms; // dependencies, times, limits; NULL: none; owned
    uint64_t name_key;       // hash of owner and name; 0: not known
    int64_t attained_ms;     // devices x time of the attempts that are over (las.h)
    int64_t promoted_ms;     // of these, what counts no more for its level
    int64_t waits_since_ms;  // wall clock: when its last attempt that started something was over

    struct class_id class_id; // whose reason is its own while it waits; 0: it is not in the queue

    // Arrays. count > 0: this record is an array. array.v > 0: this is an element of that job.
    struct job_id array;
    int64_t element; // its index
    int64_t array_first;
    int32_t array_count;  // elements
    int32_t array_next;   // elements [0, next) have become jobs
    int32_t array_live;   // of these, not ended
    int32_t array_failed; // ended otherwise than completed
    int32_t array_begun;  // have started, or ended without

    // Not stored: rebuilt.
    int64_t not_before_ms;       // boot clock: a requeued job waits until then
    int32_t never_started;       // attempts in a row that started nothing
    int32_t ports_taken;         // of these, ended because another program had their port
    struct placement_list parts; // placements that exist, of any attempt
    bool queued;                 // is in the queue, in a class or delayed
    bool dirty;
    bool reserved;              // room is kept for it (backfill.h)
    bool tallied_running;       // as counted by tally_job()
    int32_t tallied_submitted;  //
    struct member *member;      // queue, user and QoS with where it counts; NULL: not looked up
    struct job_class *in_class; // NULL: delayed, or not queued
    RB_ENTRY(job) queue_link;   // in its class, or among the delayed
    TAILQ_ENTRY(job) live_link; // in order of ids
};

// Which of two jobs of equal priority was first: negative: a. An array's requeued elements come
// before its next one.
int job_age_order(const struct job *a, const struct job *b);

// The stored columns: name, kind (I64 any integer or bool, HASH, STR, STATE, REASON; TERM an
// integer or bool of its terms, DEPENDS those), member.
#define JOB_COLUMNS(X)                               \
    X(id, I64, id.v)                                 \
    X(uid, I64, uid.v)                               \
    X(spec, HASH, spec)                              \
    X(request_hi, I64, request_id.hi)                \
    X(request_lo, I64, request_id.lo)                \
    X(owner_uid, I64, owner_uid)                     \
    X(owner_gid, I64, owner_gid)                     \
    X(tasks, I64, req.tasks)                         \
    X(nodes, I64, req.nodes)                         \
    X(cpus, I64, req.cpus)                           \
    X(gpus, I64, req.gpus)                           \
    X(memory_mib, I64, req.memory_mib)               \
    X(time_limit_ms, I64, req.time_limit_ms)         \
    X(grace_ms, I64, req.grace_ms)                   \
    X(lease_ms, I64, req.lease_ms)                   \
    X(pmix, I64, req.pmix)                           \
    X(cpu_milli, I64, req.cpu_milli)                 \
    X(gpu_milli, I64, req.gpu_milli)                 \
    X(tasks_per_node, I64, req.tasks_per_node)       \
    X(exclusive, I64, req.exclusive)                 \
    X(spread, I64, req.spread)                       \
    X(need, I64, req.need.v)                         \
    X(prefer, I64, req.prefer.v)                     \
    X(reservation, I64, req.reservation.v)           \
    X(priority, I64, priority)                       \
    X(nice, I64, nice)                               \
    X(max_attempts, I64, max_attempts)               \
    X(held, I64, held)                               \
    X(allow_unsatisfiable, I64, allow_unsatisfiable) \
    X(cancelled, I64, cancelled)                     \
    X(state, STATE, state)                           \
    X(attempt, I64, attempt)                         \
    X(attempts_used, I64, attempts_used)             \
    X(reason, REASON, reason.code)                   \
    X(reason_node, I64, reason.node.v)               \
    X(reason_a, I64, reason.a)                       \
    X(reason_b, I64, reason.b)                       \
    X(reason_c, I64, reason.c)                       \
    X(detail, STR, detail)                           \
    X(verdict, REASON, verdict.code)                 \
    X(verdict_node, I64, verdict.node.v)             \
    X(verdict_a, I64, verdict.a)                     \
    X(verdict_b, I64, verdict.b)                     \
    X(verdict_c, I64, verdict.c)                     \
    X(verdict_detail, STR, verdict_detail)           \
    X(exit_code, I64, exit_code)                     \
    X(submitted_at_ms, I64, submitted_at_ms)         \
    X(started_at_ms, I64, started_at_ms)             \
    X(ended_at_ms, I64, ended_at_ms)                 \
    X(class, I64, class_id.v)                        \
    X(array, I64, array.v)                           \
    X(element, I64, element)                         \
    X(array_first, I64, array_first)                 \
    X(array_count, I64, array_count)                 \
    X(array_next, I64, array_next)                   \
    X(array_live, I64, array_live)                   \
    X(array_failed, I64, array_failed)               \
    X(queue, I64, queue.v)                           \
    X(account, I64, account.v)                       \
    X(user, I64, user.v)                             \
    X(qos, I64, qos.v)                               \
    X(depends, DEPENDS, terms)                       \
    X(begin_ms, TERM, begin_ms)                      \
    X(deadline_ms, TERM, deadline_ms)                \
    X(array_limit, TERM, array_limit)                \
    X(cancel_if_never, TERM, cancel_if_never)        \
    X(array_begun, I64, array_begun)                 \
    X(begun, I64, begun)                             \
    X(name_key, I64, name_key)                       \
    X(attained_ms, I64, attained_ms)                 \
    X(promoted_ms, I64, promoted_ms)                 \
    X(waits_since_ms, I64, waits_since_ms)
