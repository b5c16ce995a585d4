// Cgroups: on a made-up tree, what is written where; on this machine, if it lets us, that a kill
// reaches everything, a limit holds and a group goes away.
#include "agent/host/cgroup.h"
#include "common/alloc.h"
#include "common/check.h"
#include "tests/unit/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIFE_S = 60, PIDS_MAX = 64 };

struct tree {
    char root[64];
};

static void make_dirs(const struct tree *t, const char *path)
{
    AUTO_FREE char *whole = xasprintf("%s/%s", t->root, path);
    assert_int_equal(temp_dir_below(whole), 0);
}

static void put(const struct tree *t, const char *dir, const char *name, const char *text)
{
    AUTO_FREE char *path = xasprintf("%s/%s/%s", t->root, dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void expect_file(const struct tree *t, const char *dir, const char *name, const char *want)
{
    char buf[256];
    AUTO_FREE char *path = xasprintf("%s/%s/%s", t->root, dir, name);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t n = fread(buf, 1, sizeof buf - 1, f);
    fclose(f);
    buf[n] = 0;
    assert_string_equal(buf, want);
}

static int setup(void **state)
{
    struct tree *t = xcalloc(1, sizeof *t);
    snprintf(t->root, sizeof t->root, "/tmp/muster-cgroup-XXXXXX");
    *state = t;
    return temp_dir_make(t->root);
}

static int teardown(void **state)
{
    struct tree *t = *state;
    int rc = temp_dir_remove(t->root);
    free(t);
    return rc;
}

// A process that waits to be killed.
static pid_t victim(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        alarm(LIFE_S);
        for (;;)
            pause();
    }
    return pid;
}

static int end_of(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

// ---- a made-up tree ----

#define V2 "sys/fs/cgroup"
#define V2_GROUP V2 "/muster/c1/n1.a.1"

// The group's directory stands there with its files, as the kernel would make them.
static void make_v2(const struct tree *t, const char *controllers)
{
    static const char *const files[] = {"cgroup.procs", "cgroup.kill", "cgroup.subtree_control",
                                        "memory.max",   "memory.peak", "memory.swap.max",
                                        "memory.events"};
    static const char *const dirs[] = {V2, V2 "/muster", V2 "/muster/c1", V2_GROUP};
    make_dirs(t, V2_GROUP);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 7; k++)
            if (i == 3 || k < 3)
                put(t, dirs[i], files[k], "");
    put(t, V2, "cgroup.controllers", controllers);
}

static void v2_is_preferred_and_delegates_what_there_is(void **state)
{
    struct tree *t = *state;
    make_v2(t, "cpuset cpu io memory pids\n");
    make_dirs(t, V2 "/memory");
    put(t, V2 "/memory", "cgroup.procs", ""); // a v1 hierarchy beside it is not used
    struct cgroup_host *h = cgroup_host_open(t->root, "muster/c1");
    struct cgroup_features f = cgroup_features(h);
    assert_true(f.v2 && f.memory && f.pids && f.freezer && f.kill);
    assert_string_equal(f.detail, "cgroup v2: memory pids freezer cpu");
    expect_file(t, V2, "cgroup.subtree_control", "+memory +pids");
    expect_file(t, V2 "/muster", "cgroup.subtree_control", "+memory +pids");
    expect_file(t, V2 "/muster/c1", "cgroup.subtree_control", "+memory +pids");
    cgroup_host_close(h);
    put(t, V2, "cgroup.controllers", "pids\n");
    h = cgroup_host_open(t->root, "muster/c1");
    f = cgroup_features(h);
    assert_true(f.v2 && !f.memory && f.pids && f.kill);
    cgroup_host_close(h);
}

static void v2_limits_kills_and_counts(void **state)
{
    struct tree *t = *state;
    struct err err;
    pid_t pids[PIDS_MAX];
    make_v2(t, "memory pids\n");
    struct cgroup_host *h = cgroup_host_open(t->root, "muster/c1");
    assert_int_equal(cgroup_make(h, "n1.a.1", 100, geteuid(), &err), 0);
    expect_file(t, V2_GROUP, "memory.max", "104857600");
    expect_file(t, V2_GROUP, "memory.swap.max", "0");
    assert_int_equal(cgroup_enter(h, "n1.a.1"), 0);
    expect_file(t, V2_GROUP, "cgroup.procs", "0");
    put(t, V2_GROUP, "cgroup.procs", "12\n345\n6789\n");
    assert_int_equal(cgroup_members(h, "n1.a.1", pids, PIDS_MAX), 3);
    assert_int_equal(pids[0], 12);
    assert_int_equal(pids[2], 6789);
    assert_int_equal(cgroup_members(h, "n1.a.1", pids, 1), 3);
    assert_int_equal(cgroup_members(h, "n1.b.1", pids, PIDS_MAX), 0);
    cgroup_kill(h, "n1.a.1");
    expect_file(t, V2_GROUP, "cgroup.kill", "1");
    put(t, V2_GROUP, "memory.events", "low 0\nhigh 3\nmax 9\noom 2\noom_kill 4\n");
    put(t, V2_GROUP, "memory.peak", "73400320\n");
    assert_int_equal(cgroup_oom_kills(h, "n1.a.1"), 4);
    assert_int_equal(cgroup_peak_mib(h, "n1.a.1"), 70);
    assert_int_equal(cgroup_oom_kills(h, "n1.b.1"), -1);
    assert_int_equal(cgroup_peak_mib(h, "n1.b.1"), -1);
    cgroup_host_close(h);
}

static void parts_of_cores_are_weights(void **state)
{
    struct tree *t = *state;
    struct err err;
    static const char group[] = "sys/fs/cgroup/cpu/muster/c1/n1.a.1";
    static const struct {
        int64_t milli;
        const char *v1, *v2;
    } weights[] = {
        {500, "512", "50"}, {1500, "1536", "150"}, {1, "2", "1"}, {1000000, "262144", "10000"}};
    make_dirs(t, group);
    make_dirs(t, "sys/fs/cgroup/pids");
    put(t, "sys/fs/cgroup/cpu", "cgroup.procs", "");
    put(t, "sys/fs/cgroup/pids", "cgroup.procs", "");
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        put(t, group, "cpu.shares", "");
        struct cgroup_host *h = cgroup_host_open(t->root, "muster/c1");
        assert_string_equal(cgroup_features(h).detail, "cgroup v1: pids cpu");
        assert_int_equal(cgroup_make(h, "n1.a.1", 0, geteuid(), &err), 0);
        cgroup_weigh(h, "n1.a.1", weights[i].milli, false, geteuid());
        expect_file(t, group, "cpu.shares", ""); // its cores are its own
        cgroup_weigh(h, "n1.a.1", weights[i].milli, true, geteuid());
        expect_file(t, group, "cpu.shares", weights[i].v1);
        cgroup_host_close(h);
    }
    make_v2(t, "cpuset cpu memory pids\n");
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        put(t, V2_GROUP, "cpu.weight", "");
        struct cgroup_host *h = cgroup_host_open(t->root, "muster/c1");
        cgroup_weigh(h, "n1.a.1", weights[i].milli, false, geteuid());
        expect_file(t, V2_GROUP, "cpu.weight", weights[i].v2);
        cgroup_host_close(h);
    }
    make_v2(t, "cpuset memory pids\n");
    struct cgroup_host *h = cgroup_host_open(t->root, "muster/c1");
    assert_false(cgroup_features(h).cpu);
    cgroup_host_close(h);
}

static void a_limit_that_cannot_be_set_is_an_error(void **state)
{
    struct tree *t = *state;
    struct err err;
    make_v2(t, "memory pids\n");
    struct cgroup_host *h = cgroup_host_open(t->root, "muster/c1");
    // The made-up tree makes no files in a fresh directory.
    assert_int_equal(cgroup_make(h, "n1.b.1", 100, geteuid(), &err), E_IO);
    assert_non_null(strstr(err.message, "cannot limit the memory"));
    assert_int_equal(cgroup_make(h, "n1.c.1", 0, geteuid(), &err), 0);
    assert_int_equal(cgroup_remove(h, "n1.c.1"), 0);
    assert_int_equal(cgroup_remove(h, "n1.c.1"), 0);  // gone already
    assert_int_equal(cgroup_remove(h, "n1.a.1"), -1); // not empty
    cgroup_host_close(h);
}

static void without_cgroup_kill_every_member_is_killed(void **state)
{
    struct tree *t = *state;
    char list[64];
    make_v2(t, "memory pids\n");
    AUTO_FREE char *file = xasprintf("%s/" V2_GROUP "/cgroup.kill", t->root);
    assert_int_equal(unlink(file), 0); // kernels before 5.14
    pid_t a = victim(), b = victim(), other = victim();
    snprintf(list, sizeof list, "%d\n%d\n", (int)a, (int)b);
    put(t, V2_GROUP, "cgroup.procs", list);
    struct cgroup_host *h = cgroup_host_open(t->root, "muster/c1");
    cgroup_kill(h, "n1.a.1");
    assert_int_equal(end_of(a), SIGKILL);
    assert_int_equal(end_of(b), SIGKILL);
    assert_int_equal(kill(other, SIGTERM), 0);
    assert_int_equal(end_of(other), SIGTERM);
    cgroup_host_close(h);
}

static void v1_uses_each_controller_that_there_is(void **state)
{
    struct tree *t = *state;
    struct err err;
    char list[64];
    static const char memory[] = "sys/fs/cgroup/memory/muster/c1/n1.a.1";
    static const char freezer[] = "sys/fs/cgroup/freezer/muster/c1/n1.a.1";
    make_dirs(t, memory);
    make_dirs(t, freezer);
    put(t, "sys/fs/cgroup/memory", "cgroup.procs", "");
    put(t, "sys/fs/cgroup/freezer", "cgroup.procs", "");
    put(t, memory, "memory.limit_in_bytes", "");
    put(t, memory, "memory.max_usage_in_bytes", "5242880\n");
    put(t, memory, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    put(t, memory, "cgroup.procs", "");
    put(t, freezer, "freezer.state", "");
    pid_t a = victim();
    snprintf(list, sizeof list, "%d\n", (int)a);
    put(t, freezer, "cgroup.procs", list);
    struct cgroup_host *h = cgroup_host_open(t->root, "muster/c1");
    struct cgroup_features f = cgroup_features(h);
    assert_true(!f.v2 && f.memory && !f.pids && f.freezer && f.kill);
    assert_string_equal(f.detail, "cgroup v1: memory freezer");
    assert_int_equal(cgroup_make(h, "n1.a.1", 3, geteuid(), &err), 0);
    expect_file(t, memory, "memory.limit_in_bytes", "3145728");
    cgroup_kill(h, "n1.a.1");
    assert_int_equal(end_of(a), SIGKILL);
    // It was frozen in between; the made-up file holds the last word over the first.
    expect_file(t, freezer, "freezer.state", "THAWED");
    assert_int_equal(cgroup_oom_kills(h, "n1.a.1"), 2);
    assert_int_equal(cgroup_peak_mib(h, "n1.a.1"), 5);
    cgroup_host_close(h);
}

static void the_last_one_out_takes_the_base_away(void **state)
{
    struct tree *t = *state;
    struct err err;
    AUTO_FREE char *base = xasprintf("%s/sys/fs/cgroup/pids/muster/c1", t->root);
    AUTO_FREE char *above = xasprintf("%s/sys/fs/cgroup/pids/muster", t->root);
    AUTO_FREE char *top = xasprintf("%s/sys/fs/cgroup/pids", t->root);
    make_dirs(t, "sys/fs/cgroup/pids");
    put(t, "sys/fs/cgroup/pids", "cgroup.procs", "");
    struct cgroup_host *a = cgroup_host_open(t->root, "muster/c1");
    struct cgroup_host *b = cgroup_host_open(t->root, "muster/c1");
    assert_int_equal(cgroup_make(a, "n1.a.1", 0, geteuid(), &err), 0);
    cgroup_host_retire(b);
    assert_int_equal(access(base, F_OK), 0); // a group stands there
    assert_int_equal(cgroup_remove(a, "n1.a.1"), 0);
    cgroup_host_retire(b);
    assert_int_not_equal(access(above, F_OK), 0);
    assert_int_equal(access(top, F_OK), 0);
    assert_int_equal(cgroup_make(a, "n1.b.1", 0, geteuid(), &err), 0); // made again
    assert_int_equal(cgroup_remove(a, "n1.b.1"), 0);
    cgroup_host_retire(a);
    assert_int_not_equal(access(above, F_OK), 0);
    cgroup_host_close(a);
    cgroup_host_close(b);
}

static void nothing_usable_is_no_error(void **state)
{
    struct tree *t = *state;
    struct err err;
    pid_t pids[4];
    struct cgroup_host *h = cgroup_host_open(t->root, "muster/c1");
    struct cgroup_features f = cgroup_features(h);
    assert_false(f.v2 || f.memory || f.pids || f.freezer || f.kill);
    assert_memory_equal(f.detail, "none", 4);
    assert_int_equal(cgroup_make(h, "n1.a.1", 100, geteuid(), &err), 0);
    assert_int_equal(cgroup_enter(h, "n1.a.1"), 0);
    assert_int_equal(cgroup_members(h, "n1.a.1", pids, 4), 0);
    cgroup_kill(h, "n1.a.1");
    assert_int_equal(cgroup_oom_kills(h, "n1.a.1"), -1);
    assert_int_equal(cgroup_remove(h, "n1.a.1"), 0);
    cgroup_host_close(h);
    make_dirs(t, V2); // mounted, and not ours to use
    put(t, V2, "cgroup.procs", "");
    h = cgroup_host_open(t->root, "muster/c1");
    f = cgroup_features(h);
    assert_false(f.v2 || f.memory);
    cgroup_host_close(h);
    cgroup_host_close(NULL);
}

// ---- this machine ----

static struct cgroup_host *live_host(char base[64])
{
    snprintf(base, 64, "muster-test/%d", (int)getpid());
    return cgroup_host_open("", base);
}

static void close_live(struct cgroup_host *h, const char *base)
{
    static const char *const tops[] = {"", "/memory", "/freezer", "/pids"};
    cgroup_host_close(h);
    for (size_t i = 0; i < 4; i++) {
        AUTO_FREE char *own = xasprintf("/sys/fs/cgroup%s/%s", tops[i], base);
        AUTO_FREE char *above = xasprintf("/sys/fs/cgroup%s/muster-test", tops[i]);
        rmdir(own);
        rmdir(above); // unless another test uses it
    }
}

// Enters the group and grows a family: a daemon in its own session, and one that forks on.
static void be_unruly(struct cgroup_host *h, int fd)
{
    if (cgroup_enter(h, "a"))
        _exit(1);
    for (int i = 0; i < 4; i++) {
        alarm(LIFE_S);
        if (fork() == 0)
            setsid();
    }
    alarm(LIFE_S);
    signal(SIGTERM, SIG_IGN);
    if (write(fd, "x", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static void a_kill_reaches_everything_in_the_group(void **state)
{
    (void)state;
    char base[64], said[16];
    struct err err;
    pid_t pids[PIDS_MAX];
    int pair[2];
    struct cgroup_host *h = live_host(base);
    if (!cgroup_features(h).kill) {
        close_live(h, base);
        print_message("skipped: no cgroup that can be killed here\n");
        skip();
    }
    assert_int_equal(cgroup_make(h, "a", 0, geteuid(), &err), 0);
    assert_int_equal(cgroup_members(h, "a", pids, PIDS_MAX), 0);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    pid_t first = fork();
    if (first == 0)
        be_unruly(h, pair[1]);
    for (size_t got = 0; got < 16;) {
        struct pollfd wait = {.fd = pair[0], .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 20000), 1);
        got += (size_t)read(pair[0], said, sizeof said);
    }
    size_t n = cgroup_members(h, "a", pids, PIDS_MAX);
    assert_int_equal(n, 16);
    assert_int_equal(cgroup_remove(h, "a"), -1); // it is not empty
    cgroup_kill(h, "a");
    assert_int_equal(end_of(first), SIGKILL);
    for (int i = 0; i < 20000 && cgroup_members(h, "a", pids, PIDS_MAX); i++)
        poll(NULL, 0, 1);
    assert_int_equal(cgroup_members(h, "a", pids, PIDS_MAX), 0);
    for (int i = 0; i < 20000 && cgroup_remove(h, "a"); i++)
        poll(NULL, 0, 1);
    assert_int_equal(cgroup_remove(h, "a"), 0);
    close(pair[0]);
    close(pair[1]);
    close_live(h, base);
}

static void a_group_made_inside_the_group_is_no_way_out(void **state)
{
    (void)state;
    char base[64], x;
    struct err err;
    pid_t pids[PIDS_MAX];
    int pair[2];
    struct cgroup_host *h = live_host(base);
    if (!cgroup_features(h).kill) {
        close_live(h, base);
        print_message("skipped: no cgroup that can be killed here\n");
        skip();
    }
    assert_int_equal(cgroup_make(h, "c", 0, geteuid(), &err), 0);
    assert_int_equal(cgroup_make(h, "c/own/deep", 0, geteuid(), &err), 0);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(LIFE_S);
        if (cgroup_enter(h, "c/own/deep") || write(pair[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(pair[1]);
    assert_int_equal(read(pair[0], &x, 1), 1);
    close(pair[0]);
    assert_int_equal(cgroup_members(h, "c", pids, PIDS_MAX), 1);
    assert_int_equal(pids[0], pid);
    cgroup_kill(h, "c");
    assert_int_equal(end_of(pid), SIGKILL);
    for (int i = 0; i < 20000 && cgroup_remove(h, "c"); i++)
        poll(NULL, 0, 1);
    assert_int_equal(cgroup_remove(h, "c"), 0);
    close_live(h, base);
}

static void check_birth(struct cgroup_host *h)
{
    char x;
    struct err err;
    pid_t pids[PIDS_MAX];
    int pair[2];
    CHECK(cgroup_make(h, "d", 0, geteuid(), &err) == 0);
    CHECK(pipe2(pair, O_CLOEXEC) == 0);
    pid_t pid = cgroup_fork(h, "d");
    if (pid == 0) {
        alarm(LIFE_S);
        if (write(pair[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(pair[1]);
    CHECK(read(pair[0], &x, 1) == 1);
    close(pair[0]);
    CHECK(cgroup_members(h, "d", pids, PIDS_MAX) == 1 && pids[0] == pid);
    cgroup_kill(h, "d");
    CHECK(end_of(pid) == SIGKILL);
    for (int i = 0; i < 20000 && cgroup_remove(h, "d"); i++)
        poll(NULL, 0, 1);
    pid = cgroup_fork(h, NULL);
    if (pid == 0)
        _exit(7);
    CHECK(end_of(pid) == -7);
}

static void a_child_is_born_in_its_group(void **state)
{
    (void)state;
    char base[64];
    struct cgroup_host *h = live_host(base);
    if (!cgroup_features(h).kill) {
        close_live(h, base);
        print_message("skipped: no cgroup that can be killed here\n");
        skip();
    }
    check_birth(h);
    close_live(h, base);
}

// Wherever v1 is what is mounted: in a mount namespace of its own.
static void v2_births_under(const char *root)
{
    char base[64], path[512];
    snprintf(path, sizeof path, "%s/sys/fs/cgroup", root);
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", path, "cgroup2", 0, NULL))
        _exit(77);
    snprintf(base, sizeof base, "muster-test/v2-%d", (int)getpid());
    struct cgroup_host *h = cgroup_host_open(root, base);
    CHECK(cgroup_features(h).v2);
    check_birth(h);
    cgroup_host_retire(h);
    cgroup_host_close(h);
    _exit(0);
}

enum { OTHER_USER = 1234 };

// What the shepherd of another user does: waits for the word, joins, bears a task.
static void be_shepherd(const char *root, const char *base, const char *tasks, int word, int answer)
{
    char byte;
    pid_t pid;
    alarm(LIFE_S);
    CHECK(setresgid(OTHER_USER, OTHER_USER, OTHER_USER) == 0);
    CHECK(setresuid(OTHER_USER, OTHER_USER, OTHER_USER) == 0);
    struct cgroup_host *early = cgroup_host_join(root, base, tasks);
    CHECK(!cgroup_features(early).v2); // not yet: it could not bear a task there
    cgroup_host_close(early);
    CHECK(read(word, &byte, 1) == 1);
    struct cgroup_host *h = cgroup_host_join(root, base, tasks);
    CHECK(cgroup_features(h).v2);
    pid = cgroup_fork(h, tasks);
    CHECK(pid >= 0);
    if (pid == 0) {
        pause();
        _exit(0);
    }
    CHECK(write(answer, &pid, sizeof pid) == sizeof pid);
    CHECK(read(word, &byte, 1) == 1);
    cgroup_kill(h, tasks);
    CHECK(end_of(pid) == SIGKILL);
    CHECK(cgroup_members(h, tasks, NULL, 0) == 0);
    pause(); // until it is put aside and ended
}

static void v2_of_another_user_under(const char *root)
{
    char base[64], path[512];
    int word[2], answer[2];
    pid_t task, found;
    struct err err;
    snprintf(path, sizeof path, "%s/sys/fs/cgroup", root);
    for (char *at = path + strlen(root); at; at = strchr(at + 1, '/')) {
        AUTO_FREE char *above = xstrndup(path, (size_t)(at - path));
        chmod(above, 0755);
    }
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", path, "cgroup2", 0, NULL))
        _exit(77);
    snprintf(base, sizeof base, "muster-test/v2-%d", (int)getpid());
    struct cgroup_host *h = cgroup_host_open(root, base);
    CHECKF(cgroup_make(h, "d", 0, OTHER_USER, &err) == 0, "%s", err.message);
    AUTO_FREE char *tasks = cgroup_tasks(h, "d", OTHER_USER);
    CHECK(pipe(word) == 0 && pipe(answer) == 0);
    alarm(LIFE_S);
    pid_t shepherd = fork();
    if (shepherd == 0)
        be_shepherd(root, base, tasks, word[0], answer[1]);
    close(answer[1]);
    poll(NULL, 0, 50);
    cgroup_adopt(h, "d", shepherd);
    CHECK(write(word[1], "g", 1) == 1);
    CHECK(read(answer[0], &task, sizeof task) == sizeof task);
    CHECK(cgroup_members(h, tasks, &found, 1) == 1 && found == task);
    CHECK(cgroup_members(h, "d", NULL, 0) == 2); // and the shepherd
    CHECK(write(word[1], "k", 1) == 1);
    for (int i = 0; i < 20000 && cgroup_members(h, tasks, NULL, 0); i++)
        poll(NULL, 0, 1);
    CHECK(cgroup_remove(h, "d") == 0); // while the shepherd lives
    kill(shepherd, SIGKILL);
    CHECK(end_of(shepherd) == SIGKILL);
    for (int i = 0; i < 20000 && cgroup_members(h, "leaving", NULL, 0); i++)
        poll(NULL, 0, 1);
    cgroup_host_retire(h);
    AUTO_FREE char *left = xasprintf("%s/%s", path, base);
    CHECK(access(left, F_OK) != 0); // nothing is left
    cgroup_host_close(h);
    _exit(0);
}

static void tasks_of_another_user_are_in_their_v2_group(void **state)
{
    struct tree *t = *state;
    if (geteuid()) {
        print_message("skipped: only root has other users' tasks\n");
        skip();
    }
    make_dirs(t, V2);
    pid_t pid = fork();
    if (pid == 0)
        v2_of_another_user_under(t->root);
    int code = end_of(pid);
    if (code == -77) {
        print_message("skipped: cgroup v2 cannot be mounted here\n");
        skip();
    }
    assert_int_equal(code, 0);
}

static void a_child_is_born_in_its_v2_group(void **state)
{
    struct tree *t = *state;
    make_dirs(t, V2);
    pid_t pid = fork();
    if (pid == 0)
        v2_births_under(t->root);
    int code = end_of(pid);
    if (code == -77) {
        print_message("skipped: cgroup v2 cannot be mounted here\n");
        skip();
    }
    assert_int_equal(code, 0);
}

static void use_too_much(struct cgroup_host *h)
{
    enum { BYTES = 256 << 20 };
    alarm(LIFE_S);
    if (cgroup_enter(h, "b"))
        _exit(1);
    char *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; p != MAP_FAILED && i < BYTES; i += 4096)
        p[i] = 1;
    _exit(3);
}

static void a_memory_limit_holds_and_is_counted(void **state)
{
    (void)state;
    char base[64];
    struct err err;
    struct cgroup_host *h = live_host(base);
    if (!cgroup_features(h).memory) {
        close_live(h, base);
        print_message("skipped: no memory controller here\n");
        skip();
    }
    assert_int_equal(cgroup_make(h, "b", 32, geteuid(), &err), 0);
    assert_int_equal(cgroup_oom_kills(h, "b"), 0);
    pid_t pid = fork();
    if (pid == 0)
        use_too_much(h);
    assert_int_equal(end_of(pid), SIGKILL);
    assert_int_equal(cgroup_oom_kills(h, "b"), 1);
    int64_t peak = cgroup_peak_mib(h, "b");
    assert_true(peak == -1 || (peak >= 28 && peak <= 33));
    for (int i = 0; i < 20000 && cgroup_remove(h, "b"); i++)
        poll(NULL, 0, 1);
    assert_int_equal(cgroup_remove(h, "b"), 0);
    close_live(h, base);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(v2_is_preferred_and_delegates_what_there_is),
        STORY(v2_limits_kills_and_counts),
        STORY(tasks_of_another_user_are_in_their_v2_group),
        STORY(parts_of_cores_are_weights),
        STORY(a_limit_that_cannot_be_set_is_an_error),
        STORY(without_cgroup_kill_every_member_is_killed),
        STORY(v1_uses_each_controller_that_there_is),
        STORY(the_last_one_out_takes_the_base_away),
        STORY(nothing_usable_is_no_error),
        cmocka_unit_test(a_kill_reaches_everything_in_the_group),
        cmocka_unit_test(a_group_made_inside_the_group_is_no_way_out),
        cmocka_unit_test(a_child_is_born_in_its_group),
        STORY(a_child_is_born_in_its_v2_group),
        cmocka_unit_test(a_memory_limit_holds_and_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
