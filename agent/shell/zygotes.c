// One zygote for each user whose jobs run here: muster-shepherd --zygote, as that user.
#include "agent/shell/node.h"

#include "common/alloc.h"
#include "common/log.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct zygote {
    uid_t uid;
    int fd;
};

struct zygotes {
    struct zygote *list;
    size_t count, cap;
};

struct zygotes *zygotes_new(void)
{
    signal(SIGCHLD, SIG_IGN); // zygotes are reaped by the kernel
    return xcalloc(1, sizeof(struct zygotes));
}

void zygotes_free(struct zygotes *z)
{
    for (size_t i = 0; i < z->count; i++)
        close(z->list[i].fd);
    free(z->list);
    free(z);
}

static char *shepherd_path(void)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    char *slash = strrchr(self, '/');
    return xasprintf("%.*s/muster-shepherd", slash ? (int)(slash - self) : 0, self);
}

// Each step checked: a task must never run with more than its owner's rights.
static bool become(uid_t uid, gid_t gid)
{
    if (uid == geteuid())
        return true;
    const struct passwd *pw = getpwuid(uid);
    if (pw ? initgroups(pw->pw_name, gid) : setgroups(1, &gid))
        return false;
    return setgid(gid) == 0 && setuid(uid) == 0 && getuid() == uid && geteuid() == uid &&
           setuid(0) != 0;
}

static _Noreturn void exec_zygote(const char *path, char *const argv[], int fd, uid_t uid,
                                  gid_t gid)
{
    if (dup2(fd, 3) != 3)
        _exit(126);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    if (!become(uid, gid))
        _exit(125);
    execv(path, argv);
    _exit(127);
}

static int start(struct node *n, struct zygotes *z, uid_t uid, gid_t gid, struct err *err)
{
    int ends[2];
    AUTO_FREE char *path = shepherd_path();
    if (access(path, X_OK))
        return fail(err, E_NOT_FOUND, "cannot execute \"%s\": %m", path);
    if (uid != geteuid() && geteuid() != 0)
        return fail(err, E_DENIED,
                    "the agent runs as user %u and cannot start tasks of user %u. Run it as root.",
                    geteuid(), uid);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return fail(err, E_SYSTEM, "cannot make a socket pair: %m");
    // The last word is room for the titles of the shepherds.
    static char room[] = "                                                                        "
                         "                                                                        ";
    char *argv[] = {path, "--zygote", (char *)n->name, n->dir, room, NULL};
    pid_t pid = fork();
    if (pid == 0)
        exec_zygote(path, argv, ends[1], uid, gid);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return fail(err, E_SYSTEM, "cannot fork: %m");
    }
    VEC_RESERVE(z->list, z->count, z->cap);
    z->list[z->count++] = (struct zygote){uid, ends[0]};
    return 0;
}

static struct zygote *find(struct zygotes *z, uid_t uid)
{
    for (size_t i = 0; i < z->count; i++)
        if (z->list[i].uid == uid)
            return &z->list[i];
    return NULL;
}

int zygotes_fork(struct node *n, uid_t uid, gid_t gid, const Muster__Fork *order, struct err *err)
{
    size_t len = muster__fork__get_packed_size(order);
    AUTO_FREE uint8_t *bytes = xmalloc(len);
    muster__fork__pack(order, bytes);
    for (int attempt = 0; attempt < 2; attempt++) {
        struct zygote *z = find(n->zygotes, uid);
        int rc = z ? 0 : start(n, n->zygotes, uid, gid, err);
        if (rc)
            return rc;
        z = find(n->zygotes, uid);
        if (send(z->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len)
            return 0;
        close(z->fd); // it died: once more with a fresh one
        *z = n->zygotes->list[--n->zygotes->count];
    }
    return fail(err, E_SYSTEM, "the zygote of user %u does not take orders: %m", uid);
}
