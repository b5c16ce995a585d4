// The border between the shepherd and muster-pmix.so: plain C, no PMIx type crosses it.
//
// PMIx calls back on a thread of its own; the plugin copies what it is told into a mailbox and
// wakes the shepherd's loop, which takes the events one by one on the main thread.
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PLUGIN_SYMBOL "muster_pmix_plugin"
enum { PLUGIN_VERSION = 3 };

struct plugin_job {
    const char *nspace;
    const char *topology;               // XML of this machine's; it may be missing
    const char *dir;                    // private to the attempt on this node; sockets live here
    const char *node;                   // this node's name
    const char *const *nodes;           // names by node index
    const uint32_t *first_rank, *tasks; // by node index
    size_t nodes_count, node_index;
    uint64_t job_id;
    uid_t uid;
    gid_t gid;
    void (*wake)(void *arg); // from any thread: events are waiting
    void *arg;
};

enum plugin_event_kind {
    PLUGIN_CONNECTED,
    PLUGIN_FINALIZED,
    PLUGIN_ABORT,
    PLUGIN_SPAWN, // MPI_Comm_spawn, which was refused
    PLUGIN_FENCE, // local processes of a collective have all arrived
};
struct plugin_event {
    enum plugin_event_kind kind;
    uint32_t rank;
    int32_t code; // ABORT
    uint64_t collective;
    uint32_t *nodes; // that take part, sorted; owned by the event, as is data
    size_t nodes_count;
    uint8_t *data;
    size_t len;
    void *token; // FENCE: give it back to fence_done
};

struct plugin_ops {
    uint32_t version;
    int (*open)(const struct plugin_job *job, void **ret, struct err *err);
    // Registers a local rank; afterwards its environment: NAME=value strings, NULL-terminated,
    // malloc'ed.
    int (*task)(void *server, uint32_t rank, char ***ret_env, struct err *err);
    // False: no event waits. nodes and data are the caller's to free.
    bool (*next)(void *server, struct plugin_event *ret);
    // data NULL and failed: the collective failed.
    void (*fence_done)(void *server, void *token, const uint8_t *data, size_t len, bool failed);
};
