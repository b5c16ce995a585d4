#include "agent/host/cgroup.h"

#include "common/alloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// The hierarchies an attempt's group lives in. v2 has one; v1 one for each controller.
enum hierarchy { UNIFIED, MEMORY, FREEZER, PIDS, CPU, HIERARCHY_COUNT };

enum { DEPTH_MAX = 32 }; // of groups that tasks make in theirs

static const char *const v1_names[HIERARCHY_COUNT] = {
    [MEMORY] = "memory", [FREEZER] = "freezer", [PIDS] = "pids", [CPU] = "cpu"};
// Below the group of another user in v2; and, in the base, where shepherds go that are to leave.
static const char tasks_leaf[] = "/tasks", shepherd_leaf[] = "/shepherd", leaving[] = "leaving";

struct cgroup_host {
    char *below;                 // the base group's name
    char *top[HIERARCHY_COUNT];  // where the hierarchy is mounted
    char *base[HIERARCHY_COUNT]; // path of the base group; NULL: not usable
    struct cgroup_features features;
};

static int write_file(const char *dir, const char *name, const char *value)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
        return -1;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, value, strlen(value));
    close(fd);
    return n < 0 ? -1 : 0;
}

static bool read_file(const char *dir, const char *name, char *buf, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, buf, size - 1);
    close(fd);
    buf[n > 0 ? n : 0] = 0;
    return n >= 0;
}

// Makes DIR and what is missing above it, down from `top`.
static bool make_below(const char *top, const char *below, const char *control)
{
    static const char cpu[] = "+cpu"; // alone: it may be refused where the others are not
    char path[4096];
    snprintf(path, sizeof path, "%s", top);
    for (const char *p = below; *p;) {
        if (control) {
            write_file(path, "cgroup.subtree_control", cpu);
            write_file(path, "cgroup.subtree_control", control);
        }
        size_t len = strcspn(p, "/"), at = strlen(path);
        snprintf(path + at, sizeof path - at, "/%.*s", (int)len, p);
        if (mkdir(path, 0755) && errno != EEXIST)
            return false;
        p += len + (p[len] == '/');
    }
    return access(path, W_OK) == 0;
}

static bool is_hierarchy(const char *path)
{
    char probe[4096];
    snprintf(probe, sizeof probe, "%s/cgroup.procs", path);
    return access(probe, F_OK) == 0;
}

static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += len)
        if ((at == list || at[-1] == ' ') && (!at[len] || strchr(" \n", at[len])))
            return true;
    return false;
}

// Attempts that share cores are together no less beside the machine's own programs than they were
// without groups.
static void weigh_base(const struct cgroup_host *h, const char *base)
{
    char value[32];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(value, sizeof value, "%ld", 1024 * (cpus < 1 ? 1 : cpus > 256 ? 256 : cpus));
    AUTO_FREE char *path = xasprintf("%s/%s", h->top[CPU], base);
    for (; strlen(path) > strlen(h->top[CPU]); *strrchr(path, '/') = 0)
        write_file(path, "cpu.shares", value);
}

static void open_v2(struct cgroup_host *h, const char *root, const char *base)
{
    AUTO_FREE char *top = xasprintf("%s/sys/fs/cgroup", root);
    char controllers[256];
    if (!is_hierarchy(top) ||
        !read_file(top, "cgroup.controllers", controllers, sizeof controllers))
        return;
    bool memory = strstr(controllers, "memory"), pids = strstr(controllers, "pids");
    const char *control = memory && pids ? "+memory +pids"
                          : memory       ? "+memory"
                          : pids         ? "+pids"
                                         : NULL;
    if (!make_below(top, base, control))
        return;
    h->base[UNIFIED] = xasprintf("%s/%s", top, base);
    h->top[UNIFIED] = TAKE(top);
    bool cpu = control && write_file(h->base[UNIFIED], "cgroup.subtree_control", "+cpu") == 0 &&
               has_word(controllers, "cpu");
    if (control)
        write_file(h->base[UNIFIED], "cgroup.subtree_control", control);
    h->features = (struct cgroup_features){
        .v2 = true, .memory = memory, .pids = pids, .freezer = true, .cpu = cpu, .kill = true};
}

static void open_v1(struct cgroup_host *h, const char *root, const char *base)
{
    for (int i = MEMORY; i < HIERARCHY_COUNT; i++) {
        AUTO_FREE char *top = xasprintf("%s/sys/fs/cgroup/%s", root, v1_names[i]);
        if (!is_hierarchy(top) || !make_below(top, base, NULL))
            continue;
        h->base[i] = xasprintf("%s/%s", top, base);
        h->top[i] = TAKE(top);
    }
    if (h->base[CPU])
        weigh_base(h, base);
    h->features.memory = h->base[MEMORY];
    h->features.pids = h->base[PIDS];
    h->features.cpu = h->base[CPU];
    h->features.freezer = h->features.kill = h->base[FREEZER];
}

static bool may_write(const char *path, const char *file)
{
    AUTO_FREE char *full = xasprintf("%s/%s", path, file);
    return access(full, W_OK) == 0;
}

// Where this process was put by the agent; NAME/shepherd beside NAME/tasks.
static bool is_adopted(const char *base, const char *tasks)
{
    char own[4096];
    const char *slash = strrchr(tasks, '/');
    if (!slash || strcmp(slash, tasks_leaf) != 0)
        return true; // one group for both, of one user
    AUTO_FREE char *want =
        xasprintf("/%s/%.*s%s", base, (int)(slash - tasks), tasks, shepherd_leaf);
    return read_file("/proc/self", "cgroup", own, sizeof own) && strstr(own, want);
}

static void join_v2(struct cgroup_host *h, const char *root, const char *base, const char *tasks)
{
    AUTO_FREE char *top = xasprintf("%s/sys/fs/cgroup", root);
    AUTO_FREE char *group = xasprintf("%s/%s/%s", top, base, tasks);
    if (!may_write(group, "cgroup.procs") || !is_adopted(base, tasks))
        return;
    h->base[UNIFIED] = xasprintf("%s/%s", top, base);
    h->top[UNIFIED] = TAKE(top);
    AUTO_FREE char *memory = xasprintf("%s/memory.max", group);
    h->features = (struct cgroup_features){
        .v2 = true, .memory = access(memory, F_OK) == 0, .freezer = true, .kill = true};
}

static void join_v1(struct cgroup_host *h, const char *root, const char *base, const char *tasks)
{
    for (int i = MEMORY; i < HIERARCHY_COUNT; i++) {
        AUTO_FREE char *top = xasprintf("%s/sys/fs/cgroup/%s", root, v1_names[i]);
        AUTO_FREE char *group = xasprintf("%s/%s/%s", top, base, tasks);
        if (!may_write(group, "cgroup.procs"))
            continue;
        h->base[i] = xasprintf("%s/%s", top, base);
        h->top[i] = TAKE(top);
    }
    h->features.memory = h->base[MEMORY];
    h->features.pids = h->base[PIDS];
    h->features.cpu = h->base[CPU];
    h->features.freezer = h->features.kill = h->base[FREEZER];
}

struct cgroup_host *cgroup_host_join(const char *root, const char *base, const char *tasks)
{
    struct cgroup_host *h = xcalloc(1, sizeof *h);
    h->below = xstrdup(base);
    join_v2(h, root, base, tasks);
    if (!h->base[UNIFIED])
        join_v1(h, root, base, tasks);
    return h;
}

struct cgroup_host *cgroup_host_open(const char *root, const char *base)
{
    struct cgroup_host *h = xcalloc(1, sizeof *h);
    h->below = xstrdup(base);
    open_v2(h, root, base);
    if (!h->base[UNIFIED])
        open_v1(h, root, base);
    const struct cgroup_features *f = &h->features;
    if (!f->memory && !f->freezer && !f->pids)
        snprintf(h->features.detail, sizeof h->features.detail,
                 "none: tasks are found by their parent and environment, memory is watched");
    else
        snprintf(h->features.detail, sizeof h->features.detail, "cgroup %s:%s%s%s%s",
                 f->v2 ? "v2" : "v1", f->memory ? " memory" : "", f->pids ? " pids" : "",
                 f->freezer ? " freezer" : "", f->cpu ? " cpu" : "");
    return h;
}

void cgroup_host_close(struct cgroup_host *h)
{
    if (!h)
        return;
    for (int i = 0; i < HIERARCHY_COUNT; i++) {
        free(h->base[i]);
        free(h->top[i]);
    }
    free(h->below);
    free(h);
}

void cgroup_host_retire(struct cgroup_host *h)
{
    AUTO_FREE char *aside =
        h && h->base[UNIFIED] ? xasprintf("%s/%s", h->base[UNIFIED], leaving) : NULL;
    if (aside)
        rmdir(aside);
    for (int i = 0; h && i < HIERARCHY_COUNT; i++) {
        AUTO_FREE char *path = h->base[i] ? xstrdup(h->base[i]) : NULL;
        while (path && strlen(path) > strlen(h->top[i]) && rmdir(path) == 0)
            *strrchr(path, '/') = 0;
    }
}

struct cgroup_features cgroup_features(const struct cgroup_host *h)
{
    return h->features;
}

static bool group_path(const struct cgroup_host *h, int i, const char *name, char ret[4096])
{
    return h->base[i] && (size_t)snprintf(ret, 4096, "%s/%s", h->base[i], name) < 4096;
}

static void give(const char *path, uid_t uid)
{
    static const char *const files[] = {
        "", "/cgroup.procs", "/tasks", "/freezer.state", "/cgroup.kill", "/cgroup.freeze"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        AUTO_FREE char *file = xasprintf("%s%s", path, files[i]);
        if (chown(file, uid, (gid_t)-1))
            continue; // absent in this version
    }
}

// Another agent of this machine that retires may take the base away in between: once more then.
static bool make_group(const struct cgroup_host *h, int i, const char *name)
{
    const char *control = h->features.v2 && h->features.memory ? "+memory" : NULL;
    for (int tries = 0; tries < 5; tries++)
        if (make_below(h->top[i], h->below, control) && make_below(h->base[i], name, control))
            return true;
    return false;
}

static bool is_split(const struct cgroup_host *h, uid_t uid)
{
    return h->base[UNIFIED] && uid != geteuid();
}

char *cgroup_tasks(const struct cgroup_host *h, const char *name, uid_t uid)
{
    return xasprintf("%s%s", name, is_split(h, uid) ? tasks_leaf : "");
}

void cgroup_adopt(struct cgroup_host *h, const char *name, pid_t shepherd)
{
    char pid[16];
    if (!h->base[UNIFIED])
        return;
    AUTO_FREE char *path = xasprintf("%s/%s%s", h->base[UNIFIED], name, shepherd_leaf);
    snprintf(pid, sizeof pid, "%d", (int)shepherd);
    write_file(path, "cgroup.procs", pid); // not there: there is one user
}

// The shepherd that has not gone yet is put aside, so that its group can go.
static void put_aside(const struct cgroup_host *h, const char *name)
{
    char pid[16];
    if (!h->base[UNIFIED])
        return;
    AUTO_FREE char *from = xasprintf("%s/%s%s/cgroup.procs", h->base[UNIFIED], name, shepherd_leaf);
    AUTO_FREE char *to = xasprintf("%s/%s", h->base[UNIFIED], leaving);
    FILE *f = fopen(from, "re");
    for (int n; f && fscanf(f, "%d", &n) == 1;) {
        mkdir(to, 0755);
        snprintf(pid, sizeof pid, "%d", n);
        write_file(to, "cgroup.procs", pid);
    }
    if (f)
        fclose(f);
}

static int make_split(struct cgroup_host *h, const char *name, uid_t uid, struct err *err)
{
    static const char *const leaves[] = {shepherd_leaf, tasks_leaf};
    AUTO_FREE char *path = xasprintf("%s/%s", h->base[UNIFIED], name);
    AUTO_FREE char *procs = xasprintf("%s/cgroup.procs", path);
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        AUTO_FREE char *leaf = xasprintf("%s%s", name, leaves[i]);
        AUTO_FREE char *full = xasprintf("%s%s", path, leaves[i]);
        if (!make_group(h, UNIFIED, leaf))
            return fail(err, E_IO, "cannot make the cgroup \"%s\": %m", full);
        give(full, uid);
    }
    if (chown(procs, uid, (gid_t)-1))
        return fail(err, E_IO, "cannot give \"%s\" to user %u: %m", procs, uid);
    return 0;
}

int cgroup_make(struct cgroup_host *h, const char *name, int64_t memory_mib, uid_t uid,
                struct err *err)
{
    char path[4096], limit[32];
    AUTO_FREE char *tasks = cgroup_tasks(h, name, uid);
    snprintf(limit, sizeof limit, "%" PRId64, memory_mib << 20);
    if (is_split(h, uid) && make_split(h, name, uid, err))
        return E_IO;
    for (int i = 0; i < CPU; i++) {
        if (!group_path(h, i, tasks, path))
            continue;
        if (!make_group(h, i, tasks))
            return fail(err, E_IO, "cannot make the cgroup \"%s\": %m", path);
        if (memory_mib && i == UNIFIED && h->features.memory) {
            write_file(path, "memory.swap.max", "0");
            if (write_file(path, "memory.max", limit))
                return fail(err, E_IO, "cannot limit the memory of \"%s\": %m", path);
        }
        if (memory_mib && i == MEMORY) {
            if (write_file(path, "memory.limit_in_bytes", limit))
                return fail(err, E_IO, "cannot limit the memory of \"%s\": %m", path);
            write_file(path, "memory.memsw.limit_in_bytes", limit);
        }
        if (uid != geteuid())
            give(path, uid);
    }
    return 0;
}

// cpu.weight is 1 .. 10000, 100 by itself; cpu.shares 2 .. 262144, 1024 by itself.
static int64_t weight(int64_t cpu_milli, int64_t one, int64_t least, int64_t most)
{
    int64_t w = cpu_milli * one / 1000;
    return w < least ? least : w > most ? most : w;
}

void cgroup_weigh(struct cgroup_host *h, const char *name, int64_t cpu_milli, bool shared,
                  uid_t uid)
{
    char path[4096], value[32];
    AUTO_FREE char *tasks = cgroup_tasks(h, name, uid);
    if (group_path(h, UNIFIED, tasks, path)) {
        snprintf(value, sizeof value, "%" PRId64, weight(cpu_milli, 100, 1, 10000));
        write_file(path, "cpu.weight", value);
    } else if (shared && group_path(h, CPU, tasks, path) && make_group(h, CPU, tasks)) {
        snprintf(value, sizeof value, "%" PRId64, weight(cpu_milli, 1024, 2, 262144));
        write_file(path, "cpu.shares", value);
        if (uid != geteuid())
            give(path, uid);
    }
}

// A process that moves waits for an RCU grace period, some 10 to 20 ms; a thread that moves itself
// does not, and the caller has one thread. v2 can only move processes, but they can be born there.
static int enter(const char *path, bool v1)
{
    if (v1 && write_file(path, "tasks", "0") == 0)
        return 0;
    return write_file(path, "cgroup.procs", "0");
}

int cgroup_enter(struct cgroup_host *h, const char *name)
{
    char path[4096];
    int rc = 0;
    for (int i = 0; i < HIERARCHY_COUNT; i++)
        if (group_path(h, i, name, path) && enter(path, i != UNIFIED) && i != CPU)
            rc = -1; // of cpu there may be none
    return rc;
}

static pid_t fork_into(const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    struct clone_args how = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD};
    how.cgroup = (unsigned)dir;
    pid_t pid = (pid_t)syscall(SYS_clone3, &how, sizeof how);
    if (pid)
        close(dir);
    return pid;
}

pid_t cgroup_fork(struct cgroup_host *h, const char *name)
{
    char path[4096];
    pid_t pid = -1;
    if (name && group_path(h, UNIFIED, name, path))
        pid = fork_into(path);
    if (pid >= 0)
        return pid;
    pid = fork(); // v1, or a kernel before 5.7
    if (pid == 0 && name)
        cgroup_enter(h, name);
    return pid;
}

static bool is_subgroup(const struct dirent *d)
{
    return d->d_type == DT_DIR && strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

// Members of the group at path and of those that tasks made below it.
static size_t members_below(const char *path, int depth, pid_t *ret, size_t n, size_t max)
{
    AUTO_FREE char *file = xasprintf("%s/cgroup.procs", path);
    FILE *f = fopen(file, "re");
    int pid;
    while (f && fscanf(f, "%d", &pid) == 1) {
        if (n < max)
            ret[n] = pid;
        n++;
    }
    if (f)
        fclose(f);
    DIR *dir = depth < DEPTH_MAX ? opendir(path) : NULL;
    struct dirent *d;
    while (dir && (d = readdir(dir)))
        if (is_subgroup(d)) {
            AUTO_FREE char *below = xasprintf("%s/%s", path, d->d_name);
            n = members_below(below, depth + 1, ret, n, max);
        }
    if (dir)
        closedir(dir);
    return n;
}

size_t cgroup_members(struct cgroup_host *h, const char *name, pid_t *ret, size_t max)
{
    char path[4096];
    int i = h->base[UNIFIED] ? UNIFIED : h->base[FREEZER] ? FREEZER : h->base[PIDS] ? PIDS : MEMORY;
    return group_path(h, i, name, path) ? members_below(path, 0, ret, 0, max) : 0;
}

void cgroup_kill(struct cgroup_host *h, const char *name)
{
    char path[4096];
    if (group_path(h, UNIFIED, name, path) && write_file(path, "cgroup.kill", "1") == 0)
        return;
    bool frozen = group_path(h, FREEZER, name, path);
    if (frozen)
        write_file(path, "freezer.state", "FROZEN");
    enum { KILL_MAX = 65536 };
    AUTO_FREE pid_t *pids = xcalloc(KILL_MAX, sizeof *pids);
    size_t n = cgroup_members(h, name, pids, KILL_MAX);
    for (size_t i = 0; i < n && i < KILL_MAX; i++)
        kill(pids[i], SIGKILL);
    if (frozen)
        write_file(path, "freezer.state", "THAWED");
}

static int64_t number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at ? strtoll(at + strlen(key), NULL, 10) : -1;
}

int64_t cgroup_oom_kills(struct cgroup_host *h, const char *name)
{
    char path[4096], buf[512];
    if (group_path(h, UNIFIED, name, path) && read_file(path, "memory.events", buf, sizeof buf))
        return number_after(buf, "oom_kill ");
    if (group_path(h, MEMORY, name, path) && read_file(path, "memory.oom_control", buf, sizeof buf))
        return number_after(buf, "oom_kill ");
    return -1;
}

int64_t cgroup_peak_mib(struct cgroup_host *h, const char *name)
{
    char path[4096], buf[64];
    if ((group_path(h, UNIFIED, name, path) && read_file(path, "memory.peak", buf, sizeof buf)) ||
        (group_path(h, MEMORY, name, path) &&
         read_file(path, "memory.max_usage_in_bytes", buf, sizeof buf)))
        return strtoll(buf, NULL, 10) >> 20;
    return -1;
}

static int remove_below(const char *path, int depth)
{
    DIR *dir = depth < DEPTH_MAX ? opendir(path) : NULL;
    struct dirent *d;
    while (dir && (d = readdir(dir)))
        if (is_subgroup(d)) {
            AUTO_FREE char *below = xasprintf("%s/%s", path, d->d_name);
            remove_below(below, depth + 1);
        }
    if (dir)
        closedir(dir);
    return rmdir(path) && errno != ENOENT ? -1 : 0;
}

int cgroup_remove(struct cgroup_host *h, const char *name)
{
    char path[4096];
    int rc = 0;
    put_aside(h, name);
    for (int i = 0; i < HIERARCHY_COUNT; i++)
        if (group_path(h, i, name, path) && remove_below(path, 0))
            rc = -1;
    return rc;
}
