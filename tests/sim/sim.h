// The simulated cluster: the production cores of scheduler, agents and shepherds, and around them
// all that can fail: processes, machines, disks, links, clocks, clients and operators.
//
// Files: world.c (time), wire.c (links), disk.c (the scheduler's tables), scheduler.c (its shell),
// keeper.c,
// messages.c, attempt.c and journal.c (the agent's shell), sheep.c and mpi.c (shepherds and tasks),
// client.h (users and operators), fault.c (what fails when), judge.h (what must be true), main.c.
//
// `struct sim` owns everything; pointers are stable for its life. The cores cannot see it.
#pragma once

#include "agent/core/agent.h"
#include "agent/core/fence.h"
#include "agent/core/shepherd.h"
#include "scheduler/core/cluster.h"
#include "scheduler/shell/store_internal.h"
#include "tests/sim/world.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/planted.h"

#include <inttypes.h>

enum { MACHINES_MAX = 7, KEEPERS_MAX = 9, PARTS_MAX = 8, TASKS_MAX = 8, NAME_BYTES = 16 };

struct sim;
struct keeper;

struct machine {
    char id[NAME_BYTES];
    struct clock clock;
    int boots;
    bool on;
    int fences_under_way; // the operator has said that it is off, and nobody has heard it yet
    bool fence_heard, was_fenced;
};

// ---- wire.c: links between agents and the scheduler ----
//
// A link delivers in order and whole, or breaks. Each end learns of the break by itself: at once,
// after what was under way, or (half open) when something else tells it.

struct wire {
    uint64_t id;
    struct keeper *keeper;
    bool agent_up, scheduler_up;
    int64_t up_ms, down_ms; // when the last message of each direction arrives
    int64_t slow_until_ms, slow_ms;
    bool slow_up, slow_down;
    // The scheduler's shell keeps these of a link.
    struct node_id node;
    uint64_t session;
    uint64_t heard_request; // the highest that came over it
};

struct launch {
    struct agent_order order;
    uint64_t term, placement;
    struct job_id job;
    int32_t tasks, first_rank, all_tasks;
    int32_t index, nodes_count;
    int32_t keepers[PARTS_MAX]; // of its nodes
    bool pmix;
    int64_t time_limit_ms;
};

// From the scheduler to an agent.
struct order_letter {
    enum effect_kind kind;
    uint64_t wire, session, term, nonce;
    struct cluster_id cluster;
    struct attempt_id id;
    uint64_t request;
    int64_t lease_ms, grace_ms;
    struct reason reason;
    struct launch launch;
    size_t ids_count;
    struct attempt_id ids[];
};

// From an agent to the scheduler; what the input points to follows it in memory.
struct report_letter {
    uint64_t wire, session;
    struct input in;
};

struct wire *wire_find(struct sim *s, uint64_t id);
void wire_connect(struct keeper *k); // the agent tries; try again when it fails
void wire_send_up(struct keeper *k, struct report_letter *letter);
void wire_send_down(struct sim *s, struct order_letter *letter);
enum wire_break {
    WIRE_CLOSED,    // both ends learn of it
    WIRE_HALF_OPEN, // the agent's does; the scheduler's much later
};
void wire_break(struct sim *s, struct wire *l, enum wire_break how);
// An end's process is gone: the other one learns of it when the machine still lives.
void wire_agent_died(struct keeper *k, bool machine_lives);
void wire_scheduler_died(struct sim *s, bool machine_lives);
void wire_scheduler_closes(struct sim *s, struct wire *l);

// ---- disk.c: the scheduler's tables ----

struct tables {
    struct cluster_meta meta;
    struct job *jobs; // in order of their ids
    size_t jobs_count, jobs_cap;
    struct node nodes[KEEPERS_MAX * 2];
    size_t nodes_count;
    struct placement *parts; // unordered
    size_t parts_count, parts_cap;
    struct rule *rules; // by id - 1; id 0: no row
    size_t rules_count;
    struct tally *tallies; // unordered
    size_t tallies_count, tallies_cap;
    struct wait *waits; // in order of their ids
    size_t waits_count, waits_cap;
    struct selector *selectors; // likewise
    size_t selectors_count, selectors_cap;
    uint64_t events, tasks;                // rows
    struct coreset given[KEEPERS_MAX * 2]; // by node id - 1: cores as the events alone tell it
    int boot;                              // of the scheduler's machine
    uint64_t filed_term;                   // DIR/term
};

struct disk {
    struct tables now, backup;
    bool has_backup;
    int64_t slow_until_ms, full_until_ms;
    int reserve;     // commits that still succeed on a full disk
    bool fails_next; // the next commit fails
};

void disk_init(struct sim *s);
void disk_fini(struct sim *s);
// False: it failed, and nothing of it is there.
bool disk_commit(struct sim *s, struct store_batch *const *batches, size_t count);
int64_t disk_latency_ms(struct sim *s);
bool disk_has_room(const struct sim *s);
// Why a job waits, as whoever reads the tables finds it.
enum reason_code disk_why(const struct sim *s, const struct job *j);
const struct job *disk_job(const struct sim *s, struct job_id id);
const struct placement *disk_part(const struct sim *s, struct job_uid uid, uint32_t attempt,
                                  struct node_id node);
struct job_id disk_request(const struct sim *s, struct request_id id);
// All live rows, into an empty core.
struct cluster *disk_load(struct sim *s);
void disk_backup(struct sim *s);
void disk_restore(struct sim *s, bool with_term_file);

// ---- scheduler.c ----

// What waits for its batch to be durable.
struct held_turn {
    uint64_t batch;
    struct effect *effects;
    size_t effects_count;
    char **lines;
    uint64_t *event_ids;
    size_t lines_count;
    const struct job *jobs; // without strings
    size_t jobs_count;
    uint64_t term;    // to be filed; 0: none
    uint64_t of_term; // of the turn
    struct arena arena;
    TAILQ_ENTRY(held_turn) link;
};

// A request of a client; the answer goes to client_answer().
struct ask {
    uint64_t handle;
    struct input in;
    char name[NAME_BYTES]; // of the node, when in.node is meant
};

struct scheduler {
    struct process process;
    struct machine machine;
    struct cluster *cluster;
    bool stepped, round_wanted;
    struct store_batch *batch; // being filled
    struct store_batch *committing;
    uint64_t submitted, durable;
    uint64_t timer; // number of the newest; older ones are void
    TAILQ_HEAD(, held_turn) held;
    uint64_t node_row_batch[KEEPERS_MAX * 2 + 1];
    int64_t crash_in; // points until it is killed; 0: not planned
    uint64_t nonces;
};

// QoS of simulated worlds with preemption: the first preempts the others.
enum { PREEMPT_QOS_COUNT = 3 };
extern const char *const preempt_qos[PREEMPT_QOS_COUNT];

void scheduler_start(struct world *w, void *arg, uint64_t n);
// kill -9; it is started again after a while.
void scheduler_kill(struct sim *s, int64_t restart_ms);
void scheduler_reboot(struct sim *s, int64_t off_ms);
// An input from outside, in its process.
void scheduler_input(struct sim *s, const struct input *in);
void scheduler_ask(struct sim *s, struct ask *ask);
void scheduler_report(struct sim *s, struct report_letter *letter);
void scheduler_fini(struct sim *s);

// ---- keeper.c: an agent's shell on a node, with what its disk and its tmpfs hold ----

struct end_data {
    bool started;
    struct reason reason;
    int32_t results_count;
    struct task_result results[TASKS_MAX];
};

enum entry_kind { ENTRY_BOOT, ENTRY_TERM, ENTRY_ORDER, ENTRY_END, ENTRY_END_ACK };
struct entry {
    enum entry_kind kind;
    uint64_t record; // the core's number
    int boot;
    bool lost; // a journal of this boot was
    struct cluster_id cluster;
    uint64_t term, nonce;
    struct attempt_id id;
    struct launch launch;
    struct end_data end;
};

// What an attempt leaves in the run directory.
struct trace {
    struct attempt_id id;
    bool lock, ordered; // a shepherd took the lock; it took the order
    struct sheep *holder;
    bool has_deadline, has_end;
    int64_t deadline_ms;
    struct end_data end;
    TAILQ_ENTRY(trace) link;
};

// What the shell keeps of an attempt beside the core.
struct held {
    struct attempt_id id;
    bool has_launch, has_end;
    struct launch launch;
    struct end_data end;
    struct sheep *sheep; // connected to; NULL
    uint64_t connection;
    bool retry, sweeping, released, has_deadline;
    int tries;
    int looks; // of the judge, at which it waited for GO
    TAILQ_ENTRY(held) link;
};

struct waiting {
    struct agent_output o;
    uint64_t record;
};

struct keeper {
    struct sim *sim;
    char name[NAME_BYTES];
    struct machine *machine;
    struct process process;
    bool clone; // another one owns the name
    int cores, gpus;
    int64_t memory_mib;
    // What it says of itself.
    const char *labels, *gpu_model, *switch_path;
    int64_t gpu_memory_mib;
    char numa_cores[NAME_BYTES], gpu_numa[NAME_BYTES];
    struct agent *core;
    // On disk.
    uint64_t state_id;
    bool journal_lost;
    struct entry *journal;
    size_t written, synced, journal_cap;
    struct cluster_id cluster_file;
    // Of the process.
    bool journal_intact, syncing, welcomed;
    size_t sync_to;
    uint64_t newest_record, durable_record, session_seen;
    struct waiting *waiting;
    size_t waiting_count, waiting_cap;
    TAILQ_HEAD(, held) held;
    struct wire *wire;
    uint64_t connections, timer, beat;
    int64_t pause_ms, heartbeat_ms;
    int64_t crash_in;
    // On tmpfs, and in the kernel.
    TAILQ_HEAD(, trace) traces;
    TAILQ_HEAD(, sheep) sheep; // dead ones too: happenings may name them
    TAILQ_HEAD(, group) groups;
    // Faults.
    int64_t cut_until_ms, disk_slow_until_ms, disk_full_until_ms;
    bool operator_owes; // it may have forgotten something: an operator reboots it in the end
};

void keeper_start(struct world *w, void *arg, uint64_t n); // arg: copy of a pointer to the keeper
void keeper_start_later(struct keeper *k, int64_t delay_ms);
void keeper_kill(struct keeper *k, int64_t restart_ms);
// The machine goes off, and on again.
void keeper_stop(struct keeper *k, int64_t for_ms); // SIGSTOP
void keeper_end(struct keeper *k);                  // SIGUSR1
void machine_power_cut(struct sim *s, struct machine *m);
void machine_power_on(struct sim *s, struct machine *m);
void keeper_step(struct keeper *k, const struct agent_input *in);
void keeper_perform(struct keeper *k);
void keeper_durable(struct keeper *k); // more of the journal is on disk
void keeper_link_up(struct keeper *k, struct wire *l);
void keeper_link_down(struct keeper *k);
void keeper_take(struct keeper *k, const struct order_letter *m);
struct held *held_find(struct keeper *k, struct attempt_id id);
struct held *held_add(struct keeper *k, struct attempt_id id);
void held_remove(struct keeper *k, struct held *h);
void held_retry(struct keeper *k, struct held *h, int64_t ms);
void keeper_fini(struct keeper *k);

// messages.c: what the agent tells the scheduler.
void tell_hello(struct keeper *k, uint64_t request);
void tell_heartbeat(struct keeper *k, uint64_t request);
void tell_report(struct keeper *k, struct attempt_id id);
void tell_end(struct keeper *k, struct attempt_id id);
void end_make(struct keeper *k, struct attempt_id id, struct end_data *ret);

// journal.c
void journal_write(struct keeper *k, const struct agent_output *o);
void journal_flush(struct keeper *k);
void journal_adopt(struct keeper *k, const struct launch *order);
// kill -9 keeps what was written, a power cut what was synced and perhaps some of the rest.
void journal_cut(struct keeper *k);
void journal_replay(struct keeper *k); // into the core, from disk and traces; then written anew

// keeper's part in attempts: attempt.c
void attempt_fork(struct keeper *k, struct attempt_id id);
void attempt_deadline(struct keeper *k, struct attempt_id id, int64_t deadline_ms);
void attempt_sweep(struct keeper *k, struct attempt_id id);
void attempt_release(struct keeper *k, struct attempt_id id);
void sheep_connect(struct keeper *k, struct held *h);
void sheep_missing(struct keeper *k, struct held *h);
void sheep_none(struct keeper *k, struct held *h);
void sheep_lost(struct keeper *k, struct attempt_id id, uint64_t connection);
struct trace *trace_find(struct keeper *k, struct attempt_id id);
struct trace *trace_add(struct keeper *k, struct attempt_id id);
void trace_remove(struct keeper *k, struct trace *t);

// ---- sheep.c: a shepherd, and the tasks that the kernel knows ----

struct sim_task {
    bool alive;
    int32_t rank;
    struct task_result result;
};

// The processes of an attempt on a node. They outlive their shepherd.
struct group {
    uint64_t number; // stale happenings are told by it
    struct attempt_id id;
    struct launch launch;
    struct sheep *parent; // NULL: orphans
    int32_t alive;
    struct sim_task tasks[TASKS_MAX];
    TAILQ_ENTRY(group) link;
};

struct sheep {
    struct process process;
    struct keeper *keeper;
    struct attempt_id id;
    struct shepherd core;
    struct launch launch;
    struct group *group;
    uint64_t connection; // of the agent; 0: none
    uint64_t timer;
    int64_t deadline_ms; // as the mapped file says, also when it has been removed
    bool deadline_passed, has_end;
    struct end_data end;
    struct fences *fences; // NULL: no MPI
    bool told[PARTS_MAX];  // has heard that a rank has left
    int32_t arrived;       // local tasks in MPI_Init
    bool gone_on;          // they have left it
    int looks;             // of the judge, at which they waited for nobody
    TAILQ_ENTRY(sheep) link;
};

// Between shepherds of one attempt, carried by their agents.
struct peer_frame {
    struct attempt_id id;
    struct keeper *via, *origin;
    uint64_t connection;
    int32_t from, to, left;
    bool heard, gone;
    size_t len;
    uint8_t payload[];
};

// mpi.c
void mpi_start(struct sheep *p);
void mpi_arrive(struct sheep *p);
void mpi_take(struct sheep *p, const struct peer_frame *f);
void mpi_connected(struct sheep *p);
void mpi_tell_left(struct sheep *p);
bool mpi_owes(const struct sheep *p); // another node still needs something of this one
// The fence is complete: the ranks leave MPI_Init.
void sheep_goes_on(struct sheep *p);
void sheep_hears_left(struct sheep *p, int32_t rank);
void sheep_send_frame(struct keeper *k, struct held *h, struct peer_frame *f); // owns f

enum word_kind { WORD_HELLO, WORD_ORDER, WORD_GO, WORD_KILL, WORD_END_ACK };
struct word { // agent -> shepherd
    enum word_kind kind;
    uint64_t connection;
    struct launch launch;
    int64_t grace_ms;
    struct reason reason;
};
struct status_word { // shepherd -> agent
    struct keeper *keeper;
    struct attempt_id id;
    uint64_t connection;
    bool is_end, started, has_launch;
    enum attempt_phase phase;
    struct end_data end;
    struct launch launch;
};

// The zygote forks a shepherd, which appears a little later.
void sheep_fork(struct keeper *k, struct attempt_id id);
void sheep_send(struct keeper *k, struct held *h, struct word word);
void sheep_kill(struct sheep *p); // kill -9
void keeper_status(struct keeper *k, const struct status_word *m);
// SIGKILL for every task of the attempt; how many are left.
int group_kill(struct keeper *k, struct attempt_id id);
struct group *group_find(struct keeper *k, struct attempt_id id);
void groups_power_off(struct keeper *k);
void sheep_fini(struct keeper *k);

// ---- client.c ----

struct client;
void clients_start(struct sim *s);
// As it leaves the scheduler; the client may not hear it.
void client_answer(struct sim *s, uint64_t handle, bool ok, struct job_id job, bool duplicate,
                   enum reason_code why);
bool clients_done(const struct sim *s); // every job was taken, every command answered
// The operator says that the machine is off, which it is; it goes on again when that was heard, or
// nothing of it is under way any more.
void operator_fences(struct sim *s, struct machine *m);
void clients_fini(struct sim *s);

// ---- fault.c ----

enum fault_kind {
    FAULT_SCHEDULER_KILL,
    FAULT_SCHEDULER_POINT, // killed at the n-th point from now
    FAULT_SCHEDULER_STOP,
    FAULT_SCHEDULER_REBOOT,
    FAULT_COMMIT_FAILS,
    FAULT_DISK_SLOW,
    FAULT_DISK_FULL,
    FAULT_BACKUP_RESTORED,
    FAULT_AGENT_KILL,
    FAULT_AGENT_POINT,
    FAULT_AGENT_STOP,
    FAULT_NODE_ENDS, // the agent is told to end every task and itself
    FAULT_POWER_CUT,
    FAULT_JOURNAL_SLOW,
    FAULT_JOURNAL_LOST,
    FAULT_AGENT_DISK_FULL,
    FAULT_SHEPHERD_KILL,
    FAULT_SHEPHERD_STOP,
    FAULT_LINK_BREAKS,
    FAULT_LINK_HALF_OPEN,
    FAULT_PARTITION,
    FAULT_LINK_SLOW,
    FAULT_WALL_JUMP,
    FAULT_CLONE,
    FAULT_COUNT
};

void faults_start(struct sim *s);
void faults_end(struct sim *s); // everything heals
extern const char *const fault_words[FAULT_COUNT];

// ---- judge.c: what is true, seen from outside the cores ----

struct judge;
void judge_new(struct sim *s);
void judge_fini(struct sim *s);
_Noreturn void broken(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void judge_output(struct sim *s, const struct effect *e, uint64_t term);
void judge_event(struct sim *s, uint64_t event_id);
// What the core decided in a turn, at its time; and that it has nothing left to decide.
void judge_decided(struct sim *s, const struct outcome *o, int64_t wall_ms);
void judge_rested(struct sim *s);
void judge_committed(struct sim *s, const struct store_batch *b);
void judge_placed(struct sim *s, const struct event *e);
void judge_task_start(struct sim *s, struct keeper *k, const struct group *g);
void judge_prepared(struct sim *s, struct attempt_id id, int32_t index);
// The agent lets the shepherd go and removes what the attempt left.
void judge_released(struct keeper *k, const struct held *h);
// All ranks of a part are in MPI_Init.
void judge_arrived(struct sim *s, struct attempt_id id, int32_t index);
// The agent has acted on an order for the first time.
void judge_obeyed(struct keeper *k, const struct order_letter *m);
void judge_acknowledged(struct sim *s, struct request_id request, struct job_id job);
void judge_cancelled(struct sim *s, struct job_id job);
void judge_restored(struct sim *s);
void judge_journal_lost(struct sim *s);
void judge_looks(struct sim *s); // now and then: what must not last
bool judge_quiet(struct sim *s); // nothing runs, waits or is owed any more
void judge_end(struct sim *s, bool in_time);

// ---- all ----

struct counts {
    uint64_t jobs, starts, preemptions, ends, requeues, commits, turns, restarts,
        faults[FAULT_COUNT];
};

struct sim {
    struct world world; // first: happenings are given it
    struct scheduler scheduler;
    struct disk disk;
    struct machine machines[MACHINES_MAX];
    int machines_count;
    struct keeper keepers[KEEPERS_MAX];
    int keepers_count;
    struct wire **wires;
    size_t wires_count, wires_cap;
    uint64_t groups; // numbers given
    struct client *client;
    struct judge *judge;
    bool calm, done;    // faults are over; all is over
    unsigned doubled;   // per mille of the messages that come twice
    unsigned reserved;  // per mille of the jobs that name a reservation; 0: there are none
    unsigned shared;    // per mille of the jobs that do not just ask for whole cores
    int64_t round_ms;   // what a round of the scheduler takes, at most
    bool preempts;      // some QoS preempt others
    int64_t min_run_ms; // of those that are preempted
    bool ruled;         // operators set limits and the like
    int64_t faults_until_ms, bound_ms;
    int64_t every_ms[FAULT_COUNT]; // mean time between two; 0: never
    struct cluster_limits limits;
    struct counts counts;
};

static inline struct sim *sim_of(struct world *w)
{
    return (struct sim *)w;
}

struct sim *sim_new(uint64_t seed, bool verbose);
void sim_run(struct sim *s);
void sim_free(struct sim *s);
