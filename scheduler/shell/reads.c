// Questions: answered on the thread pool from connections of their own, so that they show only what
// is durable; and long polls, which ask again when a durable turn has ended their job.
#include "scheduler/shell/why.h"

#include "common/alloc.h"
#include "common/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { READERS_MAX = 4, ELEMENT_LOOK_MS = 250 };

static struct {
    pthread_mutex_t lock;
    struct store_reader *free[READERS_MAX];
    int count;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

// A long poll: waits until its job has ended, or the time is over. An element of an array that is
// not placed yet is looked up again meanwhile: it becomes a job when it is.
struct waiter {
    struct read *read;
    uv_timer_t timer;
    int64_t rest_ms; // after the timer
    TAILQ_ENTRY(waiter) link;
};
static TAILQ_HEAD(, waiter) waiters = TAILQ_HEAD_INITIALIZER(waiters);

struct read *read_new(struct server *s, enum read_kind kind, uint64_t handle)
{
    struct read *r = xcalloc(1, sizeof *r);
    r->server = s;
    r->kind = kind;
    r->handle = handle;
    r->filter.uid = -1;
    r->work.data = r;
    return r;
}

void read_free(struct read *r)
{
    free(r->name);
    free(r->filter_state);
    free(r->filter_name);
    text_free(&r->body);
    free(r);
}

static int reader_take(struct server *s, struct store_reader **ret, struct err *err)
{
    pthread_mutex_lock(&pool.lock);
    *ret = pool.count ? pool.free[--pool.count] : NULL;
    pthread_mutex_unlock(&pool.lock);
    if (*ret)
        return 0;
    int rc = store_reader_open(s->dir, ret, err);
    if (!rc)
        store_reader_metrics(*ret, s->metrics);
    return rc;
}

static void reader_give(struct store_reader *reader)
{
    pthread_mutex_lock(&pool.lock);
    bool keep = pool.count < READERS_MAX;
    if (keep)
        pool.free[pool.count++] = reader;
    pthread_mutex_unlock(&pool.lock);
    if (!keep)
        store_reader_close(reader);
}

static int find(struct read *r, struct store_reader *reader)
{
    return r->job.v ? 0 : store_find_job(reader, r->name, &r->job, &r->pending_element, &r->err);
}

static int ask(struct read *r, struct store_reader *reader)
{
    int rc = 0;
    if (r->kind == READ_JOB || r->kind == READ_EVENTS || r->kind == READ_WHY ||
        r->kind == READ_METRICS || r->kind == READ_RESOLVE)
        rc = find(r, reader);
    if (rc)
        return rc;
    switch (r->kind) {
    case READ_CLUSTER:
        return query_cluster(reader, &r->body, &r->err);
    case READ_JOBS:
        return query_jobs(reader, &r->filter, &r->body, &r->err);
    case READ_JOB:
        return query_job(reader, r->job, &r->body, &r->ended, &r->err);
    case READ_EVENTS:
        return query_job_events(reader, r->job, &r->body, &r->err);
    case READ_WHY:
        if (r->at_ms)
            return query_job_why_at(reader, r->job, r->at_ms, &r->body, &r->err);
        return query_job_why(reader, r->job, &r->body, &r->err);
    case READ_METRICS:
        return query_job_metrics(reader, r->job, &r->metrics, &r->body, &r->err);
    case READ_NODES:
        return query_nodes(reader, &r->body, &r->err);
    case READ_NODE:
        return query_node(reader, r->name, &r->body, &r->err);
    case READ_ALL_EVENTS:
        return query_events(reader, r->after, 1000, &r->body, &r->err);
    case READ_RESOLVE:
        return query_job(reader, r->job, &r->body, &r->ended, &r->err);
    }
    return 0;
}

static void on_work(uv_work_t *work)
{
    struct read *r = work->data;
    struct store_reader *reader;
    text_clear(&r->body);
    r->rc = reader_take(r->server, &reader, &r->err);
    if (r->rc)
        return;
    r->rc = ask(r, reader);
    reader_give(reader);
}

static void answer(struct read *r)
{
    if (r->rc) {
        int status = r->rc == E_NOT_FOUND ? 404 : r->rc == E_INVALID ? 400 : 500;
        if (status == 500)
            log_error("store", "question", "%s", r->err.message);
        api_error(r->server, r->handle, status, errcode_word((enum errcode)r->rc), r->err.message,
                  "");
    } else {
        size_t len = r->body.len;
        http_answer(r->server, r->handle, 200, "application/json", NULL, text_take(&r->body), len);
    }
    read_free(r);
}

static void on_waiter_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void waiter_fire(struct waiter *w, bool over)
{
    struct read *r = w->read;
    TAILQ_REMOVE(&waiters, w, link);
    r->wait_ms = w->rest_ms;
    if (!over)
        r->wait_ms += (int64_t)uv_timer_get_due_in(&w->timer) + 1;
    if (r->pending_element)
        r->job = (struct job_id){0};
    uv_close((uv_handle_t *)&w->timer, on_waiter_closed);
    if (http_request(r->server, r->handle))
        read_start(r);
    else
        read_free(r); // the client left
}

static void on_waiter_over(uv_timer_t *timer)
{
    waiter_fire(timer->data, true);
}

static void wait_for_end(struct read *r)
{
    struct waiter *w = xcalloc(1, sizeof *w);
    int64_t now_ms = r->wait_ms;
    if (r->pending_element && now_ms > ELEMENT_LOOK_MS)
        now_ms = ELEMENT_LOOK_MS;
    w->read = r;
    w->rest_ms = r->wait_ms - now_ms;
    w->timer.data = w;
    uv_timer_init(r->server->loop, &w->timer);
    uv_timer_start(&w->timer, on_waiter_over, (uint64_t)now_ms, 0);
    TAILQ_INSERT_TAIL(&waiters, w, link);
}

void waiters_wake(struct server *s, struct job_id job)
{
    struct waiter *w, *next;
    (void)s;
    TAILQ_FOREACH_SAFE(w, &waiters, link, next)
    if (w->read->job.v == job.v)
        waiter_fire(w, false);
}

// The job may have ended while the answer was being read: the core's memory is newer than it, and
// keeps an ended job for a moment. Its waiters were woken when that was durable, perhaps just now.
static bool still_lives(const struct read *r)
{
    const struct job *j = cluster_job(r->server->cluster, r->job);
    return j && !job_state_ended(j->state) && !r->ended;
}

static void on_worked(uv_work_t *work, int status)
{
    struct read *r = work->data;
    (void)status;
    if (r->then && !r->rc) {
        r->then(r);
        return;
    }
    if (r->kind == READ_JOB && !r->rc && r->wait_ms > 0 && !r->ended) {
        if (still_lives(r)) {
            wait_for_end(r);
        } else {
            r->wait_ms--; // ended, not yet durable or just so: ask again
            read_start(r);
        }
        return;
    }
    if (r->kind == READ_WHY && !r->rc && !r->at_ms && cluster_job(r->server->cluster, r->job)) {
        why_ask(r);
        return;
    }
    answer(r);
}

void read_start(struct read *r)
{
    uv_queue_work(r->server->loop, &r->work, on_work, on_worked);
}
