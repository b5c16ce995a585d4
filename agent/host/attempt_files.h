// What an agent and a shepherd share about one attempt, in the run directory RUN (on tmpfs, or a
// directory named by the boot id: gone or unused after a reboot).
//
//     RUN/<name>.lock      flock'ed exclusively by the shepherd for life, close-on-exec. Text:
//                          "PID\n", and after the order was taken, before any task: "PID ordered\n"
//     RUN/<name>.deadline  int64, CLOCK_BOOTTIME ms; INT64_MAX: none. Written by the agent with one
//                          aligned 8-byte store, mapped read-only by the shepherd.
//     RUN/<name>.end       the End message (protobuf), written by rename when no process is left; a
//                          shepherd of another user writes it in place, its first byte last
//     @muster/<cluster>/<node>/<name>   the shepherd's abstract listening socket
// with <name> = 16 hex digits of the job's uid "." attempt number. The tasks carry
// MUSTER_ATTEMPT=<cluster>-<uid>-<number> (16 hex digits, 16 hex digits, decimal): the token by
// which orphans are found.
#pragma once

#include "common/err.h"
#include "common/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

enum { ATTEMPT_NAME_MAX = 32, ATTEMPT_TOKEN_MAX = 64 };

void attempt_name(struct attempt_id id, char ret[ATTEMPT_NAME_MAX]);
bool attempt_name_parse(const char *name, struct job_uid *ret_uid, uint32_t *ret_number);
void attempt_token(struct attempt_id id, char ret[ATTEMPT_TOKEN_MAX]);
// E_INVALID if node is too long for an abstract address.
int attempt_address(struct attempt_id id, const char *node, struct sockaddr_un *ret,
                    socklen_t *ret_len, struct err *err);

// ---- the lock ----

enum attempt_lock_state {
    ATTEMPT_LOCK_ABSENT,  // no file, or an empty one: no shepherd ever took it
    ATTEMPT_LOCK_HELD,    // a shepherd lives
    ATTEMPT_LOCK_LEFT,    // a shepherd took it, took no order, and is gone: no task was started
    ATTEMPT_LOCK_ORDERED, // a shepherd took the order and is gone
};
// The agent's look; takes and drops a shared lock for the test.
int attempt_lock_look(const char *run_dir, struct attempt_id id, enum attempt_lock_state *ret,
                      pid_t *ret_pid, struct err *err);
// The shepherd's: the descriptor, or E_EXISTS when another holds it.
int attempt_lock_take(const char *run_dir, struct attempt_id id, int *ret_fd, struct err *err);
int attempt_lock_mark_ordered(int fd, struct err *err);
// Makes lock and end file for a job of another user (agent as root), who cannot make files here;
// otherwise the shepherd makes them.
int attempt_lock_prepare(const char *run_dir, struct attempt_id id, uid_t uid, struct err *err);

// ---- the deadline ----

// Maps it read-write (agent; made if absent, with `initial`) or read-only (shepherd).
int attempt_deadline_open(const char *run_dir, struct attempt_id id, bool write, int64_t initial,
                          volatile int64_t **ret, struct err *err);
void attempt_deadline_close(volatile int64_t *deadline);
static inline int64_t attempt_deadline_get(volatile int64_t *d)
{
    return __atomic_load_n(d, __ATOMIC_ACQUIRE);
}
static inline void attempt_deadline_set(volatile int64_t *d, int64_t ms)
{
    __atomic_store_n(d, ms, __ATOMIC_RELEASE);
}

// ---- the end ----

// Packed End message.
int attempt_end_write(const char *run_dir, struct attempt_id id, const void *bytes, size_t len,
                      struct err *err);
// E_NOT_FOUND if there is none. Caller frees.
int attempt_end_read(const char *run_dir, struct attempt_id id, uint8_t **ret, size_t *ret_len,
                     struct err *err);

// Removes lock, deadline and end of an attempt that is over.
void attempt_files_remove(const char *run_dir, struct attempt_id id);
