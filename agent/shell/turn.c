// The agent's turn: a step of the core and the performing of its outputs. What follows a journal
// record waits for the disk; heartbeats, deadlines and kills do not.
#include "agent/shell/node.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { MILLI_MAX = CORESET_MAX * 1000 }; // thousandths of all cores that a node may have

struct attempt_id attempt_of(const Muster__AttemptId *id)
{
    return (struct attempt_id){{id->cluster}, {id->job_uid}, id->number};
}

struct held *held_find(struct node *n, struct attempt_id id)
{
    struct held *h;
    TAILQ_FOREACH(h, &n->held, link)
    if (attempt_id_eq(h->id, id))
        return h;
    return NULL;
}

struct held *held_add(struct node *n, struct attempt_id id)
{
    struct held *h = held_find(n, id);
    if (h)
        return h;
    h = xcalloc(1, sizeof *h);
    h->id = id;
    TAILQ_INSERT_TAIL(&n->held, h, link);
    return h;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

void held_remove(struct node *n, struct held *h)
{
    TAILQ_REMOVE(&n->held, h, link);
    shepherd_drop(h);
    if (h->retry)
        free(h->retry->data);
    if (h->retry)
        uv_close((uv_handle_t *)h->retry, on_timer_closed);
    attempt_deadline_close(h->deadline);
    if (h->launch)
        muster__launch__free_unpacked(h->launch, NULL);
    if (h->end)
        muster__end__free_unpacked(h->end, NULL);
    free(h);
}

Muster__Launch *launch_copy(const Muster__Launch *l)
{
    size_t len = muster__launch__get_packed_size(l);
    AUTO_FREE uint8_t *bytes = xmalloc(len);
    muster__launch__pack(l, bytes);
    return muster__launch__unpack(NULL, len, bytes);
}

Muster__End *end_copy(const Muster__End *e)
{
    size_t len = muster__end__get_packed_size(e);
    AUTO_FREE uint8_t *bytes = xmalloc(len);
    muster__end__pack(e, bytes);
    return muster__end__unpack(NULL, len, bytes);
}

static void hold_gpus(const Muster__Resources *r, struct agent_held *ret)
{
    for (size_t i = 0; i < r->n_gpus; i++) {
        uint32_t g = r->gpus[i] & (AGENT_GPUS_MAX - 1), milli = 0;
        if (r->n_gpu_milli == r->n_gpus && r->gpu_milli[i] < 1000)
            milli = r->gpu_milli[i];
        ret->gpus |= UINT64_C(1) << g;
        ret->gpu_milli[g] = (uint16_t)milli;
    }
}

struct agent_order order_of(const Muster__Launch *l)
{
    struct agent_order o = {
        .id = attempt_of(l->attempt),
        .request = l->request,
        .lease_ms = l->lease_ms,
        .prepare_lease_ms = l->prepare_lease_ms,
        .grace_ms = l->grace_ms,
        .prepare = l->prepare,
    };
    if (l->resources) {
        coreset_parse(l->resources->cores, "cores", &o.held.cores, NULL);
        coreset_parse(l->resources->pool, "pool", &o.held.pool, NULL);
        o.held.cpu_milli =
            l->resources->cpu_milli <= MILLI_MAX ? (int32_t)l->resources->cpu_milli : MILLI_MAX;
        hold_gpus(l->resources, &o.held);
        o.held.memory_mib = l->resources->memory_mib;
        o.held.port = l->resources->port;
    }
    return o;
}

static void send_kill(struct node *n, const struct agent_output *o)
{
    struct held *h = held_find(n, o->id);
    if (!h)
        return;
    Muster__Reason reason = MUSTER__REASON__INIT;
    Muster__ShepherdKill kill = MUSTER__SHEPHERD_KILL__INIT;
    Muster__ToShepherd message = MUSTER__TO_SHEPHERD__INIT;
    reason.word = (char *)reason_word(o->reason.code);
    reason.a = o->reason.a;
    reason.b = o->reason.b;
    reason.c = o->reason.c;
    reason.detail = (char *)(o->detail ? o->detail : "");
    kill.grace_ms = o->grace_ms;
    kill.reason = &reason;
    message.body_case = MUSTER__TO_SHEPHERD__BODY_KILL;
    message.kill = &kill;
    shepherd_send(h, &message);
}

static void send_go(struct node *n, struct attempt_id id)
{
    struct held *h = held_find(n, id);
    Muster__ShepherdGo go = MUSTER__SHEPHERD_GO__INIT;
    Muster__ToShepherd message = MUSTER__TO_SHEPHERD__INIT;
    message.body_case = MUSTER__TO_SHEPHERD__BODY_GO;
    message.go = &go;
    if (h)
        shepherd_send(h, &message);
}

static void perform(struct node *n, const struct agent_output *o)
{
    struct held *h;
    switch (o->kind) {
    case AGENT_OUT_JOURNAL:
        break; // written already
    case AGENT_OUT_HELLO:
        node_open_cgroups(n);
        message_hello(n, o->request);
        break;
    case AGENT_OUT_HEARTBEAT:
        message_heartbeat(n, o->request);
        break;
    case AGENT_OUT_REPORT:
        message_report(n, o->id);
        break;
    case AGENT_OUT_END:
        message_end(n, o->id);
        break;
    case AGENT_OUT_FORK:
        attempt_fork(n, o->id);
        break;
    case AGENT_OUT_GO:
        send_go(n, o->id);
        break;
    case AGENT_OUT_KILL:
        send_kill(n, o);
        break;
    case AGENT_OUT_SWEEP:
        attempt_sweep(n, o->id);
        break;
    case AGENT_OUT_DEADLINE:
        attempt_deadline(n, o->id, o->deadline_ms);
        break;
    case AGENT_OUT_RELEASE:
        attempt_release(n, o->id);
        break;
    case AGENT_OUT_FORGET:
        h = held_find(n, o->id);
        if (h)
            held_remove(n, h);
        break;
    case AGENT_OUT_NOTE:
        log_info("core", "note", "%s", o->text);
        break;
    }
}

static void arm(struct node *n)
{
    int64_t at = agent_wake_at_ms(n->core);
    struct itimerspec when = {0};
    if (at != AGENT_NEVER) {
        if (at <= 0)
            at = 1;
        when.it_value.tv_sec = at / 1000;
        when.it_value.tv_nsec = at % 1000 * 1000000;
    }
    timerfd_settime(n->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void wait_for_disk(struct node *n, const struct agent_output *o, uint64_t record)
{
    struct waiting_output *w = xcalloc(1, sizeof *w);
    w->o = *o;
    w->detail = o->detail ? xstrdup(o->detail) : NULL;
    w->o.detail = w->detail;
    w->record = record;
    TAILQ_INSERT_TAIL(&n->waiting, w, link);
}

void node_perform(struct node *n)
{
    static uint64_t newest;
    size_t count;
    const struct agent_output *list = agent_outputs(n->core, &count);
    // Performing may step the core again: work on a copy whose strings live long enough.
    AUTO_FREE struct agent_output *copy = xmemdup(list, count * sizeof *copy);
    for (size_t i = 0; i < count; i++)
        if (copy[i].kind == AGENT_OUT_JOURNAL) {
            newest = copy[i].record;
            journal_write(n, &copy[i]);
        } else if (copy[i].kind == AGENT_OUT_NOTE) {
            perform(n, &copy[i]);
        } else {
            wait_for_disk(n, &copy[i], copy[i].urgent ? 0 : newest);
        }
    struct waiting_output *w, *next;
    TAILQ_FOREACH_SAFE(w, &n->waiting, link, next)
    if (w->o.urgent) {
        TAILQ_REMOVE(&n->waiting, w, link);
        perform(n, &w->o);
        free(w->detail);
        free(w);
        next = TAILQ_FIRST(&n->waiting);
    }
    journal_flush(n);
    arm(n);
}

void node_release(struct node *n, uint64_t durable_record)
{
    struct waiting_output *w;
    while ((w = TAILQ_FIRST(&n->waiting)) && w->record <= durable_record) {
        TAILQ_REMOVE(&n->waiting, w, link);
        perform(n, &w->o);
        free(w->detail);
        free(w);
    }
}

void node_step(struct node *n, const struct agent_input *in)
{
    agent_step(n->core, clock_boot_ms(), in);
    node_perform(n);
}

static void on_timer(uv_poll_t *poll, int status, int events)
{
    struct node *n = poll->data;
    uint64_t times;
    (void)status;
    (void)events;
    if (read(n->timer_fd, &times, sizeof times) == sizeof times)
        node_step(n, &(struct agent_input){.kind = AGENT_IN_TICK});
}

int node_timer_start(struct node *n, struct err *err)
{
    n->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (n->timer_fd < 0)
        return fail(err, E_SYSTEM, "cannot make a timer: %m");
    n->timer.data = n;
    uv_poll_init(n->loop, &n->timer, n->timer_fd);
    return uv_poll_start(&n->timer, UV_READABLE, on_timer);
}
