// What a killed shepherd leaves: daemons that fled from session, parent and environment end all the
// same; what belongs to a shepherd that lives is not touched.
#include "agent/shepherd/strays.h"

#include "agent/host/procs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIFE_S = 60, DAEMONS = 3 };

static _Noreturn void sleep_on(void)
{
    signal(SIGTERM, SIG_IGN);
    alarm(LIFE_S);
    for (;;)
        pause();
}

// Two forks and two sessions away from its parent.
static void flee(void)
{
    if (fork() != 0)
        return;
    setsid();
    if (fork() != 0)
        _exit(0);
    setsid();
    clearenv();
    sleep_on();
}

static pid_t shepherd(int ready)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < DAEMONS; i++)
        flee();
    for (int i = 0; i < DAEMONS; i++)
        waitpid(-1, NULL, 0); // those between
    if (write(ready, "x", 1) != 1)
        _exit(1);
    sleep_on();
}

static pid_t start_shepherd(struct strays *s)
{
    int ready[2];
    char byte;
    if (pipe(ready))
        _exit(2);
    pid_t pid = shepherd(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        _exit(3);
    close(ready[0]);
    close(ready[1]);
    strays_add(s, pid);
    return pid;
}

static void take_signal(struct strays *s, const sigset_t *set)
{
    struct timespec limit = {.tv_sec = 5};
    if (sigtimedwait(set, NULL, &limit) < 0)
        _exit(4); // nothing ends
    strays_reap(s);
}

// The zygote of the test. Exits 0 when all is as it should be.
static _Noreturn void zygote(void)
{
    struct strays s;
    sigset_t set;
    pid_t pids[16];
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (strays_init(&s))
        _exit(5);
    pid_t killed = start_shepherd(&s), lives = start_shepherd(&s);
    kill(killed, SIGKILL);
    while (procs_children(getpid(), pids, 16) != 1)
        take_signal(&s, &set);
    if (pids[0] != lives || procs_descendants(lives, pids, 16) != DAEMONS)
        _exit(6);
    kill(lives, SIGKILL);
    while (!procs_no_child())
        take_signal(&s, &set);
    strays_fini(&s);
    _exit(0);
}

static void what_a_killed_shepherd_leaves_ends(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0)
        zygote();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_killed_shepherd_leaves_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
