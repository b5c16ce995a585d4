// load SOCKET CONNECTIONS COUNT METHOD PATH STATUS [BODY]: COUNT requests over kept connections.
//
// Each connection to the Unix socket sends a request, waits for its answer and sends the next. Any
// other status than STATUS ends it with exit code 1. In BODY every run of eight "@" becomes the
// request's number in eight digits. Prints one JSON object with the answers a second, the duration
// of one request (median, 99th percentile) and the least and greatest "id" that came back.
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, COUNT_MAX = 1 << 20, ANSWER_MAX = 64 << 10, REQUEST_MAX = 16 << 10 };

struct conn {
    int fd;
    double sent_s;
    size_t len;
    char in[ANSWER_MAX + 1];
};

static struct {
    const char *socket, *method, *path, *body;
    long connections, count;
    int status;
} ask;

static struct conn conns[CONNECTIONS_MAX];
static double took_ms[COUNT_MAX];
static long sent, answered, least_id = -1, greatest_id = -1;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void connect_to(struct conn *c)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(ask.socket) >= sizeof a.sun_path)
        errx(2, "the socket's path is too long");
    memcpy(a.sun_path, ask.socket, strlen(ask.socket));
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a))
        err(1, "%s", ask.socket);
}

static size_t make_body(char *body, size_t size, long number)
{
    static const char mark[] = "@@@@@@@@";
    char digits[24];
    size_t len = (size_t)snprintf(body, size, "%s", ask.body);
    if (len >= size)
        errx(2, "the body is too long");
    snprintf(digits, sizeof digits, "%08ld", number % 100000000);
    for (char *at = body; (at = strstr(at, mark)); at += sizeof mark - 1)
        memcpy(at, digits, sizeof mark - 1);
    return len;
}

static void send_next(struct conn *c)
{
    static char body[REQUEST_MAX], request[REQUEST_MAX + 1024];
    if (sent == ask.count)
        return;
    size_t len = make_body(body, sizeof body, sent++);
    int total = snprintf(request, sizeof request,
                         "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                         "Content-Length: %zu\r\n\r\n%s",
                         ask.method, ask.path, len, body);
    if (total < 0 || (size_t)total >= sizeof request)
        errx(2, "the request is too long");
    c->len = 0;
    c->sent_s = now_s();
    if (write(c->fd, request, (size_t)total) != total)
        err(1, "write");
}

// Is the answer complete?
static bool complete(const struct conn *c)
{
    const char *end = strstr(c->in, "\r\n\r\n"), *length = strcasestr(c->in, "content-length:");
    if (!end)
        return false;
    if (!length || length > end)
        errx(1, "an answer without a length: %.200s", c->in);
    return c->len >= (size_t)(end + 4 - c->in) + strtoul(length + 15, NULL, 10);
}

static void take(struct conn *c)
{
    took_ms[answered++] = (now_s() - c->sent_s) * 1000;
    if (strtol(c->in + strcspn(c->in, " "), NULL, 10) != ask.status)
        errx(1, "not status %d: %s", ask.status, c->in);
    const char *id = strstr(c->in, "{\"id\":");
    long v = id ? strtol(id + 6, NULL, 10) : -1;
    if (v >= 0 && (least_id < 0 || v < least_id))
        least_id = v;
    if (v > greatest_id)
        greatest_id = v;
    send_next(c);
}

static void receive(struct conn *c)
{
    ssize_t n = read(c->fd, c->in + c->len, ANSWER_MAX - c->len);
    if (n < 0)
        err(1, "read");
    if (n == 0)
        errx(1, "the connection was closed after %ld answers", answered);
    c->len += (size_t)n;
    c->in[c->len] = 0;
    if (complete(c))
        take(c);
}

static double load(void)
{
    int poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ready[64];
    for (long i = 0; i < ask.connections; i++) {
        connect_to(&conns[i]);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &conns[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, conns[i].fd, &e))
            err(1, "epoll_ctl");
    }
    double start = now_s();
    for (long i = 0; i < ask.connections; i++)
        send_next(&conns[i]);
    while (answered < ask.count) {
        int n = epoll_wait(poll, ready, 64, 60000);
        if (n <= 0)
            errx(1, "no answer for a minute, after %ld", answered);
        for (int i = 0; i < n; i++)
            receive(ready[i].data.ptr);
    }
    return now_s() - start;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    if (argc < 7)
        errx(2, "usage: load SOCKET CONNECTIONS COUNT METHOD PATH STATUS [BODY]");
    ask.socket = argv[1];
    ask.connections = strtol(argv[2], NULL, 10);
    ask.count = strtol(argv[3], NULL, 10);
    ask.method = argv[4];
    ask.path = argv[5];
    ask.status = (int)strtol(argv[6], NULL, 10);
    ask.body = argc > 7 ? argv[7] : "";
    if (ask.connections < 1 || ask.connections > CONNECTIONS_MAX || ask.count < 1 ||
        ask.count > COUNT_MAX)
        errx(2, "CONNECTIONS must be 1 to %d, COUNT 1 to %d", CONNECTIONS_MAX, COUNT_MAX);
    double seconds = load();
    qsort(took_ms, (size_t)answered, sizeof *took_ms, compare);
    printf("{\"count\":%ld,\"seconds\":%.6f,\"per_s\":%.2f,\"p50_ms\":%.4f,\"p99_ms\":%.4f,"
           "\"first\":%ld,\"last\":%ld}\n",
           answered, seconds, (double)answered / seconds, took_ms[answered / 2],
           took_ms[answered * 99 / 100], least_id, greatest_id);
    return 0;
}
