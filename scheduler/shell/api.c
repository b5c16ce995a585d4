// Requests: paths and methods to questions and inputs, outcomes to answers.
#include "scheduler/shell/plan.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/log.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static void error_json(const char *code, const char *message, const char *hint, struct text *ret)
{
    text_addc(ret, '{');
    put_open(ret, "error", '{');
    put_str(ret, "code", code);
    put_str(ret, "message", message);
    put_str(ret, "hint", hint ? hint : "");
    text_add(ret, "}}");
}

void api_error(struct server *s, uint64_t handle, int status, const char *code, const char *message,
               const char *hint)
{
    struct text t = {0};
    error_json(code, message, hint, &t);
    size_t len = t.len;
    http_answer(s, handle, status, "application/json", NULL, text_take(&t), len);
}

static void answer_json(struct server *s, uint64_t handle, int status, json_t *j)
{
    char *body = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    http_answer(s, handle, status, "application/json", NULL, body, strlen(body));
}

static void not_found(struct server *s, const struct http_req *r)
{
    AUTO_FREE char *message = xasprintf("there is nothing at %s", r->path);
    api_error(s, r->handle, 404, "not_found", message, "proto/openapi.yaml lists the paths.");
}

void api_wrong_method(struct server *s, const struct http_req *r)
{
    AUTO_FREE char *message = xasprintf("%s does not take %s", r->path, r->method);
    api_error(s, r->handle, 405, "method", message, "proto/openapi.yaml lists the methods.");
}

static void invalid(struct server *s, const struct http_req *r, const struct err *err)
{
    api_error(s, r->handle, 400, errcode_word(err->code), err->message, "");
}

bool api_is_admin(const struct http_req *r)
{
    return r->uid == 0 || r->uid == geteuid();
}

struct caller api_caller(const struct http_req *r)
{
    return (struct caller){.reply_to = r->handle, .uid = r->uid, .admin = api_is_admin(r)};
}

// ---- replies of the core ----

static int status_of(enum reason_code code)
{
    switch ((int)code) {
    case REASON_NO_SUCH_JOB:
    case REASON_NO_SUCH_NODE:
    case REASON_NO_SUCH_RULE:
        return 404;
    case REASON_NOT_OWNER:
    case REASON_NOT_OPERATOR:
    case REASON_NOT_ALLOWED:
        return 403;
    case REASON_RULE_INVALID:
    case REASON_BAD_REQUEST:
        return 400;
    case REASON_IN_RECOVERY:
        return 503;
    default:
        return 409;
    }
}

int api_refusal(const struct cluster *c, const struct effect *e, struct text *ret)
{
    AUTO(text) struct text t = {0};
    const struct node *n = cluster_node(c, e->reply.reason.node);
    reason_text(&e->reply.reason, n ? n->name : NULL, e->reply.detail, &t);
    error_json(reason_word(e->reply.reason.code), text_str(&t), reason_hint(e->reply.reason.code),
               ret);
    return status_of(e->reply.reason.code);
}

void api_reply(struct server *s, const struct effect *e)
{
    if (!e->reply.ok) {
        struct text t = {0};
        int status = api_refusal(s->cluster, e, &t);
        size_t len = t.len;
        http_answer(s, e->reply.to, status, "application/json", NULL, text_take(&t), len);
        return;
    }
    const struct http_req *r = http_request(s, e->reply.to);
    bool planned = r && strcmp(r->path, "/v1/plan") == 0 && e->reply.job.v;
    bool submission = planned || (r && strcmp(r->path, "/v1/jobs") == 0);
    if (!submission)
        answer_json(s, e->reply.to, 200, json_object());
    else if (e->reply.duplicate)
        answer_json(s, e->reply.to, 200,
                    json_pack("{s:I,s:b}", "id", (json_int_t)e->reply.job.v, "duplicate", 1));
    else
        answer_json(s, e->reply.to, 201, json_pack("{s:I}", "id", (json_int_t)e->reply.job.v));
}

// ---- bodies ----

json_t *api_body(struct server *s, const struct http_req *r)
{
    json_error_t wrong;
    if (!r->body.len)
        return json_object();
    json_t *j = json_loadb(r->body.p, r->body.len, JSON_REJECT_DUPLICATES, &wrong);
    if (j && json_is_object(j))
        return j;
    AUTO_FREE char *message = j ? xasprintf("the body is not a JSON object")
                                : xasprintf("the body is not JSON: line %d, column %d: %s",
                                            wrong.line, wrong.column, wrong.text);
    json_decref(j);
    api_error(s, r->handle, 400, "invalid", message, "");
    return NULL;
}

// ---- jobs ----

static bool has_room(struct server *s, const struct http_req *r)
{
    if (store_has_room(s->store))
        return true;
    AUTO_FREE char *message =
        xasprintf("the disk of \"%s\" is full: no new job is taken; what is known goes on", s->dir);
    api_error(s, r->handle, 507, errcode_word(E_NO_SPACE), message,
              "Free at least 16 MiB there; then jobs are taken again.");
    return false;
}

// The job that an earlier submission with this request id made, ended ones too; 0: none. The answer
// "none" must be sure: without it nothing is made.
static int find_request(struct server *s, struct request_id id, struct job_id *ret, struct err *err)
{
    static struct store_reader *reader;
    *ret = (struct job_id){0};
    if (!id.hi && !id.lo)
        return 0;
    int rc = reader ? 0 : store_reader_open(s->dir, &reader, err);
    return rc ? rc : store_find_request(reader, id, ret, err);
}

void api_admit(struct server *s, struct http_req *r, struct submission *sub)
{
    struct err err;
    struct job_id known;
    if (find_request(s, sub->submit.request_id, &known, &err)) {
        log_error("store", "question", "%s", err.message);
        api_error(s, r->handle, 500, errcode_word(err.code), err.message, "");
        return;
    }
    if (known.v) {
        answer_json(s, r->handle, 200,
                    json_pack("{s:I,s:b}", "id", (json_int_t)known.v, "duplicate", 1));
        return;
    }
    if (turn_asked_before(s, sub->submit.request_id, r->handle) || !has_room(s, r))
        return;
    if (getrandom(&sub->submit.uid, sizeof sub->submit.uid, 0) != sizeof sub->submit.uid)
        sub->submit.uid.v = 0; // refused by the core
    const struct passwd *owner = getpwuid(sub->submit.owner_uid);
    sub->submit.owner_name = owner ? owner->pw_name : NULL;
    struct input in = {.kind = INPUT_SUBMIT, .caller = api_caller(r), .submit = sub->submit};
    uint64_t next = cluster_meta(s->cluster)->next_job;
    turn_input(s, &in);
    if (cluster_meta(s->cluster)->next_job != next) // a job was made: it refers to it
        store_batch_add_spec(turn_batch(s), &sub->submit.spec, sub->spec, sub->spec_len);
}

static void submit(struct server *s, struct http_req *r)
{
    struct submission sub;
    struct err err;
    json_t *body = api_body(s, r);
    if (!body)
        return;
    int rc = translate_submission(body, r->uid, r->gid, &sub, &err);
    json_decref(body);
    if (rc) {
        api_error(s, r->handle, rc == E_TOO_LARGE ? 413 : 400, errcode_word((enum errcode)rc),
                  err.message, "");
        return;
    }
    api_admit(s, r, &sub);
    submission_free(&sub);
}

static void list_jobs(struct server *s, struct http_req *r)
{
    struct err err;
    struct job_filter filter = {.uid = -1};
    int64_t array = 0;
    int rc = api_parameter_user(r, "user", &filter.uid, &err);
    if (rc == 0)
        rc = api_parameter_int(r, "array", 1, INT64_MAX, &array, &err);
    if (rc == 0)
        rc = api_parameter_int(r, "limit", 1, INT64_MAX, &filter.limit, &err);
    if (rc) {
        invalid(s, r, &err);
        return;
    }
    struct read *q = read_new(s, READ_JOBS, r->handle);
    q->filter = filter;
    q->filter.array.v = (uint64_t)array;
    q->filter.state = q->filter_state = api_parameter(r, "state");
    q->filter.name = q->filter_name = api_parameter(r, "name");
    read_start(q);
}

// A verb on a job whose number has been found.
static void job_verb(struct read *q)
{
    struct server *s = q->server;
    const struct http_req *r = http_request(s, q->handle);
    if (r && q->pending_element) {
        api_error(s, q->handle, 409, "not_pending", "this element has not been placed yet",
                  "Act on the whole array.");
    } else if (r && q->ended && !cluster_job(s->cluster, q->job)) {
        api_error(s, q->handle, 409, "job_ended", "the job has already ended", "");
    } else if (r) {
        struct input in = {
            .kind = (enum input_kind)q->verb, .caller = api_caller(r), .job = q->job};
        turn_input(s, &in);
    }
    read_free(q);
}

// Where a task's output lies: from the durable answer about its job.
static void logs_found(struct read *q)
{
    struct server *s = q->server;
    const struct http_req *r = http_request(s, q->handle);
    json_t *job = json_loadb(q->body.p, q->body.len, 0, NULL);
    if (r && job)
        api_logs(s, r, job);
    json_decref(job);
    read_free(q);
}

enum { SAMPLES_LIMIT = 10000, SAMPLES_MOST = 100000 };

static int metrics_question(const struct http_req *r, struct metrics_question *ret, struct err *err)
{
    int64_t attempt = 0, after = 0;
    *ret = (struct metrics_question){.task = -1, .limit = SAMPLES_LIMIT};
    int rc = api_parameter_int(r, "attempt", 1, UINT32_MAX, &attempt, err);
    if (!rc)
        rc = api_parameter_int(r, "task", 0, INT32_MAX, &ret->task, err);
    if (!rc)
        rc = api_parameter_int(r, "after", 0, INT64_MAX, &after, err);
    if (!rc)
        rc = api_parameter_int(r, "limit", 0, SAMPLES_MOST, &ret->limit, err);
    ret->attempt = (uint32_t)attempt;
    ret->after = (uint64_t)after;
    return rc;
}

static void job_question(struct server *s, struct http_req *r, const char *name, const char *verb)
{
    static const struct {
        const char *verb, *method;
        enum read_kind kind;
        int input;
    } verbs[] = {
        {"", "GET", READ_JOB, 0},
        {"events", "GET", READ_EVENTS, 0},
        {"why", "GET", READ_WHY, 0},
        {"metrics", "GET", READ_METRICS, 0},
        {"logs", "GET", READ_RESOLVE, 0},
        {"cancel", "POST", READ_RESOLVE, INPUT_CANCEL},
        {"hold", "POST", READ_RESOLVE, INPUT_HOLD},
        {"release", "POST", READ_RESOLVE, INPUT_RELEASE},
    };
    struct err err;
    struct metrics_question metrics = {.task = -1};
    int64_t wait_s = 0, at_ms = 0;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verb, verbs[i].verb) != 0)
            continue;
        if (strcmp(r->method, verbs[i].method) != 0) {
            api_wrong_method(s, r);
            return;
        }
        if (api_parameter_int(r, "wait", 0, 3600, &wait_s, &err) ||
            api_parameter_int(r, "at", 1, INT64_MAX, &at_ms, &err) ||
            (verbs[i].kind == READ_METRICS && metrics_question(r, &metrics, &err))) {
            invalid(s, r, &err);
            return;
        }
        struct read *q = read_new(s, verbs[i].kind, r->handle);
        q->name = xstrdup(name);
        q->verb = verbs[i].input;
        q->wait_ms = wait_s * 1000;
        q->at_ms = at_ms;
        q->metrics = metrics;
        if (verbs[i].kind == READ_RESOLVE)
            q->then = verbs[i].input ? job_verb : logs_found;
        read_start(q);
        return;
    }
    not_found(s, r);
}

// ---- nodes ----

static void node_verb(struct server *s, struct http_req *r, const char *name, const char *verb)
{
    static const struct {
        const char *verb;
        enum input_kind kind;
    } verbs[] = {{"drain", INPUT_NODE_DRAIN},
                 {"resume", INPUT_NODE_RESUME},
                 {"fence", INPUT_NODE_FENCE},
                 {"label", INPUT_NODE_LABEL}};
    if (!*verb) {
        struct read *q = read_new(s, READ_NODE, r->handle);
        q->name = xstrdup(name);
        read_start(q);
        return;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verb, verbs[i].verb) != 0)
            continue;
        if (strcmp(r->method, "POST") != 0) {
            api_wrong_method(s, r);
            return;
        }
        json_t *body = api_body(s, r);
        if (!body)
            return;
        struct input in = {.kind = verbs[i].kind, .caller = api_caller(r)};
        in.node.name = name;
        in.node.reason = json_string_value(json_object_get(body, "reason"));
        in.node.labels = json_string_value(json_object_get(body, "labels"));
        in.node.reset = json_is_true(json_object_get(body, "reset"));
        if (verbs[i].kind == INPUT_NODE_LABEL && !in.node.labels && !in.node.reset)
            api_error(s, r->handle, 400, "invalid",
                      "a change of labels needs \"labels\", a string, or \"reset\": true", "");
        else
            turn_input(s, &in);
        json_decref(body);
        return;
    }
    not_found(s, r);
}

// ---- plans ----

static void plan(struct server *s, struct http_req *r)
{
    struct err err;
    struct plan *p;
    json_t *body = api_body(s, r);
    if (!body)
        return;
    const char *token = json_string_value(json_object_get(body, "apply"));
    if (plan_read(s->cluster, body, r, &p, &err))
        invalid(s, r, &err);
    else if (token)
        plan_apply(s, r->handle, p, token);
    else
        plan_ask(s, r->handle, p);
    json_decref(body);
}

// ---- paths ----

static void simple_read(struct server *s, struct http_req *r, enum read_kind kind)
{
    if (strcmp(r->method, "GET") != 0) {
        api_wrong_method(s, r);
        return;
    }
    struct err err;
    int64_t after = 0;
    if (api_parameter_int(r, "after", 0, INT64_MAX, &after, &err)) {
        invalid(s, r, &err);
        return;
    }
    struct read *q = read_new(s, kind, r->handle);
    q->after = (uint64_t)after;
    read_start(q);
}

void api_request(struct server *s, struct http_req *r)
{
    static const char jobs[] = "/v1/jobs/", nodes[] = "/v1/nodes/";
    bool get = strcmp(r->method, "GET") == 0, post = strcmp(r->method, "POST") == 0;
    const char *rest = NULL;
    if (strcmp(r->path, "/v1/jobs") == 0) {
        if (post)
            submit(s, r);
        else if (get)
            list_jobs(s, r);
        else
            api_wrong_method(s, r);
    } else if (strcmp(r->path, "/v1/plan") == 0) {
        if (post)
            plan(s, r);
        else
            api_wrong_method(s, r);
    } else if (strcmp(r->path, "/v1/nodes") == 0) {
        simple_read(s, r, READ_NODES);
    } else if (strcmp(r->path, "/v1/cluster") == 0) {
        simple_read(s, r, READ_CLUSTER);
    } else if (strcmp(r->path, "/v1/events") == 0) {
        simple_read(s, r, READ_ALL_EVENTS);
    } else if (api_rules(s, r)) {
        ;
    } else if (strcmp(r->path, "/v1/cluster/recover") == 0) {
        if (post)
            turn_input(s, &(struct input){.kind = INPUT_RECOVER, .caller = api_caller(r)});
        else
            api_wrong_method(s, r);
    } else if (strncmp(r->path, jobs, sizeof jobs - 1) == 0) {
        rest = r->path + sizeof jobs - 1;
    } else if (strncmp(r->path, nodes, sizeof nodes - 1) == 0) {
        rest = r->path + sizeof nodes - 1;
    } else {
        not_found(s, r);
    }
    if (!rest)
        return;
    const char *slash = strchrnul(rest, '/');
    AUTO_FREE char *name = xstrndup(rest, (size_t)(slash - rest));
    const char *verb = *slash ? slash + 1 : slash;
    if (r->path[4] == 'j')
        job_question(s, r, name, verb);
    else
        node_verb(s, r, name, verb);
}
