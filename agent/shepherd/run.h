// One shepherd process: the parent of an attempt's tasks on this node.
//
// `struct run` is the process's whole state, made once in run_shepherd() and never freed but by
// exit. Everything happens on the main thread: a callback translates into a shepherd_input, calls
// run_step(), which performs what the core decided. Files: run.c (loop, performing), peer.c (the
// agent's connection), tasks.c (fork, exec, reap), environment.c, port.c, output.c (spool),
// ending.c (kill, look, END), channel.c (what tasks report), watch.c (deadline, timers, memory),
// pmix.c (the plugin). The zygote above them: main.c, strays.c.
#pragma once

#include "agent/core/fence.h"
#include "agent/core/shepherd.h"
#include "agent/host/attempt_files.h"
#include "agent/host/cgroup.h"
#include "common/text.h"
#include "proto/frame.h"
#include "proto/muster.pb-c.h"

#include <sys/resource.h>
#include <uv.h>

struct output;  // output.c
struct channel; // channel.c
struct pmix;    // pmix.c

struct task {
    pid_t pid; // 0: not running
    struct output *streams[2];
    struct channel *channel;
    int32_t exit_code, signal;
    struct rusage usage;
    int64_t started_at_ms, ended_at_ms; // wall clock
};

struct run {
    uv_loop_t *loop;
    struct attempt_id id;
    char *run_dir, *spool_dir, *node, *work_dir; // work_dir: SPOOL/<attempt name>
    int lock_fd;
    volatile int64_t *deadline;

    struct shepherd core;
    Muster__Launch *launch; // copies, from the order
    Muster__JobSpec *spec;
    Muster__ShepherdOrder *order;
    struct task *tasks;
    int32_t tasks_count, first_rank;
    struct cgroup_host *cgroups;
    char *cgroup; // name; NULL: none
    struct pmix *pmix;
    struct fences *fences;
    bool *told; // by node index: has heard that a rank has left

    // Link to the agent.
    uv_pipe_t listener;
    uv_pipe_t *agent; // NULL: not connected
    struct frame_reader reader;

    uv_poll_t timer;
    int timer_fd;
    bool deadline_passed;
    uv_signal_t child, terminate;

    uint8_t *end; // packed FromShepherd with END, once nothing is left
    size_t end_len;
};

// Never returns.
_Noreturn void run_shepherd(const Muster__Fork *fork_order);
void run_step(struct run *r, struct shepherd_input in);

// peer.c
int peer_listen(struct run *r, struct err *err);
void peer_send(struct run *r, const Muster__FromShepherd *message);
void peer_send_bytes(struct run *r, const uint8_t *bytes, size_t len);
// The agent said something: defined in run.c.
void run_message(struct run *r, const Muster__ToShepherd *message);
void run_connected(struct run *r);
// Sends what the fences have to send, hands completed ones to PMIx.
void run_fences(struct run *r);

// tasks.c
// Forks and execs all local tasks, reports to the core.
void tasks_start(struct run *r);
void tasks_reap(struct run *r);

// environment.c: the environment of local task i; NULL-terminated, owned by the caller.
char **environment_make(struct run *r, int32_t i);
void environment_free(char **env);
// Appends NAME=value unless the list names NAME already. *env is reallocated.
void environment_default(char ***env, const char *name, const char *value);

// port.c: does a program outside the attempt listen on it, on any address of the machine?
bool port_taken(uint32_t port);

// ending.c
void ending_signal(struct run *r, int signal);
void ending_kill(struct run *r);
bool ending_empty(struct run *r);
void ending_report(struct run *r);

// watch.c
int watch_start(struct run *r, struct err *err);
// The deadline has passed.
bool watch_late(const struct run *r);
void watch_arm(struct run *r);
