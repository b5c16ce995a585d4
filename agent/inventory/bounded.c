#include "agent/inventory/bounded.h"

#include "common/alloc.h"
#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void answer_from_child(int fd, void (*ask)(void *, void *), void *arg, size_t size)
{
    char *answer = xcalloc(1, size);
    ask(arg, answer);
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, answer + done, size - done);
        if (n < 0)
            _exit(1);
        done += (size_t)n;
    }
    _exit(0);
}

static bool read_all(int fd, char *to, size_t size, int timeout_ms)
{
    int64_t end_ms = clock_boot_ms() + timeout_ms;
    size_t done = 0;
    while (done < size) {
        int64_t left_ms = end_ms - clock_boot_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left_ms <= 0 || (poll(&p, 1, (int)left_ms) < 0 && errno != EINTR))
            return false;
        if (!p.revents)
            continue;
        ssize_t n = read(fd, to + done, size - done);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

bool bounded_ask(void (*ask)(void *arg, void *answer), void *arg, void *answer, size_t size,
                 int timeout_ms)
{
    int ends[2];
    if (pipe(ends))
        return false;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        answer_from_child(ends[1], ask, arg, size);
    }
    close(ends[1]);
    char *copy = xcalloc(1, size);
    bool answered = child > 0 && read_all(ends[0], copy, size, timeout_ms);
    close(ends[0]);
    if (answered)
        memcpy(answer, copy, size);
    free(copy);
    if (child > 0) {
        kill(child, SIGKILL);
        // One in an uninterruptible wait is left to init, which reaps it after the agent.
        waitpid(child, NULL, answered ? 0 : WNOHANG);
    }
    return answered;
}
