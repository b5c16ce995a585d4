// DIR/term: the highest term that was ever claimed here, outside the database, so that an old copy
// of the database is recognised.
#include "scheduler/shell/store_internal.h"

#include "common/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int store_term_read(const struct store *s, uint64_t *ret, struct err *err)
{
    char line[32] = {0}, *end;
    int fd = open(s->term_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        *ret = 0;
        return 0;
    }
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    int failed = errno;
    if (fd >= 0)
        close(fd);
    errno = failed;
    if (n < 0)
        return fail(err, E_IO, "cannot read \"%s\": %m", s->term_path);
    errno = 0;
    uint64_t term = strtoull(line, &end, 10);
    if (errno || end == line || line[0] < '0' || line[0] > '9' || strcmp(end, "\n") != 0)
        return fail(err, E_CORRUPT,
                    "the term file \"%s\" is damaged. Delete it if the database beside it is "
                    "certainly the newest one.",
                    s->term_path);
    *ret = term;
    return 0;
}

static int sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fsync(fd);
    close(fd);
    return rc;
}

static int write_synced(const char *path, const char *line)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    size_t len = strlen(line);
    int rc = write(fd, line, len) == (ssize_t)len && fsync(fd) == 0 ? 0 : -1;
    int failed = errno;
    if (close(fd) && !rc)
        return -1;
    errno = failed;
    return rc;
}

int store_write_term_file(struct store *s, uint64_t term, struct err *err)
{
    AUTO_FREE char *next = xasprintf("%s.new", s->term_path);
    AUTO_FREE char *line = xasprintf("%" PRIu64 "\n", term);
    if (write_synced(next, line) || rename(next, s->term_path) || sync_dir(s->dir))
        return fail(err, errno == ENOSPC ? E_NO_SPACE : E_IO,
                    "cannot write the term file \"%s\": %m. Check space and permissions.",
                    s->term_path);
    return 0;
}
