#include "schedctl/client.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/clock.h"
#include "schedctl/pause.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { REQUEST_TIMEOUT_MS = 60000, RETRY_PAUSE_MS = 100 };

struct transfer {
    CURL *easy;
    struct text body;
    struct log_chunk log;
    char what[CURL_ERROR_SIZE];
};

struct client {
    char *socket;
    struct transfer main, wait;
    CURLM *multi;
    bool waiting;
    bool reached; // an answer came at least once
    char refusal[64];
    int64_t patience_ms, deadline_ms;
    volatile int *stop;
    int stop_level;
};

static size_t on_body(char *p, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    if (t->body.len + size * count > CLIENT_ANSWER_MAX)
        return 0;
    text_add_bytes(&t->body, p, size * count);
    return size * count;
}

static size_t on_header(char *p, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    static const struct {
        const char *name;
        size_t len;
    } names[] = {{"x-muster-offset:", 16},
                 {"x-muster-size:", 14},
                 {"x-muster-dropped:", 17},
                 {"x-muster-ended:", 15}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (size * count <= names[i].len || strncasecmp(p, names[i].name, names[i].len))
            continue;
        AUTO_FREE char *value = xstrndup(p + names[i].len, size * count - names[i].len);
        int64_t v = strtoll(value, NULL, 10);
        if (i == 0)
            t->log.offset = v;
        else if (i == 1)
            t->log.size = v;
        else if (i == 2)
            t->log.dropped = v;
        else
            t->log.ended = v != 0;
    }
    return size * count;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct client *client = arg;
    (void)a, (void)b, (void)c, (void)d;
    return client->stop && *client->stop >= client->stop_level;
}

static void transfer_init(struct client *c, struct transfer *t)
{
    t->easy = curl_easy_init();
    CHECK(t->easy);
    curl_easy_setopt(t->easy, CURLOPT_UNIX_SOCKET_PATH, c->socket);
    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->what);
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(t->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(t->easy, CURLOPT_XFERINFODATA, c);
}

int client_open(const char *dir, struct client **ret, struct err *err)
{
    AUTO_FREE char *socket = xasprintf("%s/scheduler.sock", dir);
    size_t max = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (strlen(socket) > max)
        return fail(err, E_INVALID,
                    "the path of the scheduler's socket has %zu characters; a Unix socket takes at "
                    "most %zu. Use a directory with a shorter path than \"%.200s\".",
                    strlen(socket), max, dir);
    if (curl_global_init(CURL_GLOBAL_NOTHING))
        return fail(err, E_SYSTEM, "libcurl cannot start");
    struct client *c = xcalloc(1, sizeof *c);
    c->socket = TAKE(socket);
    c->deadline_ms = INT64_MAX;
    transfer_init(c, &c->main);
    *ret = c;
    return 0;
}

void client_free(struct client **pc)
{
    struct client *c = *pc;
    if (!c)
        return;
    if (c->waiting)
        curl_multi_remove_handle(c->multi, c->wait.easy);
    curl_easy_cleanup(c->wait.easy);
    curl_easy_cleanup(c->main.easy);
    curl_multi_cleanup(c->multi);
    curl_global_cleanup();
    text_free(&c->main.body);
    text_free(&c->wait.body);
    free(c->socket);
    free(c);
    *pc = NULL;
}

void client_patience(struct client *c, int64_t ms)
{
    c->patience_ms = ms;
}

void client_deadline(struct client *c, int64_t boot_ms)
{
    c->deadline_ms = boot_ms;
}

const char *client_refusal(const struct client *c)
{
    return c->refusal;
}

void client_stop_when(struct client *c, volatile int *flag, int level)
{
    c->stop = flag;
    c->stop_level = level;
}

// timeout_ms 0: none.
static void set_url(struct transfer *t, const char *path, int64_t timeout_ms)
{
    AUTO_FREE char *url = xasprintf("http://localhost%s", path);
    curl_easy_setopt(t->easy, CURLOPT_URL, url);
    curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    text_clear(&t->body);
    t->log = (struct log_chunk){0};
    t->what[0] = 0;
}

static bool is_connection_loss(CURLcode code)
{
    return code == CURLE_COULDNT_CONNECT || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
           code == CURLE_GOT_NOTHING || code == CURLE_PARTIAL_FILE;
}

// A private cluster's log lies beside the socket.
static int no_scheduler(const struct client *c, struct err *err)
{
    const char *slash = strrchr(c->socket, '/');
    AUTO_FREE char *log =
        xasprintf("%.*s/scheduler.log", slash ? (int)(slash - c->socket) : 0, c->socket);
    if (access(log, R_OK) == 0)
        return fail(
            err, E_UNREACHABLE,
            "no scheduler answers at \"%s\". The end of \"%s\" says why; `schedctl cluster up` "
            "starts it again.",
            c->socket, log);
    return fail(err, E_UNREACHABLE,
                "no scheduler answers at \"%s\". Start one with `schedctl cluster up`, or name the "
                "cluster's directory with --dir or MUSTER_HOME.",
                c->socket);
}

static int transport_failure(const struct client *c, const struct transfer *t, CURLcode code,
                             struct err *err)
{
    if (code == CURLE_COULDNT_CONNECT && access(c->socket, F_OK) == 0 &&
        access(c->socket, W_OK) != 0)
        return fail(err, E_DENIED,
                    "the socket \"%s\" is not yours to use. Ask for access, or name your own "
                    "cluster with --dir.",
                    c->socket);
    if (code == CURLE_COULDNT_CONNECT)
        return no_scheduler(c, err);
    if (is_connection_loss(code))
        return fail(err, E_UNREACHABLE,
                    "the connection to the scheduler at \"%s\" broke: %s. Try again.", c->socket,
                    *t->what ? t->what : curl_easy_strerror(code));
    if (code == CURLE_OPERATION_TIMEDOUT)
        return fail(err, E_TIMEOUT,
                    "the scheduler at \"%s\" did not answer in time. `schedctl cluster status` "
                    "shows whether it is alive.",
                    c->socket);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return fail(err, E_TIMEOUT, "interrupted");
    return fail(err, E_IO, "cannot speak with the scheduler at \"%s\": %s", c->socket,
                *t->what ? t->what : curl_easy_strerror(code));
}

static enum errcode code_of_status(long status)
{
    switch (status) {
    case 400:
    case 413:
        return E_INVALID;
    case 401:
    case 403:
        return E_DENIED;
    case 404:
        return E_NOT_FOUND;
    default:
        return E_REFUSED;
    }
}

// The API's error object as one message.
static int api_failure(struct client *c, long status, const struct transfer *t, struct err *err)
{
    json_t *root = json_loadb(text_str(&t->body), t->body.len, 0, NULL);
    const char *message = NULL, *hint = NULL, *code = "";
    json_unpack(root, "{s:{s?s,s?s,s?s}}", "error", "message", &message, "hint", &hint, "code",
                &code);
    snprintf(c->refusal, sizeof c->refusal, "%s", code);
    int rc;
    if (message && hint && *hint)
        rc = fail(err, code_of_status(status), "%s. %s", message, hint);
    else if (message)
        rc = fail(err, code_of_status(status), "%s", message);
    else
        rc = fail(err, code_of_status(status), "the scheduler answered with HTTP status %ld",
                  status);
    json_decref(root);
    return rc;
}

// The answer of a transfer that is over.
static int conclude(struct client *c, struct transfer *t, CURLcode code, struct err *err)
{
    long status = 0;
    if (code != CURLE_OK)
        return transport_failure(c, t, code, err);
    c->reached = true;
    c->refusal[0] = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299)
        return api_failure(c, status, t, err);
    return 0;
}

static int parse_answer(const struct transfer *t, json_t **ret, struct err *err)
{
    json_error_t e;
    if (!ret)
        return 0;
    json_t *root = json_loadb(text_str(&t->body), t->body.len, JSON_DECODE_ANY, &e);
    if (!root)
        return fail(err, E_VERSION,
                    "the scheduler's answer is no JSON (%s). Is it of another version? See "
                    "`schedctl cluster status`.",
                    e.text);
    *ret = root;
    return 0;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int perform(struct client *c, const char *path, struct err *err)
{
    int64_t give_up = earlier(clock_boot_ms() + c->patience_ms, c->deadline_ms);
    CURLcode loss = CURLE_OK; // the last one; a try that the deadline cuts short tells nothing else
    for (;;) {
        int64_t left = c->deadline_ms - clock_boot_ms();
        set_url(&c->main, path, earlier(left > 0 ? left : 1, REQUEST_TIMEOUT_MS));
        CURLcode code = curl_easy_perform(c->main.easy);
        if (code == CURLE_OPERATION_TIMEDOUT && loss)
            code = loss;
        bool absent = code == CURLE_COULDNT_CONNECT && !c->reached && access(c->socket, F_OK);
        if (!is_connection_loss(code) || absent || clock_boot_ms() >= give_up ||
            on_progress(c, 0, 0, 0, 0))
            return conclude(c, &c->main, code, err);
        loss = code;
        pause_ms(RETRY_PAUSE_MS);
    }
}

int client_get(struct client *c, const char *path, json_t **ret, struct err *err)
{
    curl_easy_setopt(c->main.easy, CURLOPT_HTTPGET, 1L);
    int rc = perform(c, path, err);
    return rc ? rc : parse_answer(&c->main, ret, err);
}

int client_post(struct client *c, const char *path, const json_t *body, json_t **ret,
                struct err *err)
{
    return client_send(c, "POST", path, body, ret, err);
}

int client_send(struct client *c, const char *method, const char *path, const json_t *body,
                json_t **ret, struct err *err)
{
    AUTO_FREE char *text =
        body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(12)) : xstrdup("{}");
    CHECK(text);
    if (strlen(text) > CLIENT_REQUEST_MAX)
        return fail(err, E_TOO_LARGE,
                    "the request has %zu bytes; at most %d can be sent. Put large arguments and "
                    "variables into a file that the job reads.",
                    strlen(text), CLIENT_REQUEST_MAX);
    // without "Expect", libcurl would wait for a 100 Continue with large bodies
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    CHECK(headers);
    curl_easy_setopt(c->main.easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c->main.easy, CURLOPT_POSTFIELDSIZE, (long)strlen(text));
    curl_easy_setopt(c->main.easy, CURLOPT_POSTFIELDS, text);
    curl_easy_setopt(c->main.easy, CURLOPT_CUSTOMREQUEST, method);
    int rc = perform(c, path, err);
    curl_easy_setopt(c->main.easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(c->main.easy, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(c->main.easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(c->main.easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    return rc ? rc : parse_answer(&c->main, ret, err);
}

int client_get_log(struct client *c, const char *path, struct text *ret_bytes,
                   struct log_chunk *ret, struct err *err)
{
    curl_easy_setopt(c->main.easy, CURLOPT_HTTPGET, 1L);
    int rc = perform(c, path, err);
    if (rc)
        return rc;
    text_add_bytes(ret_bytes, text_str(&c->main.body), c->main.body.len);
    *ret = c->main.log;
    return 0;
}

void client_wait_start(struct client *c, const char *path)
{
    CHECK(!c->waiting);
    if (!c->multi) {
        c->multi = curl_multi_init();
        CHECK(c->multi);
        transfer_init(c, &c->wait);
    }
    set_url(&c->wait, path, 0);
    curl_multi_add_handle(c->multi, c->wait.easy);
    c->waiting = true;
}

// The waiting transfer's result if it is over.
static bool wait_over(struct client *c, CURLcode *ret)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(c->multi, &left)))
        if (m->msg == CURLMSG_DONE) {
            *ret = m->data.result;
            curl_multi_remove_handle(c->multi, c->wait.easy);
            c->waiting = false;
            return true;
        }
    return false;
}

int client_wait_poll(struct client *c, int extra_fd, int timeout_ms, bool *ret_done, json_t **ret,
                     struct err *err)
{
    int running;
    CURLcode code;
    struct curl_waitfd extra = {.fd = extra_fd, .events = CURL_WAIT_POLLIN};
    CHECK(c->waiting);
    *ret_done = false;
    curl_multi_perform(c->multi, &running);
    if (running)
        curl_multi_poll(c->multi, &extra, extra_fd >= 0, timeout_ms, NULL);
    curl_multi_perform(c->multi, &running);
    if (!wait_over(c, &code))
        return 0;
    *ret_done = true;
    int rc = conclude(c, &c->wait, code, err);
    return rc ? rc : parse_answer(&c->wait, ret, err);
}

void client_escape(struct text *path, const char *segment)
{
    for (const char *p = segment; *p; p++) {
        if ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
            strchr("-_.~", *p))
            text_addc(path, *p);
        else
            text_addf(path, "%%%02X", (unsigned)(unsigned char)*p);
    }
}
