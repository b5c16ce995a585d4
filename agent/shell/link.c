// The link to the scheduler: a WebSocket over its Unix socket, by libwebsockets on our loop. It is
// made again for ever, with a pause of 0.1 s that doubles to 1 s; after a link that
// lasted, with the short one again.
#include "agent/shell/node.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUEUE_FRAMES_MAX = 65536,
    QUEUE_BYTES_MAX = 64 << 20,
    PAUSE_FIRST_MS = 100,
    PAUSE_LAST_MS = 1000 // a local socket costs little
};

struct frame {
    size_t len;
    TAILQ_ENTRY(frame) link;
    uint8_t bytes[]; // LWS_PRE, then the message
};

struct link {
    struct node *node;
    struct lws_context *context;
    struct lws *wsi; // NULL: not connected
    bool established;
    TAILQ_HEAD(, frame) queue;
    size_t frames, bytes;
    struct text in;
    uv_timer_t retry;
    uint64_t pause_ms;
    int64_t since_ms; // when it was established
};

static void clear_queue(struct link *l)
{
    struct frame *f;
    while ((f = TAILQ_FIRST(&l->queue))) {
        TAILQ_REMOVE(&l->queue, f, link);
        free(f);
    }
    l->frames = l->bytes = 0;
}

static void connect_now(uv_timer_t *timer);

static void lost(struct link *l)
{
    bool was = l->established;
    l->wsi = NULL;
    l->established = false;
    l->node->welcomed = false;
    clear_queue(l);
    text_clear(&l->in);
    if (was) {
        log_warning("link", "down", "the scheduler is not reachable; tasks go on");
        if (clock_boot_ms() - l->since_ms >= PAUSE_LAST_MS)
            l->pause_ms = PAUSE_FIRST_MS;
        node_step(l->node, &(struct agent_input){.kind = AGENT_IN_LINK_DOWN});
    }
    uv_timer_start(&l->retry, connect_now, l->pause_ms, 0);
    l->pause_ms = l->pause_ms * 2 < PAUSE_LAST_MS ? l->pause_ms * 2 : PAUSE_LAST_MS;
}

static int write_one(struct link *l, struct lws *wsi)
{
    struct frame *f = TAILQ_FIRST(&l->queue);
    if (!f)
        return 0;
    int n = lws_write(wsi, f->bytes + LWS_PRE, f->len, LWS_WRITE_BINARY);
    if (n < (int)f->len)
        return -1;
    TAILQ_REMOVE(&l->queue, f, link);
    l->frames--;
    l->bytes -= f->len;
    free(f);
    if (l->frames)
        lws_callback_on_writable(wsi);
    return 0;
}

static int receive(struct link *l, struct lws *wsi, const void *in, size_t len)
{
    if (l->in.len + len > FRAME_MAX) {
        log_error("link", "too_large", "a frame of the scheduler exceeds %d bytes", FRAME_MAX);
        return -1;
    }
    text_add_bytes(&l->in, in, len);
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi))
        return 0;
    message_take(l->node, (const uint8_t *)l->in.p, l->in.len);
    text_clear(&l->in);
    return 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct lws_context *context = lws_get_context(wsi);
    struct link *l = context ? lws_context_user(context) : NULL;
    (void)user;
    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        l->established = true;
        l->since_ms = clock_boot_ms();
        log_info("link", "up", "%s", l->node->socket);
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return receive(l, wsi, in, len);
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return write_one(l, wsi);
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_CLIENT_CLOSED:
        if (l && (!l->wsi || l->wsi == wsi))
            lost(l);
        break;
    default:
        break;
    }
    return 0;
}

static const struct lws_protocols protocols[] = {
    {.name = "muster", .callback = callback, .rx_buffer_size = 64 << 10},
    {0},
};

static void connect_now(uv_timer_t *timer)
{
    struct link *l = timer->data;
    AUTO_FREE char *address = xasprintf("+%s", l->node->socket);
    AUTO_FREE char *path = xasprintf("/agent?name=%s", l->node->name);
    struct lws_client_connect_info info = {
        .context = l->context,
        .address = address,
        .path = path,
        .host = "localhost",
        .origin = "localhost",
        .protocol = "muster",
        .local_protocol_name = "muster",
        .pwsi = &l->wsi,
    };
    if (!lws_client_connect_via_info(&info) && !l->wsi)
        uv_timer_start(&l->retry, connect_now, l->pause_ms, 0);
}

int link_start(struct node *n, struct err *err)
{
    struct link *l = xcalloc(1, sizeof *l);
    n->scheduler = l;
    l->node = n;
    l->pause_ms = PAUSE_FIRST_MS;
    TAILQ_INIT(&l->queue);
    lws_set_log_level(0, NULL);
    void *loops[] = {n->loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBUV,
        .foreign_loops = loops,
        .gid = -1,
        .uid = -1,
        .user = l,
    };
    l->context = lws_create_context(&info);
    if (!l->context)
        return fail(err, E_SYSTEM, "libwebsockets cannot start");
    uv_timer_init(n->loop, &l->retry);
    l->retry.data = l;
    uv_timer_start(&l->retry, connect_now, 0, 0);
    return 0;
}

void link_send(struct node *n, Muster__FromAgent *message)
{
    struct link *l = n->scheduler;
    if (!l || !l->established)
        return;
    // A HELLO goes out in any case: it tells a scheduler that is not obeyed why.
    message->session = l->node->session_seen;
    size_t len = muster__from_agent__get_packed_size(message);
    if (len > FRAME_MAX || l->frames >= QUEUE_FRAMES_MAX || l->bytes + len > QUEUE_BYTES_MAX) {
        log_error("link", "queue_full", "the link is made anew");
        lws_set_timeout(l->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
        return;
    }
    struct frame *f = xmalloc(sizeof *f + LWS_PRE + len);
    f->len = len;
    muster__from_agent__pack(message, f->bytes + LWS_PRE);
    TAILQ_INSERT_TAIL(&l->queue, f, link);
    l->frames++;
    l->bytes += len;
    lws_callback_on_writable(l->wsi);
}

bool link_idle(const struct node *n)
{
    return !n->scheduler || !n->scheduler->established || !n->scheduler->frames;
}

size_t link_backlog(const struct node *n)
{
    const struct link *l = n->scheduler;
    return l ? l->bytes + l->frames * sizeof(struct frame) : 0;
}
