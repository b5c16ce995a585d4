// A stand-in for the scheduler's API on a Unix socket, and schedctl run in this process against it.
//
// A test sets `answer`, called for each request in the thread of its connection (one at a time, by
// a lock), and then calls schedctl(). What was printed is in ctl_out and ctl_err.
//
//     static void answer(const struct request *q, struct reply *r)
//     {
//         reply_json(r, 200, "{\"jobs\":[]}");
//     }
//     fake_start(answer);
//     assert_int_equal(SCHEDCTL("jobs"), 0);
//     fake_stop();
#pragma once

#include "common/alloc.h"
#include "common/check.h"
#include "common/text.h"
#include "schedctl/ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct request {
    const char *method, *path, *body; // path with its query
    int number;                       // 1, 2, ... since fake_start()
};

struct reply {
    int status;
    bool hang_up;        // close the connection instead of answering
    struct text headers; // lines with "\r\n"
    struct text body;
};

static inline void reply_json(struct reply *r, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static inline void reply_json(struct reply *r, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->status = status;
    text_vaddf(&r->body, fmt, ap);
    va_end(ap);
}

// A piece of a task's output.
static inline void reply_log(struct reply *r, long offset, long size, bool ended, const char *bytes)
{
    r->status = 200;
    text_addf(&r->headers,
              "X-Muster-Offset: %ld\r\nX-Muster-Size: %ld\r\nX-Muster-Dropped: 0\r\n"
              "X-Muster-Ended: %d\r\n",
              offset, size, ended);
    text_add(&r->body, bytes);
}

typedef void answer_fn(const struct request *q, struct reply *r);

static char fake_dir[] = "/tmp/schedctl_server.XXXXXX";
static struct {
    pthread_mutex_t lock;
    answer_fn *answer;
    int listener, requests;
    int serving; // connections
    pthread_cond_t served;
    pthread_t acceptor;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .served = PTHREAD_COND_INITIALIZER, .listener = -1};
static struct text ctl_out, ctl_err;

static inline void fake_reply(int fd, struct reply *r)
{
    AUTO(text) struct text t = {0};
    text_addf(&t, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n", r->status, r->body.len,
              text_str(&r->headers));
    text_add_bytes(&t, text_str(&r->body), r->body.len);
    for (size_t at = 0; at < t.len;) {
        ssize_t n = send(fd, t.p + at, t.len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        at += (size_t)n;
    }
}

// One whole request in `in` (head and body), or NULL while it is not complete. Cuts it into words.
static inline char *fake_take(struct text *in, struct request *q)
{
    char *end = in->p ? strstr(in->p, "\r\n\r\n") : NULL;
    if (!end)
        return NULL;
    char *length = strcasestr(in->p, "content-length:");
    size_t body = length && length < end ? strtoul(length + 15, NULL, 10) : 0;
    size_t whole = (size_t)(end + 4 - in->p) + body;
    if (in->len < whole)
        return NULL;
    char *copy = xstrndup(in->p, whole);
    char *rest = copy;
    q->method = strsep(&rest, " ");
    q->path = strsep(&rest, " ");
    q->body = copy + whole - body;
    AUTO_FREE char *left = xmemdup(in->p + whole, in->len - whole + 1);
    size_t left_len = in->len - whole;
    text_clear(in);
    text_add_bytes(in, left, left_len);
    return copy;
}

static inline void *fake_serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    struct text in = {0};
    char part[65536];
    ssize_t n;
    bool open = true;
    while (open && (n = recv(fd, part, sizeof part, 0)) > 0) {
        struct request q;
        char *copy;
        text_add_bytes(&in, part, (size_t)n);
        while (open && (copy = fake_take(&in, &q))) {
            struct reply r = {.status = 500};
            pthread_mutex_lock(&fake.lock);
            q.number = ++fake.requests;
            fake.answer(&q, &r);
            pthread_mutex_unlock(&fake.lock);
            if (r.hang_up)
                open = false;
            else
                fake_reply(fd, &r);
            text_free(&r.headers);
            text_free(&r.body);
            free(copy);
        }
    }
    text_free(&in);
    close(fd);
    pthread_mutex_lock(&fake.lock);
    fake.serving--;
    pthread_cond_signal(&fake.served);
    pthread_mutex_unlock(&fake.lock);
    return NULL;
}

static inline void *fake_accept(void *arg)
{
    int listener = (int)(intptr_t)arg, fd;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        pthread_t t;
        pthread_mutex_lock(&fake.lock);
        fake.serving++;
        pthread_mutex_unlock(&fake.lock);
        CHECK(pthread_create(&t, NULL, fake_serve, (void *)(intptr_t)fd) == 0);
        pthread_detach(t);
    }
    return NULL;
}

static inline void fake_start(answer_fn *answer)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/scheduler.sock", fake_dir);
    unlink(a.sun_path);
    pthread_mutex_lock(&fake.lock);
    fake.answer = answer;
    fake.requests = 0;
    pthread_mutex_unlock(&fake.lock);
    fake.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fake.listener >= 0);
    CHECK(bind(fake.listener, (struct sockaddr *)&a, sizeof a) == 0);
    CHECK(listen(fake.listener, 16) == 0);
    CHECK(pthread_create(&fake.acceptor, NULL, fake_accept, (void *)(intptr_t)fake.listener) == 0);
}

// A counter that answers write.
static inline int fake_seen(const int *v)
{
    pthread_mutex_lock(&fake.lock);
    int seen = *v;
    pthread_mutex_unlock(&fake.lock);
    return seen;
}

static inline void fake_stop(void)
{
    AUTO_FREE char *path = xasprintf("%s/scheduler.sock", fake_dir);
    shutdown(fake.listener, SHUT_RDWR);
    pthread_join(fake.acceptor, NULL);
    pthread_mutex_lock(&fake.lock); // what a client sent before it left is not the next test's
    while (fake.serving)
        pthread_cond_wait(&fake.served, &fake.lock);
    pthread_mutex_unlock(&fake.lock);
    close(fake.listener);
    unlink(path);
}

static inline void capture(int fd, struct text *ret)
{
    char part[4096];
    ssize_t n;
    text_clear(ret);
    lseek(fd, 0, SEEK_SET);
    while ((n = read(fd, part, sizeof part)) > 0)
        text_add_bytes(ret, part, (size_t)n);
    close(fd);
}

// schedctl with these words; its exit code.
static inline int schedctl(char **argv)
{
    int saved[2] = {dup(1), dup(2)}, to[2];
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        to[i] = open(fake_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        CHECK(to[i] >= 0 && saved[i] >= 0 && dup2(to[i], i + 1) == i + 1);
    }
    int rc = ctl_main(argv);
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        CHECK(dup2(saved[i], i + 1) == i + 1);
        close(saved[i]);
        capture(to[i], i ? &ctl_err : &ctl_out);
    }
    return rc;
}
#define SCHEDCTL(...) schedctl((char *[]){"schedctl", "--dir", fake_dir, __VA_ARGS__, NULL})

static inline int fake_setup(void **state)
{
    (void)state;
    return mkdtemp(fake_dir) ? 0 : -1;
}

static inline int fake_teardown(void **state)
{
    (void)state;
    text_free(&ctl_out);
    text_free(&ctl_err);
    return rmdir(fake_dir);
}
