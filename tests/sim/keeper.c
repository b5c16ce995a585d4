// The agent's process on a node, as agent/shell/turn.c, link.c, message.c and main.c have it: a
// step of the production core, its outputs in order, those behind a journal record when it is on
// disk.
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { PAUSE_FIRST_MS = 100, PAUSE_LAST_MS = 1000, LEAVES_EVERY_MS = 50, LEAVES_TICKS = 40 };

// A point at which the process may be killed. True: it was.
static bool point(struct keeper *k, const char *where)
{
    if (!k->crash_in || --k->crash_in)
        return !k->process.alive;
    tell(&k->sim->world, "agent %s killed %s", k->name, where);
    struct world *w = &k->sim->world;
    keeper_kill(k, chance(w, 500) ? spread(w, 20, 60000) : between(w, 5000, 60000));
    return true;
}

struct held *held_find(struct keeper *k, struct attempt_id id)
{
    struct held *h;
    TAILQ_FOREACH(h, &k->held, link)
    if (attempt_id_eq(h->id, id))
        return h;
    return NULL;
}

struct held *held_add(struct keeper *k, struct attempt_id id)
{
    struct held *h = held_find(k, id);
    if (h)
        return h;
    h = xcalloc(1, sizeof *h);
    h->id = id;
    TAILQ_INSERT_TAIL(&k->held, h, link);
    return h;
}

void held_remove(struct keeper *k, struct held *h)
{
    TAILQ_REMOVE(&k->held, h, link);
    free(h);
}

// ---- performing ----

static void send_kill(struct keeper *k, const struct agent_output *o)
{
    struct held *h = held_find(k, o->id);
    if (h)
        sheep_send(k, h,
                   (struct word){.kind = WORD_KILL, .grace_ms = o->grace_ms, .reason = o->reason});
}

static void perform(struct keeper *k, const struct agent_output *o)
{
    struct held *h;
    switch (o->kind) {
    case AGENT_OUT_JOURNAL:
    case AGENT_OUT_NOTE:
        break;
    case AGENT_OUT_HELLO:
        tell_hello(k, o->request);
        break;
    case AGENT_OUT_HEARTBEAT:
        tell_heartbeat(k, o->request);
        break;
    case AGENT_OUT_REPORT:
        tell_report(k, o->id);
        break;
    case AGENT_OUT_END:
        tell_end(k, o->id);
        break;
    case AGENT_OUT_FORK:
        attempt_fork(k, o->id);
        break;
    case AGENT_OUT_GO:
        h = held_find(k, o->id);
        if (h)
            sheep_send(k, h, (struct word){.kind = WORD_GO});
        break;
    case AGENT_OUT_KILL:
        send_kill(k, o);
        break;
    case AGENT_OUT_SWEEP:
        attempt_sweep(k, o->id);
        break;
    case AGENT_OUT_DEADLINE:
        attempt_deadline(k, o->id, o->deadline_ms);
        break;
    case AGENT_OUT_RELEASE:
        attempt_release(k, o->id);
        break;
    case AGENT_OUT_FORGET:
        h = held_find(k, o->id);
        if (h)
            held_remove(k, h);
        break;
    }
}

static void on_timer(struct world *w, void *arg, uint64_t n)
{
    struct keeper *k = *(struct keeper **)arg;
    (void)w;
    if (n == k->timer)
        keeper_step(k, &(struct agent_input){.kind = AGENT_IN_TICK});
}

static void *pointer_to(struct keeper *k)
{
    return xmemdup(&k, sizeof k);
}

static void arm(struct keeper *k)
{
    struct world *w = &k->sim->world;
    int64_t at = agent_wake_at_ms(k->core);
    k->timer++;
    if (at == AGENT_NEVER)
        return;
    int64_t delay = clock_until(w, &k->machine->clock, at);
    after(w, delay < 1 ? 1 : delay, &k->process, on_timer, pointer_to(k), k->timer);
}

static struct waiting take_waiting(struct keeper *k, size_t i)
{
    struct waiting taken = k->waiting[i];
    k->waiting_count--;
    memmove(k->waiting + i, k->waiting + i + 1, (k->waiting_count - i) * sizeof *k->waiting);
    return taken;
}

// Performs what is urgent, wherever it stands.
static bool perform_urgent(struct keeper *k)
{
    for (size_t i = 0; i < k->waiting_count;) {
        if (!k->waiting[i].o.urgent) {
            i++;
            continue;
        }
        struct waiting taken = take_waiting(k, i);
        perform(k, &taken.o);
        if (!k->process.alive)
            return false;
        i = 0; // performing may have stepped again
    }
    return true;
}

static void release(struct keeper *k)
{
    while (k->process.alive && k->waiting_count && k->waiting[0].record <= k->durable_record) {
        struct waiting taken = take_waiting(k, 0);
        if (point(k, "before an output"))
            return;
        perform(k, &taken.o);
        if (point(k, "after an output"))
            return;
    }
}

void keeper_perform(struct keeper *k)
{
    size_t count;
    const struct agent_output *list = agent_outputs(k->core, &count);
    AUTO_FREE struct agent_output *copy = xcalloc(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = list[i];
    for (size_t i = 0; i < count; i++) {
        if (copy[i].kind == AGENT_OUT_NOTE) {
            tell(&k->sim->world, "%s: %s", k->name, copy[i].text);
        } else if (copy[i].kind == AGENT_OUT_JOURNAL) {
            k->newest_record = copy[i].record;
            if (point(k, "before a journal entry"))
                return;
            journal_write(k, &copy[i]);
            if (!k->process.alive || point(k, "after a journal entry"))
                return;
        } else {
            copy[i].detail = copy[i].text = NULL; // of the core's arena
            VEC_RESERVE(k->waiting, k->waiting_count, k->waiting_cap);
            k->waiting[k->waiting_count++] = (struct waiting){
                copy[i], copy[i].urgent || PLANTED(OUTPUT_BEFORE_SYNC) ? 0 : k->newest_record};
        }
    }
    if (!perform_urgent(k))
        return;
    journal_flush(k);
    if (!k->process.alive)
        return;
    release(k);
    if (k->process.alive)
        arm(k);
}

void keeper_durable(struct keeper *k)
{
    release(k);
    if (k->process.alive)
        journal_flush(k);
}

void keeper_step(struct keeper *k, const struct agent_input *in)
{
    if (!k->process.alive)
        return;
    agent_step(k->core, clock_boot(&k->sim->world, &k->machine->clock), in);
    agent_check(k->core);
    keeper_perform(k);
}

// ---- the link ----

static void connect_now(struct world *w, void *arg, uint64_t n)
{
    struct keeper *k = *(struct keeper **)arg;
    (void)w;
    (void)n;
    if (!k->wire)
        wire_connect(k);
}

void keeper_link_up(struct keeper *k, struct wire *l)
{
    k->wire = l;
    k->pause_ms = PAUSE_FIRST_MS;
}

// Lost, or could not be made: once more after a pause.
void keeper_link_down(struct keeper *k)
{
    struct world *w = &k->sim->world;
    bool was = k->wire;
    k->wire = NULL;
    k->welcomed = false;
    after(w, k->pause_ms, &k->process, connect_now, pointer_to(k), 0);
    k->pause_ms = k->pause_ms * 2 < PAUSE_LAST_MS ? k->pause_ms * 2 : PAUSE_LAST_MS;
    if (was)
        keeper_step(k, &(struct agent_input){.kind = AGENT_IN_LINK_DOWN});
}

static void beat(struct world *w, void *arg, uint64_t n)
{
    struct keeper *k = *(struct keeper **)arg;
    if (n != k->beat)
        return;
    after(w, k->heartbeat_ms, &k->process, beat, pointer_to(k), n);
    keeper_step(k, &(struct agent_input){.kind = AGENT_IN_HEARTBEAT});
}

static void take_launch(struct keeper *k, struct agent_input *in, const struct order_letter *m)
{
    in->kind = AGENT_IN_LAUNCH;
    in->order = m->launch.order;
    bool known = held_find(k, in->id) != NULL;
    struct held *h = held_add(k, in->id);
    if (!h->has_launch && !known) {
        h->launch = m->launch;
        h->has_launch = true;
    }
    keeper_step(k, in);
    if (k->process.alive && !known)
        judge_obeyed(k, m);
    h = k->process.alive && !known ? held_find(k, in->id) : NULL;
    if (h && !agent_find(k->core, in->id))
        held_remove(k, h); // not obeyed
}

static void take_welcome(struct keeper *k, struct agent_input *in, const struct order_letter *m)
{
    in->kind = AGENT_IN_WELCOME;
    in->cluster = m->cluster;
    in->term = m->term;
    in->nonce = m->nonce;
    k->session_seen = m->session;
    k->welcomed = true;
    after(&k->sim->world, k->heartbeat_ms, &k->process, beat, pointer_to(k), ++k->beat);
    keeper_step(k, in);
}

void keeper_take(struct keeper *k, const struct order_letter *m)
{
    struct agent_input in = {.session = m->session,
                             .id = m->id,
                             .request = m->request,
                             .lease_ms = m->lease_ms,
                             .grace_ms = m->grace_ms,
                             .reason = m->reason};
    switch (m->kind) {
    case EFFECT_WELCOME:
        take_welcome(k, &in, m);
        return;
    case EFFECT_LAUNCH:
        take_launch(k, &in, m);
        return;
    case EFFECT_GO:
        in.kind = AGENT_IN_GO;
        break;
    case EFFECT_KILL:
        in.kind = AGENT_IN_KILL;
        if (!in.reason.code)
            in.reason.code = REASON_PARTNER_ENDED;
        break;
    case EFFECT_GRANT:
        in.kind = AGENT_IN_GRANT;
        in.ids = m->ids;
        in.ids_count = m->ids_count;
        break;
    case EFFECT_END_ACK:
        in.kind = AGENT_IN_END_ACK;
        break;
    case EFFECT_CLOSE:
    case EFFECT_REPLY:
    case EFFECT_COUNT:
        return;
    }
    keeper_step(k, &in);
}

void keeper_status(struct keeper *k, const struct status_word *m)
{
    struct held *h = held_find(k, m->id);
    if (!h || !h->sheep || h->connection != m->connection)
        return;
    if (m->is_end) {
        if (!h->has_end)
            h->end = m->end;
        h->has_end = true;
        struct agent_input in = {.kind = AGENT_IN_SHEPHERD_END,
                                 .id = m->id,
                                 .started = m->end.started,
                                 .reason = m->end.reason};
        keeper_step(k, &in);
        return;
    }
    if (!h->has_launch && m->has_launch) {
        h->launch = m->launch;
        h->has_launch = true;
        agent_adopt(k->core, &m->launch.order);
        journal_adopt(k, &m->launch);
        if (!k->process.alive)
            return;
    }
    keeper_step(
        k, &(struct agent_input){
               .kind = AGENT_IN_STATUS, .id = m->id, .phase = m->phase, .started = m->started});
}

// ---- life ----

// Frees what only a living process has. Sheep learn that nobody listens.
static void forget(struct keeper *k)
{
    struct held *h;
    while ((h = TAILQ_FIRST(&k->held)))
        held_remove(k, h);
    agent_free(TAKE(k->core));
    k->waiting_count = 0;
    k->syncing = k->welcomed = false;
    k->crash_in = 0;
}

static void forget_later(struct world *w, void *arg, uint64_t n)
{
    struct keeper *k = *(struct keeper **)arg;
    (void)w;
    if (!k->process.alive && k->process.life == n)
        forget(k);
}

// Nobody looks after the tasks but their shepherds: these run, and the zygote ends what has none
// (docs/protocol.md, Lease 7).
static void leave_alone(struct keeper *k)
{
    struct group *g;
    struct sheep *p;
    TAILQ_FOREACH(g, &k->groups, link)
    if (!g->parent && g->alive)
        group_kill(k, g->id);
    TAILQ_FOREACH(p, &k->sheep, link)
    process_continue(&k->sim->world, &p->process);
}

static void go_on(struct world *w, void *arg, uint64_t n)
{
    struct keeper *k = *(struct keeper **)arg;
    if (k->process.alive && k->process.life == n)
        process_continue(w, &k->process);
}

void keeper_stop(struct keeper *k, int64_t for_ms)
{
    leave_alone(k);
    process_stop(&k->process);
    after(&k->sim->world, for_ms, NULL, go_on, pointer_to(k), k->process.life);
}

static bool all_ended(const struct keeper *k)
{
    for (size_t i = 0; i < agent_count(k->core); i++)
        if (agent_at(k->core, i)->phase != ATTEMPT_ENDED)
            return false;
    return !k->waiting_count;
}

static void leaves(struct world *w, void *arg, uint64_t n)
{
    struct keeper *k = *(struct keeper **)arg;
    bool told = !agent_count(k->core);
    if (all_ended(k) && (told || n >= LEAVES_TICKS || !agent_session(k->core))) {
        tell(w, "agent %s ends", k->name);
        keeper_kill(k, spread(w, 100, 60000));
        return;
    }
    after(w, LEAVES_EVERY_MS, &k->process, leaves, xmemdup(&k, sizeof k), n + 1);
}

void keeper_end(struct keeper *k)
{
    struct world *w = &k->sim->world;
    keeper_step(k, &(struct agent_input){.kind = AGENT_IN_STOP, .grace_ms = -1});
    if (k->process.alive)
        after(w, LEAVES_EVERY_MS, &k->process, leaves, xmemdup(&k, sizeof k), 0);
}

static void die(struct keeper *k, bool machine_lives)
{
    struct world *w = &k->sim->world;
    struct held *h;
    if (!k->process.alive)
        return;
    process_die(&k->process);
    TAILQ_FOREACH(h, &k->held, link)
    h->sheep = NULL; // what it sent is still read there
    after(w, 0, NULL, forget_later, pointer_to(k), k->process.life);
    wire_agent_died(k, machine_lives);
    leave_alone(k);
}

void keeper_start_later(struct keeper *k, int64_t delay_ms)
{
    after(&k->sim->world, delay_ms, NULL, keeper_start, pointer_to(k), k->process.life);
}

void keeper_kill(struct keeper *k, int64_t restart_ms)
{
    if (!k->process.alive)
        return;
    die(k, true);
    keeper_start_later(k, restart_ms + 1);
}

void keeper_start(struct world *w, void *arg, uint64_t n)
{
    struct keeper *k = *(struct keeper **)arg;
    if (k->process.alive || k->process.life != n || !k->machine->on)
        return;
    process_start(&k->process);
    k->core = agent_new();
    agent_give(k->core, &(struct agent_given){k->cores, k->gpus, k->memory_mib});
    k->newest_record = k->durable_record = 0;
    k->session_seen = 0;
    k->pause_ms = PAUSE_FIRST_MS;
    k->heartbeat_ms = k->sim->limits.heartbeat_ms;
    journal_replay(k);
    agent_check(k->core);
    agent_start(k->core, clock_boot(w, &k->machine->clock));
    tell(w, "agent %s starts: boot %d, %zu attempts", k->name, k->machine->boots,
         agent_count(k->core));
    keeper_perform(k);
    if (!k->process.alive)
        return;
    after(w, k->heartbeat_ms, &k->process, beat, pointer_to(k), ++k->beat);
    after(w, 0, &k->process, connect_now, pointer_to(k), 0);
}

void machine_power_cut(struct sim *s, struct machine *m)
{
    if (!m->on)
        return;
    tell(&s->world, "machine %s loses its power", m->id);
    m->on = false;
    for (int i = 0; i < s->keepers_count; i++) {
        struct keeper *k = &s->keepers[i];
        if (k->machine != m)
            continue;
        die(k, false);
        groups_power_off(k); // before anything else happens
        struct trace *t;
        while ((t = TAILQ_FIRST(&k->traces)))
            trace_remove(k, t);
        journal_cut(k);
    }
}

void machine_power_on(struct sim *s, struct machine *m)
{
    if (m->on)
        return;
    m->on = true;
    m->boots++;
    m->clock.booted_ms = s->world.now_ms;
    for (int i = 0; i < s->keepers_count; i++)
        if (s->keepers[i].machine == m && !s->keepers[i].clone)
            keeper_start_later(&s->keepers[i], spread(&s->world, 1, 5000));
}

void keeper_fini(struct keeper *k)
{
    struct trace *t;
    forget(k);
    sheep_fini(k);
    while ((t = TAILQ_FIRST(&k->traces)))
        trace_remove(k, t);
    process_fini(&k->process);
    free(k->journal);
    free(k->waiting);
}
