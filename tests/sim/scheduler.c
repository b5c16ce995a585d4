// The scheduler's shell as scheduler/shell/turn.c, store_start.c, agents.c and api.c have it,
// around the production core and the production batches; and its process, which may die at every
// point.
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static void round_now(struct world *w, void *arg, uint64_t n);

// A point at which the process may be killed. True: it was.
static bool point(struct sim *s, const char *where)
{
    struct scheduler *sc = &s->scheduler;
    if (!sc->crash_in || --sc->crash_in)
        return !sc->process.alive;
    tell(&s->world, "scheduler killed %s", where);
    scheduler_kill(s, spread(&s->world, 50, 60000));
    return true;
}

// ---- what waits for the disk ----

static void *own(struct held_turn *h, const void *p, size_t size)
{
    return p ? arena_copy(&h->arena, p, size) : NULL;
}

static void own_effect(struct held_turn *h, struct effect *e)
{
    if (e->kind == EFFECT_REPLY) {
        e->reply.detail = arena_strdup(&h->arena, e->reply.detail);
    } else if (e->kind == EFFECT_LAUNCH) {
        e->launch.parts = own(h, e->launch.parts, e->launch.parts_count * sizeof *e->launch.parts);
        e->launch.of = own(h, e->launch.of, sizeof *e->launch.of);
    } else if (e->kind == EFFECT_GRANT) {
        e->grant.attempts = own(h, e->grant.attempts, e->grant.count * sizeof *e->grant.attempts);
    } else if (e->kind == EFFECT_CLOSE) {
        e->close.detail = arena_strdup(&h->arena, e->close.detail);
    }
}

static void held_turn_free(struct held_turn *h)
{
    for (size_t i = 0; i < h->lines_count; i++)
        free(h->lines[i]);
    free(h->lines);
    free(h->event_ids);
    free(h->effects);
    arena_free(&h->arena);
    free(h);
}

static void fill_launch(struct sim *s, const struct effect *e, uint64_t term, struct launch *to)
{
    const struct placement *p = &e->launch.parts[e->launch.part];
    const struct job *j = e->launch.of;
    *to = (struct launch){
        .order = {.id = e->attempt,
                  .request = e->request,
                  .lease_ms = e->launch.lease_ms,
                  .prepare_lease_ms = e->launch.prepare_lease_ms,
                  .grace_ms = j->req.grace_ms,
                  .prepare = e->launch.prepare,
                  .held = {.cores = p->cores,
                           .pool = p->pool,
                           .cpu_milli = p->cpu_milli,
                           .gpus = p->gpus,
                           .memory_mib = p->memory_mib,
                           .port = (uint32_t)p->port}},
        .term = term,
        .placement = p->id,
        .job = e->launch.job,
        .tasks = p->tasks,
        .first_rank = p->first_rank,
        .all_tasks = j->req.tasks,
        .index = (int32_t)e->launch.part,
        .nodes_count = (int32_t)e->launch.parts_count,
        .pmix = j->req.pmix,
        .time_limit_ms = j->req.time_limit_ms,
    };
    for (size_t i = 0; i < e->launch.parts_count; i++) {
        const struct node *n = cluster_node(s->scheduler.cluster, e->launch.parts[i].node);
        for (int k = 0; k < s->keepers_count; k++)
            if (!s->keepers[k].clone && strcmp(s->keepers[k].name, n->name) == 0)
                to->keepers[i] = k;
    }
    memcpy(to->order.held.gpu_milli, p->shares.milli, sizeof to->order.held.gpu_milli);
}

static void send(struct sim *s, const struct effect *e, uint64_t term)
{
    struct wire *l = wire_find(s, e->link);
    if (!l || !l->scheduler_up)
        return; // it reconciles when it is back
    size_t ids = e->kind == EFFECT_GRANT ? e->grant.count : 0;
    struct order_letter *m = xcalloc(1, sizeof *m + ids * sizeof *m->ids);
    *m = (struct order_letter){.kind = e->kind,
                               .wire = e->link,
                               .session = e->session,
                               .term = term,
                               .id = e->attempt,
                               .request = e->request,
                               .ids_count = ids};
    if (e->kind == EFFECT_WELCOME) {
        l->node = e->node;
        l->session = e->session;
        m->cluster = e->welcome.cluster;
        m->term = e->welcome.term;
        m->nonce = e->welcome.nonce;
    } else if (e->kind == EFFECT_LAUNCH) {
        fill_launch(s, e, m->term, &m->launch);
    } else if (e->kind == EFFECT_GO) {
        m->lease_ms = e->go.lease_ms;
    } else if (e->kind == EFFECT_KILL) {
        m->grace_ms = e->kill.grace_ms;
        m->reason = e->kill.reason;
    } else if (e->kind == EFFECT_GRANT) {
        memcpy(m->ids, e->grant.attempts, ids * sizeof *m->ids);
    }
    wire_send_down(s, m);
    if (e->kind == EFFECT_CLOSE)
        wire_scheduler_closes(s, l);
}

static void perform(struct sim *s, const struct effect *e, uint64_t term)
{
    static const char *const words[EFFECT_COUNT] = {"reply", "welcome", "launch",  "go",
                                                    "kill",  "grant",   "end_ack", "close"};
    judge_output(s, e, term);
    if (e->kind == EFFECT_REPLY) {
        client_answer(s, e->reply.to, e->reply.ok, e->reply.job, e->reply.duplicate,
                      e->reply.reason.code);
        return;
    }
    if (e->kind != EFFECT_GRANT)
        tell(&s->world, "-> node %u: %s %016" PRIx64 ".%u", e->node.v, words[e->kind],
             e->attempt.job.v, e->attempt.number);
    send(s, e, term);
}

static void release(struct sim *s, struct held_turn *h)
{
    for (size_t i = 0; i < h->lines_count; i++) {
        if (h->event_ids[i])
            judge_event(s, h->event_ids[i]);
        tell(&s->world, "%s", h->lines[i]);
    }
    if (h->term)
        s->disk.now.filed_term = h->term;
    for (size_t i = 0; i < h->effects_count; i++) {
        if (point(s, "before an output"))
            return;
        perform(s, &h->effects[i], h->of_term);
        if (point(s, "after an output"))
            return;
    }
}

static void release_durable(struct sim *s)
{
    struct scheduler *sc = &s->scheduler;
    struct held_turn *h;
    while (sc->process.alive && (h = TAILQ_FIRST(&sc->held)) && h->batch <= sc->durable) {
        TAILQ_REMOVE(&sc->held, h, link);
        release(s, h);
        held_turn_free(h);
    }
}

static void keep_effects(struct sim *s, struct held_turn *h, const struct outcome *o)
{
    struct scheduler *sc = &s->scheduler;
    h->effects = xcalloc(o->effects_count + 1, sizeof *h->effects);
    for (size_t i = 0; i < o->effects_count; i++) {
        struct effect e = o->effects[i];
        bool at_once = e.kind == EFFECT_GRANT && sc->node_row_batch[e.node.v] <= sc->durable;
        if (at_once || (PLANTED(REPLY_EARLY) && e.kind == EFFECT_REPLY) ||
            (PLANTED(LAUNCH_EARLY) && e.kind == EFFECT_LAUNCH) ||
            (PLANTED(ACK_EARLY) && e.kind == EFFECT_END_ACK) ||
            (PLANTED(WELCOME_EARLY) && e.kind == EFFECT_WELCOME)) {
            perform(s, &e, o->meta.term);
            continue;
        }
        own_effect(h, &e);
        h->effects[h->effects_count++] = e;
    }
}

static void keep_words(struct held_turn *h, const struct outcome *o)
{
    h->jobs = arena_copy(&h->arena, o->jobs, o->jobs_count * sizeof *h->jobs);
    h->jobs_count = o->jobs_count;
    h->lines = xcalloc(o->events_count + 1, sizeof *h->lines);
    h->event_ids = xcalloc(o->events_count + 1, sizeof *h->event_ids);
    for (size_t i = 0; i < o->events_count; i++) {
        h->event_ids[h->lines_count] = o->events[i].id;
        h->lines[h->lines_count++] = xstrdup(o->events[i].text);
        if (o->events[i].kind == EVENT_RECOVERED)
            h->term = o->meta.term;
    }
}

// ---- the turn ----

static bool changed(const struct outcome *o)
{
    return o->jobs_count || o->nodes_count || o->placements_count || o->placements_gone_count ||
           o->tasks_count || o->events_count || o->waits_count || o->waits_gone_count ||
           o->rules_count || o->tallies_count || o->tallies_gone_count || o->meta_changed;
}

static struct now now_of(const struct sim *s)
{
    const struct clock *c = &s->scheduler.machine.clock;
    return (struct now){clock_boot(&s->world, c), clock_wall(&s->world, c)};
}

static void want_round(struct sim *s, int64_t delay_ms)
{
    struct scheduler *sc = &s->scheduler;
    if (sc->round_wanted)
        return;
    sc->round_wanted = true;
    after(&s->world, delay_ms, &sc->process, round_now, NULL, 0);
}

static void step(struct sim *s, const struct input *in)
{
    struct cluster *c = s->scheduler.cluster;
    bool reserved = s->reserved && in->kind == INPUT_CONTINUE;
    size_t before = reserved ? cluster_outcome(c)->events_count : 0;
    cluster_step(c, now_of(s), in);
    cluster_check(c);
    if (!reserved)
        return;
    const struct outcome *o = cluster_outcome(c);
    for (size_t i = before; i < o->events_count; i++)
        if (o->events[i].kind == EVENT_JOB_PLACED)
            judge_placed(s, &o->events[i]);
}

void scheduler_input(struct sim *s, const struct input *in)
{
    struct scheduler *sc = &s->scheduler;
    if (!sc->stepped)
        cluster_turn_begin(sc->cluster);
    sc->stepped = true;
    step(s, in);
    want_round(s, between(&s->world, 0, 2));
}

static void on_timer(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    (void)arg;
    if (n == s->scheduler.timer)
        scheduler_input(s, &(struct input){.kind = INPUT_TICK});
}

static void arm(struct sim *s, int64_t at_ms)
{
    struct scheduler *sc = &s->scheduler;
    sc->timer++;
    if (at_ms == INT64_MAX)
        return;
    int64_t delay = clock_until(&s->world, &sc->machine.clock, at_ms);
    after(&s->world, delay, &sc->process, on_timer, NULL, sc->timer);
}

static void collect(struct sim *s)
{
    struct scheduler *sc = &s->scheduler;
    const struct outcome *o = cluster_outcome(sc->cluster);
    struct held_turn *h = xcalloc(1, sizeof *h);
    judge_decided(s, o, now_of(s).wall_ms);
    if (changed(o)) {
        if (!sc->batch)
            sc->batch = store_batch_new();
        store_batch_add(sc->batch, o);
    }
    h->of_term = o->meta.term;
    h->batch = sc->submitted + (sc->batch ? 1 : 0);
    for (size_t i = 0; i < o->nodes_count; i++)
        sc->node_row_batch[o->nodes[i].id.v] = h->batch;
    keep_effects(s, h, o);
    keep_words(h, o);
    TAILQ_INSERT_TAIL(&sc->held, h, link);
    arm(s, o->wake_at_ms);
    if (o->continue_wanted)
        want_round(s, between(&s->world, 0, s->round_ms));
    s->counts.turns++;
}

// ---- the writer ----

static void submit_batch(struct sim *s);

static void durable(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    (void)arg;
    s->scheduler.durable = n;
    if (point(s, "after a commit"))
        return;
    release_durable(s);
    if (s->scheduler.process.alive)
        submit_batch(s);
}

static void commit_now(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    struct scheduler *sc = &s->scheduler;
    struct store_batch *b = TAKE(sc->committing);
    (void)arg;
    if (point(s, "before a commit")) { // torn: nothing of it is there
        store_batch_free(b);
        return;
    }
    bool done = disk_commit(s, &b, 1);
    store_batch_free(b);
    if (!done) { // nothing in memory may be believed any more
        scheduler_kill(s, spread(w, 50, 20000));
        return;
    }
    after(w, between(w, 0, 2), &sc->process, durable, NULL, n);
}

static void submit_batch(struct sim *s)
{
    struct scheduler *sc = &s->scheduler;
    if (!sc->batch || sc->submitted > sc->durable)
        return;
    sc->committing = TAKE(sc->batch);
    sc->submitted++;
    after(&s->world, disk_latency_ms(s), &sc->process, commit_now, NULL, sc->submitted);
}

// When the core has said that nothing more is to be done, one more pass at the same time must find
// nothing.
static void look_again(struct sim *s)
{
    struct scheduler *sc = &s->scheduler;
    if (cluster_outcome(sc->cluster)->continue_wanted || !chance(&s->world, 200))
        return;
    cluster_turn_begin(sc->cluster);
    step(s, &(struct input){.kind = INPUT_CONTINUE});
    const struct outcome *o = cluster_outcome(sc->cluster);
    const char *possible = NULL;
    for (size_t i = 0; i < o->events_count && !possible; i++)
        if (o->events[i].kind == EVENT_JOB_PLACED || o->events[i].kind == EVENT_JOB_PREEMPTS)
            possible = o->events[i].text;
    collect(s);
    if (possible)
        broken(s, "the scheduler rested, though this was possible: %s", possible);
    judge_rested(s);
}

static void round_now(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    struct scheduler *sc = &s->scheduler;
    (void)arg;
    (void)n;
    sc->round_wanted = false;
    if (!sc->stepped)
        cluster_turn_begin(sc->cluster);
    step(s, &(struct input){.kind = INPUT_CONTINUE});
    sc->stepped = false;
    collect(s);
    look_again(s);
    if (point(s, "after a turn"))
        return;
    submit_batch(s);
    release_durable(s);
}

// ---- requests and reports ----

static bool refuse(struct sim *s, const struct ask *a, enum reason_code why)
{
    client_answer(s, a->handle, false, (struct job_id){0}, false, why);
    return true;
}

// A job of this request whose row is not durable yet: answered when it is.
static bool asked_before(struct sim *s, const struct ask *a)
{
    struct request_id id = a->in.submit.request_id;
    struct held_turn *h;
    TAILQ_FOREACH(h, &s->scheduler.held, link)
    for (size_t i = 0; i < h->jobs_count; i++)
        if (h->jobs[i].request_id.hi == id.hi && h->jobs[i].request_id.lo == id.lo) {
            h->effects = xreallocarray(h->effects, h->effects_count + 1, sizeof *h->effects);
            h->effects[h->effects_count++] = (struct effect){
                .kind = EFFECT_REPLY, .reply = {.to = a->handle, .ok = true, .job = h->jobs[i].id}};
            return true;
        }
    return false;
}

// What the shell answers by itself, from the tables.
static bool answered(struct sim *s, struct ask *a)
{
    if (a->in.kind == INPUT_SUBMIT) {
        struct job_id known = disk_request(s, a->in.submit.request_id);
        if (PLANTED(FORGET_REQUEST))
            known.v = 0;
        if (known.v)
            client_answer(s, a->handle, true, known, true, REASON_NONE);
        else if (!PLANTED(REQUEST_NOT_DURABLE) && asked_before(s, a))
            return true;
        else if (!disk_has_room(s))
            return refuse(s, a, REASON_TOO_MANY);
        a->in.submit.uid.v = rng_next(&s->world.rng) | 1;
        return known.v;
    }
    if (a->in.kind == INPUT_CANCEL || a->in.kind == INPUT_HOLD || a->in.kind == INPUT_RELEASE) {
        const struct job *j = disk_job(s, a->in.job);
        if (!j)
            return refuse(s, a, REASON_NO_SUCH_JOB);
        if (job_state_ended(j->state) && !cluster_job(s->scheduler.cluster, j->id))
            return refuse(s, a, REASON_JOB_ENDED);
    }
    return false;
}

void scheduler_ask(struct sim *s, struct ask *a)
{
    if (answered(s, a))
        return;
    a->in.caller.reply_to = a->handle;
    if (a->in.kind == INPUT_NODE_DRAIN || a->in.kind == INPUT_NODE_RESUME ||
        a->in.kind == INPUT_NODE_FENCE || a->in.kind == INPUT_NODE_LABEL) {
        a->in.node.name = a->name;
        a->in.node.reason = "by the operator";
    }
    scheduler_input(s, &a->in);
}

void scheduler_report(struct sim *s, struct report_letter *m)
{
    struct input in = m->in;
    struct node_id node = wire_find(s, m->wire)->node;
    if (in.kind == INPUT_HELLO) {
        in.hello.node = node;
        in.hello.session = m->session;
    } else if (in.kind == INPUT_HEARTBEAT) {
        in.heartbeat.node = node;
        in.heartbeat.session = m->session;
    } else if (in.kind == INPUT_REPORT) {
        in.report.node = node;
        in.report.session = m->session;
    } else {
        in.end.node = node;
        in.end.session = m->session;
    }
    scheduler_input(s, &in);
}

// ---- life ----

static void forget(struct scheduler *sc)
{
    struct held_turn *h;
    while ((h = TAILQ_FIRST(&sc->held))) {
        TAILQ_REMOVE(&sc->held, h, link);
        held_turn_free(h);
    }
    store_batch_free(TAKE(sc->batch));
    store_batch_free(TAKE(sc->committing));
    cluster_free(TAKE(sc->cluster));
    sc->stepped = sc->round_wanted = false;
    sc->submitted = sc->durable = 0;
    memset(sc->node_row_batch, 0, sizeof sc->node_row_batch);
    sc->crash_in = 0;
}

static void forget_later(struct world *w, void *arg, uint64_t n)
{
    struct scheduler *sc = &sim_of(w)->scheduler;
    (void)arg;
    if (!sc->process.alive && sc->process.life == n)
        forget(sc);
}

// Its memory is let go in a happening of its own: the dead process may be on the stack.
static void die(struct sim *s, bool machine_lives)
{
    struct scheduler *sc = &s->scheduler;
    if (!sc->process.alive)
        return;
    process_die(&sc->process);
    after(&s->world, 0, NULL, forget_later, NULL, sc->process.life);
    wire_scheduler_died(s, machine_lives);
}

void scheduler_kill(struct sim *s, int64_t restart_ms)
{
    die(s, true);
    after(&s->world, restart_ms + 1, NULL, scheduler_start, NULL, s->scheduler.process.life);
}

void scheduler_reboot(struct sim *s, int64_t off_ms)
{
    struct scheduler *sc = &s->scheduler;
    tell(&s->world, "the scheduler's machine reboots");
    die(s, false);
    sc->machine.boots++;
    sc->machine.clock.booted_ms = s->world.now_ms + off_ms;
    after(&s->world, off_ms + 1, NULL, scheduler_start, NULL, sc->process.life);
}

// The claim of a term: in the database, then beside it.
static bool claim(struct sim *s, bool hold, uint64_t term, uint64_t nonce)
{
    struct tables *t = &s->disk.now;
    struct store_batch *b = store_batch_new();
    b->meta = t->meta;
    b->meta.term = hold ? t->meta.term : term;
    b->meta.nonce = hold ? t->meta.nonce : nonce;
    b->meta_changed = true;
    bool done = disk_commit(s, &b, 1);
    store_batch_free(b);
    if (!done)
        return false;
    if (t->boot != s->scheduler.machine.boots)
        for (size_t i = 0; i < t->nodes_count; i++)
            t->nodes[i].unreachable_since_ms = 0;
    t->boot = s->scheduler.machine.boots;
    if (point(s, "between the term's two places"))
        return true;
    if (!hold)
        t->filed_term = term;
    return true;
}

void scheduler_start(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    struct scheduler *sc = &s->scheduler;
    struct tables *t = &s->disk.now;
    (void)arg;
    if (sc->process.alive || sc->process.life != n)
        return; // another start came first
    process_start(&sc->process);
    s->counts.restarts++;
    bool same_boot = t->boot == sc->machine.boots;
    bool hold = t->filed_term > t->meta.term || t->meta.recovery_hold;
    uint64_t seen = !hold                               ? 0
                    : t->filed_term > t->meta.term_seen ? t->filed_term
                                                        : t->meta.term_seen;
    uint64_t term = hold ? t->meta.term : t->meta.term + 1;
    uint64_t nonce = rng_next(&w->rng) | 1;
    sc->cluster = disk_load(s);
    if (!claim(s, hold, term, nonce)) {
        scheduler_kill(s, 1000);
        return;
    }
    if (!sc->process.alive)
        return;
    cluster_start(sc->cluster, now_of(s), term, nonce, same_boot, hold, seen);
    cluster_check(sc->cluster);
    sc->stepped = true; // cluster_start() began the first turn
    want_round(s, 0);
}

void scheduler_fini(struct sim *s)
{
    forget(&s->scheduler);
    process_fini(&s->scheduler.process);
}
