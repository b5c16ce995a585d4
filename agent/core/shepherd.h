// The shepherd's decisions, pure: when an attempt's tasks on this node start, what ends them, how
// they are ended, and what is reported.
//
//     idle --ORDER--> preparing --READY--> prepared --GO--> starting --STARTED--> running
//                         |                    |                |                   |
//                         +---------- KILL, failure, deadline, time limit ----------+
//                                              v
//                          ending: SIGTERM, grace, SIGKILL until nothing is left --EMPTY--> ended
//
// The first cause is the verdict. The shell feeds inputs and performs `outputs` in order; they live
// until the next step. Times are CLOCK_BOOTTIME ms.
#pragma once

#include "common/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum shepherd_phase {
    SHEPHERD_IDLE,
    SHEPHERD_PREPARING,
    SHEPHERD_PREPARED,
    SHEPHERD_STARTING,
    SHEPHERD_RUNNING,
    SHEPHERD_ENDING,
    SHEPHERD_ENDED,
};

enum shepherd_input_kind {
    SHEPHERD_IN_ORDER,
    SHEPHERD_IN_READY,          // late; prepared: PMIx is up, directories made
    SHEPHERD_IN_PREPARE_FAILED, // detail
    SHEPHERD_IN_PORT_TAKEN,     // port
    SHEPHERD_IN_GO,             // late
    SHEPHERD_IN_STARTED,        // every local task was exec'ed
    SHEPHERD_IN_START_FAILED,   // detail
    SHEPHERD_IN_KILL,           // reason, grace_ms
    SHEPHERD_IN_TASK_EXIT,      // task, exit_code, signal
    SHEPHERD_IN_ABORT,          // task, exit_code: MPI_Abort
    SHEPHERD_IN_CONNECTED,      // task: PMIx client connected (MPI_Init)
    SHEPHERD_IN_FINALIZED,      // task: MPI_Finalize
    SHEPHERD_IN_SPAWN,          // task: MPI_Comm_spawn
    SHEPHERD_IN_LEFT,           // rank: on another node, ended without MPI_Init
    SHEPHERD_IN_OUT_OF_MEMORY,  // task or -1, used_mib, limit_mib
    SHEPHERD_IN_FENCE_FAILED,   // detail
    SHEPHERD_IN_DEADLINE,       // the lease's end has passed
    SHEPHERD_IN_EMPTY,          // looked: no process of the attempt is left
    SHEPHERD_IN_TICK,
};

struct shepherd_order {
    int32_t tasks; // on this node
    int32_t first_rank;
    bool prepare; // wait for GO
    bool pmix;
    int64_t time_limit_ms, grace_ms;
};

struct shepherd_input {
    enum shepherd_input_kind kind;
    struct shepherd_order order;
    int32_t task; // local index
    int32_t exit_code, signal;
    int64_t used_mib, limit_mib;
    int64_t port;
    bool late; // the lease has ended: looked at right before (Launch 2)
    int32_t rank;
    struct reason reason;
    int64_t grace_ms;
    const char *detail;
};

enum shepherd_output_kind {
    SHEPHERD_OUT_PREPARE,
    SHEPHERD_OUT_START,
    SHEPHERD_OUT_LEFT,   // tell the other nodes of left_rank
    SHEPHERD_OUT_REPORT, // the state changed: tell the agent
    SHEPHERD_OUT_TERM,   // SIGTERM to every process
    SHEPHERD_OUT_KILL,   // SIGKILL to every process
    SHEPHERD_OUT_LOOK,   // feed EMPTY if no process is left
    SHEPHERD_OUT_END,    // write and send END with verdict()
};

enum { SHEPHERD_OUTPUTS_MAX = 8, SHEPHERD_DETAIL_MAX = 240, SHEPHERD_LOOK_MS = 50 };

struct shepherd_task {
    bool running, exited, connected, finalized;
    int32_t exit_code, signal;
};

struct shepherd {
    enum shepherd_phase phase;
    struct shepherd_order order;
    struct shepherd_task *tasks;
    int32_t left;      // tasks not exited
    int32_t left_rank; // the first known to have ended without MPI_Init, on any node; -1: none
    bool started, called_off;
    struct reason verdict; // NONE: success so far
    char detail[SHEPHERD_DETAIL_MAX];
    int64_t limit_at_ms, kill_at_ms, look_at_ms; // INT64_MAX: never
    bool killed;
    enum shepherd_output_kind outputs[SHEPHERD_OUTPUTS_MAX];
    size_t outputs_count;
};

void shepherd_init(struct shepherd *s);
void shepherd_fini(struct shepherd *s);
void shepherd_step(struct shepherd *s, int64_t now_ms, const struct shepherd_input *in);
// Did nothing fail so far, and did nobody order its end?
bool shepherd_is_well(const struct shepherd *s);
// When TICK is wanted next; INT64_MAX: never.
int64_t shepherd_wake_at_ms(const struct shepherd *s);
