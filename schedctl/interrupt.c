#include "schedctl/interrupt.h"

#include "common/check.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

volatile int interrupt_count;
static int wake_fd = -1;

static void on_signal(int signal)
{
    int saved = errno;
    uint64_t one = 1;
    (void)signal;
    interrupt_count = interrupt_count + 1;
    if (write(wake_fd, &one, sizeof one) < 0)
        errno = 0;
    errno = saved;
}

int interrupt_catch(void)
{
    struct sigaction sa = {.sa_handler = on_signal}, before;
    wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(wake_fd >= 0);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) // nohup
        sigaction(SIGHUP, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    return wake_fd;
}

void interrupt_pause(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    poll(&p, 1, ms);
}

void interrupt_clear(int fd)
{
    uint64_t n;
    if (read(fd, &n, sizeof n) < 0)
        return;
}
