#include "scheduler/shell/copy.h"

#include "common/alloc.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COPIES_MAX = 4, WAITING_MAX = 64, COPY_MS = 30000, CHUNK = 65536 };

struct copy {
    struct server *server;
    uint64_t handle;
    copy_question *question;
    void *arg;
    void (*free_arg)(void *arg);
    copy_then *then; // NULL: the client is answered
    pid_t pid;       // 0: not yet forked, or already reaped
    uint64_t batch;  // of the state it shows
    bool complete;   // all that it will ever write has been read
    bool late;
    struct text answer; // the status, an int, then the body
    uv_pipe_t pipe;
    uv_timer_t timer;
    int handles; // of libuv's still open
    TAILQ_ENTRY(copy) link;
};

static TAILQ_HEAD(, copy) copies = TAILQ_HEAD_INITIALIZER(copies);
static size_t forked_count, all_count;

static void copy_free(struct copy *q)
{
    if (q->arg)
        q->free_arg(q->arg);
    text_free(&q->answer);
    free(q);
}

static void on_closed(uv_handle_t *handle)
{
    struct copy *q = handle->data;
    if (--q->handles == 0)
        copy_free(q);
}

static void copy_end(struct copy *q)
{
    TAILQ_REMOVE(&copies, q, link);
    all_count--;
    if (!q->handles) {
        copy_free(q);
        return;
    }
    uv_close((uv_handle_t *)&q->pipe, on_closed);
    uv_close((uv_handle_t *)&q->timer, on_closed);
}

static void copy_answer(struct copy *q)
{
    int status = 0;
    if (q->answer.len > sizeof status)
        memcpy(&status, text_str(&q->answer), sizeof status);
    if (q->late)
        api_error(q->server, q->handle, 503, "timeout",
                  "the answer took too long to work out and was given up",
                  "Ask again when the scheduler is less busy.");
    else if (!status)
        api_error(q->server, q->handle, 500, "failed", "the answer could not be worked out", "");
    else if (status == 200 && q->then)
        q->then(q->server, q->handle, TAKE(q->arg), text_str(&q->answer) + sizeof status);
    else
        http_answer(q->server, q->handle, status, "application/json", NULL,
                    xmemdup(text_str(&q->answer) + sizeof status, q->answer.len - sizeof status),
                    q->answer.len - sizeof status);
    copy_end(q);
}

void copies_release(struct server *s)
{
    struct copy *q, *next;
    TAILQ_FOREACH_SAFE(q, &copies, link, next)
    if (q->complete && q->batch <= s->turn.durable)
        copy_answer(q);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char chunk[CHUNK];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(chunk, sizeof chunk);
}

static void copy_complete(struct copy *q)
{
    if (q->complete)
        return;
    uv_read_stop((uv_stream_t *)&q->pipe);
    uv_timer_stop(&q->timer);
    kill(q->pid, SIGKILL); // it has said all, or is late
    while (waitpid(q->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    q->pid = 0;
    q->complete = true;
    forked_count--;
    copies_release(q->server);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct copy *q = stream->data;
    if (n > 0)
        text_add_bytes(&q->answer, buf->base, (size_t)n);
    else if (n < 0)
        copy_complete(q);
}

static void on_late(uv_timer_t *timer)
{
    struct copy *q = timer->data;
    q->late = true;
    copy_complete(q);
}

// ---- the child ----

static void write_all(int fd, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            _exit(1);
        p += n;
        len -= (size_t)n;
    }
}

// Of the parent's only the memory stays: no descriptor, no handler; and it must not outlive it.
static void leave_parent(pid_t parent, int fd)
{
    static const char first_to_go[] = "1000";
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    prctl(PR_SET_NAME, "muster-copy");
    if (fd > 3)
        close_range(3, (unsigned)fd - 1, 0);
    close_range((unsigned)fd + 1, ~0U, 0);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    setpriority(PRIO_PROCESS, 0, 10);
    int oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (oom >= 0 && write(oom, first_to_go, sizeof first_to_go - 1) < 0)
        close(oom);
}

static void __attribute__((noreturn)) run_child(struct copy *q, pid_t parent, int fd)
{
    struct text body = {0};
    leave_parent(parent, fd);
    int status = q->question(q->server, q->arg, &body);
    write_all(fd, &status, sizeof status);
    write_all(fd, text_str(&body), body.len);
    _exit(0);
}

static void __attribute__((noreturn))
run_trial(struct cluster *c, copy_trial *trial, const void *arg, int fd)
{
    struct text said = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    trial(c, arg, &said);
    write_all(fd, text_str(&said), said.len);
    _exit(0);
}

bool copy_try(struct cluster *c, copy_trial *trial, const void *arg, struct text *ret)
{
    char chunk[4096];
    int fds[2], status = -1;
    ssize_t n;
    if (pipe2(fds, O_CLOEXEC))
        return false;
    // One thread is left, so no lock needs libc's care; and libuv's own handler of fork() would
    // close descriptors by numbers that are no longer its own.
    pid_t pid = _Fork();
    if (pid == 0)
        run_trial(c, trial, arg, fds[1]);
    close(fds[1]);
    while (pid > 0 && ((n = read(fds[0], chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0)
            text_add_bytes(ret, chunk, (size_t)n);
    close(fds[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// ---- the parent ----

static void copy_watch(struct copy *q, int fd)
{
    struct server *s = q->server;
    uv_pipe_init(s->loop, &q->pipe, 0);
    uv_timer_init(s->loop, &q->timer);
    q->pipe.data = q->timer.data = q;
    q->handles = 2;
    uv_pipe_open(&q->pipe, fd);
    uv_read_start((uv_stream_t *)&q->pipe, on_alloc, on_read);
    uv_timer_start(&q->timer, on_late, COPY_MS, 0);
}

static void copy_fork(struct copy *q)
{
    struct server *s = q->server;
    pid_t parent = getpid();
    int fds[2];
    q->batch = s->turn.submitted + (s->turn.dirty ? 1 : 0);
    bool piped = pipe2(fds, O_CLOEXEC) == 0;
    pid_t pid = piped ? fork() : -1;
    if (pid == 0)
        run_child(q, parent, fds[1]);
    if (piped)
        close(fds[1]);
    if (pid < 0) {
        if (piped)
            close(fds[0]);
        log_error("copy", "fork", "%m");
        api_error(s, q->handle, 503, "busy", "no process could be made to work the answer out",
                  "See the scheduler's log; its machine is short of memory or processes.");
        copy_end(q);
        return;
    }
    q->pid = pid;
    forked_count++;
    copy_watch(q, fds[0]);
}

void copies_fork(struct server *s)
{
    struct copy *q, *next;
    (void)s;
    TAILQ_FOREACH_SAFE(q, &copies, link, next)
    {
        if (forked_count >= COPIES_MAX)
            return;
        if (q->handles || q->complete)
            continue;
        if (http_request(q->server, q->handle))
            copy_fork(q);
        else
            copy_end(q); // the client left
    }
}

void copy_ask_then(struct server *s, uint64_t handle, copy_question *question, void *arg,
                   void (*free_arg)(void *arg), copy_then *then)
{
    if (all_count >= WAITING_MAX) {
        api_error(s, handle, 503, "busy", "too many questions of this kind wait for an answer",
                  "Try again in a moment.");
        if (arg)
            free_arg(arg);
        return;
    }
    struct copy *q = xcalloc(1, sizeof *q);
    q->server = s;
    q->handle = handle;
    q->question = question;
    q->arg = arg;
    q->free_arg = free_arg;
    q->then = then;
    TAILQ_INSERT_TAIL(&copies, q, link);
    all_count++;
}

void copy_ask(struct server *s, uint64_t handle, copy_question *question, void *arg)
{
    copy_ask_then(s, handle, question, arg, free, NULL);
}
