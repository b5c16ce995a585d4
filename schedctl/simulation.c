// Running what is to be simulated: here, or a process for each policy.
#include "schedctl/simulation.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/clock.h"
#include "schedctl/interrupt.h"
#include "schedctl/progress.h"
#include "schedctl/statusline.h"
#include "simulate/svg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SHOW_EVERY_MS = 100 };

struct watch {
    struct statusline line;
    int64_t shown_ms;
    bool quiet; // one of several processes
};

static bool watch(void *arg, double part)
{
    struct watch *w = arg;
    if (!w->quiet && clock_boot_ms() - w->shown_ms >= SHOW_EVERY_MS) {
        AUTO(text) struct text t = {0};
        progress_bar(part, PROGRESS_BAR, &t);
        text_add(&t, " simulated");
        statusline_show(&w->line, text_str(&t));
        w->shown_ms = clock_boot_ms();
    }
    return interrupt_count > 0;
}

// Opened before the simulation, so that a name that cannot be written costs no time.
struct files {
    FILE *svg, *csv;
};

static int open_file(const char *path, FILE **ret, struct err *err)
{
    *ret = path ? fopen(path, "we") : NULL;
    if (path && !*ret)
        return fail(err, E_IO, "cannot write \"%s\": %m", path);
    return 0;
}

static int close_file(const char *path, FILE *f, const struct text *t, struct err *err)
{
    size_t n = f ? fwrite(text_str(t), 1, t->len, f) : 0;
    if (f && (fclose(f) || n != t->len))
        return fail(err, E_IO, "cannot write \"%s\": %m", path);
    return 0;
}

static int write_files(const struct simulation *s, const struct files *f,
                       const struct sim_result *r, const struct measures *m, struct err *err)
{
    AUTO(text) struct text svg = {0};
    AUTO(text) struct text csv = {0};
    const char *slash = strrchr(s->path, '/');
    if (f->svg)
        svg_draw(&s->nodes, r, m, slash ? slash + 1 : s->path, &svg);
    if (f->csv)
        jobs_csv(&s->trace, r, &csv);
    int rc = close_file(s->svg, f->svg, &svg, err);
    return close_file(s->csv, f->csv, &csv, rc ? NULL : err) ? E_IO : rc;
}

static double clock_s(clockid_t clock)
{
    struct timespec t;
    CHECK(clock_gettime(clock, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run_policy(const struct simulation *s, size_t i, bool quiet, struct err *err)
{
    struct watch w = {.quiet = quiet};
    struct sim_options o = s->options;
    AUTO(sim_result) struct sim_result r = {0};
    struct files files;
    if (open_file(s->svg, &files.svg, err) || open_file(s->csv, &files.csv, err))
        return E_IO;
    o.policy = s->policies[i];
    o.progress = watch;
    o.arg = &w;
    double begin_s = clock_s(CLOCK_BOOTTIME), begin_cpu_s = clock_s(CLOCK_THREAD_CPUTIME_ID);
    sim_run(&s->trace, &s->nodes, &o, &r);
    double wall_s = clock_s(CLOCK_BOOTTIME) - begin_s;
    double cpu_s = clock_s(CLOCK_THREAD_CPUTIME_ID) - begin_cpu_s;
    statusline_free(&w.line);
    measures_of(&s->trace, &s->nodes, &o, &r, wall_s, cpu_s, &s->measures[i]);
    return write_files(s, &files, &r, &s->measures[i], err);
}

// ---- several ----

struct child {
    pid_t pid;
    int fd;
};

static int begin_child(const struct simulation *s, size_t i, struct child *ret, struct err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC))
        return fail(err, E_SYSTEM, "cannot make a pipe: %m");
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return fail(err, E_SYSTEM, "cannot start a process: %m");
    }
    if (pid == 0) {
        struct err unused;
        const char *at = (const char *)&s->measures[i];
        int rc = run_policy(s, i, true, &unused);
        for (size_t left = sizeof *s->measures; !rc && left;) {
            ssize_t n = write(fds[1], at, left);
            if (n < 0 && errno != EINTR)
                _exit(1);
            at += n > 0 ? n : 0;
            left -= n > 0 ? (size_t)n : 0;
        }
        _exit(rc ? 1 : 0);
    }
    close(fds[1]);
    *ret = (struct child){pid, fds[0]};
    return 0;
}

static int finish_child(const struct simulation *s, size_t i, const struct child *c,
                        struct err *err)
{
    size_t have = 0;
    int status;
    while (have < sizeof *s->measures) {
        ssize_t n = read(c->fd, (char *)&s->measures[i] + have, sizeof *s->measures - have);
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        have += n > 0 ? (size_t)n : 0;
    }
    close(c->fd);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (have < sizeof *s->measures)
        return fail(err, E_SYSTEM, "the simulation of policy %s broke off (%s %d)",
                    s->policies[i].name, WIFSIGNALED(status) ? "signal" : "status",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return 0;
}

// As many at a time as there are processors.
static int run_all(const struct simulation *s, struct err *err)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t most = cores > 1 ? (size_t)cores : 1, begun = 0;
    AUTO_FREE struct child *children = xcalloc(s->policies_count, sizeof *children);
    AUTO(statusline) struct statusline line = {0};
    int rc = 0;
    for (size_t done = 0; done < s->policies_count; done++) {
        AUTO(text) struct text t = {0};
        for (; begun < s->policies_count && begun < done + most && !rc; begun++)
            rc = begin_child(s, begun, &children[begun], err);
        progress_bar((double)done / (double)s->policies_count, PROGRESS_BAR, &t);
        text_addf(&t, " %zu of %zu policies", done, s->policies_count);
        statusline_show(&line, text_str(&t));
        if (done >= begun)
            return rc;
        struct err *why = rc ? NULL : err; // the first failure is told
        int child_rc = finish_child(s, done, &children[done], why);
        rc = rc ? rc : child_rc;
    }
    return rc;
}

int simulation_run(struct simulation *s, struct err *err)
{
    interrupt_catch();
    s->measures = xcalloc(s->policies_count, sizeof *s->measures);
    if (s->policies_count == 1)
        return run_policy(s, 0, false, err);
    return run_all(s, err);
}

void simulation_free(struct simulation *s)
{
    trace_free(&s->trace);
    node_list_free(&s->nodes);
    free(s->policies);
    free(s->measures);
    *s = (struct simulation){0};
}
