// HTTP and WebSocket over the Unix socket: the one file that knows libwebsockets.
//
// A request's body is gathered (bounded), api_request() is called, and the answer comes when it
// comes. A WebSocket on /agent is an agent's link. The peer's credentials say who speaks.
#include "scheduler/shell/server.h"

#include "common/alloc.h"
#include "common/log.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uthash.h>

enum { LINK_FRAMES_MAX = 65536, LINK_BYTES_MAX = 64 << 20, CHUNK = 64 << 10, HEADERS_MAX = 4096 };

struct frame {
    size_t len;
    TAILQ_ENTRY(frame) link;
    uint8_t bytes[]; // LWS_PRE, then the message
};

// One connection: a request on it, or an agent's link.
struct conn {
    struct lws *wsi;
    struct http_req request; // request.handle 0: none is open
    bool too_large;
    int status;
    char *type, *headers, *body;
    size_t len, sent;
    bool answered, headers_sent;
    uint64_t link; // 0: no agent
    struct text in;
    TAILQ_HEAD(, frame) queue;
    size_t frames, bytes;
    bool closing;
    uint64_t id; // key of the table: request.handle or link
    UT_hash_handle hh;
};

struct http {
    struct lws_context *context;
    struct conn *open; // by id
    uint64_t next;
};

static struct conn *conn_find(struct server *s, uint64_t id)
{
    struct conn *c;
    HASH_FIND(hh, s->http->open, &id, sizeof id, c);
    return c;
}

static uint64_t conn_register(struct server *s, struct conn *c)
{
    c->id = ++s->http->next;
    HASH_ADD(hh, s->http->open, id, sizeof c->id, c);
    return c->id;
}

static void request_end(struct server *s, struct conn *c)
{
    if (c->request.handle)
        HASH_DELETE(hh, s->http->open, c);
    free(c->request.path);
    free(c->request.query);
    text_free(&c->request.body);
    free(c->type);
    free(c->headers);
    free(c->body);
    c->request = (struct http_req){0};
    c->type = c->headers = c->body = NULL;
    c->len = c->sent = 0;
    c->answered = c->headers_sent = c->too_large = false;
}

static bool credentials(struct lws *wsi, uint32_t *ret_uid, uint32_t *ret_gid)
{
    struct ucred who;
    socklen_t len = sizeof who;
    if (getsockopt(lws_get_socket_fd(wsi), SOL_SOCKET, SO_PEERCRED, &who, &len))
        return false;
    *ret_uid = who.uid;
    *ret_gid = who.gid;
    return true;
}

struct http_req *http_request(struct server *s, uint64_t handle)
{
    struct conn *c = conn_find(s, handle);
    return c && c->request.handle == handle ? &c->request : NULL;
}

void http_answer(struct server *s, uint64_t handle, int status, const char *type,
                 const char *headers, char *body, size_t len)
{
    struct conn *c = conn_find(s, handle);
    if (!c || c->request.handle != handle || c->answered) {
        free(body);
        return;
    }
    c->status = status;
    c->type = xstrdup(type);
    c->headers = headers ? xstrdup(headers) : NULL;
    c->body = body;
    c->len = len;
    c->answered = true;
    lws_callback_on_writable(c->wsi);
}

// ---- requests ----

static const char *method_of(struct lws *wsi, const char **ret_path, int *ret_len)
{
    static const struct {
        enum lws_token_indexes token;
        const char *name;
    } methods[] = {{WSI_TOKEN_GET_URI, "GET"},       {WSI_TOKEN_POST_URI, "POST"},
                   {WSI_TOKEN_PUT_URI, "PUT"},       {WSI_TOKEN_PATCH_URI, "PATCH"},
                   {WSI_TOKEN_DELETE_URI, "DELETE"}, {WSI_TOKEN_OPTIONS_URI, "OPTIONS"}};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        int n = lws_hdr_total_length(wsi, methods[i].token);
        if (n > 0) {
            *ret_len = n;
            *ret_path = methods[i].name;
            return methods[i].name;
        }
    }
    *ret_len = 0;
    return "?";
}

static char *query_of(struct lws *wsi)
{
    AUTO(text) struct text t = {0};
    char piece[HEADERS_MAX];
    for (int i = 0; lws_hdr_copy_fragment(wsi, piece, sizeof piece, WSI_TOKEN_HTTP_URI_ARGS, i) > 0;
         i++)
        text_addf(&t, "%s%s", i ? "&" : "", piece);
    return text_take(&t);
}

static int request_begin(struct server *s, struct conn *c, struct lws *wsi, const char *path)
{
    const char *unused;
    int len;
    if (c->request.handle)
        request_end(s, c);
    struct http_req *r = &c->request;
    const char *method = method_of(wsi, &unused, &len);
    if (!credentials(wsi, &r->uid, &r->gid))
        return -1;
    snprintf(r->method, sizeof r->method, "%s", method);
    r->path = xstrdup(path);
    r->query = query_of(wsi);
    c->wsi = wsi;
    r->handle = conn_register(s, c);
    bool body = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 ||
                lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
    char length[32] = "";
    lws_hdr_copy(wsi, length, sizeof length, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    if (strtoll(length, NULL, 10) > BODY_MAX)
        c->too_large = true;
    bool expects =
        strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
    if (!expects || !body || strcmp(length, "0") == 0)
        api_request(s, r);
    return 0;
}

static void body_done(struct server *s, struct conn *c)
{
    if (c->too_large) {
        char message[128];
        snprintf(message, sizeof message, "the request's body exceeds %d bytes", BODY_MAX);
        api_error(s, c->request.handle, 413, "too_large", message, "Send less.");
    } else if (c->request.handle) {
        api_request(s, &c->request);
    }
}

static int send_headers(struct conn *c, struct lws *wsi)
{
    uint8_t buf[LWS_PRE + 4096], *at = buf + LWS_PRE, *end = buf + sizeof buf - 1;
    if (lws_add_http_common_headers(wsi, (unsigned)c->status, c->type, c->len, &at, end))
        return -1;
    for (char *line = c->headers; line && *line;) {
        char *colon = strchr(line, ':'), *stop = strchr(line, '\n');
        if (!colon || !stop)
            break;
        *stop = 0;
        AUTO_FREE char *name = xasprintf("%.*s:", (int)(colon - line), line);
        const char *value = colon + 2;
        if (lws_add_http_header_by_name(wsi, (uint8_t *)name, (const uint8_t *)value,
                                        (int)strlen(value), &at, end))
            return -1;
        line = stop + 1;
    }
    if (lws_finalize_write_http_header(wsi, buf + LWS_PRE, &at, end))
        return -1;
    c->headers_sent = true;
    return 0;
}

static int send_answer(struct server *s, struct conn *c, struct lws *wsi)
{
    static uint8_t chunk[LWS_PRE + CHUNK];
    if (!c->answered)
        return 0;
    if (!c->headers_sent) {
        if (send_headers(c, wsi))
            return -1;
        if (c->len) {
            lws_callback_on_writable(wsi);
            return 0;
        }
    }
    if (c->len) {
        size_t left = c->len - c->sent, n = left < CHUNK ? left : CHUNK;
        bool last = n == left;
        memcpy(chunk + LWS_PRE, c->body + c->sent, n);
        if (lws_write(wsi, chunk + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) <
            (int)n)
            return -1;
        c->sent += n;
        if (!last) {
            lws_callback_on_writable(wsi);
            return 0;
        }
    }
    request_end(s, c);
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t len)
{
    struct server *s = lws_context_user(lws_get_context(wsi));
    struct conn *c = user;
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP:
        return request_begin(s, c, wsi, in);
    case LWS_CALLBACK_HTTP_BODY:
        if (c->request.body.len + len > BODY_MAX)
            c->too_large = true;
        else if (!c->too_large)
            text_add_bytes(&c->request.body, in, len);
        return 0;
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        body_done(s, c);
        return 0;
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return c ? send_answer(s, c, wsi) : 0;
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        if (c && c->request.handle)
            request_end(s, c);
        return 0;
    default:
        return 0;
    }
}

// ---- agents' links ----

// libwebsockets gives "name=n1" or "n1", by version.
static bool node_name(struct lws *wsi, char *buf, int size, const char **ret)
{
    static const char key[] = "name=", allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const char *name = lws_get_urlarg_by_name(wsi, key, buf, size);
    if (name && strncmp(name, key, sizeof key - 1) == 0)
        name += sizeof key - 1;
    *ret = name;
    return name && *name && strlen(name) <= NODE_NAME_MAX && !name[strspn(name, allowed)];
}

static int link_begin(struct server *s, struct conn *c, struct lws *wsi)
{
    char buf[256];
    const char *name;
    uint32_t uid, gid;
    if (!node_name(wsi, buf, sizeof buf, &name) || !credentials(wsi, &uid, &gid) ||
        (uid != 0 && uid != geteuid())) {
        log_warning("link", "refused", "an agent without name or right");
        return -1;
    }
    TAILQ_INIT(&c->queue);
    c->wsi = wsi;
    c->link = conn_register(s, c);
    agent_connected(s, c->link, name);
    return 0;
}

static void link_end(struct server *s, struct conn *c)
{
    struct frame *f;
    if (!c->link)
        return;
    HASH_DELETE(hh, s->http->open, c);
    while ((f = TAILQ_FIRST(&c->queue))) {
        TAILQ_REMOVE(&c->queue, f, link);
        free(f);
    }
    text_free(&c->in);
    agent_gone(s, c->link);
    c->link = 0;
}

static int link_write(struct conn *c, struct lws *wsi)
{
    struct frame *f = TAILQ_FIRST(&c->queue);
    if (!f)
        return c->closing ? -1 : 0;
    if (lws_write(wsi, f->bytes + LWS_PRE, f->len, LWS_WRITE_BINARY) < (int)f->len)
        return -1;
    TAILQ_REMOVE(&c->queue, f, link);
    c->frames--;
    c->bytes -= f->len;
    free(f);
    lws_callback_on_writable(wsi);
    return 0;
}

static int link_receive(struct server *s, struct conn *c, struct lws *wsi, const void *in,
                        size_t len)
{
    if (c->in.len + len > FRAME_MAX) {
        log_error("link", "too_large", "a frame exceeds %d bytes: the link is closed", FRAME_MAX);
        return -1;
    }
    text_add_bytes(&c->in, in, len);
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi))
        return 0;
    agent_frame(s, c->link, (const uint8_t *)c->in.p, c->in.len);
    text_clear(&c->in);
    return c->closing && TAILQ_EMPTY(&c->queue) ? -1 : 0;
}

static int on_agent(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct server *s = lws_context_user(lws_get_context(wsi));
    struct conn *c = user;
    switch ((int)reason) {
    case LWS_CALLBACK_ESTABLISHED:
        return link_begin(s, c, wsi);
    case LWS_CALLBACK_RECEIVE:
        return link_receive(s, c, wsi, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return link_write(c, wsi);
    case LWS_CALLBACK_CLOSED:
        link_end(s, c);
        return 0;
    default:
        return 0;
    }
}

void link_frame(struct server *s, uint64_t link, const uint8_t *bytes, size_t len)
{
    struct conn *c = conn_find(s, link);
    if (!c || c->link != link || c->closing)
        return;
    if (c->frames >= LINK_FRAMES_MAX || c->bytes + len > LINK_BYTES_MAX) {
        log_error("link", "queue_full", "a slow agent is cut off; it will reconcile");
        link_close(s, link);
        return;
    }
    struct frame *f = xmalloc(sizeof *f + LWS_PRE + len);
    f->len = len;
    memcpy(f->bytes + LWS_PRE, bytes, len);
    TAILQ_INSERT_TAIL(&c->queue, f, link);
    c->frames++;
    c->bytes += len;
    lws_callback_on_writable(c->wsi);
}

void link_close(struct server *s, uint64_t link)
{
    struct conn *c = conn_find(s, link);
    if (!c || c->link != link)
        return;
    c->closing = true;
    lws_callback_on_writable(c->wsi);
}

// ---- life ----

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = on_http, .per_session_data_size = sizeof(struct conn)},
    {.name = "muster",
     .callback = on_agent,
     .per_session_data_size = sizeof(struct conn),
     .rx_buffer_size = 64 << 10},
    {0},
};

static int free_socket(const char *path, struct err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        return fail(
            err, E_TOO_LARGE,
            "the path \"%s\" is too long for a Unix socket (%zu bytes, at most %zu). Choose "
            "a shorter directory.",
            path, strlen(path), sizeof a.sun_path - 1);
    memcpy(a.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool alive = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
        close(fd);
    if (alive)
        return fail(err, E_EXISTS,
                    "the socket \"%s\" is in use by another process. Stop it, or choose another "
                    "--socket.",
                    path);
    unlink(path); // stale: we hold the store's lock
    return 0;
}

int http_start(struct server *s, struct err *err)
{
    s->http = xcalloc(1, sizeof *s->http);
    int rc = free_socket(s->socket, err);
    if (rc)
        return rc;
    lws_set_log_level(0, NULL);
    void *loops[] = {s->loop};
    struct lws_context_creation_info info = {
        .iface = s->socket,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_UNIX_SOCK,
        .foreign_loops = loops,
        .gid = -1,
        .uid = -1,
        .user = s,
        .keepalive_timeout = 60,
        .timeout_secs = 3600,
        .max_http_header_data = HEADERS_MAX,
    };
    mode_t mask = umask(0); // credentials decide, not the mode
    s->http->context = lws_create_context(&info);
    umask(mask);
    if (!s->http->context || chmod(s->socket, 0666))
        return fail(err, E_IO, "cannot listen on \"%s\": %m", s->socket);
    return 0;
}

void http_stop(struct server *s)
{
    unlink(s->socket);
}
