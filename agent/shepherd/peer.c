// The agent's connection: an abstract socket of the attempt's name; the newest connection counts.
#include "agent/shepherd/run.h"

#include "common/alloc.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_pipe_closed(uv_handle_t *handle)
{
    free(handle);
}

static void drop_agent(struct run *r)
{
    if (!r->agent)
        return;
    uv_close((uv_handle_t *)r->agent, on_pipe_closed);
    r->agent = NULL;
    frame_reader_free(&r->reader);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char bytes[256 << 10];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static int take_frames(struct run *r)
{
    const uint8_t *bytes;
    size_t len;
    int rc;
    while ((rc = frame_reader_next(&r->reader, &bytes, &len)) > 0) {
        Muster__ToShepherd *m = muster__to_shepherd__unpack(NULL, len, bytes);
        if (!m)
            return E_INVALID;
        run_message(r, m);
        muster__to_shepherd__free_unpacked(m, NULL);
    }
    return rc;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct run *r = stream->data;
    if ((uv_pipe_t *)stream != r->agent)
        return;
    if (n < 0) {
        drop_agent(r);
        return;
    }
    frame_reader_add(&r->reader, buf->base, (size_t)n);
    if (take_frames(r) < 0) {
        log_error("shepherd", "bad_frame", "from the agent: the link is closed");
        drop_agent(r);
    }
}

static bool trusted(uv_pipe_t *pipe)
{
    int fd;
    struct ucred who;
    socklen_t len = sizeof who;
    if (uv_fileno((uv_handle_t *)pipe, &fd) || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len))
        return false;
    return who.uid == 0 || who.uid == geteuid();
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct run *r = listener->data;
    if (status < 0)
        return;
    uv_pipe_t *pipe = xcalloc(1, sizeof *pipe);
    uv_pipe_init(r->loop, pipe, 0);
    pipe->data = r;
    if (uv_accept(listener, (uv_stream_t *)pipe) || !trusted(pipe)) {
        uv_close((uv_handle_t *)pipe, on_pipe_closed);
        return;
    }
    drop_agent(r);
    r->agent = pipe;
    r->reader = (struct frame_reader){.limit = FRAME_MAX};
    uv_read_start((uv_stream_t *)pipe, give_buffer, on_read);
    run_connected(r);
}

int peer_listen(struct run *r, struct err *err)
{
    struct sockaddr_un address;
    socklen_t len;
    int rc = attempt_address(r->id, r->node, &address, &len, err);
    if (rc)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len))
        return fail(err, E_EXISTS, "cannot bind the attempt's socket: %m");
    uv_pipe_init(r->loop, &r->listener, 0);
    r->listener.data = r;
    if (uv_pipe_open(&r->listener, fd) || uv_listen((uv_stream_t *)&r->listener, 16, on_connection))
        return fail(err, E_SYSTEM, "cannot listen on the attempt's socket: %m");
    return 0;
}

struct write_one {
    uv_write_t request;
    uint8_t *bytes;
};

static void on_written(uv_write_t *request, int status)
{
    struct write_one *w = (struct write_one *)request;
    (void)status; // a broken link is found by reading; the agent asks again when it is back
    free(w->bytes);
    free(w);
}

void peer_send_bytes(struct run *r, const uint8_t *bytes, size_t len)
{
    if (!r->agent)
        return;
    struct write_one *w = xcalloc(1, sizeof *w);
    w->bytes = xmalloc(FRAME_HEADER + len);
    frame_header(w->bytes, len);
    memcpy(w->bytes + FRAME_HEADER, bytes, len);
    uv_buf_t buf = uv_buf_init((char *)w->bytes, (unsigned)(FRAME_HEADER + len));
    if (uv_write(&w->request, (uv_stream_t *)r->agent, &buf, 1, on_written)) {
        free(w->bytes);
        free(w);
    }
}

void peer_send(struct run *r, const Muster__FromShepherd *message)
{
    size_t len = muster__from_shepherd__get_packed_size(message);
    AUTO_FREE uint8_t *bytes = xmalloc(len);
    muster__from_shepherd__pack(message, bytes);
    peer_send_bytes(r, bytes, len);
}
