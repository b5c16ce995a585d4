// A placement: the part of one attempt that lies on one node, with what it holds there.
//
//     placed -> prepared -> going -> running -> (END: removed)
//        \________________________________^     a job on one node without PMIx starts by itself
//
// `over` says that the attempt counts as ended here although no END came (its lease passed): the
// job is free for a next attempt, the node's resources are not. It is removed by END, by the
// node's reboot or by an operator's fence, and with it goes what it held.
#pragma once

#include "common/coreset.h"
#include "common/ids.h"
#include "common/reason.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

#define PLACEMENT_STATE_TABLE(X) \
    X(PLACED, "placed")          \
    X(PREPARED, "prepared")      \
    X(GOING, "going")            \
    X(RUNNING, "running")        \
    X(QUARANTINED, "quarantined") /* an attempt that the database does not know */

enum { NODE_GPUS_MAX = 64 };

enum placement_state {
#define X(name, word) PLACEMENT_##name,
    PLACEMENT_STATE_TABLE(X)
#undef X
        PLACEMENT_STATE_COUNT
};

// Thousandths of each GPU; all zero: the GPUs are held whole.
struct gpu_shares {
    uint16_t milli[NODE_GPUS_MAX];
};

struct placement {
    uint64_t id;       // unique in the database; 0: a free slot
    struct job_id job; // 0: quarantined
    struct job_uid uid;
    uint32_t attempt;
    struct node_id node;
    int32_t index; // of the node within the attempt, 0 ..
    int32_t first_rank, tasks;
    struct coreset cores; // no other placement has them
    struct coreset pool;  // shared with the others that have a part of a core
    int32_t cpu_milli;    // thousandths of cores there
    uint64_t gpus;        // bit g: GPU g, whole or a share of it
    struct gpu_shares shares;
    int64_t memory_mib;
    int32_t port; // MASTER_PORT, on the node of rank 0; 0: none
    enum placement_state state;
    bool kill;    // KILL is wanted: sent now and after each HELLO until END
    bool over;    // see above
    bool started; // it is known that a task started here

    // Not stored.
    int64_t lease_end_ms; // boot clock; INT64_MAX: never
    bool dirty;
    int64_t ends_ms;    // boot clock: expected end at the latest; INT64_MAX: not known
    bool supposed_gone; // a search asks what were if it had ended (preempt.h)
    RB_ENTRY(placement) end_link;
    size_t dirty_at; // where it stands among the changed ones
    TAILQ_ENTRY(placement) job_link, node_link;
};

TAILQ_HEAD(placement_list, placement);

const char *placement_state_word(enum placement_state s);

// Held of GPU g, in thousandths.
static inline int32_t placement_gpu_milli(const struct placement *p, int g)
{
    if (!(p->gpus >> g & 1))
        return 0;
    return p->shares.milli[g] ? p->shares.milli[g] : 1000;
}
void text_add_shares(struct text *t, const struct gpu_shares *s); // "0:500,3:250"
bool shares_parse(const char *list, struct gpu_shares *ret);

// name, kind (I64, STATE, CORES: cpulist text, SHARES), member
#define PLACEMENT_COLUMNS(X)       \
    X(id, I64, id)                 \
    X(job, I64, job.v)             \
    X(uid, I64, uid.v)             \
    X(attempt, I64, attempt)       \
    X(node, I64, node.v)           \
    X(idx, I64, index)             \
    X(first_rank, I64, first_rank) \
    X(tasks, I64, tasks)           \
    X(cores, CORES, cores)         \
    X(pool, CORES, pool)           \
    X(cpu_milli, I64, cpu_milli)   \
    X(gpus, I64, gpus)             \
    X(gpu_shares, SHARES, shares)  \
    X(memory_mib, I64, memory_mib) \
    X(port, I64, port)             \
    X(state, STATE, state)         \
    X(kill, I64, kill)             \
    X(over, I64, over)             \
    X(started, I64, started)
