// Effects of the core as frames to agents.
#include "scheduler/shell/agents.h"

#include "common/alloc.h"
#include "common/log.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { SPECS_MAX = 64 };

void link_send(struct server *s, uint64_t link, uint64_t session, Muster__ToAgent *m)
{
    m->session = session;
    size_t len = muster__to_agent__get_packed_size(m);
    AUTO_FREE uint8_t *bytes = xmalloc(len);
    muster__to_agent__pack(m, bytes);
    link_frame(s, link, bytes, len);
}

static void send_frame(struct server *s, const struct effect *e, Muster__ToAgent *m)
{
    link_send(s, e->link, e->session, m);
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

// The message of what a part holds, with the storage that it points to.
struct held_message {
    Muster__Resources r;
    uint32_t gpus[NODE_GPUS_MAX], gpu_milli[NODE_GPUS_MAX];
    struct text cores, pool;
};

static void held_message_free(struct held_message *m)
{
    text_free(&m->cores);
    text_free(&m->pool);
}

static void fill_resources(struct held_message *to, const struct placement *p)
{
    muster__resources__init(&to->r);
    text_add_coreset(&to->cores, &p->cores);
    text_add_coreset(&to->pool, &p->pool);
    to->r.cores = (char *)text_str(&to->cores);
    to->r.pool = (char *)text_str(&to->pool);
    to->r.cpu_milli = (uint32_t)p->cpu_milli;
    to->r.gpus = to->gpus;
    to->r.gpu_milli = to->gpu_milli;
    bool shares = false;
    for (uint32_t g = 0; g < NODE_GPUS_MAX; g++)
        if (p->gpus >> g & 1) {
            to->gpu_milli[to->r.n_gpus] = (uint32_t)placement_gpu_milli(p, (int)g);
            to->gpus[to->r.n_gpus++] = g;
            shares |= p->shares.milli[g] != 0;
        }
    to->r.n_gpu_milli = shares ? to->r.n_gpus : 0;
    to->r.memory_mib = p->memory_mib;
    to->r.port = (uint32_t)p->port;
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
    l->cpu_milli_per_task = (uint32_t)j->req.cpu_milli;
    l->gpu_milli_per_task = (uint32_t)j->req.gpu_milli;
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
    AUTO(held_message) struct held_message held = {0};
    Muster__Launch l;
    Muster__ToAgent m = MUSTER__TO_AGENT__INIT;
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
        parts[i].address = (char *)link_address(p->node);
        parts[i].first_rank = (uint32_t)p->first_rank;
        parts[i].tasks = (uint32_t)p->tasks;
        parts[i].port = (uint32_t)p->port;
        list[i] = &parts[i];
    }
    fill_id(&id, e->attempt);
    fill_resources(&held, &e->launch.parts[e->launch.part]);
    fill_launch(s, e, &l);
    l.attempt = &id;
    l.spec = (ProtobufCBinaryData){spec->len, spec->bytes};
    l.n_nodes = count;
    l.nodes = list;
    l.resources = &held.r;
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
