// Preloaded into one daemon: kills it with SIGKILL right before its n-th outward system call, so
// that a test can try every crash point. Counting begins when the file CRASH_WHEN exists.
//
//     LD_PRELOAD=crash.so CRASH_PROGRAM=muster-agent CRASH_WHEN=/tmp/go CRASH_AT=17
//     CRASH_LOG=/tmp/calls
//
// CRASH_AT=0 only writes the calls down. Children of the daemon are left alone.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pid_t victim;
static atomic_long calls;
static long crash_at;
static const char *when, *log_path;

__attribute__((constructor)) static void begin(void)
{
    const char *program = getenv("CRASH_PROGRAM"), *at = getenv("CRASH_AT");
    when = getenv("CRASH_WHEN");
    log_path = getenv("CRASH_LOG");
    if (program && when && strcmp(program, program_invocation_short_name) == 0) {
        victim = getpid();
        crash_at = at ? atol(at) : 0;
    }
}

static void count(const char *name)
{
    int kept = errno;
    if (!victim || getpid() != victim || access(when, F_OK)) {
        errno = kept;
        return;
    }
    long n = atomic_fetch_add(&calls, 1) + 1;
    char line[64];
    int len = snprintf(line, sizeof line, "%ld %s\n", n, name);
    int fd = log_path
                 ? (int)syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND, 0644)
                 : -1;
    if (fd >= 0) {
        syscall(SYS_write, fd, line, (size_t)len);
        close(fd);
    }
    if (n == crash_at) {
        syscall(SYS_kill, victim, SIGKILL);
        for (;;)
            pause();
    }
    errno = kept;
}

#define WRAP(type, name, parameters, arguments)        \
    type name parameters;                              \
    type name parameters                               \
    {                                                  \
        static type(*real) parameters;                 \
        if (!real)                                     \
            *(void **)&real = dlsym(RTLD_NEXT, #name); \
        count(#name);                                  \
        return real arguments;                         \
    }

WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
WRAP(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at))
WRAP(ssize_t, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, ftruncate64, (int fd, off64_t n), (fd, n))
WRAP(int, rename, (const char *a, const char *b), (a, b))
WRAP(int, unlink, (const char *path), (path))
WRAP(int, rmdir, (const char *path), (path))
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(pid_t, fork, (void), ())
