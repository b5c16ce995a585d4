#include "agent/host/reserve.h"

#include "common/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char *spare_path(const char *path)
{
    return xasprintf("%s.spare", path);
}

static int write_zeros(int fd, off_t bytes)
{
    static const char zeros[64 << 10];
    for (off_t at = 0; at < bytes;) {
        size_t left = (size_t)(bytes - at);
        ssize_t n = pwrite(fd, zeros, left < sizeof zeros ? left : sizeof zeros, at);
        if (n <= 0)
            return -1;
        at += n;
    }
    return 0;
}

// Opens the spare and reserves its space; *ret_used is how much of it may hold old bytes.
static int open_spare(const char *path, off_t bytes, int *ret_fd, off_t *ret_used, struct err *err)
{
    AUTO_FREE char *spare = spare_path(path);
    struct stat st;
    int fd = open(spare, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(err, E_IO, "cannot make \"%s\": %m", spare);
    int rc = 0;
    if (fstat(fd, &st) || (st.st_size > bytes && ftruncate(fd, bytes)))
        rc = fail(err, E_IO, "cannot cut \"%s\": %m", spare);
    else if (posix_fallocate(fd, 0, bytes) == ENOSPC)
        rc = fail(err, E_NO_SPACE, "the disk of \"%s\" is full. Free %lld MiB on it.", spare,
                  (long long)bytes >> 20);
    if (rc) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    *ret_used = st.st_size < bytes ? st.st_size : bytes;
    return 0;
}

int reserve_open(const char *path, off_t bytes, int *ret_fd, struct err *err)
{
    int fd;
    off_t used;
    int rc = open_spare(path, bytes, &fd, &used, err);
    if (rc)
        return rc;
    if (write_zeros(fd, used)) {
        close(fd);
        return fail(err, E_IO, "cannot write the spare of \"%s\": %m", path);
    }
    *ret_fd = fd;
    return 0;
}

int reserve_swap(const char *path, struct err *err)
{
    AUTO_FREE char *spare = spare_path(path);
    if (renameat2(AT_FDCWD, spare, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
        return 0;
    // There is no PATH yet, or the file system cannot exchange.
    return rename(spare, path) ? fail(err, E_IO, "cannot write \"%s\": %m", path) : 0;
}

int reserve_prepare(const char *path, off_t bytes, struct err *err)
{
    int fd;
    off_t used;
    int rc = open_spare(path, bytes, &fd, &used, err);
    if (rc == 0)
        close(fd);
    return rc;
}
