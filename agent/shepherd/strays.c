#include "agent/shepherd/strays.h"

#include "agent/host/procs.h"
#include "common/alloc.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN_MAX = 32768 };

int strays_init(struct strays *s)
{
    *s = (struct strays){0};
    return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void strays_fini(struct strays *s)
{
    free(s->shepherds);
    *s = (struct strays){0};
}

void strays_add(struct strays *s, pid_t shepherd)
{
    VEC_RESERVE(s->shepherds, s->count, s->cap);
    s->shepherds[s->count++] = shepherd;
}

static bool is_shepherd(const struct strays *s, pid_t pid)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->shepherds[i] == pid)
            return true;
    return false;
}

static bool forget(struct strays *s, pid_t pid)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->shepherds[i] == pid) {
            s->shepherds[i] = s->shepherds[--s->count];
            return true;
        }
    return false;
}

// Whoever dies here leaves its own children to us, and a SIGCHLD that brings us back.
static void kill_strays(const struct strays *s)
{
    AUTO_FREE pid_t *pids = xcalloc(CHILDREN_MAX, sizeof *pids);
    size_t n = procs_children(getpid(), pids, CHILDREN_MAX);
    for (size_t i = 0; i < n && i < CHILDREN_MAX; i++)
        if (!is_shepherd(s, pids[i]))
            kill(pids[i], SIGKILL);
}

void strays_reap(struct strays *s)
{
    int status;
    pid_t pid;
    bool look = false;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        look |= !forget(s, pid) || status != 0; // one that leaves with 0 leaves nobody
    if (look)
        kill_strays(s);
}
