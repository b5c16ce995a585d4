// The scheduler's HTTP API over its Unix socket. The only file that knows libcurl is client.c.
//
// One connection is kept and used again; a second one only while client_wait_*() waits. Failures
// are E_UNREACHABLE (nobody answers), E_TIMEOUT, or made from the API's error object: message and
// hint in one text, E_INVALID (400, 413), E_DENIED (403), E_NOT_FOUND (404), E_REFUSED (409, 503,
// others).
//
//     json_t *job;
//     if (client_get(c, "/v1/jobs/17", &job, &err))
//         return report(&err);
//
// A client is not shared between threads. Answers are bounded by CLIENT_ANSWER_MAX.
#pragma once

#include "common/err.h"
#include "common/text.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLIENT_ANSWER_MAX = 512 * 1024 * 1024, CLIENT_REQUEST_MAX = 4 * 1024 * 1024 };

struct client;

// E_INVALID if DIR/scheduler.sock is too long for a Unix socket. Connects with the first request.
int client_open(const char *dir, struct client **ret, struct err *err);
void client_free(struct client **c);

// How long a request is tried again when the connection is refused or breaks (default 0). Only for
// requests that may be repeated. A socket that was never there fails at once.
void client_patience(struct client *c, int64_t ms);
// No request lasts, or is tried again, beyond this time of the boot clock (default INT64_MAX).
void client_deadline(struct client *c, int64_t boot_ms);
// Requests end with E_TIMEOUT soon after *flag is at least `level` (an interrupt). NULL: never.
void client_stop_when(struct client *c, volatile int *flag, int level);

// `ret` may be NULL. The caller owns the reference.
int client_get(struct client *c, const char *path, json_t **ret, struct err *err);
// `body` NULL: {}.
int client_post(struct client *c, const char *path, const json_t *body, json_t **ret,
                struct err *err);

// The same with another method: PUT, PATCH, DELETE.
int client_send(struct client *c, const char *method, const char *path, const json_t *body,
                json_t **ret, struct err *err);

// The code of the last refusal of a request ("no_output"), "" if the last one was none.
const char *client_refusal(const struct client *c);

struct log_chunk {
    int64_t offset, size, dropped; // as the X-Muster- headers; offset is that of the first byte
    bool ended;                    // nothing will be added to this stream
};
// Appends the bytes to ret_bytes.
int client_get_log(struct client *c, const char *path, struct text *ret_bytes,
                   struct log_chunk *ret, struct err *err);

// A GET that takes long, beside other requests; one at a time.
void client_wait_start(struct client *c, const char *path);
// Waits until its answer is there, a byte can be read from extra_fd (-1: none), or timeout_ms is
// over. *ret_done: the answer is in *ret or the failure in the return value, and it is over.
int client_wait_poll(struct client *c, int extra_fd, int timeout_ms, bool *ret_done, json_t **ret,
                     struct err *err);

// Appends a path segment or query value, percent-encoded.
void client_escape(struct text *path, const char *segment);
