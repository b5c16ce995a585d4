// Links to this node's shepherds: abstract sockets, frames. A shepherd that does not answer is
// looked for by its lock before anything follows from it.
#include "agent/core/traces.h"
#include "agent/shell/node.h"

#include "common/alloc.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECT_TRIES = 2000 }; // of 1, 2, 4, 5, 5 ... ms: about 10 s

static void on_pipe_closed(uv_handle_t *handle)
{
    free(handle);
}

void shepherd_drop(struct held *h)
{
    if (!h->shepherd)
        return;
    h->shepherd->data = NULL;
    uv_close((uv_handle_t *)h->shepherd, on_pipe_closed);
    h->shepherd = NULL;
    frame_reader_free(&h->reader);
}

struct write_one {
    uv_write_t request;
    uint8_t *bytes;
};

static void on_written(uv_write_t *request, int status)
{
    struct write_one *w = (struct write_one *)request;
    (void)status; // reading finds a broken link
    free(w->bytes);
    free(w);
}

void shepherd_send(struct held *h, const Muster__ToShepherd *message)
{
    if (!h->shepherd)
        return;
    size_t len = muster__to_shepherd__get_packed_size(message);
    struct write_one *w = xcalloc(1, sizeof *w);
    w->bytes = xmalloc(FRAME_HEADER + len);
    frame_header(w->bytes, len);
    muster__to_shepherd__pack(message, w->bytes + FRAME_HEADER);
    uv_buf_t buf = uv_buf_init((char *)w->bytes, (unsigned)(FRAME_HEADER + len));
    if (uv_write(&w->request, (uv_stream_t *)h->shepherd, &buf, 1, on_written)) {
        free(w->bytes);
        free(w);
    }
}

static enum attempt_phase phase_of(Muster__AttemptState state)
{
    switch (state) {
    case MUSTER__ATTEMPT_STATE__PREPARED:
        return ATTEMPT_PREPARED;
    case MUSTER__ATTEMPT_STATE__RUNNING:
        return ATTEMPT_RUNNING;
    case MUSTER__ATTEMPT_STATE__ENDING:
    case MUSTER__ATTEMPT_STATE__ENDED:
        return ATTEMPT_ENDING;
    case MUSTER__ATTEMPT_STATE__ORDERED:
    case _MUSTER__ATTEMPT_STATE_IS_INT_SIZE:
        break;
    }
    return ATTEMPT_FORKED;
}

static void take_end(struct node *n, struct held *h, const Muster__End *end)
{
    enum reason_code code = end->reason ? reason_parse(end->reason->word) : REASON_COUNT;
    if (!h->end)
        h->end = end_copy(end);
    struct agent_input in = {.kind = AGENT_IN_SHEPHERD_END, .id = h->id, .started = end->started};
    in.reason.code = code == REASON_COUNT ? REASON_BAD_MESSAGE : code;
    if (end->reason) {
        in.reason.a = end->reason->a;
        in.reason.b = end->reason->b;
        in.reason.c = end->reason->c;
        in.detail = end->reason->detail;
    }
    node_step(n, &in);
}

static void take(struct node *n, struct held *h, const Muster__FromShepherd *m)
{
    if (m->body_case == MUSTER__FROM_SHEPHERD__BODY_STATUS) {
        if (!h->launch && m->status->launch && m->status->launch->attempt &&
            attempt_id_eq(attempt_of(m->status->launch->attempt), h->id)) {
            struct agent_order order = order_of(m->status->launch);
            h->launch = launch_copy(m->status->launch);
            agent_adopt(n->core, &order);
            journal_adopt(n, h->launch);
        }
        struct agent_input in = {.kind = AGENT_IN_STATUS,
                                 .id = h->id,
                                 .phase = phase_of(m->status->state),
                                 .started = m->status->started};
        node_step(n, &in);
    } else if (m->body_case == MUSTER__FROM_SHEPHERD__BODY_END) {
        take_end(n, h, m->end);
    } else if (m->body_case == MUSTER__FROM_SHEPHERD__BODY_PEER) {
        peers_send(n, h, m->peer);
    } else if (m->body_case == MUSTER__FROM_SHEPHERD__BODY_SAMPLES) {
        samples_send(n, h, m->samples);
    }
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char bytes[256 << 10];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

struct connection {
    uv_pipe_t pipe; // first: freed as the pipe
    struct node *node;
    struct attempt_id id;
};

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct connection *c = (struct connection *)stream;
    struct node *n = c->node;
    struct attempt_id id = c->id;
    struct held *h = held_find(n, id);
    if (!h || h->shepherd != &c->pipe)
        return;
    if (len < 0) {
        shepherd_drop(h);
        h->tries = 0;
        if (!h->released)
            shepherd_missing(n, h);
        return;
    }
    frame_reader_add(&h->reader, buf->base, (size_t)len);
    const uint8_t *bytes;
    size_t size;
    int rc;
    while ((rc = frame_reader_next(&h->reader, &bytes, &size)) > 0) {
        Muster__FromShepherd *m = muster__from_shepherd__unpack(NULL, size, bytes);
        if (m)
            take(n, h, m);
        if (m)
            muster__from_shepherd__free_unpacked(m, NULL);
        h = held_find(n, id); // taking may have ended it
        if (!h || h->shepherd != &c->pipe)
            return;
    }
    if (rc < 0)
        shepherd_drop(h);
}

// 0: connected.
static int try_connect(struct node *n, struct held *h)
{
    struct sockaddr_un address;
    socklen_t len;
    struct err err;
    if (attempt_address(h->id, n->name, &address, &len, &err))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    struct ucred who;
    socklen_t who_len = sizeof who;
    uid_t owner = h->launch ? h->launch->uid : geteuid();
    if (connect(fd, (struct sockaddr *)&address, len) ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &who_len) ||
        (who.uid != owner && who.uid != geteuid())) {
        close(fd);
        return -1;
    }
    struct connection *c = xcalloc(1, sizeof *c);
    c->node = n;
    c->id = h->id;
    uv_pipe_init(n->loop, &c->pipe, 0);
    uv_pipe_open(&c->pipe, fd);
    h->shepherd = &c->pipe;
    attempt_adopt(n, h->id, who.pid); // before its order
    h->reader = (struct frame_reader){.limit = FRAME_MAX};
    uv_read_start((uv_stream_t *)&c->pipe, give_buffer, on_read);
    return 0;
}

static void on_retry(uv_timer_t *timer)
{
    struct connection *c = timer->data;
    struct held *h = held_find(c->node, c->id);
    struct node *n = c->node;
    free(c);
    timer->data = NULL;
    if (h && h->sweeping)
        attempt_sweep(n, h->id);
    else if (h && !h->shepherd)
        shepherd_connect(n, h);
}

void held_retry(struct node *n, struct held *h, uint64_t ms)
{
    if (!h->retry) {
        h->retry = xcalloc(1, sizeof *h->retry);
        uv_timer_init(n->loop, h->retry);
    }
    if (h->retry->data)
        return;
    struct connection *c = xcalloc(1, sizeof *c);
    c->node = n;
    c->id = h->id;
    h->retry->data = c;
    uv_timer_start(h->retry, on_retry, ms, 0);
}

void shepherd_connect(struct node *n, struct held *h)
{
    if (h->shepherd)
        return;
    if (try_connect(n, h) == 0) {
        h->tries = 0;
        shepherd_order(n, h);
        return;
    }
    h->tries++;
    if (h->tries % 64 == 0 || h->tries >= CONNECT_TRIES)
        shepherd_missing(n, h);
    else
        held_retry(n, h, h->tries < 3 ? 1 : 5);
}

static void gone(struct node *n, struct held *h, bool ordered)
{
    uint8_t *bytes;
    size_t len;
    struct err err;
    if (ordered && attempt_end_read(n->run_dir, h->id, &bytes, &len, &err) == 0) {
        Muster__End *end = muster__end__unpack(NULL, len, bytes);
        free(bytes);
        if (end) {
            take_end(n, h, end);
            muster__end__free_unpacked(end, NULL);
            return;
        }
    }
    struct agent_input in = {.kind = AGENT_IN_SHEPHERD_GONE, .id = h->id, .started = ordered};
    node_step(n, &in);
}

void shepherd_none(struct node *n, struct held *h)
{
    h->tries = CONNECT_TRIES;
    shepherd_missing(n, h);
}

void shepherd_missing(struct node *n, struct held *h)
{
    enum attempt_lock_state lock;
    pid_t pid;
    struct err err;
    if (attempt_lock_look(n->run_dir, h->id, &lock, &pid, &err)) {
        log_error("shepherd", "lock", "%s", err.message);
        held_retry(n, h, 1000);
        return;
    }
    switch (agent_traces_missing((enum agent_lock)lock, h->tries >= CONNECT_TRIES)) {
    case AGENT_MISSING_WAIT:
        held_retry(n, h, 20);
        break;
    case AGENT_MISSING_NEVER:
        gone(n, h, false);
        break;
    case AGENT_MISSING_GONE:
        gone(n, h, true);
        break;
    }
}
