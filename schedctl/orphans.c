#include "schedctl/orphans.h"

#include "common/alloc.h"
#include "schedctl/pause.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

enum { ROUNDS_MAX = 50, ROUND_MS = 20, ENVIRON_MAX = 1 << 20 };

// The value of MUSTER_ATTEMPT in /proc/PID/environ: CLUSTER-UID-NUMBER. Caller frees.
static char *token_of(pid_t pid)
{
    static const char key[] = "MUSTER_ATTEMPT=";
    char path[64], *token = NULL;
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    AUTO_FREE char *text = xmalloc(ENVIRON_MAX + 1);
    size_t len = 0;
    for (ssize_t n; len < ENVIRON_MAX && (n = read(fd, text + len, ENVIRON_MAX - len)) > 0;)
        len += (size_t)n;
    close(fd);
    text[len] = 0;
    for (char *p = text; p < text + len && !token; p += strlen(p) + 1)
        if (strncmp(p, key, sizeof key - 1) == 0)
            token = xstrdup(p + sizeof key - 1);
    return token;
}

// "…-UID-NUMBER" against "…/UID.NUMBER.lock".
static bool is_of(const char *token, const char *lock)
{
    const char *uid = strchr(token, '-'), *name = strrchr(lock, '/');
    if (!uid || !name)
        return false;
    const char *number = strchr(++uid, '-'), *dot = strchr(++name, '.');
    if (!number || !dot || number - uid != dot - name || strncmp(uid, name, (size_t)(dot - name)))
        return false;
    size_t len = strlen(number + 1);
    return strncmp(number + 1, dot + 1, len) == 0 && strcmp(dot + 1 + len, ".lock") == 0;
}

static bool is_orphan(pid_t pid, const struct private_paths *locks)
{
    AUTO_FREE char *token = token_of(pid);
    for (size_t i = 0; token && i < locks->count; i++)
        if (is_of(token, locks->items[i]))
            return true;
    return false;
}

// Looked at again behind the descriptor, so that no successor in the number is hit.
static bool kill_orphan(pid_t pid, const struct private_paths *locks)
{
    int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return false;
    bool killed = is_orphan(pid, locks) && pidfd_send_signal(fd, SIGKILL, NULL, 0) == 0;
    close(fd);
    return killed;
}

static size_t sweep(const struct private_paths *locks)
{
    size_t killed = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        long pid = strtol(e->d_name, NULL, 10);
        if (pid > 1 && pid != getpid() && is_orphan((pid_t)pid, locks))
            killed += kill_orphan((pid_t)pid, locks);
    }
    if (d)
        closedir(d);
    return killed;
}

size_t orphans_kill(const struct private_paths *locks)
{
    size_t killed = 0, now;
    for (int round = 0; locks->count && round < ROUNDS_MAX && (now = sweep(locks)) > 0; round++) {
        killed += now;
        pause_ms(ROUND_MS);
    }
    return killed;
}
