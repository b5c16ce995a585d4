// The output of tasks, asked of the nodes that keep it.
#include "scheduler/shell/agents.h"

#include "common/alloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUERIES_MAX = 1024, QUERY_MS = 5000 };

// An answer that an agent owes.
struct query {
    uint64_t number, request;
    char node[NODE_NAME_MAX + 1];
    uv_timer_t timer;
    TAILQ_ENTRY(query) list;
};

static TAILQ_HEAD(, query) queries = TAILQ_HEAD_INITIALIZER(queries);
static uint64_t last_query;
static size_t queries_count;

static void on_query_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void query_end(struct query *q)
{
    TAILQ_REMOVE(&queries, q, list);
    queries_count--;
    uv_close((uv_handle_t *)&q->timer, on_query_closed);
}

static struct server *query_server;

static void on_query_late(uv_timer_t *timer)
{
    struct query *q = timer->data;
    char message[160];
    snprintf(message, sizeof message, "node %s did not answer within %d s", q->node,
             QUERY_MS / 1000);
    api_error(query_server, q->request, 503, "timeout", message,
              "Try again; `schedctl nodes` shows its state.");
    query_end(q);
}

void agent_read_output(struct server *s, uint64_t handle, const char *node, uint64_t job_uid,
                       uint32_t attempt, uint32_t rank, uint32_t stream, int64_t offset,
                       uint32_t limit)
{
    const struct node *n = cluster_node_by_name(s->cluster, node);
    char message[160];
    if (!n || !n->ready || queries_count >= QUERIES_MAX) {
        snprintf(message, sizeof message, "node %s is not connected", node);
        api_error(s, handle, 503, "unreachable", message,
                  "Its output is kept there; try again when it is back.");
        return;
    }
    struct query *q = xcalloc(1, sizeof *q);
    query_server = s;
    q->number = ++last_query;
    q->request = handle;
    snprintf(q->node, sizeof q->node, "%s", node);
    q->timer.data = q;
    uv_timer_init(s->loop, &q->timer);
    uv_timer_start(&q->timer, on_query_late, QUERY_MS, 0);
    TAILQ_INSERT_TAIL(&queries, q, list);
    queries_count++;
    Muster__ReadOutput read = MUSTER__READ_OUTPUT__INIT;
    Muster__ToAgent m = MUSTER__TO_AGENT__INIT;
    read.query = q->number;
    read.job_uid = job_uid;
    read.attempt = attempt;
    read.rank = rank;
    read.stream = stream;
    read.offset = offset;
    read.limit = limit;
    m.body_case = MUSTER__TO_AGENT__BODY_READ_OUTPUT;
    m.read_output = &read;
    link_send(s, n->link, n->session, &m);
}

void output_arrived(struct server *s, const Muster__OutputData *d)
{
    struct query *q;
    TAILQ_FOREACH(q, &queries, list)
    if (q->number == d->query)
        break;
    if (!q)
        return;
    if (*d->error) {
        api_error(s, q->request, 409, "refused", d->error, "");
    } else {
        char headers[256];
        snprintf(headers, sizeof headers,
                 "x-muster-offset: %" PRId64 "\nx-muster-size: %" PRId64
                 "\nx-muster-dropped: %" PRId64 "\nx-muster-ended: %d\n",
                 d->offset, d->size, d->dropped, d->ended);
        http_answer(s, q->request, 200, "application/octet-stream", headers,
                    xmemdup(d->data.data, d->data.len), d->data.len);
    }
    query_end(q);
}
