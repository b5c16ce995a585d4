// muster-shepherd: started by the agent as a zygote; every shepherd is a fork of it.
//
// The zygote stays small and single-threaded, and loads nothing that a plain job does not need, so
// that a fork costs little. fd 3 is its SOCK_SEQPACKET link to the agent: one Fork message a
// packet. When the agent goes, the zygote goes; the shepherds stay.
#include "agent/shepherd/run.h"

#include "common/alloc.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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

static void fork_one(const Muster__Fork *f)
{
    pid_t pid = fork();
    if (pid < 0)
        log_error("zygote", "cannot_fork", "%s", strerror(errno));
    if (pid != 0)
        return;
    close(AGENT_FD);
    signal(SIGCHLD, SIG_DFL);
    setsid();
    set_title(f);
    run_shepherd(f);
}

static int zygote(void)
{
    static uint8_t packet[FORK_MAX];
    signal(SIGCHLD, SIG_IGN); // shepherds are reaped by the kernel
    signal(SIGINT, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, 0);
    for (;;) {
        ssize_t n = recv(AGENT_FD, packet, sizeof packet, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        Muster__Fork *f = muster__fork__unpack(NULL, (size_t)n, packet);
        if (f && f->attempt)
            fork_one(f);
        else
            log_error("zygote", "bad_packet", "%zd bytes", n);
        if (f)
            muster__fork__free_unpacked(f, NULL);
    }
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
