// The tasks: fork, bind, exec; and their deaths.
#include "agent/shepherd/channel.h"
#include "agent/shepherd/output.h"
#include "agent/shepherd/pmix.h"
#include "agent/shepherd/run.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/coreset.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// Everything the child needs, made before the fork: the child only makes system calls.
struct start {
    char **argv, **env;
    const char *cwd;
    int out, err, channel, report; // report: errno of what failed, close-on-exec
    pid_t parent;
    bool bind;
    cpu_set_t cpus;
    struct cgroup_host *cgroups;
    const char *cgroup;
};

struct failure {
    int32_t what; // 1 cwd, 2 exec
    int32_t error;
};

// An agent that the kernel shall spare passes that on to its children. Tasks are the first to go.
static void lose_oom_protection(void)
{
    char score[16] = "";
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, score, sizeof score - 1);
    if (n > 0 && score[0] == '-')
        n = pwrite(fd, "0", 1, 0);
    close(fd);
}

static void reset_signals(void)
{
    sigset_t none;
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void child_fail(const struct start *st, int what)
{
    struct failure f = {what, errno};
    ssize_t ignored = write(st->report, &f, sizeof f);
    (void)ignored;
    _exit(127);
}

// The streams and the report channel in their places; nothing else is passed on.
static void place_descriptors(struct start *st)
{
    int null = open("/dev/null", O_RDONLY);
    st->report = fcntl(st->report, F_DUPFD_CLOEXEC, CHANNEL_FD + 1); // out of the way
    dup2(null, 0);
    dup2(st->out, 1);
    dup2(st->err, 2);
    if (st->channel == CHANNEL_FD)
        fcntl(CHANNEL_FD, F_SETFD, 0);
    else
        dup2(st->channel, CHANNEL_FD);
    close_range(CHANNEL_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC);
}

static _Noreturn void child(struct start *st)
{
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != st->parent)
        _exit(127);
    if (st->bind)
        sched_setaffinity(0, sizeof st->cpus, &st->cpus);
    lose_oom_protection();
    reset_signals();
    place_descriptors(st);
    if (chdir(st->cwd))
        child_fail(st, 1);
    environ = st->env;
    execvp(st->argv[0], st->argv);
    child_fail(st, 2);
}

static int open_streams(struct run *r, int32_t i, struct start *st, struct err *err)
{
    uint32_t rank = (uint32_t)(r->first_rank + i);
    struct task *t = &r->tasks[i];
    int rc = output_open(r->loop, r->work_dir, rank, "out", r->spec->output_limit, &t->streams[0],
                         &st->out, err);
    if (rc)
        return rc;
    rc = output_open(r->loop, r->work_dir, rank, "err", r->spec->output_limit, &t->streams[1],
                     &st->err, err);
    if (rc) {
        close(st->out);
        return rc;
    }
    rc = channel_open(r, i, &t->channel, &st->channel, err);
    if (rc) {
        close(st->out);
        close(st->err);
    }
    return rc;
}

static void choose_cpus(struct run *r, int32_t i, struct start *st)
{
    struct coreset pus;
    if ((size_t)i >= r->order->n_task_cpus || !*r->order->task_cpus[i] ||
        coreset_parse(r->order->task_cpus[i], "cpus", &pus, NULL))
        return;
    CPU_ZERO(&st->cpus);
    for (unsigned c = coreset_next(&pus, 0); c < CORESET_MAX; c = coreset_next(&pus, c + 1))
        CPU_SET(c, &st->cpus);
    st->bind = true;
}

static char **argv_of(const Muster__JobSpec *spec)
{
    char **argv = xcalloc(spec->n_argv + 1, sizeof *argv);
    memcpy(argv, spec->argv, spec->n_argv * sizeof *argv);
    return argv;
}

// Waits until the child has exec'ed (the report pipe closes) or said what failed.
static int await_exec(struct run *r, int report, struct err *err)
{
    struct failure f;
    ssize_t n;
    do
        n = read(report, &f, sizeof f);
    while (n < 0 && errno == EINTR);
    if (n != sizeof f)
        return 0;
    errno = f.error;
    if (f.what == 1)
        return fail(err, E_NOT_FOUND, "cannot enter the directory \"%s\": %m", r->spec->cwd);
    return fail(err, E_NOT_FOUND, "cannot execute \"%s\": %m", r->spec->argv[0]);
}

static int spawn(struct run *r, int32_t i, struct start *st, struct err *err)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC))
        return fail(err, E_SYSTEM, "cannot make a pipe: %m");
    st->report = report[1];
    pid_t pid = cgroup_fork(st->cgroups, st->cgroup);
    if (pid == 0)
        child(st);
    close(report[1]);
    int rc = pid < 0 ? fail(err, E_SYSTEM, "cannot fork: %m") : 0;
    if (pid > 0) {
        r->tasks[i].pid = pid;
        r->tasks[i].started_at_ms = clock_wall_ms();
        rc = await_exec(r, report[0], err);
    }
    close(report[0]);
    return rc;
}

static int start_task(struct run *r, int32_t i, struct err *err)
{
    struct start st = {.cwd = *r->spec->cwd ? r->spec->cwd : "/",
                       .parent = getpid(),
                       .cgroups = r->cgroups,
                       .cgroup = r->cgroup};
    int rc = open_streams(r, i, &st, err);
    if (rc)
        return rc;
    choose_cpus(r, i, &st);
    st.argv = argv_of(r->spec);
    st.env = environment_make(r, i);
    rc = r->pmix ? pmix_task(r->pmix, i, &st.env, err) : 0;
    if (rc == 0)
        rc = spawn(r, i, &st, err);
    close(st.out);
    close(st.err);
    close(st.channel);
    free(st.argv);
    environment_free(st.env);
    return rc;
}

void tasks_start(struct run *r)
{
    struct err err;
    for (int32_t i = 0; i < r->tasks_count; i++)
        if (start_task(r, i, &err)) {
            run_step(r, (struct shepherd_input){.kind = SHEPHERD_IN_START_FAILED,
                                                .detail = err.message});
            return;
        }
    run_step(r, (struct shepherd_input){.kind = SHEPHERD_IN_STARTED});
}

static int32_t task_of(const struct run *r, pid_t pid)
{
    for (int32_t i = 0; i < r->tasks_count; i++)
        if (r->tasks[i].pid == pid)
            return i;
    return -1;
}

// The kernel may have killed a child of the task, which then ends by itself.
static void check_memory(struct run *r, int32_t i)
{
    int64_t limit = r->launch->memory_mib_per_task * r->tasks_count;
    if (!r->tasks[i].exit_code || !limit || !r->cgroup ||
        cgroup_oom_kills(r->cgroups, r->cgroup) <= 0)
        return;
    run_step(r, (struct shepherd_input){.kind = SHEPHERD_IN_OUT_OF_MEMORY,
                                        .task = i,
                                        .used_mib = cgroup_peak_mib(r->cgroups, r->cgroup),
                                        .limit_mib = limit});
}

static void task_ended(struct run *r, int32_t i, int status)
{
    struct task *t = &r->tasks[i];
    t->pid = 0;
    t->ended_at_ms = clock_wall_ms();
    t->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    t->exit_code = t->signal ? 128 + t->signal : WEXITSTATUS(status);
    output_drain(t->streams[0]);
    output_drain(t->streams[1]);
    channel_drain(t->channel);
    check_memory(r, i);
    if (r->pmix)
        pmix_take(r->pmix);
    run_step(r, (struct shepherd_input){.kind = SHEPHERD_IN_TASK_EXIT,
                                        .task = i,
                                        .exit_code = t->signal ? 0 : t->exit_code,
                                        .signal = t->signal});
}

void tasks_reap(struct run *r)
{
    int status;
    struct rusage usage;
    pid_t pid;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
        int32_t i = task_of(r, pid);
        if (i < 0)
            continue; // a daemon that was left to us
        r->tasks[i].usage = usage;
        task_ended(r, i, status);
    }
}
