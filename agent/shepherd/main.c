// muster-shepherd: started by the agent as a zygote; every shepherd is a fork of it.
//
// The zygote stays small and single-threaded, and loads nothing that a plain job does not need, so
// that a fork costs little. fd 3 is its SOCK_SEQPACKET link to the agent: one Fork message a
// packet. When the agent goes, the zygote takes no more orders and goes with its last shepherd.
#include "agent/host/procs.h"
#include "agent/shepherd/run.h"
#include "agent/shepherd/strays.h"

#include "common/alloc.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AGENT_FD = 3, FORK_MAX = 64 << 10 };

static struct {
    char *begin;
    size_t size;
} title;

// `ps` shows which attempt a shepherd is for; the program's name stays in front.
static void set_title(const Muster__Fork *f)
{
    char text[256];
    snprintf(text, sizeof text, "muster-shepherd %s %016" PRIx64 ".%u %s", f->node,
             f->attempt->job_uid, f->attempt->number, f->run_dir);
    memset(title.begin, 0, title.size);
    memcpy(title.begin, text, strnlen(text, title.size - 1));
}

// SIGCHLD arrives at a descriptor; shepherds get it as a signal again.
static int mask_children(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(how, &set, NULL);
    return how == SIG_BLOCK ? signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK) : -1;
}

static void fork_one(struct strays *strays, int children_fd, const Muster__Fork *f)
{
    pid_t pid = fork();
    if (pid < 0)
        log_error("zygote", "cannot_fork", "%s", strerror(errno));
    if (pid > 0)
        strays_add(strays, pid);
    if (pid != 0)
        return;
    close(AGENT_FD);
    close(children_fd);
    mask_children(SIG_UNBLOCK);
    setsid();
    set_title(f);
    run_shepherd(f);
}

// False: the agent is gone.
static bool take_order(struct strays *strays, int children_fd)
{
    static uint8_t packet[FORK_MAX];
    ssize_t n = recv(AGENT_FD, packet, sizeof packet, 0);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    Muster__Fork *f = muster__fork__unpack(NULL, (size_t)n, packet);
    if (f && f->attempt)
        fork_one(strays, children_fd, f);
    else
        log_error("zygote", "bad_packet", "%zd bytes", n);
    if (f)
        muster__fork__free_unpacked(f, NULL);
    return true;
}

static void take_children(struct strays *strays, int children_fd)
{
    struct signalfd_siginfo info;
    while (read(children_fd, &info, sizeof info) > 0)
        ;
    strays_reap(strays);
}

static int zygote(void)
{
    struct strays strays;
    signal(SIGCHLD, SIG_DFL);
    signal(SIGINT, SIG_IGN);
    int children_fd = mask_children(SIG_BLOCK);
    if (children_fd < 0 || strays_init(&strays)) {
        log_error("zygote", "cannot_begin", "%s", strerror(errno));
        return 1;
    }
    struct pollfd fds[] = {{.fd = AGENT_FD, .events = POLLIN},
                           {.fd = children_fd, .events = POLLIN}};
    while (fds[0].fd >= 0 || !procs_no_child()) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents)
            take_children(&strays, children_fd);
        if (fds[0].revents && !take_order(&strays, children_fd)) {
            close(AGENT_FD);
            fds[0].fd = -1;
        }
    }
    strays_fini(&strays);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("muster-shepherd " MUSTER_VERSION);
        return 0;
    }
    if (argc < 2 || strcmp(argv[1], "--zygote") != 0) {
        fputs("usage: muster-shepherd --zygote\n"
              "The agent starts it; there is nothing to run by hand. See muster-agent --help.\n",
              stderr);
        return 2;
    }
    log_init("muster-shepherd", LOG_LEVEL_INFO, false);
    title.begin = argv[0];
    title.size = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) + 1 - argv[0]);
    return zygote();
}
