// Frames between shepherds of one attempt on different nodes: shepherd -> agent -> agent ->
// shepherd. Agents of one machine link by Unix sockets. What is lost on the way is repeated by the
// shepherds, so nothing is acknowledged or kept here.
#include "agent/shell/node.h"

#include "common/alloc.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PEER_QUEUE_MAX = 64 << 20 };

struct peer {
    uv_pipe_t pipe; // first
    struct node *node;
    char *address; // of an outgoing link; NULL: incoming
    struct frame_reader reader;
    TAILQ_ENTRY(peer) link;
};

struct peers {
    uv_pipe_t listener;
    TAILQ_HEAD(, peer) list;
};

static void on_closed(uv_handle_t *handle)
{
    struct peer *p = (struct peer *)handle;
    frame_reader_free(&p->reader);
    free(p->address);
    free(p);
}

static void drop(struct peer *p)
{
    if (uv_is_closing((uv_handle_t *)&p->pipe))
        return;
    TAILQ_REMOVE(&p->node->peers->list, p, link);
    uv_close((uv_handle_t *)&p->pipe, on_closed);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char bytes[256 << 10];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

struct write_one {
    uv_write_t request;
    uint8_t *bytes;
};

static void on_written(uv_write_t *request, int status)
{
    struct write_one *w = (struct write_one *)request;
    (void)status;
    free(w->bytes);
    free(w);
}

static void write_frame(struct peer *p, const Muster__PeerFrame *frame)
{
    if (uv_stream_get_write_queue_size((uv_stream_t *)&p->pipe) > PEER_QUEUE_MAX)
        return;
    size_t len = muster__peer_frame__get_packed_size(frame);
    struct write_one *w = xcalloc(1, sizeof *w);
    w->bytes = xmalloc(FRAME_HEADER + len);
    frame_header(w->bytes, len);
    muster__peer_frame__pack(frame, w->bytes + FRAME_HEADER);
    uv_buf_t buf = uv_buf_init((char *)w->bytes, (unsigned)(FRAME_HEADER + len));
    if (uv_write(&w->request, (uv_stream_t *)&p->pipe, &buf, 1, on_written)) {
        free(w->bytes);
        free(w);
    }
}

// Frames go on only after all nodes were prepared: what is not here is over.
static void answer_gone(struct peer *p, const Muster__PeerFrame *f)
{
    Muster__PeerFrame answer = MUSTER__PEER_FRAME__INIT;
    answer.attempt = f->attempt;
    answer.from = f->to;
    answer.to = f->from;
    answer.gone = true;
    if (f->attempt && !f->gone)
        write_frame(p, &answer);
}

static void take_frame(struct peer *p, const uint8_t *bytes, size_t len)
{
    struct node *n = p->node;
    Muster__PeerFrame *f = muster__peer_frame__unpack(NULL, len, bytes);
    struct held *h = f && f->attempt ? held_find(n, attempt_of(f->attempt)) : NULL;
    if (h && h->launch && f->to == h->launch->node_index) {
        Muster__ToShepherd message = MUSTER__TO_SHEPHERD__INIT;
        message.body_case = MUSTER__TO_SHEPHERD__BODY_PEER;
        message.peer = f;
        shepherd_send(h, &message);
    } else if (f && !h) {
        answer_gone(p, f);
    }
    if (f)
        muster__peer_frame__free_unpacked(f, NULL);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct peer *p = (struct peer *)stream;
    if (n < 0) {
        drop(p);
        return;
    }
    frame_reader_add(&p->reader, buf->base, (size_t)n);
    const uint8_t *bytes;
    size_t len;
    int rc;
    while ((rc = frame_reader_next(&p->reader, &bytes, &len)) > 0)
        take_frame(p, bytes, len);
    if (rc < 0)
        drop(p);
}

static bool trusted(uv_pipe_t *pipe)
{
    int fd;
    struct ucred who;
    socklen_t len = sizeof who;
    return uv_fileno((uv_handle_t *)pipe, &fd) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
           (who.uid == 0 || who.uid == geteuid());
}

static struct peer *peer_new(struct node *n, const char *address)
{
    struct peer *p = xcalloc(1, sizeof *p);
    p->node = n;
    p->address = address ? xstrdup(address) : NULL;
    p->reader.limit = FRAME_PEER_MAX;
    uv_pipe_init(n->loop, &p->pipe, 0);
    TAILQ_INSERT_TAIL(&n->peers->list, p, link);
    return p;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct node *n = listener->data;
    if (status < 0)
        return;
    struct peer *p = peer_new(n, NULL);
    if (uv_accept(listener, (uv_stream_t *)&p->pipe) || !trusted(&p->pipe))
        drop(p);
    else
        uv_read_start((uv_stream_t *)&p->pipe, give_buffer, on_read);
}

int peers_start(struct node *n, struct err *err)
{
    n->peers = xcalloc(1, sizeof *n->peers);
    TAILQ_INIT(&n->peers->list);
    unlink(n->peer_path); // ours: the state directory is locked
    uv_pipe_init(n->loop, &n->peers->listener, 0);
    n->peers->listener.data = n;
    int rc = uv_pipe_bind(&n->peers->listener, n->peer_path);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&n->peers->listener, 64, on_connection);
    return rc ? fail(err, E_IO, "cannot listen on \"%s\": %s", n->peer_path, uv_strerror(rc)) : 0;
}

static struct peer *peer_to(struct node *n, const char *address)
{
    struct peer *p;
    TAILQ_FOREACH(p, &n->peers->list, link)
    if (p->address && strcmp(p->address, address) == 0)
        return p;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(address) >= sizeof to.sun_path)
        return NULL;
    memcpy(to.sun_path, address, strlen(address));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return NULL;
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) {
        close(fd);
        return NULL;
    }
    p = peer_new(n, address);
    uv_pipe_open(&p->pipe, fd);
    if (!trusted(&p->pipe)) {
        drop(p);
        return NULL;
    }
    uv_read_start((uv_stream_t *)&p->pipe, give_buffer, on_read);
    return p;
}

void peers_send(struct node *n, const struct held *from, const Muster__PeerFrame *frame)
{
    if (!from->launch || frame->to >= from->launch->n_nodes)
        return;
    struct peer *p = peer_to(n, from->launch->nodes[frame->to]->address);
    if (p)
        write_frame(p, frame);
}
