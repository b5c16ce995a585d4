// Links between agents and the scheduler: ordered, slow or cut by faults, lost only as a whole.
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { HALF_OPEN_MOST_MS = 120000 };

struct wire *wire_find(struct sim *s, uint64_t id)
{
    return id >= 1 && id <= s->wires_count ? s->wires[id - 1] : NULL;
}

// When something sent now arrives, not before what was sent earlier in that direction.
static int64_t arrival_delay(struct sim *s, struct wire *l, int64_t *last_ms)
{
    struct world *w = &s->world;
    int64_t at = w->now_ms + between(w, 0, 3);
    bool slow = last_ms == &l->up_ms ? l->slow_up : l->slow_down;
    if (slow && w->now_ms < l->slow_until_ms)
        at += between(w, 0, l->slow_ms);
    if (at < l->keeper->cut_until_ms)
        at = l->keeper->cut_until_ms;
    if (at < *last_ms)
        at = *last_ms;
    *last_ms = at;
    return at - w->now_ms;
}

// ---- making ----

static void connect_arrives(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    struct wire *l = wire_find(s, n);
    (void)arg;
    if (!l->scheduler_up)
        return;
    struct input in = {.kind = INPUT_LINK_UP};
    in.link_up.name = l->keeper->name;
    in.link_up.link = l->id;
    scheduler_input(s, &in);
}

void wire_connect(struct keeper *k)
{
    struct sim *s = k->sim;
    struct world *w = &s->world;
    if (!s->scheduler.process.alive || w->now_ms < k->cut_until_ms) {
        keeper_link_down(k);
        return;
    }
    VEC_RESERVE(s->wires, s->wires_count, s->wires_cap);
    struct wire *l = s->wires[s->wires_count++] = xcalloc(1, sizeof *l);
    *l = (struct wire){.id = s->wires_count, .keeper = k, .agent_up = true, .scheduler_up = true};
    int64_t delay = arrival_delay(s, l, &l->up_ms);
    after(w, delay, &s->scheduler.process, connect_arrives, NULL, l->id);
    keeper_link_up(k, l);
}

// ---- sending ----

static void arrives_up(struct world *w, void *arg, uint64_t n)
{
    struct report_letter *letter = arg;
    struct wire *l = wire_find(sim_of(w), n);
    struct sim *s = sim_of(w);
    if (!l->scheduler_up || letter->session != l->session || !l->session)
        return;
    uint64_t request = letter->in.kind == INPUT_HELLO       ? letter->in.hello.request
                       : letter->in.kind == INPUT_HEARTBEAT ? letter->in.heartbeat.request
                                                            : 0;
    if (request > l->heard_request)
        l->heard_request = request;
    scheduler_report(s, letter);
    if (s->scheduler.process.alive && chance(w, s->doubled))
        scheduler_report(s, letter);
}

void wire_send_up(struct keeper *k, struct report_letter *letter)
{
    struct sim *s = k->sim;
    struct wire *l = k->wire;
    if (!l || !l->agent_up) {
        free(letter);
        return;
    }
    letter->wire = l->id;
    letter->session = k->session_seen;
    int64_t delay = arrival_delay(s, l, &l->up_ms);
    after(&s->world, delay, &s->scheduler.process, arrives_up, letter, l->id);
}

static void arrives_down(struct world *w, void *arg, uint64_t n)
{
    struct wire *l = wire_find(sim_of(w), n);
    struct keeper *k = l->keeper;
    if (l->agent_up && k->wire == l)
        keeper_take(k, arg);
    if (k->process.alive && l->agent_up && k->wire == l && chance(w, sim_of(w)->doubled))
        keeper_take(k, arg);
}

void wire_send_down(struct sim *s, struct order_letter *letter)
{
    struct wire *l = wire_find(s, letter->wire);
    if (!l || !l->scheduler_up) {
        free(letter);
        return;
    }
    int64_t delay = arrival_delay(s, l, &l->down_ms);
    after(&s->world, delay, &l->keeper->process, arrives_down, letter, l->id);
}

// ---- breaking ----

static void agent_learns(struct world *w, void *arg, uint64_t n)
{
    struct wire *l = wire_find(sim_of(w), n);
    (void)arg;
    if (!l->agent_up)
        return;
    l->agent_up = false;
    if (l->keeper->wire == l)
        keeper_link_down(l->keeper);
}

static void scheduler_learns(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    struct wire *l = wire_find(s, n);
    (void)arg;
    if (!l->scheduler_up)
        return;
    l->scheduler_up = false;
    scheduler_input(s, &(struct input){.kind = INPUT_LINK_DOWN, .link_down = l->id});
}

static void scheduler_will_learn(struct sim *s, struct wire *l, int64_t delay_ms)
{
    int64_t delay = arrival_delay(s, l, &l->up_ms); // after what is under way
    if (delay < delay_ms)
        delay = delay_ms;
    after(&s->world, delay, &s->scheduler.process, scheduler_learns, NULL, l->id);
}

void wire_break(struct sim *s, struct wire *l, enum wire_break how)
{
    struct world *w = &s->world;
    after(w, between(w, 0, 50), &l->keeper->process, agent_learns, NULL, l->id);
    scheduler_will_learn(s, l,
                         how == WIRE_CLOSED ? between(w, 0, 50) : spread(w, 50, HALF_OPEN_MOST_MS));
}

void wire_agent_died(struct keeper *k, bool machine_lives)
{
    struct wire *l = k->wire;
    k->wire = NULL;
    if (!l || !l->agent_up)
        return;
    l->agent_up = false;
    struct world *w = &k->sim->world;
    scheduler_will_learn(k->sim, l, machine_lives ? 0 : spread(w, 50, HALF_OPEN_MOST_MS));
}

void wire_scheduler_died(struct sim *s, bool machine_lives)
{
    struct world *w = &s->world;
    for (size_t i = 0; i < s->wires_count; i++) {
        struct wire *l = s->wires[i];
        if (l->scheduler_up && l->agent_up) {
            int64_t delay = arrival_delay(s, l, &l->down_ms);
            if (!machine_lives)
                delay += spread(w, 50, HALF_OPEN_MOST_MS);
            after(w, delay, &l->keeper->process, agent_learns, NULL, l->id);
        }
        l->scheduler_up = false;
    }
}

void wire_scheduler_closes(struct sim *s, struct wire *l)
{
    if (!l->scheduler_up)
        return;
    int64_t delay = arrival_delay(s, l, &l->down_ms);
    after(&s->world, delay, &l->keeper->process, agent_learns, NULL, l->id);
    after(&s->world, 0, &s->scheduler.process, scheduler_learns, NULL, l->id);
}
