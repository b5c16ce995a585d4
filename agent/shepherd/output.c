#include "agent/shepherd/output.h"

#include "common/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct output {
    uv_poll_t poll;
    int pipe_fd, file_fd;
    uint64_t kept, limit, dropped;
    char *dropped_path;
    bool open;
};

enum { CHUNK = 64 << 10 };

static void note_dropped(struct output *o)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%" PRIu64 "\n", o->dropped);
    int fd = open(o->dropped_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (write(fd, text, (size_t)n) != n)
        o->dropped++; // the count itself found no room
    close(fd);
}

static void keep(struct output *o, const char *bytes, size_t len)
{
    uint64_t room = o->limit > o->kept ? o->limit - o->kept : 0;
    size_t take = len < room ? len : (size_t)room;
    ssize_t n = take ? write(o->file_fd, bytes, take) : 0;
    uint64_t kept = n > 0 ? (uint64_t)n : 0;
    o->kept += kept;
    if (kept < len) {
        bool first = !o->dropped;
        o->dropped += len - kept;
        if (first)
            note_dropped(o);
    }
}

// False at the end of the stream.
static bool read_some(struct output *o)
{
    char buf[CHUNK];
    for (int i = 0; i < 16; i++) {
        ssize_t n = read(o->pipe_fd, buf, sizeof buf);
        if (n == 0)
            return false;
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        keep(o, buf, (size_t)n);
    }
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    struct output *o = handle->data;
    free(o->dropped_path);
    free(o);
}

static void stop(struct output *o)
{
    if (!o->open)
        return;
    o->open = false;
    uv_poll_stop(&o->poll);
    close(o->pipe_fd);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct output *o = poll->data;
    (void)status;
    (void)events;
    if (o->open && !read_some(o))
        stop(o);
}

int output_open(uv_loop_t *loop, const char *dir, uint32_t rank, const char *suffix, uint64_t limit,
                struct output **ret, int *ret_write_fd, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/%u.%s", dir, rank, suffix);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return fail(err, E_IO, "cannot make \"%s\": %m", path);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) {
        close(file);
        return fail(err, E_SYSTEM, "cannot make a pipe: %m");
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    struct output *o = xcalloc(1, sizeof *o);
    o->pipe_fd = ends[0];
    o->file_fd = file;
    o->limit = limit ? limit : OUTPUT_LIMIT_DEFAULT;
    o->dropped_path = xasprintf("%s.dropped", path);
    o->open = true;
    o->poll.data = o;
    uv_poll_init(loop, &o->poll, o->pipe_fd);
    uv_poll_start(&o->poll, UV_READABLE, on_readable);
    *ret = o;
    *ret_write_fd = ends[1];
    return 0;
}

void output_drain(struct output *o)
{
    if (o->open && !read_some(o))
        stop(o);
    if (o->dropped)
        note_dropped(o);
}

void output_close(struct output *o)
{
    if (!o)
        return;
    output_drain(o);
    stop(o);
    close(o->file_fd);
    uv_close((uv_handle_t *)&o->poll, on_closed);
}
