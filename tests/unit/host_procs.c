// Finding an attempt's processes, whatever they do to hide.
#include "agent/host/procs.h"
#include "common/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIDS_MAX = 256, LIFE_S = 60 }; // of what a failed test leaves behind

static bool holds(const pid_t *pids, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

static bool is_descendant(pid_t pid)
{
    pid_t pids[PIDS_MAX];
    size_t n = procs_descendants(getpid(), pids, PIDS_MAX);
    assert_true(n <= PIDS_MAX);
    return holds(pids, n, pid);
}

static void end_child(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

// The pipe's other end closes when the child has exec'ed or has written what it has to say.
static void read_pid(int fd, pid_t *ret)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 20000), 1);
    if (ret)
        assert_int_equal(read(fd, ret, sizeof *ret), sizeof *ret);
    else
        assert_int_equal(read(fd, &(char){0}, 1), 0);
    close(fd);
}

// A process that sleeps with this environment.
static pid_t sleeper(char *const env[])
{
    int pair[2];
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(LIFE_S);
        execle("/bin/sleep", "sleep", "600", (char *)NULL, env);
        _exit(127);
    }
    close(pair[1]);
    read_pid(pair[0], NULL);
    return pid;
}

// A daemon as in the books: its own session, parent gone. Returns its pid.
static pid_t daemonise(void)
{
    int pair[2];
    pid_t daemon = 0;
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork())
            _exit(0);
        setsid();
        pid_t me = getpid();
        if (write(pair[1], &me, sizeof me) != sizeof me)
            _exit(1);
        char *env[] = {(char *)"MUSTER_ATTEMPT=daemon-1", NULL};
        alarm(LIFE_S);
        execle("/bin/sleep", "sleep", "600", (char *)NULL, env);
        _exit(127);
    }
    close(pair[1]);
    struct pollfd wait = {.fd = pair[0], .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 20000), 1);
    assert_int_equal(read(pair[0], &daemon, sizeof daemon), sizeof daemon);
    read_pid(pair[0], NULL); // it has exec'ed
    assert_int_equal(waitpid(child, NULL, 0), child);
    return daemon;
}

static void the_token_is_found_as_a_whole(void **state)
{
    (void)state;
    char *const envs[][4] = {
        {"A=b", "MUSTER_ATTEMPT=c1-7-1", "Z=", NULL},
        {"MUSTER_ATTEMPT=c1-7-1", NULL},
        {"MUSTER_ATTEMPT=c1-7-11", NULL},
        {"MUSTER_ATTEMPT=c1-7-", NULL},
        {"XMUSTER_ATTEMPT=c1-7-1", "A=MUSTER_ATTEMPT=c1-7-1", NULL},
        {NULL},
    };
    pid_t pids[6], found[PIDS_MAX];
    for (int i = 0; i < 6; i++)
        pids[i] = sleeper(envs[i]);
    size_t n = procs_with_token("c1-7-1", NULL, found, PIDS_MAX);
    assert_int_equal(n, 2);
    assert_true(holds(found, n, pids[0]) && holds(found, n, pids[1]));
    assert_int_equal(procs_with_token("c1-7-1", NULL, found, 1), 2); // how many there are
    assert_int_equal(procs_with_token("c1-7-2", NULL, found, PIDS_MAX), 0);
    kill(pids[0], SIGKILL);
    siginfo_t info; // a zombie, until it is waited for
    assert_int_equal(waitid(P_PID, (id_t)pids[0], &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(procs_with_token("c1-7-1", NULL, found, PIDS_MAX), 1);
    for (int i = 0; i < 6; i++)
        end_child(pids[i]);
    assert_int_equal(procs_with_token("c1-7-1", NULL, found, PIDS_MAX), 0);
}

static void a_token_behind_a_large_environment_is_found(void **state)
{
    (void)state;
    enum { PARTS = 15, PART = 100000 }; // the kernel allows 128 KiB each, 2 MiB together
    char *env[PARTS + 2] = {NULL};
    pid_t found[PIDS_MAX];
    for (int i = 0; i < PARTS; i++) {
        env[i] = xmalloc(PART);
        memset(env[i], 'x', PART - 1);
        memcpy(env[i], "A=", 2);
        env[i][PART - 1] = 0;
    }
    env[PARTS] = (char *)"MUSTER_ATTEMPT=large-1";
    pid_t pid = sleeper(env);
    assert_int_equal(procs_with_token("large-1", NULL, found, PIDS_MAX), 1);
    assert_int_equal(found[0], pid);
    end_child(pid);
    for (int i = 0; i < PARTS; i++)
        free(env[i]);
}

static void oneself_is_left_out(void **state)
{
    (void)state;
    pid_t found[PIDS_MAX];
    setenv("MUSTER_ATTEMPT", "self-1", 1);
    char *env[] = {(char *)"MUSTER_ATTEMPT=self-1", NULL};
    pid_t pid = fork();
    if (pid == 0) {
        // Its child exec'ed with the token: it sees the child and not itself.
        pid_t child = sleeper(env);
        size_t n = procs_with_token("self-1", NULL, found, PIDS_MAX);
        kill(child, SIGKILL);
        _exit(n == 1 && found[0] == child ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    unsetenv("MUSTER_ATTEMPT");
}

static void descendants_are_found_at_any_depth(void **state)
{
    (void)state;
    int pair[2];
    pid_t deepest;
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 5; i++) {
            alarm(LIFE_S);
            if (fork())
                for (;;)
                    pause();
        }
        alarm(LIFE_S);
        pid_t me = getpid();
        if (write(pair[1], &me, sizeof me) == sizeof me)
            for (;;)
                pause();
    }
    close(pair[1]);
    read_pid(pair[0], &deepest);
    pid_t pids[PIDS_MAX];
    assert_int_equal(procs_descendants(getpid(), pids, PIDS_MAX), 6);
    assert_int_equal(procs_descendants(child, pids, PIDS_MAX), 5);
    assert_true(holds(pids, 5, deepest));
    assert_false(holds(pids, 5, child));
    assert_int_equal(procs_descendants(getpid(), pids, 2), 6);
    procs_descendants(getpid(), pids, PIDS_MAX);
    for (int i = 0; i < 6; i++)
        kill(pids[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ; // those that came to us are reaped too
    assert_int_equal(procs_descendants(getpid(), pids, PIDS_MAX), 0);
}

static void a_daemon_does_not_escape_a_subreaper(void **state)
{
    (void)state;
    pid_t pid = daemonise();
    assert_true(is_descendant(pid));
    end_child(pid); // it is ours: we may wait for it
    assert_false(is_descendant(pid));
}

static void a_daemon_that_escaped_is_found_by_its_token(void **state)
{
    (void)state;
    pid_t pids[PIDS_MAX];
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    pid_t pid = daemonise();
    assert_false(is_descendant(pid));
    assert_int_equal(procs_with_token("daemon-1", NULL, pids, PIDS_MAX), 1);
    assert_int_equal(pids[0], pid);
    kill(pid, SIGKILL);
    for (int i = 0; i < 20000 && procs_with_token("daemon-1", NULL, pids, PIDS_MAX); i++)
        poll(NULL, 0, 1);
    assert_int_equal(procs_with_token("daemon-1", NULL, pids, PIDS_MAX), 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static void a_name_that_looks_like_a_state_is_only_a_name(void **state)
{
    (void)state;
    int pair[2];
    pid_t pid, child;
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_NAME, ") Z 1 (x\n)");
        alarm(LIFE_S);
        pid_t me = getpid();
        if (write(pair[1], &me, sizeof me) == sizeof me)
            for (;;)
                pause();
    }
    close(pair[1]);
    read_pid(pair[0], &pid);
    assert_true(is_descendant(pid));
    end_child(child);
}

static void zombies_are_left_out(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_false(is_descendant(pid));
    end_child(pid);
}

static void memory_is_counted_in_kib(void **state)
{
    (void)state;
    enum { MIB = 64 };
    pid_t pids[2] = {getpid(), 0};
    long before = procs_rss_kib(pids, 1);
    char *p = mmap(NULL, MIB << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    memset(p, 1, MIB << 20);
    long more = procs_rss_kib(pids, 1) - before;
    assert_true(more > (MIB << 10) * 9 / 10 && more < (MIB << 10) * 10); // shadow memory counts
    munmap(p, MIB << 20);
    assert_int_equal(procs_rss_kib(&pids[1], 1), 0); // gone, or never there
    assert_int_equal(procs_rss_kib(NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_token_is_found_as_a_whole),
        cmocka_unit_test(a_token_behind_a_large_environment_is_found),
        cmocka_unit_test(oneself_is_left_out),
        cmocka_unit_test(descendants_are_found_at_any_depth),
        cmocka_unit_test(a_daemon_does_not_escape_a_subreaper),
        cmocka_unit_test(a_daemon_that_escaped_is_found_by_its_token),
        cmocka_unit_test(a_name_that_looks_like_a_state_is_only_a_name),
        cmocka_unit_test(zombies_are_left_out),
        cmocka_unit_test(memory_is_counted_in_kib),
    };
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
