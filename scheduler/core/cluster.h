// The scheduler's pure core: state in, decisions out. No clock, I/O, randomness, threads or log.
//
// The shell calls cluster_step() for each input of a turn, then once with INPUT_CONTINUE while
// `outcome.continue_wanted`; it stores the changed rows and the events of all these steps in one
// transaction and performs the effects when that has committed (EFFECT_SEND of a GRANT alone may
// go at once). Everything in an outcome belongs to the cluster and lives until the next
// cluster_turn_begin().
//
//     cluster_turn_begin(c);
//     cluster_step(c, now, &input);
//     const struct outcome *o = cluster_outcome(c);
//     ... store o->jobs, o->nodes, o->placements, o->tasks, o->events; on commit do o->effects
//
// Times: `boot_ms` of CLOCK_BOOTTIME decides, `wall_ms` is only shown.
#pragma once

#include "scheduler/core/job.h"
#include "scheduler/core/node.h"
#include "scheduler/core/placement.h"
#include "scheduler/core/policy.h"
#include "scheduler/core/priority.h"
#include "scheduler/core/rules.h"
#include "scheduler/core/selector.h"

#include <stddef.h>

struct cluster;

struct now {
    int64_t boot_ms, wall_ms;
};

// The one stored record of the cluster itself: name, kind, member.
struct cluster_meta {
    struct cluster_id id;
    uint64_t term, nonce;
    uint64_t next_job, next_node, next_placement, next_session, next_event, next_class;
    bool recovery_hold;
    uint64_t term_seen; // highest term known to anyone (hold); 0: none above ours
    // Where the search for a free port begins: ports go round, so that one that was just freed
    // rests.
    uint32_t next_port;
    uint32_t next_selector;
};
#define META_COLUMNS(X)                    \
    X(cluster_id, I64, id.v)               \
    X(term, I64, term)                     \
    X(nonce, I64, nonce)                   \
    X(next_job, I64, next_job)             \
    X(next_node, I64, next_node)           \
    X(next_placement, I64, next_placement) \
    X(next_session, I64, next_session)     \
    X(next_event, I64, next_event)         \
    X(recovery_hold, I64, recovery_hold)   \
    X(term_seen, I64, term_seen)           \
    X(next_class, I64, next_class)         \
    X(next_port, I64, next_port)           \
    X(next_selector, I64, next_selector)

// ---- inputs ----

enum input_kind {
    INPUT_SUBMIT,
    INPUT_CANCEL,
    INPUT_HOLD,
    INPUT_RELEASE,
    INPUT_JOB_SET, // a pending job is changed
    INPUT_NODE_LABEL,
    INPUT_NODE_DRAIN,
    INPUT_NODE_RESUME,
    INPUT_NODE_FENCE,
    INPUT_RULE_SET, // a queue, account, user, QoS, reservation, or the settings
    INPUT_RULE_REMOVE,
    INPUT_RECOVER, // operator: accept this database
    INPUT_LINK_UP, // an agent connected: its name is known, nothing else
    INPUT_LINK_DOWN,
    INPUT_HELLO,
    INPUT_HEARTBEAT,
    INPUT_REPORT,   // an attempt's state changed on a node
    INPUT_END,      // no process of the attempt is left on the node
    INPUT_TICK,     // the time asked for by outcome.wake_at_ms has come
    INPUT_CONTINUE, // go on with the pass over the queue
    INPUT_COUNT
};

// Who asks, and where the answer goes (0: nowhere).
struct caller {
    uint64_t reply_to; // the shell's handle of the request
    uint32_t uid;
    bool admin; // may touch others' jobs, nodes
};

// A dependency as a submission names it, and what the tables say of that job.
struct depend_asked {
    enum depend_kind kind;
    struct job_id job;
    int64_t element; // ELEMENT_NONE: the job
    // As of the last turn, durable or not; unknown too for an element that has not been placed.
    struct job_fate fate;
};

struct input_submit {
    struct job_uid uid; // random, from the shell
    struct request_id request_id;
    struct spec_hash spec;
    uint32_t owner_uid, owner_gid;
    struct request req;        // but for need and prefer:
    const char *need, *prefer; // selectors (selector.h); NULL: none
    int32_t priority;
    int32_t nice;
    int32_t max_attempts; // 0: 1 for on_lost wait, else 3
    bool held, allow_unsatisfiable;
    const char *queue, *account, *qos; // by name; NULL: the default one
    const char *reservation;           // by name; NULL: none
    const char *owner_name;            // as the scheduler's machine knows it, or NULL
    int64_t array_first, array_count;  // count 0: no array
    int32_t array_limit;               // elements that live at once; 0: all
    const struct depend_asked *depends;
    size_t depends_count;
    int64_t begin_ms, deadline_ms; // wall clock; 0: none
    bool cancel_if_never;
    uint64_t name_key; // hash of owner and name
};

enum {
    JOB_SET_DEPENDENCY = 1,
    JOB_SET_BEGIN = 2,
    JOB_SET_DEADLINE = 4,
    JOB_SET_ARRAY_LIMIT = 8,
    JOB_SET_NICE = 16,
    JOB_SET_TIME_LIMIT = 32,
};

struct input_job_set {
    struct job_id job;
    unsigned what; // JOB_SET_*; the rest stays as it is
    const struct depend_asked *depends;
    size_t depends_count;
    int64_t begin_ms, deadline_ms; // wall clock; 0: none
    int64_t time_limit_ms;         // 0: none, or the least that limits bring
    int32_t array_limit, nice;
};

// An attempt's state as an agent tells it.
enum agent_state {
    AGENT_ORDERED,  // journaled, not yet started
    AGENT_PREPARED, // waits for GO
    AGENT_RUNNING,
    AGENT_ENDING, // being killed
    AGENT_ENDED,  // END follows
    AGENT_STATE_COUNT
};

struct reported_attempt {
    struct attempt_id id;
    enum agent_state state;
    bool started;
    // What it holds there, for attempts that the database does not know: as in struct placement.
    struct coreset cores, pool;
    int32_t cpu_milli;
    uint64_t gpus;
    struct gpu_shares shares;
    int64_t memory_mib;
    int32_t port;
};

struct input_hello {
    struct node_id node;       // of the link
    uint64_t session;          // echoed
    struct cluster_id cluster; // the agent's; 0: it joined none yet
    struct incarnation inc;
    uint64_t term_seen, nonce_seen; // the highest that it obeys; 0: none yet
    bool journal_intact;
    uint64_t request; // HELLO counts as the first heartbeat of the session
    int32_t cores, gpus;
    int64_t memory_mib;
    // What the node says of itself, as in struct node; NULL, 0: nothing.
    const char *labels, *gpu_model, *switch_path, *numa_cores, *gpu_numa;
    int64_t gpu_memory_mib;
    const struct reported_attempt *attempts;
    size_t attempts_count;
};

struct input_heartbeat {
    struct node_id node;
    uint64_t session, request;
    const struct attempt_id *attempts;
    size_t attempts_count;
};

struct input_report {
    struct node_id node;
    uint64_t session;
    struct reported_attempt attempt;
};

struct task_result {
    int32_t rank;
    int32_t exit_code;                    // 128 + signal when killed
    int32_t signal;                       // 0: none
    int64_t user_ms, system_ms, peak_kib; // -1: unknown
    int64_t started_at_ms, ended_at_ms;   // wall clock
};

struct input_end {
    struct node_id node;
    uint64_t session;
    struct attempt_id attempt;
    bool started;         // a task was started
    struct reason reason; // EXITED with a = 0 is success; who or what ended it otherwise
    const char *detail;   // may be NULL
    const struct task_result *tasks;
    size_t tasks_count;
};

// CREATE refuses what is there, CHANGE what is not.
enum rule_mode { RULE_CREATE, RULE_CHANGE, RULE_PUT };

struct input {
    enum input_kind kind;
    struct caller caller; // of requests
    union {
        struct input_submit submit;
        struct job_id job; // CANCEL, HOLD, RELEASE, JOB_SET
        struct input_job_set set;
        struct {
            const char *name;
            const char *reason; // DRAIN, FENCE
            const char *labels; // LABEL: to set over those that are; NULL: none
            bool reset;         // LABEL: those set before are dropped first
        } node;                 // NODE_*
        struct {
            const struct rule *row; // whole; its id is the core's affair
            enum rule_mode mode;
        } rule; // RULE_SET
        struct {
            enum rule_kind kind;
            const char *name; // "gpu", "ann/physics"
        } rule_name;          // RULE_REMOVE
        struct {
            const char *name;
            uint64_t link; // the shell's handle
        } link_up;
        uint64_t link_down;
        struct input_hello hello;
        struct input_heartbeat heartbeat;
        struct input_report report;
        struct input_end end;
    };
};

// ---- outcome ----

enum effect_kind {
    EFFECT_REPLY,   // answer `caller.reply_to`
    EFFECT_WELCOME, // to an agent, as are the next five
    EFFECT_LAUNCH,  // placement `placement` of `job`; as PREPARE when req.pmix or several nodes
    EFFECT_GO,
    EFFECT_KILL,
    EFFECT_GRANT, // may be sent before the turn is durable
    EFFECT_END_ACK,
    EFFECT_CLOSE, // close the link after sending `reason`
    EFFECT_COUNT
};

struct effect {
    enum effect_kind kind;
    struct node_id node;
    uint64_t link, session; // dropped by the shell when the link is gone
    struct attempt_id attempt;
    uint64_t request; // the heartbeat that LAUNCH, GO and GRANT answer
    union {
        struct {
            uint64_t to;
            bool ok;
            struct job_id job;
            bool duplicate;       // the request id was known: `job` is the old one
            struct reason reason; // of a refusal
            const char *detail;
        } reply;
        struct {
            struct cluster_id cluster;
            uint64_t term, nonce;
        } welcome;
        struct {
            struct job_id job;
            int64_t lease_ms;         // after GO or at once; 0: no end
            int64_t prepare_lease_ms; // the order's own validity, and the lease until GO
            bool prepare;
            const struct placement *parts; // all parts of the attempt, by index
            size_t parts_count, part;      // and which one this order is
            const struct job *of;          // copy at this step
        } launch;
        struct {
            int64_t lease_ms;
        } go;
        struct {
            int64_t grace_ms;
            struct reason reason;
        } kill;
        struct {
            const struct attempt_id *attempts;
            size_t count;
        } grant;
        struct {
            struct reason reason;
            const char *detail;
        } close;
    };
};

// A fact for the `event` table, or (kind EVENT_NOTE) a line of narration only.
#define EVENT_TABLE(X)                         \
    X(NOTE, "note")                            \
    X(JOB_SUBMITTED, "job_submitted")          \
    X(JOB_REFUSED, "job_refused")              \
    X(JOB_PLACED, "job_placed")                \
    X(JOB_PREPARED, "job_prepared")            \
    X(JOB_STARTED, "job_started")              \
    X(JOB_PREEMPTS, "job_preempts")            \
    X(JOB_STOPPING, "job_stopping")            \
    X(JOB_CANCEL, "job_cancel")                \
    X(JOB_REQUEUED, "job_requeued")            \
    X(JOB_DUE, "job_due")                      \
    X(JOB_WAITS, "job_waits")                  \
    X(JOB_KEPT, "job_kept") /* by its terms */ \
    X(JOB_READY, "job_ready")                  \
    X(JOB_CHANGED, "job_changed")              \
    X(JOB_LEVEL, "job_level")                  \
    X(JOB_HELD, "job_held")                    \
    X(JOB_RELEASED, "job_released")            \
    X(JOB_ENDED, "job_ended")                  \
    X(PART_PREPARED, "part_prepared")          \
    X(PART_STARTED, "part_started")            \
    X(PART_ENDED, "part_ended")                \
    X(PART_OVER, "part_over")                  \
    X(NODE_JOINED, "node_joined")              \
    X(NODE_UP, "node_up")                      \
    X(NODE_UNREACHABLE, "node_unreachable")    \
    X(NODE_REBOOTED, "node_rebooted")          \
    X(NODE_REFUSED, "node_refused")            \
    X(NODE_LABELLED, "node_labelled")          \
    X(NODE_DRAINED, "node_drained")            \
    X(NODE_RESUMED, "node_resumed")            \
    X(NODE_FENCED, "node_fenced")              \
    X(RULE_CREATED, "rule_created")            \
    X(RULE_CHANGED, "rule_changed")            \
    X(RULE_REMOVED, "rule_removed")            \
    X(QUARANTINED, "quarantined")              \
    X(RECOVERY_HOLD, "recovery_hold")          \
    X(RECOVERED, "recovered")                  \
    X(STARTED, "scheduler_started")

enum event_kind {
#define X(name, word) EVENT_##name,
    EVENT_TABLE(X)
#undef X
        EVENT_KIND_COUNT
};
const char *event_kind_word(enum event_kind k);

struct event {
    uint64_t id; // rising; 0 for notes
    enum event_kind kind;
    int64_t at_ms; // wall clock
    struct job_id job;
    uint32_t attempt;
    // The class that the job is in; of JOB_WAITS: whose reason to wait this is from now on (0: the
    // whole queue's), told of the first of its jobs.
    struct class_id class_id;
    struct node_id node;
    // What was given out or returned by this event, so that the inventory can be recounted.
    struct coreset cores;
    uint64_t gpus;
    int64_t memory_mib;
    const char *text; // the narration, one line
};

// The end of one task, for the `task` table.
struct task_row {
    struct job_id job;
    uint32_t attempt;
    struct node_id node;
    struct task_result result;
};

struct outcome {
    // Copies of rows that changed; a job, node or placement appears at most once a turn.
    const struct job *jobs;
    const struct node *nodes;
    const struct placement *placements;
    const uint64_t *placements_gone; // ids of removed placements
    const struct rule *rules;        // removed ones too: their last row
    const struct tally *tallies;
    const uint64_t *tallies_gone;
    const struct wait *waits;
    const uint64_t *waits_gone;       // ids of classes that are no more
    const struct selector *selectors; // new ones
    const struct task_row *tasks;
    const struct event *events;
    const struct effect *effects;
    size_t jobs_count, nodes_count, placements_count, placements_gone_count, waits_count,
        waits_gone_count, selectors_count, tasks_count, events_count, effects_count;
    size_t rules_count, tallies_count, tallies_gone_count;
    struct cluster_meta meta;
    bool meta_changed;
    bool continue_wanted; // feed INPUT_CONTINUE before the turn's end or in the next turn
    int64_t wake_at_ms;   // boot clock; feed INPUT_TICK then; INT64_MAX: never
};

// ---- life ----

struct cluster_limits {
    enum policy policy;   // POLICY_BEST_FIT unless said otherwise
    uint64_t policy_seed; // of POLICY_RANDOM
    int64_t heartbeat_ms; // agents' period; silence for 4 of them: unreachable
    int64_t min_lease_ms; // least on_lost requeue:T
    int32_t pass_budget;  // candidates evaluated in one INPUT_CONTINUE
    int64_t jobs_max;     // live jobs
    // Ports of each machine that are given out; below Linux's ephemeral range, 32768-60999.
    int32_t port_first, port_count;
};
#define CLUSTER_LIMITS_DEFAULT                                                                 \
    (struct cluster_limits)                                                                    \
    {                                                                                          \
        .heartbeat_ms = 1000, .min_lease_ms = 10000, .pass_budget = 1000, .jobs_max = 2000000, \
        .port_first = 20000, .port_count = 10000                                               \
    }

struct cluster *cluster_new(const struct cluster_limits *limits);
void cluster_free(struct cluster *c);

// What POLICY_FGD takes for usual from now on, instead of counting what is submitted. A shape with
// a constraint that makes no sense is left out.
void cluster_set_typical(struct cluster *c, const struct typical *t, size_t count);

// Loading, before the first step: meta, rules (but removed ones), tallies, nodes, the
// selectors that the jobs name, waits, jobs (only those whose state is not an
// end, or that still have placements), placements, in this order. Copies; `detail` strings are
// copied too. Returns 0, or E_CORRUPT for a record that contradicts the others (it is left out).
void cluster_load_meta(struct cluster *c, const struct cluster_meta *meta);
int cluster_load_rule(struct cluster *c, const struct rule *row, struct err *err);
int cluster_load_tally(struct cluster *c, const struct tally *row, struct err *err);
int cluster_load_node(struct cluster *c, const struct node *row, struct err *err);
int cluster_load_selector(struct cluster *c, const struct selector *row, struct err *err);
int cluster_load_wait(struct cluster *c, const struct wait *row, struct err *err);
int cluster_load_job(struct cluster *c, const struct job *row, struct err *err);
int cluster_load_placement(struct cluster *c, const struct placement *row, struct err *err);
// Ends loading: every lease counts as granted now; `same_boot` says that the scheduler's machine
// has not been rebooted since the rows were written. Emits STARTED into the first turn.
// hold: recovery hold is entered (the term file or the like is ahead of the database).
void cluster_start(struct cluster *c, struct now now, uint64_t term, uint64_t nonce, bool same_boot,
                   bool hold, uint64_t term_seen);

// Instead of cluster_start(), for a cluster that only rules and tallies were loaded into: it
// answers questions about them as of `now`, and takes no step. Damaged or missing rows are made up
// for.
void cluster_view(struct cluster *c, struct now now);

void cluster_turn_begin(struct cluster *c);
void cluster_step(struct cluster *c, struct now now, const struct input *in);
const struct outcome *cluster_outcome(struct cluster *c);

// ---- questions and checks ----

const struct cluster_meta *cluster_meta(const struct cluster *c);
// Jobs in memory: those that have not ended, or of which something is left on a node.
size_t cluster_live(const struct cluster *c);
// NULL if unknown or no longer live.
const struct job *cluster_job(const struct cluster *c, struct job_id id);
// The live job of which this attempt has task `rank` on the node; NULL: there is none.
const struct job *cluster_task(const struct cluster *c, struct attempt_id attempt,
                               struct node_id node, int64_t rank);
// Why this job waits, if it is in the queue: its class's reason, or the whole queue's; otherwise
// its own.
const struct reason *cluster_reason(const struct cluster *c, const struct job *j);
// A reason's sentence, with its node and its limit as they are now. Appends.
void cluster_reason_text(struct cluster *c, const struct reason *r, struct text *ret);
const struct node *cluster_node(const struct cluster *c, struct node_id id);
const struct node *cluster_node_by_name(const struct cluster *c, const char *name);
// Walks every invariant; CHECKs.
void cluster_check(const struct cluster *c);
// Canonical text of all stored state, ordered by id: live and reloaded must be equal.
void cluster_dump(const struct cluster *c, struct text *ret);
