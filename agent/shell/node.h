// The agent's process: the loop around agent/core/agent.h.
//
// Everything runs on the main thread but fsync. A callback translates what came in into an
// agent_input and calls node_step(); outputs are performed in order, those that follow a journal
// record when it is on disk (turn.c). Files: turn.c, journal.c (the record on disk), restore.c
// (start from it), link.c (libwebsockets, to the scheduler), message.c (frames), attempt.c (fork,
// order, sweep), shepherds.c (sockets of shepherds), zygotes.c, peers.c (other agents), spool.c
// (output), samples.c (what tasks report), retention.c (the spool's bound), machine.c (hwloc).
#pragma once

#include "agent/core/agent.h"
#include "agent/core/pace.h"
#include "agent/host/attempt_files.h"
#include "agent/host/cgroup.h"
#include "agent/shell/machine.h"
#include "common/err.h"
#include "proto/frame.h"
#include "proto/muster.pb-c.h"

#include <bsd/sys/queue.h>
#include <uv.h>

struct journal;
struct link;
struct zygotes;
struct peers;

// What the shell keeps of an attempt beside the core.
struct held {
    struct attempt_id id;
    Muster__Launch *launch; // NULL for refusals
    Muster__End *end;       // what the shepherd said, results included; NULL: made from the core
    volatile int64_t *deadline;
    uv_pipe_t *shepherd; // NULL: not connected
    struct frame_reader reader;
    uv_timer_t *retry; // of connecting or sweeping
    int tries;
    bool sweeping, released;
    struct pace reports; // bytes of samples
    TAILQ_ENTRY(held) link;
};
TAILQ_HEAD(held_list, held);

struct waiting_output {
    struct agent_output o; // strings copied
    char *detail;
    uint64_t record;
    TAILQ_ENTRY(waiting_output) link;
};
TAILQ_HEAD(waiting_list, waiting_output);

struct waiting_samples; // samples.c
TAILQ_HEAD(samples_list, waiting_samples);

struct node {
    uv_loop_t *loop;
    const char *name, *socket;
    const char *labels, *switch_path;            // "": none
    char *dir, *run_dir, *spool_dir, *peer_path; // dir: DIR/nodes/NAME
    char boot_id[40];
    uint64_t state_id;
    bool journal_intact;
    uint32_t journal_version; // of the journal that was read
    struct machine machine;
    struct agent *core;
    struct journal *journal;
    struct link *scheduler;
    struct zygotes *zygotes;
    struct peers *peers;
    struct cgroup_host *cgroups; // opened when the cluster is known
    struct held_list held;
    struct waiting_list waiting;
    struct samples_list samples;
    size_t samples_bytes;
    uv_poll_t timer;
    int timer_fd;
    uv_timer_t heartbeat;
    struct {
        int64_t limit, rest_until_ms;
        bool wanted, looking;
        uv_timer_t timer;
    } retention;
    uint64_t session_seen; // of the newest WELCOME, obeyed or not
    bool welcomed;         // on this connection
    bool stopping;
};

// turn.c
void node_step(struct node *n, const struct agent_input *in);
void node_perform(struct node *n); // the outputs of the core's last step
void node_release(struct node *n, uint64_t durable_record);
int node_timer_start(struct node *n, struct err *err);
struct held *held_find(struct node *n, struct attempt_id id);
struct held *held_add(struct node *n, struct attempt_id id);
void held_remove(struct node *n, struct held *h);
struct attempt_id attempt_of(const Muster__AttemptId *id);
// A copy of a message, by packing it.
Muster__Launch *launch_copy(const Muster__Launch *l);
Muster__End *end_copy(const Muster__End *e);
struct agent_order order_of(const Muster__Launch *l);

// journal.c: DIR/journal. One record: length, CRC-32 of the bytes, a JournalRecord. Records gain
// fields; a version that an older agent would misread has a higher number: 1 knows parts of cores
// and shares of GPUs. Older ones are read, newer ones refused.
enum { JOURNAL_VERSION = 1 };
int journal_open(struct node *n, struct err *err); // replays into the core through restore.c
// Appends in memory of the kernel; journal_flush() brings it to disk.
void journal_append(struct journal *j, const Muster__JournalRecord *record, uint64_t number);
void journal_write(struct node *n, const struct agent_output *o);
// An order that the journal had lost.
void journal_adopt(struct node *n, Muster__Launch *order);
// Releases what waits: at once if all is on disk, else when the fsync that it starts is done.
void journal_flush(struct node *n);
void journal_close(struct journal *j);
// restore.c
void restore_record(struct node *n, const Muster__JournalRecord *record);
void restore_finish(struct node *n);
void restore_keep_cluster(struct node *n);
// Writes what is still true into a fresh journal.
void restore_rewrite(struct node *n, struct journal *j);

// link.c
int link_start(struct node *n, struct err *err);
void link_send(struct node *n, Muster__FromAgent *message); // fills in the session
bool link_idle(const struct node *n);
// Bytes that wait to be sent, and what each frame costs.
size_t link_backlog(const struct node *n);
// message.c
void message_take(struct node *n, const uint8_t *bytes, size_t len);
void message_hello(struct node *n, uint64_t request);
void message_heartbeat(struct node *n, uint64_t request);
void message_report(struct node *n, struct attempt_id id);
void message_end(struct node *n, struct attempt_id id);
void message_end_make(struct node *n, struct attempt_id id, Muster__End **ret);

// attempt.c
void attempt_fork(struct node *n, struct attempt_id id);
void attempt_sweep(struct node *n, struct attempt_id id);
void attempt_deadline(struct node *n, struct attempt_id id, int64_t deadline_ms);
void attempt_release(struct node *n, struct attempt_id id);
char *attempt_cgroup(const struct node *n, struct attempt_id id);
void attempt_adopt(struct node *n, struct attempt_id id, pid_t shepherd);
void node_open_cgroups(struct node *n);

// shepherds.c
void shepherd_connect(struct node *n, struct held *h);
void shepherd_send(struct held *h, const Muster__ToShepherd *message);
void shepherd_order(struct node *n, struct held *h);
void shepherd_drop(struct held *h);
// In ms: connects, or sweeps when that is what goes on.
void held_retry(struct node *n, struct held *h, uint64_t ms);
// Looks at lock and end file of a shepherd that does not answer.
void shepherd_missing(struct node *n, struct held *h);
// None is asked for: the attempt is over here, unless one of an agent before lives.
void shepherd_none(struct node *n, struct held *h);

// zygotes.c
struct zygotes *zygotes_new(void);
int zygotes_fork(struct node *n, uid_t uid, gid_t gid, const Muster__Fork *order, struct err *err);
void zygotes_free(struct zygotes *z);

// peers.c
int peers_start(struct node *n, struct err *err);
void peers_send(struct node *n, const struct held *from, const Muster__PeerFrame *frame);

// samples.c: on to the scheduler, or kept while there is none
void samples_send(struct node *n, struct held *from, Muster__Samples *samples);
// Sends what was kept, as far as it does not stand in the way of heartbeats.
void samples_flush(struct node *n);

// retention.c: bounds the spool; limit 0: the default. wanted: an attempt has ended.
void retention_start(struct node *n, int64_t limit_bytes);
void retention_wanted(struct node *n);

// spool.c
void spool_read(struct node *n, const Muster__ReadOutput *query);
