// The scheduler's process around the pure core.
//
// One libuv loop, main thread only; the store's writer and the readers' pool are the other threads.
// turn.c is the heart: inputs are queued, stepped together, stored, and what the core said is done
// when it is durable. http.c alone knows libwebsockets and offers requests and links below; api.c
// answers requests, agents.c speaks with agents, translate.c turns JSON into a submission, reads.c
// answers questions from the database on the thread pool.
#pragma once

#include "common/err.h"
#include "common/text.h"
#include "proto/frame.h"
#include "proto/muster.pb-c.h"
#include "scheduler/core/cluster.h"
#include "scheduler/shell/store.h"

#include <bsd/sys/queue.h>
#include <jansson.h>
#include <uv.h>

enum { BODY_MAX = 6 << 20 };

struct http;
struct server;

// ---- turn.c ----

struct held_effects; // effects of a turn, copied, waiting for their batch

struct turn {
    struct store_batch *batch; // being filled; NULL: nothing changed since the last
    uint64_t submitted, durable;
    bool dirty;   // the batch has something to store
    bool stepped; // cluster_turn_begin was called in this turn
    bool continue_wanted;
    TAILQ_HEAD(, held_effects) held;
};

struct server {
    uv_loop_t *loop;
    char *dir, *socket; // dir: DIR/scheduler
    struct cluster *cluster;
    struct cluster_limits limits;
    struct store *store;
    struct store_writer *writer;
    struct metrics *metrics;
    struct turn turn;
    struct http *http;
    uint64_t secret; // of this database: names PMIx namespaces
    uv_async_t durable;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uv_poll_t timer;
    int timer_fd;
};

int turn_start(struct server *s, struct err *err);
// Steps the core now; its outputs leave when the turn is durable.
void turn_input(struct server *s, const struct input *in);
// The batch that the present turn goes into, for what the shell stores beside the core's rows.
struct store_batch *turn_batch(struct server *s);
// Did this request make a job of which the row is not durable yet? The core may have forgotten it
// by then: it may have ended. It is answered with that job when the row is durable.
bool turn_asked_before(struct server *s, struct request_id request, uint64_t reply_to);
void turn_stop(struct server *s);

// ---- http.c: requests and links ----

// A request being answered. Gone when http_answer() was called or the client left: then
// http_request() no longer finds its handle.
struct http_req {
    uint64_t handle;
    char method[8];
    char *path;  // "/v1/jobs/17", decoded
    char *query; // "wait=5&x=1", may be empty
    uint32_t uid, gid;
    struct text body;
};

int http_start(struct server *s, struct err *err);
void http_stop(struct server *s);
struct http_req *http_request(struct server *s, uint64_t handle);
// Takes body (malloc'ed). headers: "Name: value\n" lines or NULL.
void http_answer(struct server *s, uint64_t handle, int status, const char *type,
                 const char *headers, char *body, size_t len);
// A link is an agent's WebSocket; 0 is none.
void link_frame(struct server *s, uint64_t link, const uint8_t *bytes, size_t len);
void link_close(struct server *s, uint64_t link);

// ---- translate.c ----
struct submission {
    struct input_submit submit;
    char *queue, *account, *qos, *reservation; // of submit, owned
    char *need, *prefer;                       // the selectors that `submit` points to; owned
    uint8_t *spec;                             // packed JobSpec, owned
    size_t spec_len;
};
int translate_submission(const json_t *body, uint32_t uid, uint32_t gid, struct submission *ret,
                         struct err *err);
void submission_free(struct submission *s);

// ---- api.c ----
void api_request(struct server *s, struct http_req *r);
void api_reply(struct server *s, const struct effect *e);
void api_error(struct server *s, uint64_t handle, int status, const char *code, const char *message,
               const char *hint);
// Shared with api_rules.c.
struct caller api_caller(const struct http_req *r);
void api_wrong_method(struct server *s, const struct http_req *r);
// The body as an object; answers and returns NULL otherwise. An empty one is {}.
json_t *api_body(struct server *s, const struct http_req *r);
// ---- api_rules.c ----
// False: the path is another one.
bool api_rules(struct server *s, const struct http_req *r);
// What an operator asks of a row: its kind and name ("" if the body says it), and what of it is
// set.
enum rule_order_verb { RULE_ORDER_CREATE, RULE_ORDER_CHANGE, RULE_ORDER_PUT, RULE_ORDER_REMOVE };
struct rule_order {
    enum rule_order_verb verb;
    enum rule_kind kind;
    const char *name;
    const json_t *body;
};
// The input of it, by the rows that stand now; it points to *row, to the order and into the
// cluster. E_INVALID.
int rule_order_input(const struct cluster *c, const struct rule_order *o, struct rule *row,
                     struct input *ret, struct err *err);
bool api_is_admin(const struct http_req *r);
// The refusal as an error object; returns its HTTP status.
int api_refusal(const struct cluster *c, const struct effect *reply, struct text *ret);
// Makes the job of a submission, once for its request id, and answers.
void api_admit(struct server *s, struct http_req *r, struct submission *sub);
// Answers a request for output; job: the durable answer about it.
void api_logs(struct server *s, const struct http_req *r, const json_t *job);

// ---- api_parameters.c ----
// The value of a query parameter, decoded, malloc'ed; NULL: not there.
char *api_parameter(const struct http_req *r, const char *name);
// E_INVALID for what is no such number; *ret stays as it is where the parameter is absent.
int api_parameter_int(const struct http_req *r, const char *name, int64_t least, int64_t most,
                      int64_t *ret, struct err *err);
// A user's number, by number or name.
int api_parameter_user(const struct http_req *r, const char *name, int64_t *ret, struct err *err);

// ---- reads.c: on the thread pool, from what is durable ----
enum read_kind {
    READ_CLUSTER,
    READ_JOBS,
    READ_JOB,
    READ_EVENTS,
    READ_WHY,
    READ_METRICS,
    READ_NODES,
    READ_NODE,
    READ_ALL_EVENTS,
    READ_RULES,
    READ_LIMITS,
    READ_RESOLVE, // only find the job, then `then`
};
struct read {
    struct server *server;
    enum read_kind kind;
    uint64_t handle;
    char *name;
    struct job_filter filter;
    struct metrics_question metrics;
    char *filter_state, *filter_name;
    enum rule_kind rule;
    char *queue, *qos; // of READ_LIMITS
    struct job_id job;
    bool pending_element, ended;
    uint64_t after;
    int64_t at_ms; // of READ_WHY: in the past; 0: now
    int64_t wait_ms;
    void (*then)(struct read *r); // instead of answering; main thread
    int verb;                     // for `then`
    struct text body;
    struct err err;
    int rc;
    uv_work_t work;
};
struct read *read_new(struct server *s, enum read_kind kind, uint64_t handle);
void read_start(struct read *r);
void read_free(struct read *r);
// A durable turn ended this job: long polls on it are answered.
void waiters_wake(struct server *s, struct job_id job);

// ---- agents.c ----
void agent_connected(struct server *s, uint64_t link, const char *name);
void agent_gone(struct server *s, uint64_t link);
void agent_frame(struct server *s, uint64_t link, const uint8_t *bytes, size_t len);
void agent_effect(struct server *s, const struct effect *e);
// Asks the node's agent for output; answers the request itself.
void agent_read_output(struct server *s, uint64_t handle, const char *node, uint64_t job_uid,
                       uint32_t attempt, uint32_t rank, uint32_t stream, int64_t offset,
                       uint32_t limit);
