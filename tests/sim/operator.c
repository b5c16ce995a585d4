// Operators: they drain nodes, say that machines are off, and put right what is left.
#include "tests/sim/client.h"

#include <string.h>

void operator_says(struct sim *s, const struct keeper *k, enum input_kind kind)
{
    struct ask ask = {.in = {.kind = kind, .caller = {.admin = true}}};
    memcpy(ask.name, k->name, sizeof ask.name);
    send_ask(s, (struct asked){.of = ASK_OPERATOR}, ask);
}

static void drain_some(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    const struct keeper *k = &s->keepers[between(w, 0, s->keepers_count - 1)];
    (void)arg;
    (void)n;
    if (s->calm)
        return;
    after(w, spread(w, 2000, 60000), NULL, drain_some, NULL, 0);
    operator_says(s, k, chance(w, 300) ? INPUT_NODE_DRAIN : INPUT_NODE_RESUME);
}

// Over what the nodes say of themselves.
static void label_some(struct world *w, void *arg, uint64_t n)
{
    static const char *const changes[] = {"zone=a", "zone=b", "!spot", "spot", "!zone"};
    struct sim *s = sim_of(w);
    const struct keeper *k = &s->keepers[between(w, 0, s->keepers_count - 1)];
    (void)arg;
    (void)n;
    if (s->calm)
        return;
    after(w, spread(w, 2000, 200000), NULL, label_some, NULL, 0);
    struct ask ask = {.in = {.kind = INPUT_NODE_LABEL, .caller = {.admin = true}}};
    memcpy(ask.name, k->name, sizeof ask.name);
    ask.in.node.labels = changes[between(w, 0, sizeof changes / sizeof *changes - 1)];
    ask.in.node.reset = chance(w, 300);
    send_ask(s, (struct asked){.of = ASK_OPERATOR}, ask);
}

// ---- machines that are off ----

static void fence_arrives(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    struct ask *ask = arg;
    (void)n;
    s->client->asked[ask->handle - 1].machine->fences_under_way--;
    if (s->scheduler.process.alive && !s->scheduler.process.stopped)
        scheduler_ask(s, ask); // else nobody answers, and it is not said
}

static void fence(struct sim *s, struct machine *m)
{
    struct world *w = &s->world;
    for (int i = 0; i < s->keepers_count; i++) {
        struct keeper *k = &s->keepers[i];
        if (k->machine != m || k->clone)
            continue;
        struct ask ask = {.in = {.kind = INPUT_NODE_FENCE, .caller = {.admin = true}}};
        memcpy(ask.name, k->name, sizeof ask.name);
        ask.handle =
            note_asked(s, (struct asked){.of = ASK_FENCE, .kind = INPUT_NODE_FENCE, .machine = m});
        if (!ask.handle)
            continue;
        m->fences_under_way++;
        after(w, spread(w, 0, 500), NULL, fence_arrives, xmemdup(&ask, sizeof ask), 0);
    }
}

static void operator_waits(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    struct machine *m = &s->machines[n];
    (void)arg;
    if (m->on)
        return;
    if (!m->fences_under_way && (m->fence_heard || s->calm)) {
        machine_power_on(s, m);
        return;
    }
    if (!m->fences_under_way)
        fence(s, m);
    after(w, between(w, 600, 10000), NULL, operator_waits, NULL, n);
}

void operator_fences(struct sim *s, struct machine *m)
{
    m->fence_heard = false;
    after(&s->world, spread(&s->world, 1, 30000), NULL, operator_waits, NULL,
          (uint64_t)(m - s->machines));
}

// ---- what is left ----

// Looks now and then: ends a recovery hold, and when faults are over puts right what is left.
static void operator_looks(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    (void)arg;
    (void)n;
    after(w, between(w, 5000, 15000), NULL, operator_looks, NULL, 0);
    if (s->disk.now.meta.recovery_hold)
        send_ask(s, (struct asked){.of = ASK_OPERATOR},
                 (struct ask){.in = {.kind = INPUT_RECOVER, .caller = {.admin = true}}});
    if (!s->calm)
        return;
    rules_lift(s);
    for (size_t i = 0; i < s->disk.now.nodes_count; i++)
        for (int k = 0; k < s->keepers_count; k++)
            if (strcmp(s->keepers[k].name, s->disk.now.nodes[i].name) == 0 &&
                (s->disk.now.nodes[i].drain || s->disk.now.nodes[i].fenced))
                operator_says(s, &s->keepers[k], INPUT_NODE_RESUME);
    reservations_clear(s);
    for (size_t i = 0; i < s->disk.now.jobs_count; i++) {
        const struct job *j = &s->disk.now.jobs[i];
        bool never =
            reason_wants_new_nodes(disk_why(s, j)) && w->now_ms > s->faults_until_ms + PATIENCE_MS;
        if (job_state_ended(j->state) || (!j->held && !never))
            continue;
        enum input_kind kind = never ? INPUT_CANCEL : INPUT_RELEASE;
        struct ask ask = {.in = {.kind = kind, .caller = {.uid = j->owner_uid}, .job = j->id}};
        send_ask(s, (struct asked){.of = ASK_OPERATOR}, ask);
    }
}

void operators_start(struct sim *s)
{
    struct world *w = &s->world;
    after(w, spread(w, 1000, 200000), NULL, drain_some, NULL, 0);
    if (chance(w, 400))
        after(w, spread(w, 1000, 200000), NULL, label_some, NULL, 0);
    after(w, 5000, NULL, operator_looks, NULL, 0);
}
