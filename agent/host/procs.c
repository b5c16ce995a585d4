#include "agent/host/procs.h"

#include "common/alloc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct proc {
    pid_t pid, parent;
    bool zombie, found;
};

// pid, state and parent of one process; false if it is gone.
static bool read_stat(const char *pid, struct proc *ret)
{
    char path[64], buf[512];
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, buf, sizeof buf - 1);
    close(fd);
    if (n <= 0)
        return false;
    buf[n] = 0;
    char *after = strrchr(buf, ')'); // the name may hold anything
    char state;
    int parent;
    if (!after || sscanf(after + 1, " %c %d", &state, &parent) != 2)
        return false;
    *ret = (struct proc){.pid = (pid_t)strtol(pid, NULL, 10),
                         .parent = parent,
                         .zombie = state == 'Z' || state == 'X'};
    return true;
}

static struct proc *read_all(size_t *ret_count)
{
    size_t count = 0, cap = 0;
    struct proc *all = NULL;
    DIR *dir = opendir("/proc");
    struct dirent *d;
    while (dir && (d = readdir(dir))) {
        if (!isdigit((unsigned char)d->d_name[0]))
            continue;
        VEC_RESERVE(all, count, cap);
        count += read_stat(d->d_name, &all[count]);
    }
    if (dir)
        closedir(dir);
    *ret_count = count;
    return all;
}

static bool mark_children(struct proc *all, size_t count, pid_t ancestor)
{
    bool more = false;
    for (size_t i = 0; i < count; i++) {
        if (all[i].found || all[i].pid == ancestor)
            continue;
        bool child = all[i].parent == ancestor;
        for (size_t k = 0; k < count && !child; k++)
            child = all[k].found && all[k].pid == all[i].parent;
        all[i].found = child;
        more |= child;
    }
    return more;
}

// By looking at every process: for kernels without the lists of children.
static size_t scan_descendants(pid_t ancestor, pid_t *ret, size_t max)
{
    size_t count, n = 0;
    struct proc *all = read_all(&count);
    while (mark_children(all, count, ancestor))
        ;
    for (size_t i = 0; i < count; i++)
        if (all[i].found && !all[i].zombie) {
            if (n < max)
                ret[n] = all[i].pid;
            n++;
        }
    free(all);
    return n;
}

struct pid_list {
    pid_t *at;
    size_t count, cap;
};

static void add_children_of_thread(pid_t pid, const char *thread, struct pid_list *l)
{
    char path[96];
    int child;
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)pid, thread);
    FILE *f = fopen(path, "re");
    while (f && fscanf(f, "%d", &child) == 1) {
        VEC_RESERVE(l->at, l->count, l->cap);
        l->at[l->count++] = child;
    }
    if (f)
        fclose(f);
}

static void add_children(pid_t pid, struct pid_list *l)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    struct dirent *d;
    while (dir && (d = readdir(dir)))
        if (isdigit((unsigned char)d->d_name[0]))
            add_children_of_thread(pid, d->d_name, l);
    if (dir)
        closedir(dir);
}

// The kernel lists a task's children (CONFIG_PROC_CHILDREN, proc(5)). A list read while its
// processes fork and end may miss some: whoever kills looks again until nothing is left, and the
// last look finds a quiet family.
static size_t list_descendants(pid_t ancestor, pid_t *ret, size_t max)
{
    struct pid_list l = {0};
    struct proc p;
    size_t n = 0;
    add_children(ancestor, &l);
    for (size_t i = 0; i < l.count; i++) {
        char pid[16];
        snprintf(pid, sizeof pid, "%d", (int)l.at[i]);
        add_children(l.at[i], &l);
        if (!read_stat(pid, &p) || p.zombie)
            continue;
        if (n < max)
            ret[n] = l.at[i];
        n++;
    }
    free(l.at);
    return n;
}

static bool has_lists(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    return access(path, R_OK) == 0;
}

size_t procs_descendants(pid_t ancestor, pid_t *ret, size_t max)
{
    return has_lists(ancestor) ? list_descendants(ancestor, ret, max)
                               : scan_descendants(ancestor, ret, max);
}

static void scan_children(pid_t parent, struct pid_list *l)
{
    size_t count;
    struct proc *all = read_all(&count);
    for (size_t i = 0; i < count; i++)
        if (all[i].parent == parent) {
            VEC_RESERVE(l->at, l->count, l->cap);
            l->at[l->count++] = all[i].pid;
        }
    free(all);
}

size_t procs_children(pid_t parent, pid_t *ret, size_t max)
{
    struct pid_list l = {0};
    if (has_lists(parent))
        add_children(parent, &l);
    else
        scan_children(parent, &l);
    size_t n = l.count < max ? l.count : max;
    if (n)
        memcpy(ret, l.at, n * sizeof *ret);
    n = l.count;
    free(l.at);
    return n;
}

bool procs_no_child(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

static bool has_variable(const char *env, size_t len, const char *variable)
{
    size_t want = strlen(variable);
    for (size_t i = 0; i + want <= len;) {
        size_t end = i + strnlen(env + i, len - i);
        if (end - i == want && memcmp(env + i, variable, want) == 0)
            return true;
        i = end + 1;
    }
    return false;
}

// Of one attempt, and not on another of this machine's nodes.
static bool is_own(const char *env, size_t len, const char *variable, const char *node)
{
    static const char name[] = "MUSTER_NODE=";
    if (!has_variable(env, len, variable))
        return false;
    for (size_t i = 0; node && i < len; i += strnlen(env + i, len - i) + 1)
        if (len - i >= sizeof name && strncmp(env + i, name, sizeof name - 1) == 0)
            return strncmp(env + i + sizeof name - 1, node, len - i - sizeof name + 1) == 0;
    return true;
}

static bool carries(pid_t pid, const char *variable, const char *node)
{
    enum { ENV_MAX = 8 << 20 }; // the kernel allows 6 MiB
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    AUTO_FREE char *env = xmalloc(ENV_MAX);
    size_t len = 0;
    ssize_t n;
    while (len < ENV_MAX && (n = read(fd, env + len, ENV_MAX - len)) > 0)
        len += (size_t)n;
    close(fd);
    return is_own(env, len, variable, node);
}

size_t procs_with_token(const char *token, const char *node, pid_t *ret, size_t max)
{
    AUTO_FREE char *variable = xasprintf("MUSTER_ATTEMPT=%s", token);
    size_t count, n = 0;
    struct proc *all = read_all(&count);
    for (size_t i = 0; i < count; i++)
        if (!all[i].zombie && all[i].pid != getpid() && carries(all[i].pid, variable, node)) {
            if (n < max)
                ret[n] = all[i].pid;
            n++;
        }
    free(all);
    return n;
}

long procs_rss_kib(const pid_t *pids, size_t count)
{
    long total = 0, page_kib = sysconf(_SC_PAGESIZE) / 1024;
    for (size_t i = 0; i < count; i++) {
        char path[64];
        long size, resident;
        snprintf(path, sizeof path, "/proc/%d/statm", (int)pids[i]);
        FILE *f = fopen(path, "re");
        if (f && fscanf(f, "%ld %ld", &size, &resident) == 2)
            total += resident * page_kib;
        if (f)
            fclose(f);
    }
    return total;
}
