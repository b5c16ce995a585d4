// Frames to and from the scheduler, translated; nothing is decided here.
#include "agent/shell/node.h"

#include "common/alloc.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

static void fill_id(Muster__AttemptId *to, struct attempt_id id)
{
    muster__attempt_id__init(to);
    to->cluster = id.cluster.v;
    to->job_uid = id.job.v;
    to->number = id.number;
}

static Muster__AttemptState state_of(const struct agent_attempt *t)
{
    static const Muster__AttemptState states[ATTEMPT_PHASE_COUNT] = {
        [ATTEMPT_ORDERED] = MUSTER__ATTEMPT_STATE__ORDERED,
        [ATTEMPT_FORKED] = MUSTER__ATTEMPT_STATE__ORDERED,
        [ATTEMPT_PREPARED] = MUSTER__ATTEMPT_STATE__PREPARED,
        [ATTEMPT_RUNNING] = MUSTER__ATTEMPT_STATE__RUNNING,
        [ATTEMPT_ENDING] = MUSTER__ATTEMPT_STATE__ENDING,
        [ATTEMPT_ENDED] = MUSTER__ATTEMPT_STATE__ENDED,
    };
    return states[t->phase];
}

// One attempt's status with the storage that it points to.
struct status {
    Muster__AttemptStatus status;
    Muster__AttemptId id;
    Muster__Resources held;
    uint32_t gpus[AGENT_GPUS_MAX], gpu_milli[AGENT_GPUS_MAX];
    char *cores, *pool;
};

static void fill_gpus(struct status *s, const struct agent_held *h)
{
    bool shares = false;
    s->held.gpus = s->gpus;
    s->held.gpu_milli = s->gpu_milli;
    for (uint32_t g = 0; g < AGENT_GPUS_MAX; g++)
        if (h->gpus >> g & 1) {
            s->gpu_milli[s->held.n_gpus] = h->gpu_milli[g] ? h->gpu_milli[g] : 1000;
            s->gpus[s->held.n_gpus++] = g;
            shares |= h->gpu_milli[g] != 0;
        }
    s->held.n_gpu_milli = shares ? s->held.n_gpus : 0;
}

static void status_free(struct status *s)
{
    free(s->cores);
    free(s->pool);
}

static void fill_status(struct status *s, const struct agent_attempt *t)
{
    AUTO(text) struct text cores = {0}, pool = {0};
    muster__attempt_status__init(&s->status);
    muster__resources__init(&s->held);
    fill_id(&s->id, t->order.id);
    text_add_coreset(&cores, &t->order.held.cores);
    s->cores = text_take(&cores);
    s->held.cores = s->cores;
    text_add_coreset(&pool, &t->order.held.pool);
    s->pool = text_take(&pool);
    s->held.pool = s->pool;
    s->held.cpu_milli = (uint32_t)t->order.held.cpu_milli;
    fill_gpus(s, &t->order.held);
    s->held.memory_mib = t->order.held.memory_mib;
    s->held.port = t->order.held.port;
    s->status.attempt = &s->id;
    s->status.state = state_of(t);
    s->status.started = t->started;
    s->status.held = &s->held;
}

void message_hello(struct node *n, uint64_t request)
{
    size_t count = agent_count(n->core);
    struct status *all = xcalloc(count + 1, sizeof *all);
    Muster__AttemptStatus **list = xcalloc(count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        fill_status(&all[i], agent_at(n->core, i));
        list[i] = &all[i].status;
    }
    AUTO(text) struct text inventory = {0};
    struct cgroup_features none = {.detail = "cgroups not looked at yet"};
    struct cgroup_features f = n->cgroups ? cgroup_features(n->cgroups) : none;
    machine_json(&n->machine, f.detail, &inventory);
    Muster__Hello hello = MUSTER__HELLO__INIT;
    Muster__FromAgent message = MUSTER__FROM_AGENT__INIT;
    hello.cluster = agent_cluster(n->core).v;
    hello.machine_id = n->machine.has.machine_id;
    hello.boot_id = n->boot_id;
    hello.state_id = n->state_id;
    hello.term_seen = agent_term_seen(n->core);
    hello.nonce_seen = agent_nonce_seen(n->core);
    hello.journal_intact = n->journal_intact;
    hello.request = request;
    hello.cores = (uint32_t)n->machine.given_cores;
    hello.gpus = (uint32_t)n->machine.given_gpus;
    hello.memory_mib = n->machine.given_memory_mib;
    hello.peer_address = n->peer_path;
    hello.version = MUSTER_VERSION;
    struct machine_description description;
    machine_describe(&n->machine, &description);
    hello.labels = (char *)n->labels;
    hello.switch_path = (char *)n->switch_path;
    hello.gpu_model = description.gpu_model;
    hello.gpu_memory_mib = description.gpu_memory_mib;
    hello.numa_cores = description.numa_cores;
    hello.gpu_numa = description.gpu_numa;
    hello.inventory = (char *)text_str(&inventory);
    hello.n_attempts = count;
    hello.attempts = list;
    message.body_case = MUSTER__FROM_AGENT__BODY_HELLO;
    message.hello = &hello;
    link_send(n, &message);
    for (size_t i = 0; i < count; i++)
        status_free(&all[i]);
    free(all);
    free(list);
}

void message_heartbeat(struct node *n, uint64_t request)
{
    size_t count = agent_count(n->core), k = 0;
    Muster__AttemptId *ids = xcalloc(count + 1, sizeof *ids);
    Muster__AttemptId **list = xcalloc(count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const struct agent_attempt *t = agent_at(n->core, i);
        if (t->phase == ATTEMPT_ENDED)
            continue;
        fill_id(&ids[k], t->order.id);
        list[k] = &ids[k];
        k++;
    }
    Muster__Heartbeat beat = MUSTER__HEARTBEAT__INIT;
    Muster__FromAgent message = MUSTER__FROM_AGENT__INIT;
    beat.request = request;
    beat.n_attempts = k;
    beat.attempts = list;
    message.body_case = MUSTER__FROM_AGENT__BODY_HEARTBEAT;
    message.heartbeat = &beat;
    link_send(n, &message);
    free(ids);
    free(list);
}

void message_report(struct node *n, struct attempt_id id)
{
    const struct agent_attempt *t = agent_find(n->core, id);
    struct status s = {0};
    Muster__Report report = MUSTER__REPORT__INIT;
    Muster__FromAgent message = MUSTER__FROM_AGENT__INIT;
    if (!t)
        return;
    fill_status(&s, t);
    report.status = &s.status;
    message.body_case = MUSTER__FROM_AGENT__BODY_REPORT;
    message.report = &report;
    link_send(n, &message);
    status_free(&s);
}

void message_end_make(struct node *n, struct attempt_id id, Muster__End **ret)
{
    const struct agent_attempt *t = agent_find(n->core, id);
    struct held *h = held_add(n, id);
    if (!h->end) {
        Muster__AttemptId attempt;
        Muster__Reason reason = MUSTER__REASON__INIT;
        Muster__End end = MUSTER__END__INIT;
        fill_id(&attempt, id);
        reason.word = (char *)reason_word(t->end.code);
        reason.a = t->end.a;
        reason.b = t->end.b;
        reason.c = t->end.c;
        reason.detail = (char *)t->detail;
        end.attempt = &attempt;
        end.started = t->started;
        end.reason = &reason;
        h->end = end_copy(&end);
    }
    *ret = end_copy(h->end);
}

void message_end(struct node *n, struct attempt_id id)
{
    Muster__FromAgent message = MUSTER__FROM_AGENT__INIT;
    Muster__End *end;
    if (!agent_find(n->core, id))
        return;
    message_end_make(n, id, &end);
    message.body_case = MUSTER__FROM_AGENT__BODY_END;
    message.end = end;
    link_send(n, &message);
    muster__end__free_unpacked(end, NULL);
}

// ---- from the scheduler ----

static bool launch_whole(const Muster__Launch *l)
{
    return l->attempt && l->node_index < l->n_nodes && l->nodes[l->node_index]->tasks > 0 &&
           l->spec.len <= FRAME_SPEC_MAX;
}

static void take_launch(struct node *n, struct agent_input *in, const Muster__Launch *l)
{
    if (!launch_whole(l)) {
        log_error("link", "bad_launch", "dropped");
        return;
    }
    in->kind = AGENT_IN_LAUNCH;
    in->id = attempt_of(l->attempt);
    in->order = order_of(l);
    bool known = held_find(n, in->id) != NULL;
    struct held *h = held_add(n, in->id);
    if (!h->launch && !known)
        h->launch = launch_copy(l); // the journal writes it
    node_step(n, in);
    if (!agent_find(n->core, in->id) && !known)
        held_remove(n, h); // not obeyed
}

static void take_kill(struct node *n, struct agent_input *in, const Muster__Kill *k)
{
    enum reason_code code = k->reason ? reason_parse(k->reason->word) : REASON_COUNT;
    in->kind = AGENT_IN_KILL;
    in->id = attempt_of(k->attempt);
    in->grace_ms = k->grace_ms;
    in->reason.code = code == REASON_COUNT || !code ? REASON_PARTNER_ENDED : code;
    if (k->reason) {
        in->reason.a = k->reason->a;
        in->reason.b = k->reason->b;
        in->reason.c = k->reason->c;
        in->detail = k->reason->detail;
    }
    node_step(n, in);
}

static void take_grant(struct node *n, struct agent_input *in, const Muster__Grant *g)
{
    struct attempt_id *ids = xcalloc(g->n_attempts + 1, sizeof *ids);
    for (size_t i = 0; i < g->n_attempts; i++)
        ids[i] = attempt_of(g->attempts[i]);
    in->kind = AGENT_IN_GRANT;
    in->request = g->request;
    in->ids = ids;
    in->ids_count = g->n_attempts;
    node_step(n, in);
    free(ids);
}

static void take_welcome(struct node *n, struct agent_input *in, const Muster__Welcome *w)
{
    in->kind = AGENT_IN_WELCOME;
    in->cluster.v = w->cluster;
    in->term = w->term;
    in->nonce = w->nonce;
    in->session = w->session;
    n->session_seen = w->session;
    n->welcomed = true;
    samples_flush(n); // before the ENDs, after which nobody wants them
    uint64_t every = w->heartbeat_ms ? w->heartbeat_ms : 1000;
    uv_timer_set_repeat(&n->heartbeat, every);
    uv_timer_again(&n->heartbeat);
    node_step(n, in);
}

static void take(struct node *n, const Muster__ToAgent *m)
{
    struct agent_input in = {.session = m->session};
    switch (m->body_case) {
    case MUSTER__TO_AGENT__BODY_WELCOME:
        take_welcome(n, &in, m->welcome);
        break;
    case MUSTER__TO_AGENT__BODY_LAUNCH:
        take_launch(n, &in, m->launch);
        break;
    case MUSTER__TO_AGENT__BODY_GO:
        if (!m->go->attempt)
            break;
        in.kind = AGENT_IN_GO;
        in.id = attempt_of(m->go->attempt);
        in.request = m->go->request;
        in.lease_ms = m->go->lease_ms;
        node_step(n, &in);
        break;
    case MUSTER__TO_AGENT__BODY_KILL:
        if (m->kill->attempt)
            take_kill(n, &in, m->kill);
        break;
    case MUSTER__TO_AGENT__BODY_GRANT:
        take_grant(n, &in, m->grant);
        break;
    case MUSTER__TO_AGENT__BODY_END_ACK:
        if (!m->end_ack->attempt)
            break;
        in.kind = AGENT_IN_END_ACK;
        in.id = attempt_of(m->end_ack->attempt);
        node_step(n, &in);
        break;
    case MUSTER__TO_AGENT__BODY_REFUSED:
        log_error("link", "refused", "by the scheduler: %s",
                  m->refused->reason ? m->refused->reason->word : "?");
        break;
    case MUSTER__TO_AGENT__BODY_READ_OUTPUT:
        spool_read(n, m->read_output);
        break;
    case MUSTER__TO_AGENT__BODY__NOT_SET:
    case _MUSTER__TO_AGENT__BODY__CASE_IS_INT_SIZE:
        break;
    }
}

void message_take(struct node *n, const uint8_t *bytes, size_t len)
{
    Muster__ToAgent *m = muster__to_agent__unpack(NULL, len, bytes);
    if (!m) {
        log_error("link", "bad_frame", "%zu bytes do not decode", len);
        return;
    }
    take(n, m);
    muster__to_agent__free_unpacked(m, NULL);
}
