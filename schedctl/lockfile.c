#include "schedctl/lockfile.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <unistd.h>

static bool is_locked(int fd)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (flock(fd, LOCK_SH | LOCK_NB))
        return true;
    flock(fd, LOCK_UN);
    return fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

static pid_t read_pid(int fd)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = 0;
    long pid = strtol(text, NULL, 10);
    return pid > 1 && pid <= INT_MAX ? (pid_t)pid : 0;
}

bool lockfile_held(const char *path, pid_t *ret_pid)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool held = is_locked(fd);
    if (held && ret_pid)
        *ret_pid = read_pid(fd);
    close(fd);
    return held;
}

// The descriptor pins the process; that the lock is still held by the same number afterwards shows
// that it is the holder and not a successor in its number.
bool lockfile_signal(const char *path, int signal)
{
    pid_t pid = 0, again = 0;
    if (!lockfile_held(path, &pid) || pid == 0)
        return false;
    int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return false;
    bool sent =
        lockfile_held(path, &again) && again == pid && pidfd_send_signal(fd, signal, NULL, 0) == 0;
    close(fd);
    return sent;
}
