// The agent's decisions, pure: whose word it obeys, which attempts it holds, how long they may run,
// what is journaled before what. docs/protocol.md is the law; each rule is cited where it is kept.
//
//     LAUNCH -> ordered --journaled--> forked --status--> prepared --GO--> running
//                  |                     |                   |               |
//                  +------ KILL, deadline, the shepherd's END or death ------+
//                                        v
//                    ending --nothing left--> ended --journaled, END sent until acked--> gone
//
// The shell feeds inputs and performs outputs in order. Outputs after AGENT_OUT_JOURNAL of the same
// step wait until that record is on disk, unless marked `urgent` (heartbeats, deadlines, kills).
// Times are CLOCK_BOOTTIME ms. Lists are bounded by AGENT_ATTEMPTS_MAX.
#pragma once

#include "agent/core/held.h"
#include "common/ids.h"
#include "common/reason.h"
#include "common/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AGENT_ATTEMPTS_MAX = 65536, AGENT_REQUESTS_MAX = 64, AGENT_DETAIL_MAX = 240 };
#define AGENT_NEVER INT64_MAX

enum attempt_phase {
    ATTEMPT_ORDERED,  // journaled or being journaled; no shepherd yet
    ATTEMPT_FORKED,   // a shepherd was asked for
    ATTEMPT_PREPARED, // waits for GO
    ATTEMPT_RUNNING,
    ATTEMPT_ENDING,
    ATTEMPT_ENDED, // END journaled or being journaled
    ATTEMPT_PHASE_COUNT
};
const char *attempt_phase_word(enum attempt_phase p);

// An order as the core sees it. `launch` is the shell's: its packed message, found by attempt.
struct agent_order {
    struct attempt_id id;
    uint64_t request;
    int64_t lease_ms, prepare_lease_ms, grace_ms;
    bool prepare;
    struct agent_held held;
};

struct agent_attempt {
    struct agent_order order;
    enum attempt_phase phase;
    bool started, go, killed; // go: GO was obeyed; killed: the shepherd was told
    bool end_durable;
    int64_t deadline_ms;
    int64_t kill_check_ms; // the shepherd must have reacted by then; NEVER
    struct reason end;
    char detail[AGENT_DETAIL_MAX];
};

enum agent_input_kind {
    AGENT_IN_WELCOME, // cluster, term, nonce, session
    AGENT_IN_LINK_DOWN,
    AGENT_IN_LAUNCH,        // order, session
    AGENT_IN_GO,            // id, request, lease_ms
    AGENT_IN_KILL,          // id, grace_ms, reason, detail
    AGENT_IN_GRANT,         // request, ids, ids_count
    AGENT_IN_END_ACK,       // id
    AGENT_IN_HEARTBEAT,     // it is time for one
    AGENT_IN_JOURNALED,     // everything up to `record` is on disk
    AGENT_IN_STATUS,        // the shepherd's: id, phase, started
    AGENT_IN_SHEPHERD_END,  // id, started, reason, detail: nothing is left
    AGENT_IN_SHEPHERD_GONE, // id: its lock is free and there is no END; started: it took the order
    AGENT_IN_FORK_FAILED,   // id, detail
    AGENT_IN_SWEPT,         // id: no process of the attempt is left (after OUT_SWEEP)
    AGENT_IN_STOP,          // end everything; grace_ms < 0: each one's own
    AGENT_IN_TICK,
};

struct agent_input {
    enum agent_input_kind kind;
    struct attempt_id id;
    struct cluster_id cluster;
    uint64_t session, term, nonce, request, record;
    int64_t lease_ms, grace_ms;
    struct agent_order order;
    enum attempt_phase phase;
    bool started;
    struct reason reason;
    const char *detail;
    const struct attempt_id *ids;
    size_t ids_count;
};

enum agent_output_kind {
    AGENT_OUT_JOURNAL,   // record: what (a journal entry), id
    AGENT_OUT_HELLO,     // request; the shell lists the attempts
    AGENT_OUT_HEARTBEAT, // request
    AGENT_OUT_REPORT,    // id
    AGENT_OUT_END,       // id: send END
    AGENT_OUT_FORK,      // id: deadline file, cgroup, lock, zygote, order
    AGENT_OUT_GO,        // id: to the shepherd
    AGENT_OUT_KILL,      // id, grace_ms: to the shepherd
    AGENT_OUT_SWEEP,     // id: kill by cgroup and token; feed SWEPT when nothing is left
    AGENT_OUT_DEADLINE,  // id, deadline_ms: write the word
    AGENT_OUT_RELEASE,   // id: END is durable: END_ACK to the shepherd, files and cgroup away
    AGENT_OUT_FORGET,    // id: the attempt is gone from memory after this
    AGENT_OUT_NOTE,      // text
};

enum agent_record {
    AGENT_RECORD_TERM,
    AGENT_RECORD_ORDER,
    AGENT_RECORD_REFUSAL,
    AGENT_RECORD_END,
    AGENT_RECORD_END_ACK
};

struct agent_output {
    enum agent_output_kind kind;
    enum agent_record what;
    bool urgent;
    struct attempt_id id;
    uint64_t request, record;
    int64_t grace_ms, deadline_ms;
    struct reason reason; // KILL
    const char *detail;
    const char *text;
};

struct agent;

struct agent *agent_new(void);
void agent_free(struct agent *a);

// What an order may ask for from now on; a new agent takes an order for anything.
void agent_give(struct agent *a, const struct agent_given *given);

// Loading, before the first step: what the journal says.
void agent_load_term(struct agent *a, struct cluster_id cluster, uint64_t term, uint64_t nonce);
// An order without END. phase ORDERED: no task was started, it may be forked (again); FORKED: a
// shepherd lives and its status follows; ENDING: it took the order and is gone: sweep, then `end`.
void agent_load_order(struct agent *a, const struct agent_order *order, enum attempt_phase phase,
                      int64_t deadline_ms, struct reason end);
// An END that is journaled and not acknowledged.
void agent_load_end(struct agent *a, struct attempt_id id, bool started, struct reason end,
                    const char *detail);
// The order of an attempt that was loaded by name alone, from its shepherd.
void agent_adopt(struct agent *a, const struct agent_order *order);
// Acts on what was loaded; outputs as of a step.
void agent_start(struct agent *a, int64_t now_ms);

void agent_step(struct agent *a, int64_t now_ms, const struct agent_input *in);
const struct agent_output *agent_outputs(const struct agent *a, size_t *ret_count);

// Questions.
struct agent_attempt *agent_find(struct agent *a, struct attempt_id id);
// All attempts by index 0 .. count-1, in order of arrival.
size_t agent_count(const struct agent *a);
const struct agent_attempt *agent_at(const struct agent *a, size_t i);
uint64_t agent_session(const struct agent *a); // 0: none that is obeyed
uint64_t agent_term_seen(const struct agent *a);
uint64_t agent_nonce_seen(const struct agent *a);
struct cluster_id agent_cluster(const struct agent *a);
uint64_t agent_dropped(const struct agent *a);   // messages not obeyed
int64_t agent_wake_at_ms(const struct agent *a); // feed TICK then
void agent_check(const struct agent *a);         // every invariant; CHECKs
