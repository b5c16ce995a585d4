// A node as the core knows it: identity, what it may give out, what is given out, and its link.
//
// The state that people see follows from the stored wishes and the link (node_state()):
//     up           linked, reconciled, may be given work
//     unreachable  no link or no heartbeat; nothing follows from it but that no work is placed
//     down         declared off by an operator (fence), until it is seen again
//     draining     no new work; some still runs        drained: none runs
#pragma once

#include "common/coreset.h"
#include "common/ids.h"
#include "common/labels.h"
#include "common/reason.h"
#include "scheduler/core/placement.h"

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#define NODE_STATE_TABLE(X)       \
    X(UP, "up")                   \
    X(UNREACHABLE, "unreachable") \
    X(DOWN, "down")               \
    X(DRAINING, "draining")       \
    X(DRAINED, "drained")

enum node_state {
#define X(name, word) NODE_##name,
    NODE_STATE_TABLE(X)
#undef X
        NODE_STATE_COUNT
};

enum {
    NODE_NAME_MAX = 63,
    NODES_MAX = 262144,
    NODE_LABELS_MAX = LABELS_TEXT_MAX,
    NODE_NUMA_MAX = 16,
    NODE_REASON_MAX = 255,
};

// Which machine speaks under the name (docs/protocol.md, Names).
struct incarnation {
    char machine_id[40];
    char boot_id[40];
    uint64_t state_id; // random, made with the agent's state directory
};

struct node {
    struct node_id id; // 0: a free slot
    char name[NODE_NAME_MAX + 1];
    struct incarnation inc;
    uint64_t session; // of the link
    int32_t cores;    // cores 0 .. cores-1 may be given out
    int32_t gpus;     // likewise
    int64_t memory_mib;
    // What it says of itself; "" and 0: nothing.
    char told_labels[NODE_LABELS_MAX + 1]; // "zone=a,spot" (common/labels.h)
    char gpu_model[64];
    int64_t gpu_memory_mib; // of each
    char switch_path[96];   // "spine1/rack3": the switches above it, from the top
    char numa_cores[96];    // cores of each NUMA domain, in order of their numbers: "32,32"
    char gpu_numa[NODE_GPUS_MAX + 1]; // the domain of each GPU, a hexadecimal digit: "00001111"

    char set_labels[NODE_LABELS_MAX + 1]; // by operators: over what it says; "!spot" takes one off
    char labels[NODE_LABELS_MAX + 1];     // that hold: both together
    bool drain;
    bool fenced;                      // down: declared off, not seen since
    char reason[NODE_REASON_MAX + 1]; // of drain or fence
    uint32_t reason_uid;
    int64_t reason_at_ms;         // wall clock
    int64_t unreachable_since_ms; // boot clock of the scheduler's machine; 0: reachable

    // Not stored: rebuilt or of this link.
    struct coreset used_cores; // the shared ones too
    struct coreset pool_cores; // shared: all that placements here share
    int32_t pool_used_milli;
    uint64_t used_gpus; // bit g: GPU g, whole or a share of it
    uint16_t gpu_used_milli[NODE_GPUS_MAX];
    int64_t used_memory_mib;
    uint16_t numa_end[NODE_NUMA_MAX]; // one past the last core of each NUMA domain
    uint8_t numa_count;
    uint16_t *ports; // given out here, unordered
    uint16_t ports_count, ports_cap;
    int32_t parts_count;          // placements here, quarantined ones too
    struct branch *leaf;          // where it hangs
    struct node *next_on_machine; // a ring of the nodes that share a machine, and so its ports
    struct placement_list parts;
    uint64_t link;     // the shell's handle; 0: none
    uint64_t new_link; // connected, its HELLO not yet accepted
    uint64_t new_session;
    bool ready;               // HELLO of this session was reconciled
    uint64_t request;         // number of the newest heartbeat of this session
    int64_t heard_ms;         // boot clock
    enum reason_code refused; // the last agent that was; NONE: it was not
    bool dirty;
    UT_hash_handle by_name;
    UT_hash_handle by_machine; // of the one that stands for its ring
};

enum node_state node_state(const struct node *n);
const char *node_state_word(enum node_state s);

// name, kind (I64; TEXT: a fixed char array), member
#define NODE_COLUMNS(X)                    \
    X(id, I64, id.v)                       \
    X(name, TEXT, name)                    \
    X(machine_id, TEXT, inc.machine_id)    \
    X(boot_id, TEXT, inc.boot_id)          \
    X(state_id, I64, inc.state_id)         \
    X(session, I64, session)               \
    X(cores, I64, cores)                   \
    X(gpus, I64, gpus)                     \
    X(memory_mib, I64, memory_mib)         \
    X(labels, TEXT, labels)                \
    X(told_labels, TEXT, told_labels)      \
    X(set_labels, TEXT, set_labels)        \
    X(gpu_model, TEXT, gpu_model)          \
    X(gpu_memory_mib, I64, gpu_memory_mib) \
    X(switch_path, TEXT, switch_path)      \
    X(numa_cores, TEXT, numa_cores)        \
    X(gpu_numa, TEXT, gpu_numa)            \
    X(drain, I64, drain)                   \
    X(fenced, I64, fenced)                 \
    X(reason, TEXT, reason)                \
    X(reason_uid, I64, reason_uid)         \
    X(reason_at_ms, I64, reason_at_ms)     \
    X(unreachable_since_ms, I64, unreachable_since_ms)
