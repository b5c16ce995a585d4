// Private clusters: locks, signals through them, and what `cluster up` refuses. The programs are
// stand-ins found through PATH.
#include "common/clock.h"
#include "schedctl/cores.h"
#include "schedctl/lockfile.h"
#include "schedctl/orphans.h"
#include "schedctl/private.h"
#include "tests/unit/schedctl_server.h"

#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char *in_dir(const char *name)
{
    return xasprintf("%s/%s", fake_dir, name);
}

static void write_file(const char *path, mode_t mode, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

// A process that holds the lock until a signal ends it.
static pid_t hold(const char *path)
{
    int ready[2];
    char c;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(path, O_RDWR | O_CREAT, 0600);
        flock(fd, LOCK_EX);
        dprintf(fd, "%d\n", getpid());
        close(ready[0]);
        if (write(ready[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    return pid;
}

static int status_of(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void locks(void **state)
{
    (void)state;
    AUTO_FREE char *path = in_dir("lock");
    pid_t pid = 0;
    assert_false(lockfile_held(path, &pid));
    assert_false(lockfile_signal(path, SIGTERM));
    pid_t child = hold(path);
    assert_true(lockfile_held(path, &pid));
    assert_int_equal(pid, child);
    assert_true(lockfile_signal(path, SIGTERM));
    assert_int_equal(WTERMSIG(status_of(child)), SIGTERM);
    assert_false(lockfile_held(path, NULL));
    unlink(path);
}

// A number in a file that nobody locks belongs to somebody else by now.
static void a_number_alone_is_never_signalled(void **state)
{
    (void)state;
    AUTO_FREE char *path = in_dir("lock"), *other = in_dir("other");
    AUTO(text) struct text number = {0};
    pid_t bystander = hold(other), holder;
    text_addf(&number, "%d\n", bystander);
    write_file(path, 0600, text_str(&number));
    assert_false(lockfile_signal(path, SIGKILL));
    // locked, but the text is not a process
    unlink(path);
    holder = hold(path);
    write_file(path, 0600, "-1\n");
    assert_false(lockfile_signal(path, SIGKILL));
    write_file(path, 0600, "1\n");
    assert_false(lockfile_signal(path, SIGKILL));
    write_file(path, 0600, "");
    assert_false(lockfile_signal(path, SIGKILL));
    kill(holder, SIGTERM);
    assert_int_equal(WTERMSIG(status_of(holder)), SIGTERM);
    kill(bystander, SIGTERM);
    assert_int_equal(WTERMSIG(status_of(bystander)), SIGTERM);
    unlink(path);
    unlink(other);
}

static void configuration(void **state)
{
    (void)state;
    struct private_cluster p = {.nodes = 3,
                                .cpus = 2,
                                .memory_mib = 512,
                                .gpus = 1,
                                .labels = "zone=a,spot",
                                .gpu_model = "A100"},
                           q;
    struct err err;
    AUTO_FREE char *path = in_dir("cluster.json");
    assert_int_equal(private_load(fake_dir, &q, &err), E_NOT_FOUND);
    assert_int_equal(private_save(fake_dir, &p, &err), 0);
    assert_int_equal(private_load(fake_dir, &q, &err), 0);
    assert_memory_equal(&p, &q, sizeof p);
    write_file(path, 0600, "{\"nodes\":0,\"cpus\":1,\"memory_mib\":1,\"gpus\":0}");
    assert_int_equal(private_load(fake_dir, &q, &err), E_INVALID);
    write_file(path, 0600, "{\"nodes\":1");
    assert_int_equal(private_load(fake_dir, &q, &err), E_INVALID);
    unlink(path);
}

static int up(const char *dir, char *extra, char *value)
{
    return schedctl(
        (char *[]){"schedctl", "cluster", "up", "--dir", (char *)dir, extra, value, NULL});
}

static void remove_tree(const char *dir)
{
    pid_t pid;
    char *argv[] = {(char *)"rm", (char *)"-rf", (char *)dir, NULL};
    assert_int_equal(posix_spawnp(&pid, "rm", NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(access(dir, F_OK), -1);
}

static void programs(const char *scheduler, const char *agent)
{
    AUTO_FREE char *s = in_dir("bin/muster-scheduler"), *a = in_dir("bin/muster-agent");
    write_file(s, 0700, scheduler);
    write_file(a, 0700, agent);
}

static void cores_are_shared_out(void **state)
{
    (void)state;
    assert_true(cores_here() >= 1);
    // enough of them: each node its own
    assert_int_equal(cores_first(1, 4, 2, 8), 0);
    assert_int_equal(cores_first(4, 4, 2, 8), 6);
    // too few: all beyond the machine's eight
    assert_int_equal(cores_first(1, 4, 3, 8), 8);
    assert_int_equal(cores_first(4, 4, 3, 8), 17);
    // numbers end at 1023
    assert_int_equal(cores_first(1000, 1000, 4, 8), 1020);
    assert_int_equal(cores_first(1, 1, 1024, 8), 0);
}

static void refusals(void **state)
{
    (void)state;
    AUTO_FREE char *full = in_dir("full"), *file = in_dir("full/x"), *c = in_dir("c");
    char deep[200];
    mkdir(full, 0700);
    write_file(file, 0600, "x");
    assert_int_equal(up(full, NULL, NULL), 2);
    assert_non_null(strstr(text_str(&ctl_err), "is there already and is no private cluster"));
    assert_int_equal(up(c, "--nodes", "0"), 2);
    assert_int_equal(up(c, "--memory", "3"), 2);
    snprintf(deep, sizeof deep, "%s/%0100d", fake_dir, 0);
    assert_int_equal(up(deep, NULL, NULL), 2);
    assert_non_null(strstr(text_str(&ctl_err), "and a Unix socket takes at most 107."));
    assert_int_equal(access(deep, F_OK), -1); // nothing was made
    assert_int_equal(access(c, F_OK), -1);
    remove_tree(full);
}

static void a_scheduler_that_dies(void **state)
{
    (void)state;
    AUTO_FREE char *c = in_dir("c"), *log = in_dir("c/scheduler.log");
    AUTO(text) struct text said = {0};
    programs("#!/bin/sh\necho 'muster-scheduler: cannot: no disk'\nexit 1\n",
             "#!/bin/sh\nexec sleep 1000\n");
    int64_t begin = clock_boot_ms();
    assert_int_equal(up(c, "--nodes", "2"), 6);
    assert_true(clock_boot_ms() - begin < 10000); // it did not wait for the full time
    text_addf(&said,
              "schedctl: the scheduler ended early; what was started is ended again.\n%s:\n  "
              "muster-scheduler: cannot: no disk.\n",
              log);
    assert_string_equal(text_str(&ctl_err), text_str(&said));
    // the cluster is that of two nodes from now on
    assert_int_equal(up(c, "--nodes", "3"), 2);
    assert_non_null(strstr(text_str(&ctl_err), "holds a cluster of other nodes: --nodes 2 "));
    remove_tree(c);
}

static void down(void **state)
{
    (void)state;
    AUTO_FREE char *c = in_dir("c"), *s = in_dir("c/scheduler"), *n = in_dir("c/nodes"),
                   *n1 = in_dir("c/nodes/n1"), *run = in_dir("c/nodes/n1/run"),
                   *boot = in_dir("c/nodes/n1/run/boot"), *sl = in_dir("c/scheduler/lock"),
                   *al = in_dir("c/nodes/n1/lock"), *shl = in_dir("c/nodes/n1/run/boot/x.lock");
    struct private_cluster p = {.nodes = 1, .cpus = 1, .memory_mib = 1};
    struct err err;
    assert_int_equal(SCHEDCTL("cluster", "down"), 2); // no cluster
    char *dirs[] = {c, s, n, n1, run, boot};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        assert_int_equal(mkdir(dirs[i], 0700), 0);
    assert_int_equal(private_save(c, &p, &err), 0);
    char *argv[] = {"schedctl", "cluster", "down", "--dir", c, NULL};
    assert_int_equal(schedctl(argv), 0);
    assert_non_null(strstr(text_str(&ctl_out), "was not running"));
    pid_t scheduler = hold(sl), agent = hold(al), shepherd = hold(shl);
    assert_int_equal(schedctl(argv), 0);
    assert_int_equal(WTERMSIG(status_of(agent)), SIGUSR1);
    assert_int_equal(WTERMSIG(status_of(shepherd)), SIGTERM);
    assert_int_equal(WTERMSIG(status_of(scheduler)), SIGTERM);
    remove_tree(c);
}

// A process with this MUSTER_ATTEMPT, ready when this returns.
static pid_t task(const char *token)
{
    int ready[2];
    char c;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ready[1], 1);
        close(ready[0]);
        setenv("MUSTER_ATTEMPT", token, 1);
        execl("/bin/sh", "sh", "-c", "echo; exec sleep 1000", NULL);
        _exit(127);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    return pid;
}

static void orphans(void **state)
{
    (void)state;
    char *items[] = {(char *)"/d/nodes/n1/run/b/00000000000000ab.1.lock"};
    struct private_paths locks = {items, 1};
    pid_t ours = task("0123456789abcdef-00000000000000ab-1");
    pid_t others[] = {task("0123456789abcdef-00000000000000ab-12"),
                      task("0123456789abcdef-00000000000000ac-1"),
                      task("0123456789abcdef-00000000000000ab-"), task("x"), task("")};
    assert_int_equal(orphans_kill(&locks), 1);
    assert_int_equal(WTERMSIG(status_of(ours)), SIGKILL);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        kill(others[i], SIGTERM);
        assert_int_equal(WTERMSIG(status_of(others[i])), SIGTERM);
    }
}

static int setup(void **state)
{
    if (fake_setup(state))
        return -1;
    AUTO_FREE char *bin = in_dir("bin"), *path = xasprintf("%s:%s", bin, getenv("PATH"));
    return mkdir(bin, 0700) || setenv("PATH", path, 1);
}

static int teardown(void **state)
{
    AUTO_FREE char *bin = in_dir("bin");
    remove_tree(bin);
    return fake_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locks),
        cmocka_unit_test(a_number_alone_is_never_signalled),
        cmocka_unit_test(configuration),
        cmocka_unit_test(refusals),
        cmocka_unit_test(down),
        cmocka_unit_test(orphans),
        cmocka_unit_test(cores_are_shared_out),
        cmocka_unit_test(a_scheduler_that_dies),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
