// The turn. What has come in during one round of the loop is stepped; the changed rows and facts go
// into one batch; while the writer is busy, later turns collect in the next batch. Effects wait for
// their batch, grants alone may go at once when their node's row is durable.
#include "scheduler/shell/copy.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

// Effects of one step with all that they point to, released with batch `batch`.
struct held_effects {
    uint64_t batch;
    struct effect *effects;
    size_t count;
    char **lines; // narration, logged when durable
    size_t lines_count;
    struct job_id *ended;
    size_t ended_count;
    struct asked { // the job rows of the turn that a client's request made
        struct request_id request;
        struct job_id job;
    } * asked;
    size_t asked_count;
    uint64_t term; // to be written beside the database; 0: none
    void **owned;
    size_t owned_count, owned_cap;
    TAILQ_ENTRY(held_effects) link;
};

// The batch that holds a node's newest row: a grant must not overtake the row that says the node
// was heard (docs/protocol.md, Lease 5).
static uint64_t node_row_batch[NODES_MAX + 1];

static void *own(struct held_effects *h, const void *p, size_t size)
{
    if (!p)
        return NULL;
    VEC_RESERVE(h->owned, h->owned_count, h->owned_cap);
    return h->owned[h->owned_count++] = xmemdup(p, size);
}

static const char *own_text(struct held_effects *h, const char *s)
{
    return s ? own(h, s, strlen(s) + 1) : NULL;
}

static void own_effect(struct held_effects *h, struct effect *e)
{
    if (e->kind == EFFECT_REPLY) {
        e->reply.detail = own_text(h, e->reply.detail);
    } else if (e->kind == EFFECT_LAUNCH) {
        e->launch.parts = own(h, e->launch.parts, e->launch.parts_count * sizeof *e->launch.parts);
        e->launch.of = own(h, e->launch.of, sizeof *e->launch.of);
    } else if (e->kind == EFFECT_GRANT) {
        e->grant.attempts = own(h, e->grant.attempts, e->grant.count * sizeof *e->grant.attempts);
    } else if (e->kind == EFFECT_CLOSE) {
        e->close.detail = own_text(h, e->close.detail);
    }
}

static void held_free(struct held_effects *h)
{
    for (size_t i = 0; i < h->owned_count; i++)
        free(h->owned[i]);
    for (size_t i = 0; i < h->lines_count; i++)
        free(h->lines[i]);
    free(h->owned);
    free(h->lines);
    free(h->effects);
    free(h->ended);
    free(h->asked);
    free(h);
}

static void perform(struct server *s, const struct effect *e)
{
    if (e->kind == EFFECT_REPLY)
        api_reply(s, e);
    else
        agent_effect(s, e);
}

static void release(struct server *s, struct held_effects *h)
{
    struct err err;
    for (size_t i = 0; i < h->lines_count; i++)
        log_info("core", "step", "%s", h->lines[i]);
    if (h->term && store_write_term_file(s->store, h->term, &err)) {
        log_error("store", "term_file", "%s", err.message);
        _exit(1);
    }
    for (size_t i = 0; i < h->count; i++)
        perform(s, &h->effects[i]);
    for (size_t i = 0; i < h->ended_count; i++)
        waiters_wake(s, h->ended[i]);
}

static void release_durable(struct server *s)
{
    struct held_effects *h;
    while ((h = TAILQ_FIRST(&s->turn.held)) && h->batch <= s->turn.durable) {
        TAILQ_REMOVE(&s->turn.held, h, link);
        release(s, h);
        held_free(h);
    }
    copies_release(s);
}

static bool changed(const struct outcome *o)
{
    return o->jobs_count || o->nodes_count || o->placements_count || o->placements_gone_count ||
           o->tasks_count || o->events_count || o->waits_count || o->waits_gone_count ||
           o->rules_count || o->tallies_count || o->tallies_gone_count || o->meta_changed;
}

struct store_batch *turn_batch(struct server *s)
{
    if (!s->turn.batch)
        s->turn.batch = store_batch_new();
    s->turn.dirty = true;
    return s->turn.batch;
}

static bool goes_at_once(const struct server *s, const struct effect *e)
{
    return e->kind == EFFECT_GRANT && node_row_batch[e->node.v] <= s->turn.durable;
}

static void keep_effects(struct server *s, struct held_effects *h, const struct outcome *o)
{
    h->effects = xcalloc(o->effects_count + 1, sizeof *h->effects);
    for (size_t i = 0; i < o->effects_count; i++) {
        struct effect e = o->effects[i];
        if (goes_at_once(s, &e)) {
            perform(s, &e);
            continue;
        }
        own_effect(h, &e);
        h->effects[h->count++] = e;
    }
}

static void keep_words(struct held_effects *h, const struct outcome *o)
{
    h->lines = xcalloc(o->events_count + 1, sizeof *h->lines);
    for (size_t i = 0; i < o->events_count; i++) {
        h->lines[h->lines_count++] = xstrdup(o->events[i].text);
        if (o->events[i].kind == EVENT_RECOVERED)
            h->term = o->meta.term;
    }
    h->ended = xcalloc(o->jobs_count + 1, sizeof *h->ended);
    h->asked = xcalloc(o->jobs_count + 1, sizeof *h->asked);
    for (size_t i = 0; i < o->jobs_count; i++) {
        const struct job *j = &o->jobs[i];
        if (job_state_ended(j->state))
            h->ended[h->ended_count++] = j->id;
        if (j->request_id.hi || j->request_id.lo)
            h->asked[h->asked_count++] = (struct asked){j->request_id, j->id};
    }
}

static const struct asked *asked_find(const struct held_effects *h, struct request_id request)
{
    for (size_t i = 0; i < h->asked_count; i++)
        if (h->asked[i].request.hi == request.hi && h->asked[i].request.lo == request.lo)
            return &h->asked[i];
    return NULL;
}

bool turn_asked_before(struct server *s, struct request_id request, uint64_t reply_to)
{
    struct held_effects *h;
    if (!request.hi && !request.lo)
        return false;
    TAILQ_FOREACH(h, &s->turn.held, link)
    {
        const struct asked *a = asked_find(h, request);
        if (!a)
            continue;
        h->effects = xreallocarray(h->effects, h->count + 1, sizeof *h->effects);
        h->effects[h->count++] = (struct effect){
            .kind = EFFECT_REPLY,
            .reply = {.to = reply_to, .ok = true, .job = a->job, .duplicate = true}};
        return true;
    }
    return false;
}

static void arm(struct server *s, int64_t at_ms)
{
    struct itimerspec when = {0};
    if (at_ms != INT64_MAX) {
        when.it_value.tv_sec = at_ms / 1000;
        when.it_value.tv_nsec = at_ms % 1000 * 1000000 + 1;
    }
    timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

// The outcome of the core's turn so far goes into the batch and the held effects.
static void collect(struct server *s)
{
    const struct outcome *o = cluster_outcome(s->cluster);
    struct held_effects *h = xcalloc(1, sizeof *h);
    if (changed(o))
        store_batch_add(turn_batch(s), o);
    uint64_t batch = s->turn.submitted + (s->turn.dirty ? 1 : 0);
    for (size_t i = 0; i < o->nodes_count; i++)
        node_row_batch[o->nodes[i].id.v] = batch;
    keep_effects(s, h, o);
    keep_words(h, o);
    h->batch = batch;
    TAILQ_INSERT_TAIL(&s->turn.held, h, link);
    s->turn.continue_wanted = o->continue_wanted;
    arm(s, o->wake_at_ms);
}

static struct now now(void)
{
    return (struct now){clock_boot_ms(), clock_wall_ms()};
}

void turn_input(struct server *s, const struct input *in)
{
    if (!s->turn.stepped)
        cluster_turn_begin(s->cluster);
    s->turn.stepped = true;
    cluster_step(s->cluster, now(), in);
}

static void submit_batch(struct server *s)
{
    bool busy = s->turn.submitted > s->turn.durable;
    if (!s->turn.dirty || busy)
        return;
    struct store_batch *b = TAKE(s->turn.batch);
    s->turn.dirty = false;
    s->turn.submitted = store_writer_submit(s->writer, b);
}

static void run_turn(struct server *s)
{
    if (!s->turn.stepped && !s->turn.continue_wanted)
        return;
    struct input more = {.kind = INPUT_CONTINUE};
    if (!s->turn.stepped)
        cluster_turn_begin(s->cluster);
    cluster_step(s->cluster, now(), &more); // the pass over the queue, within its budget
    s->turn.stepped = false;
    collect(s);
    submit_batch(s);
    release_durable(s);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; // only keeps the loop from sleeping while the pass is not done
}

static void after_round(struct server *s)
{
    run_turn(s);
    copies_fork(s);
    if (s->turn.continue_wanted)
        uv_idle_start(&s->idle, on_idle);
    else
        uv_idle_stop(&s->idle);
}

static void on_check(uv_check_t *check)
{
    after_round(check->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
    after_round(prepare->data); // inputs of timers, which run before
}

static void on_durable(uv_async_t *async)
{
    struct server *s = async->data;
    struct err err;
    if (store_writer_finished(s->writer, &s->turn.durable, &err) < 0) {
        // Nothing in memory may be believed any more: start again from what is on disk.
        log_error("store", "commit_failed", "%s", err.message);
        _exit(1);
    }
    release_durable(s);
    submit_batch(s);
}

static void committed(void *arg)
{
    struct server *s = arg;
    uv_async_send(&s->durable);
}

static void on_timer(uv_poll_t *poll, int status, int events)
{
    struct server *s = poll->data;
    uint64_t times;
    (void)status;
    (void)events;
    if (read(s->timer_fd, &times, sizeof times) == sizeof times)
        turn_input(s, &(struct input){.kind = INPUT_TICK});
}

int turn_start(struct server *s, struct err *err)
{
    TAILQ_INIT(&s->turn.held);
    uv_async_init(s->loop, &s->durable, on_durable);
    uv_prepare_init(s->loop, &s->prepare);
    uv_check_init(s->loop, &s->check);
    uv_idle_init(s->loop, &s->idle);
    s->durable.data = s->prepare.data = s->check.data = s->idle.data = s;
    s->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->timer_fd < 0)
        return fail(err, E_SYSTEM, "cannot make a timer: %m");
    s->timer.data = s;
    uv_poll_init(s->loop, &s->timer, s->timer_fd);
    uv_poll_start(&s->timer, UV_READABLE, on_timer);
    s->writer = store_writer_start(s->store, committed, s);
    uv_prepare_start(&s->prepare, on_prepare);
    uv_check_start(&s->check, on_check);
    s->turn.stepped = true; // cluster_start() began the first turn
    return 0;
}

void turn_stop(struct server *s)
{
    if (s->turn.stepped)
        collect(s);
    if (s->turn.dirty)
        store_writer_submit(s->writer, TAKE(s->turn.batch));
    store_writer_stop(s->writer);
}
