#include "agent/host/attempt_files.h"

#include "common/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void attempt_name(struct attempt_id id, char ret[ATTEMPT_NAME_MAX])
{
    snprintf(ret, ATTEMPT_NAME_MAX, "%016" PRIx64 ".%u", id.job.v, id.number);
}

bool attempt_name_parse(const char *name, struct job_uid *ret_uid, uint32_t *ret_number)
{
    uint64_t uid;
    uint32_t number;
    int end = 0;
    if (sscanf(name, "%16" SCNx64 ".%10" SCNu32 "%n", &uid, &number, &end) != 2 || name[end])
        return false;
    ret_uid->v = uid;
    *ret_number = number;
    return true;
}

void attempt_token(struct attempt_id id, char ret[ATTEMPT_TOKEN_MAX])
{
    snprintf(ret, ATTEMPT_TOKEN_MAX, "%016" PRIx64 "-%016" PRIx64 "-%u", id.cluster.v, id.job.v,
             id.number);
}

int attempt_address(struct attempt_id id, const char *node, struct sockaddr_un *ret,
                    socklen_t *ret_len, struct err *err)
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name(id, name);
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(ret->sun_path + 1, sizeof ret->sun_path - 1, "muster/%016" PRIx64 "/%s/%s",
                     id.cluster.v, node, name);
    if (n < 0 || (size_t)n >= sizeof ret->sun_path - 1)
        return fail(err, E_INVALID, "the node name \"%s\" is too long for a socket address", node);
    *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    return 0;
}

static char *attempt_path(const char *run_dir, struct attempt_id id, const char *suffix)
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name(id, name);
    return xasprintf("%s/%s.%s", run_dir, name, suffix);
}

// ---- the lock ----

static void parse_lock(int fd, pid_t *ret_pid, bool *ret_ordered)
{
    char buf[64] = "";
    ssize_t n = pread(fd, buf, sizeof buf - 1, 0);
    *ret_pid = n > 0 ? (pid_t)strtol(buf, NULL, 10) : 0;
    *ret_ordered = n > 0 && strstr(buf, " ordered\n");
}

int attempt_lock_look(const char *run_dir, struct attempt_id id, enum attempt_lock_state *ret,
                      pid_t *ret_pid, struct err *err)
{
    AUTO_FREE char *path = attempt_path(run_dir, id, "lock");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return fail(err, E_IO, "cannot open \"%s\": %m", path);
    *ret_pid = 0;
    *ret = ATTEMPT_LOCK_ABSENT;
    if (fd < 0)
        return 0;
    bool ordered;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0;
    parse_lock(fd, ret_pid, &ordered);
    close(fd);
    *ret = held       ? ATTEMPT_LOCK_HELD
           : ordered  ? ATTEMPT_LOCK_ORDERED
           : *ret_pid ? ATTEMPT_LOCK_LEFT
                      : ATTEMPT_LOCK_ABSENT;
    return 0;
}

static int lock_write(int fd, const char *what, struct err *err)
{
    char line[64];
    int n = snprintf(line, sizeof line, "%d%s\n", (int)getpid(), what);
    if (pwrite(fd, line, (size_t)n, 0) != n)
        return fail(err, E_IO, "cannot write the lock file of the attempt: %m");
    return 0;
}

// A look by the agent holds the lock shared for an instant: try again for a moment.
static int lock_exclusive(int fd)
{
    for (int i = 0; i < 50; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    return -1;
}

int attempt_lock_take(const char *run_dir, struct attempt_id id, int *ret_fd, struct err *err)
{
    AUTO_FREE char *path = attempt_path(run_dir, id, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(err, E_IO, "cannot open \"%s\": %m", path);
    if (lock_exclusive(fd)) {
        close(fd);
        return fail(err, E_EXISTS, "another shepherd holds \"%s\"", path);
    }
    pid_t pid;
    bool ordered;
    parse_lock(fd, &pid, &ordered);
    if (ordered) {
        close(fd);
        return fail(err, E_EXISTS, "an earlier shepherd took the order of \"%s\"", path);
    }
    int rc = lock_write(fd, "", err);
    if (rc) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int attempt_lock_mark_ordered(int fd, struct err *err)
{
    return lock_write(fd, " ordered", err);
}

static int give(const char *run_dir, struct attempt_id id, const char *suffix, uid_t uid,
                struct err *err)
{
    AUTO_FREE char *path = attempt_path(run_dir, id, suffix);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(err, E_IO, "cannot make \"%s\": %m", path);
    int rc = fchown(fd, uid, (gid_t)-1);
    close(fd);
    return rc ? fail(err, E_DENIED, "cannot give \"%s\" to user %u: %m", path, uid) : 0;
}

int attempt_lock_prepare(const char *run_dir, struct attempt_id id, uid_t uid, struct err *err)
{
    if (uid == geteuid())
        return 0;
    int rc = give(run_dir, id, "lock", uid, err);
    return rc ? rc : give(run_dir, id, "end", uid, err);
}

// ---- the deadline ----

int attempt_deadline_open(const char *run_dir, struct attempt_id id, bool write, int64_t initial,
                          volatile int64_t **ret, struct err *err)
{
    AUTO_FREE char *path = attempt_path(run_dir, id, "deadline");
    int fd = open(path, (write ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail(err, errno == ENOENT ? E_NOT_FOUND : E_IO, "cannot open \"%s\": %m", path);
    struct stat st;
    bool fresh = fstat(fd, &st) == 0 && st.st_size < (off_t)sizeof initial;
    if (fresh && (!write || pwrite(fd, &initial, sizeof initial, 0) != sizeof initial)) {
        close(fd);
        return fail(err, E_IO, "cannot write \"%s\": %m", path);
    }
    void *p =
        mmap(NULL, sizeof(int64_t), write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED)
        return fail(err, E_IO, "cannot map \"%s\": %m", path);
    *ret = p;
    return 0;
}

void attempt_deadline_close(volatile int64_t *deadline)
{
    if (deadline)
        munmap((void *)deadline, sizeof *deadline);
}

// ---- the end ----

// Into the file that the agent made for us: its first byte is written last.
static int end_write_in_place(const char *path, const uint8_t *bytes, size_t len, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, E_IO, "cannot open \"%s\": %m", path);
    bool good = len && pwrite(fd, bytes + 1, len - 1, 1) == (ssize_t)len - 1 &&
                pwrite(fd, bytes, 1, 0) == 1;
    if (close(fd) || !good)
        return fail(err, E_IO, "cannot write \"%s\": %m", path);
    return 0;
}

int attempt_end_write(const char *run_dir, struct attempt_id id, const void *bytes, size_t len,
                      struct err *err)
{
    AUTO_FREE char *path = attempt_path(run_dir, id, "end");
    AUTO_FREE char *temp = attempt_path(run_dir, id, "end.new");
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EACCES)
        return end_write_in_place(path, bytes, len, err);
    if (fd < 0)
        return fail(err, E_IO, "cannot make \"%s\": %m", temp);
    ssize_t n = write(fd, bytes, len);
    if (close(fd) || n != (ssize_t)len || rename(temp, path)) {
        unlink(temp);
        return fail(err, E_IO, "cannot write \"%s\": %m", path);
    }
    return 0;
}

int attempt_end_read(const char *run_dir, struct attempt_id id, uint8_t **ret, size_t *ret_len,
                     struct err *err)
{
    AUTO_FREE char *path = attempt_path(run_dir, id, "end");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return fail(err, errno == ENOENT ? E_NOT_FOUND : E_IO, "cannot open \"%s\": %m", path);
    struct stat st;
    uint8_t *bytes = NULL;
    ssize_t n = -1;
    if (fstat(fd, &st) == 0 && st.st_size <= 64 << 20) {
        bytes = xmalloc((size_t)st.st_size);
        n = pread(fd, bytes, (size_t)st.st_size, 0);
    }
    close(fd);
    if (n < 0 || n != st.st_size) {
        free(bytes);
        return fail(err, E_IO, "cannot read \"%s\"", path);
    }
    if (n == 0 || bytes[0] == 0) { // made for another user's shepherd, which wrote none yet
        free(bytes);
        return fail(err, E_NOT_FOUND, "\"%s\" says nothing yet", path);
    }
    *ret = bytes;
    *ret_len = (size_t)n;
    return 0;
}

void attempt_files_remove(const char *run_dir, struct attempt_id id)
{
    static const char *const suffixes[] = {"deadline", "end", "lock"};
    for (size_t i = 0; i < 3; i++) {
        AUTO_FREE char *path = attempt_path(run_dir, id, suffixes[i]);
        unlink(path);
    }
}
