// Agents: frames become inputs of the core, effects become frames.
#include "scheduler/shell/server.h"

#include "common/alloc.h"
#include "common/log.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { QUERIES_MAX = 1024, QUERY_MS = 5000, ATTEMPTS_MAX = 65536, SPECS_MAX = 64 };

struct link {
    uint64_t id;
    char name[NODE_NAME_MAX + 1];
    struct node_id node;
    uint64_t session; // newest WELCOME sent
    uint64_t dropped;
    TAILQ_ENTRY(link) list;
};

// An answer that an agent owes.
struct query {
    uint64_t number, request;
    char node[NODE_NAME_MAX + 1];
    uv_timer_t timer;
    TAILQ_ENTRY(query) list;
};

static TAILQ_HEAD(, link) links = TAILQ_HEAD_INITIALIZER(links);
static TAILQ_HEAD(, query) queries = TAILQ_HEAD_INITIALIZER(queries);
static uint64_t last_query;
static size_t queries_count;
static char *addresses[NODES_MAX + 1]; // peers' addresses by node id; they come with each HELLO

static struct link *link_find(uint64_t id)
{
    struct link *l;
    TAILQ_FOREACH(l, &links, list)
    if (l->id == id)
        return l;
    return NULL;
}

void agent_connected(struct server *s, uint64_t link, const char *name)
{
    struct link *l = xcalloc(1, sizeof *l);
    l->id = link;
    snprintf(l->name, sizeof l->name, "%s", name);
    TAILQ_INSERT_TAIL(&links, l, list);
    struct input in = {.kind = INPUT_LINK_UP};
    in.link_up.name = l->name;
    in.link_up.link = link;
    turn_input(s, &in);
}

void agent_gone(struct server *s, uint64_t link)
{
    struct link *l = link_find(link);
    if (!l)
        return;
    TAILQ_REMOVE(&links, l, list);
    free(l);
    turn_input(s, &(struct input){.kind = INPUT_LINK_DOWN, .link_down = link});
}

// ---- what agents say ----

static struct attempt_id attempt_of(const Muster__AttemptId *a)
{
    return (struct attempt_id){{a->cluster}, {a->job_uid}, a->number};
}

static enum agent_state state_of(Muster__AttemptState s)
{
    return (unsigned)s < AGENT_STATE_COUNT ? (enum agent_state)s : AGENT_ENDING;
}

static void fill_attempt(struct agent_attempt *to, const Muster__AttemptStatus *from)
{
    *to = (struct agent_attempt){
        .id = attempt_of(from->attempt), .state = state_of(from->state), .started = from->started};
    if (!from->held)
        return;
    coreset_parse(from->held->cores, "cores", &to->cores, NULL);
    for (size_t i = 0; i < from->held->n_gpus; i++)
        if (from->held->gpus[i] < NODE_GPUS_MAX)
            to->gpus |= UINT64_C(1) << from->held->gpus[i];
    to->memory_mib = from->held->memory_mib;
}

static void take_hello(struct server *s, struct link *l, uint64_t session, const Muster__Hello *h)
{
    size_t count = 0;
    struct agent_attempt *list = xcalloc(h->n_attempts + 1, sizeof *list);
    for (size_t i = 0; i < h->n_attempts && i < ATTEMPTS_MAX; i++)
        if (h->attempts[i]->attempt)
            fill_attempt(&list[count++], h->attempts[i]);
    struct input in = {.kind = INPUT_HELLO};
    in.hello = (struct input_hello){
        .node = l->node,
        .session = session,
        .cluster = {h->cluster},
        .inc = {.state_id = h->state_id},
        .term_seen = h->term_seen,
        .nonce_seen = h->nonce_seen,
        .journal_intact = h->journal_intact,
        .request = h->request,
        .cores = (int32_t)(h->cores < CORESET_MAX ? h->cores : CORESET_MAX),
        .gpus = (int32_t)(h->gpus < NODE_GPUS_MAX ? h->gpus : NODE_GPUS_MAX),
        .memory_mib = h->memory_mib,
        .attempts = list,
        .attempts_count = count,
    };
    snprintf(in.hello.inc.machine_id, sizeof in.hello.inc.machine_id, "%s", h->machine_id);
    snprintf(in.hello.inc.boot_id, sizeof in.hello.inc.boot_id, "%s", h->boot_id);
    turn_input(s, &in);
    const struct node *n = cluster_node(s->cluster, l->node);
    if (n && n->link == l->id) {
        free(addresses[l->node.v]);
        addresses[l->node.v] = xstrdup(h->peer_address);
        if (*h->inventory)
            store_batch_add_inventory(turn_batch(s), l->node, h->inventory);
    }
    free(list);
}

static void take_heartbeat(struct server *s, struct link *l, uint64_t session,
                           const Muster__Heartbeat *h)
{
    size_t count = 0;
    struct attempt_id *ids = xcalloc(h->n_attempts + 1, sizeof *ids);
    for (size_t i = 0; i < h->n_attempts && i < ATTEMPTS_MAX; i++)
        ids[count++] = attempt_of(h->attempts[i]);
    struct input in = {.kind = INPUT_HEARTBEAT};
    in.heartbeat = (struct input_heartbeat){.node = l->node,
                                            .session = session,
                                            .request = h->request,
                                            .attempts = ids,
                                            .attempts_count = count};
    turn_input(s, &in);
    free(ids);
}

static void take_end(struct server *s, struct link *l, uint64_t session, const Muster__End *e)
{
    struct task_result *tasks = xcalloc(e->n_tasks + 1, sizeof *tasks);
    for (size_t i = 0; i < e->n_tasks; i++)
        tasks[i] = (struct task_result){
            .rank = (int32_t)e->tasks[i]->rank,
            .exit_code = e->tasks[i]->exit_code,
            .signal = e->tasks[i]->signal,
            .user_ms = e->tasks[i]->user_ms,
            .system_ms = e->tasks[i]->system_ms,
            .peak_kib = e->tasks[i]->peak_kib,
            .started_at_ms = e->tasks[i]->started_at_ms,
            .ended_at_ms = e->tasks[i]->ended_at_ms,
        };
    enum reason_code code = e->reason ? reason_parse(e->reason->word) : REASON_COUNT;
    struct input in = {.kind = INPUT_END};
    in.end = (struct input_end){
        .node = l->node,
        .session = session,
        .attempt = attempt_of(e->attempt),
        .started = e->started,
        .reason = {.code = code == REASON_COUNT ? REASON_BAD_MESSAGE : code},
        .tasks = tasks,
        .tasks_count = e->n_tasks,
    };
    if (e->reason) {
        in.end.reason.a = e->reason->a;
        in.end.reason.b = e->reason->b;
        in.end.reason.c = e->reason->c;
        in.end.detail = e->reason->detail;
    }
    turn_input(s, &in);
    free(tasks);
}

static void take_output(struct server *s, const Muster__OutputData *d);

static void take(struct server *s, struct link *l, const Muster__FromAgent *m)
{
    struct input in = {.kind = INPUT_REPORT};
    switch (m->body_case) {
    case MUSTER__FROM_AGENT__BODY_HELLO:
        take_hello(s, l, m->session, m->hello);
        break;
    case MUSTER__FROM_AGENT__BODY_HEARTBEAT:
        take_heartbeat(s, l, m->session, m->heartbeat);
        break;
    case MUSTER__FROM_AGENT__BODY_REPORT:
        if (!m->report->status || !m->report->status->attempt)
            break;
        in.report.node = l->node;
        in.report.session = m->session;
        fill_attempt(&in.report.attempt, m->report->status);
        turn_input(s, &in);
        break;
    case MUSTER__FROM_AGENT__BODY_END:
        if (m->end->attempt)
            take_end(s, l, m->session, m->end);
        break;
    case MUSTER__FROM_AGENT__BODY_OUTPUT_DATA:
        take_output(s, m->output_data);
        break;
    case MUSTER__FROM_AGENT__BODY__NOT_SET:
    case _MUSTER__FROM_AGENT__BODY__CASE_IS_INT_SIZE:
        break;
    }
}

void agent_frame(struct server *s, uint64_t link, const uint8_t *bytes, size_t len)
{
    struct link *l = link_find(link);
    Muster__FromAgent *m = l ? muster__from_agent__unpack(NULL, len, bytes) : NULL;
    if (!l)
        return;
    if (!m) {
        log_error("link", "bad_frame", "node=%s: the link is closed", l->name);
        link_close(s, link);
        return;
    }
    if (m->session == l->session && l->session)
        take(s, l, m);
    else
        l->dropped++;
    muster__from_agent__free_unpacked(m, NULL);
}

// ---- what agents are told ----

static void send_frame(struct server *s, const struct effect *e, Muster__ToAgent *m)
{
    m->session = e->session;
    size_t len = muster__to_agent__get_packed_size(m);
    AUTO_FREE uint8_t *bytes = xmalloc(len);
    muster__to_agent__pack(m, bytes);
    link_frame(s, e->link, bytes, len);
}

static void fill_id(Muster__AttemptId *to, struct attempt_id id)
{
    muster__attempt_id__init(to);
    to->cluster = id.cluster.v;
    to->job_uid = id.job.v;
    to->number = id.number;
}

static void fill_reason(Muster__Reason *to, const struct reason *r)
{
    muster__reason__init(to);
    to->word = (char *)reason_word(r->code);
    to->a = r->a;
    to->b = r->b;
    to->c = r->c;
}

static void send_welcome(struct server *s, struct link *l, const struct effect *e)
{
    Muster__Welcome w = MUSTER__WELCOME__INIT;
    Muster__ToAgent m = MUSTER__TO_AGENT__INIT;
    l->node = e->node;
    l->session = e->session;
    w.cluster = e->welcome.cluster.v;
    w.term = e->welcome.term;
    w.nonce = e->welcome.nonce;
    w.session = e->session;
    w.heartbeat_ms = (uint32_t)s->limits.heartbeat_ms;
    m.body_case = MUSTER__TO_AGENT__BODY_WELCOME;
    m.welcome = &w;
    send_frame(s, e, &m);
}

// The specification's bytes: kept for a while, else read from the database.
struct spec {
    struct spec_hash hash;
    uint8_t *bytes;
    size_t len;
};

static int spec_get(struct server *s, const struct spec_hash *hash, const struct spec **ret,
                    struct err *err)
{
    static struct spec cache[SPECS_MAX];
    static struct store_reader *reader;
    unsigned slot = hash->b[0] % SPECS_MAX;
    struct spec *c = &cache[slot];
    *ret = c;
    if (c->bytes && memcmp(&c->hash, hash, sizeof *hash) == 0)
        return 0;
    int rc = reader ? 0 : store_reader_open(s->dir, &reader, err);
    if (rc)
        return rc;
    uint8_t *bytes;
    size_t len;
    rc = store_read_spec(reader, hash, &bytes, &len, err);
    if (rc)
        return rc;
    free(c->bytes);
    *c = (struct spec){*hash, bytes, len};
    return 0;
}

// The same on every node and after a restart, and not to be guessed from what users see.
static uint64_t launch_secret(const struct server *s, struct attempt_id id)
{
    struct {
        uint64_t secret, cluster, uid, number;
    } in = {s->secret, id.cluster.v, id.job.v, id.number};
    uint8_t out[EVP_MAX_MD_SIZE];
    uint64_t v;
    unsigned len;
    EVP_Digest(&in, sizeof in, out, &len, EVP_sha256(), NULL);
    memcpy(&v, out, sizeof v);
    return v;
}

static void fill_resources(Muster__Resources *to, const struct placement *p, struct text *cores,
                           uint32_t gpus[NODE_GPUS_MAX])
{
    muster__resources__init(to);
    text_add_coreset(cores, &p->cores);
    to->cores = (char *)text_str(cores);
    to->gpus = gpus;
    for (uint32_t g = 0; g < NODE_GPUS_MAX; g++)
        if (p->gpus >> g & 1)
            gpus[to->n_gpus++] = g;
    to->memory_mib = p->memory_mib;
}

static void fill_launch(struct server *s, const struct effect *e, Muster__Launch *l)
{
    const struct job *j = e->launch.of;
    muster__launch__init(l);
    l->request = e->request;
    l->lease_ms = e->launch.lease_ms;
    l->prepare_lease_ms = e->launch.prepare_lease_ms;
    l->prepare = e->launch.prepare;
    l->job_id = j->array.v ? j->array.v : j->id.v;
    l->uid = j->owner_uid;
    l->gid = j->owner_gid;
    l->node_index = (uint32_t)e->launch.part;
    l->cpus_per_task = (uint32_t)j->req.cpus;
    l->gpus_per_task = (uint32_t)j->req.gpus;
    l->memory_mib_per_task = j->req.memory_mib;
    l->time_limit_ms = j->req.time_limit_ms;
    l->grace_ms = j->req.grace_ms;
    l->pmix = j->req.pmix;
    l->is_array = j->array.v != 0;
    l->array_element = j->element;
    l->secret = launch_secret(s, e->attempt);
}

static void send_launch(struct server *s, const struct effect *e)
{
    size_t count = e->launch.parts_count;
    Muster__AttemptId id;
    Muster__Resources resources;
    Muster__Launch l;
    Muster__ToAgent m = MUSTER__TO_AGENT__INIT;
    uint32_t gpus[NODE_GPUS_MAX];
    AUTO(text) struct text cores = {0};
    const struct spec *spec;
    struct err err;
    if (spec_get(s, &e->launch.of->spec, &spec, &err)) {
        log_error("store", "no_spec", "%s", err.message);
        return; // the lease of the placement ends it
    }
    AUTO_FREE Muster__NodePart *parts = xcalloc(count, sizeof *parts);
    AUTO_FREE Muster__NodePart **list = xcalloc(count, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const struct placement *p = &e->launch.parts[i];
        muster__node_part__init(&parts[i]);
        parts[i].node = (char *)cluster_node(s->cluster, p->node)->name;
        parts[i].address = addresses[p->node.v] ? addresses[p->node.v] : "";
        parts[i].first_rank = (uint32_t)p->first_rank;
        parts[i].tasks = (uint32_t)p->tasks;
        list[i] = &parts[i];
    }
    fill_id(&id, e->attempt);
    fill_resources(&resources, &e->launch.parts[e->launch.part], &cores, gpus);
    fill_launch(s, e, &l);
    l.attempt = &id;
    l.spec = (ProtobufCBinaryData){spec->len, spec->bytes};
    l.n_nodes = count;
    l.nodes = list;
    l.resources = &resources;
    m.body_case = MUSTER__TO_AGENT__BODY_LAUNCH;
    m.launch = &l;
    send_frame(s, e, &m);
}

static void send_grant(struct server *s, const struct effect *e)
{
    size_t count = e->grant.count;
    AUTO_FREE Muster__AttemptId *ids = xcalloc(count + 1, sizeof *ids);
    AUTO_FREE Muster__AttemptId **list = xcalloc(count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        fill_id(&ids[i], e->grant.attempts[i]);
        list[i] = &ids[i];
    }
    Muster__Grant g = MUSTER__GRANT__INIT;
    Muster__ToAgent m = MUSTER__TO_AGENT__INIT;
    g.request = e->request;
    g.n_attempts = count;
    g.attempts = list;
    m.body_case = MUSTER__TO_AGENT__BODY_GRANT;
    m.grant = &g;
    send_frame(s, e, &m);
}

static void send_go(struct server *s, const struct effect *e)
{
    Muster__AttemptId id;
    Muster__Go go = MUSTER__GO__INIT;
    Muster__ToAgent m = MUSTER__TO_AGENT__INIT;
    fill_id(&id, e->attempt);
    go.attempt = &id;
    go.request = e->request;
    go.lease_ms = e->go.lease_ms;
    m.body_case = MUSTER__TO_AGENT__BODY_GO;
    m.go = &go;
    send_frame(s, e, &m);
}

static void send_kill(struct server *s, const struct effect *e)
{
    Muster__AttemptId id;
    Muster__Reason reason;
    Muster__Kill kill = MUSTER__KILL__INIT;
    Muster__ToAgent m = MUSTER__TO_AGENT__INIT;
    fill_id(&id, e->attempt);
    fill_reason(&reason, &e->kill.reason);
    kill.attempt = &id;
    kill.grace_ms = e->kill.grace_ms;
    kill.reason = &reason;
    m.body_case = MUSTER__TO_AGENT__BODY_KILL;
    m.kill = &kill;
    send_frame(s, e, &m);
}

static void send_end_ack(struct server *s, const struct effect *e)
{
    Muster__AttemptId id;
    Muster__EndAck ack = MUSTER__END_ACK__INIT;
    Muster__ToAgent m = MUSTER__TO_AGENT__INIT;
    fill_id(&id, e->attempt);
    ack.attempt = &id;
    m.body_case = MUSTER__TO_AGENT__BODY_END_ACK;
    m.end_ack = &ack;
    send_frame(s, e, &m);
}

static void send_close(struct server *s, const struct effect *e)
{
    Muster__Reason reason;
    Muster__Refused refused = MUSTER__REFUSED__INIT;
    Muster__ToAgent m = MUSTER__TO_AGENT__INIT;
    fill_reason(&reason, &e->close.reason);
    refused.reason = &reason;
    m.body_case = MUSTER__TO_AGENT__BODY_REFUSED;
    m.refused = &refused;
    send_frame(s, e, &m);
    link_close(s, e->link);
}

void agent_effect(struct server *s, const struct effect *e)
{
    struct link *l = link_find(e->link);
    if (!l)
        return; // it reconciles when it is back
    switch (e->kind) {
    case EFFECT_WELCOME:
        send_welcome(s, l, e);
        break;
    case EFFECT_LAUNCH:
        send_launch(s, e);
        break;
    case EFFECT_GO:
        send_go(s, e);
        break;
    case EFFECT_KILL:
        send_kill(s, e);
        break;
    case EFFECT_GRANT:
        send_grant(s, e);
        break;
    case EFFECT_END_ACK:
        send_end_ack(s, e);
        break;
    case EFFECT_CLOSE:
        send_close(s, e);
        break;
    case EFFECT_REPLY:
    case EFFECT_COUNT:
        break;
    }
}

// ---- output of tasks ----

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
    struct effect e = {.link = n->link, .session = n->session};
    send_frame(s, &e, &m);
}

static void take_output(struct server *s, const Muster__OutputData *d)
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
