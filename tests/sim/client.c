// Users, who submit until they are answered and change their minds; and operators.
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum {
    JOBS_MAX = 120,
    ASKS_MAX = 8192,
    RETRY_LEAST_MS = 300,
    RETRY_MOST_MS = 20000,
    PATIENCE_MS = 90000, // with jobs that no node can hold, when all are there
};

struct wish { // a job that somebody wants
    struct input_submit in;
    bool answered, given_up;
    int tries;
    struct job_id job;
};

enum ask_of { ASK_WISH, ASK_JOB, ASK_OPERATOR, ASK_FENCE };
struct asked {
    enum ask_of of;
    int wish;
    enum input_kind kind;
    struct machine *machine;
};

struct client {
    struct wish wishes[JOBS_MAX];
    int wishes_count;
    struct asked asked[ASKS_MAX];
    uint64_t asked_count;
};

static void wish_again(struct world *w, void *arg, uint64_t n);

// ---- sending ----

static void ask_arrives(struct world *w, void *arg, uint64_t n)
{
    (void)n;
    scheduler_ask(sim_of(w), arg);
}

// 0: too many were asked in this world.
static uint64_t note_asked(struct sim *s, struct asked of)
{
    struct client *c = s->client;
    if (c->asked_count == ASKS_MAX)
        return 0;
    c->asked[c->asked_count] = of;
    return ++c->asked_count;
}

static void send_ask(struct sim *s, struct asked of, struct ask ask)
{
    struct world *w = &s->world;
    ask.handle = note_asked(s, of);
    if (ask.handle && chance(w, 970)) // else the connection broke
        after(w, spread(w, 0, 500), &s->scheduler.process, ask_arrives, xmemdup(&ask, sizeof ask),
              0);
}

// ---- jobs ----

static struct input_submit any_job(struct sim *s)
{
    struct world *w = &s->world;
    int32_t tasks = chance(w, 450) ? 1 : (int32_t)between(w, 1, TASKS_MAX);
    struct input_submit in = {
        .request_id = {rng_next(&w->rng), rng_next(&w->rng)},
        .owner_uid = 7,
        .req = {.tasks = tasks,
                .nodes = chance(w, 500) ? 0 : (int32_t)between(w, 1, tasks < 4 ? tasks : 4),
                .cpus = (int32_t)between(w, 1, 3),
                .gpus = chance(w, 200),
                .memory_mib = chance(w, 500) ? between(w, 1, 300) : 0,
                .time_limit_ms = chance(w, 300) ? spread(w, 100, 20000) : 0,
                .grace_ms = chance(w, 500) ? 0 : spread(w, 1, 5000),
                .lease_ms = chance(w, 400) ? 0 : spread(w, 10000, 40000),
                .pmix = tasks > 1 && chance(w, 700)},
        .priority = (int32_t)between(w, 0, 2),
        .held = chance(w, 40),
        .allow_unsatisfiable = chance(w, 300),
        .array_count = chance(w, 60) ? between(w, 1, 8) : 0,
        .max_attempts = (int32_t)between(w, 0, 6),
        .queue = queues_any(s),
    };
    return in;
}

static void submit(struct sim *s, int wish)
{
    struct asked of = {.of = ASK_WISH, .wish = wish};
    struct ask ask = {.in = {.kind = INPUT_SUBMIT, .caller = {.uid = 7}}};
    ask.in.submit = s->client->wishes[wish].in;
    send_ask(s, of, ask);
    if (chance(&s->world, 100))
        send_ask(s, of, ask); // doubled
}

static void wish_again(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    const struct wish *x = &s->client->wishes[n];
    (void)arg;
    if (x->answered || x->given_up)
        return;
    submit(s, (int)n);
    s->client->wishes[n].tries++;
    int64_t delay_ms = spread(w, RETRY_LEAST_MS, RETRY_MOST_MS) * s->client->wishes[n].tries;
    after(w, delay_ms, NULL, wish_again, NULL, n);
}

// ---- answers ----

struct answer {
    uint64_t handle;
    bool ok;
    struct job_id job;
    enum reason_code why;
};

static bool is_unsatisfiable(enum reason_code why)
{
    return why == REASON_UNSATISFIABLE || why == REASON_UNSATISFIABLE_TASKS ||
           why == REASON_UNSATISFIABLE_MEMORY || why == REASON_UNSATISFIABLE_GPUS;
}

static void answer_heard(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    const struct answer *a = arg;
    struct asked *of = &s->client->asked[a->handle - 1];
    struct wish *x = &s->client->wishes[of->wish];
    (void)n;
    if (of->of == ASK_WISH && a->ok && !x->answered) {
        x->answered = true;
        x->job = a->job;
        s->counts.jobs++;
    } else if (of->of == ASK_WISH && !a->ok && is_unsatisfiable(a->why)) {
        x->given_up = s->calm && s->world.now_ms > s->faults_until_ms + PATIENCE_MS;
    } else if (of->of == ASK_WISH && !a->ok && a->why != REASON_IN_RECOVERY &&
               a->why != REASON_TOO_MANY && a->why != REASON_NO_SUCH_RULE) {
        broken(s, "a submission was refused: %s", reason_word(a->why));
    } else if (of->of == ASK_FENCE) {
        of->machine->fence_heard = true;
    }
}

void client_answer(struct sim *s, uint64_t handle, bool ok, struct job_id job, bool duplicate,
                   enum reason_code why)
{
    struct world *w = &s->world;
    const struct asked *of = &s->client->asked[handle - 1];
    const struct wish *x = &s->client->wishes[of->wish];
    struct answer a = {handle, ok, job, why};
    (void)duplicate;
    if (ok && of->of == ASK_WISH)
        judge_acknowledged(s, x->in.request_id, job);
    if (ok && of->of == ASK_JOB && of->kind == INPUT_CANCEL)
        judge_cancelled(s, x->job);
    if (chance(w, 960) || of->of == ASK_FENCE) // else the connection broke
        after(w, spread(w, 0, 300), NULL, answer_heard, xmemdup(&a, sizeof a), 0);
}

// ---- changes of mind ----

static void change_mind(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    struct client *c = s->client;
    static const enum input_kind kinds[] = {INPUT_CANCEL, INPUT_HOLD, INPUT_RELEASE};
    int i = (int)between(w, 0, c->wishes_count - 1);
    enum input_kind kind = kinds[between(w, 0, 2)];
    (void)arg;
    (void)n;
    if (s->calm)
        return;
    after(w, spread(w, 500, 20000), NULL, change_mind, NULL, 0);
    if (!c->wishes[i].answered)
        return;
    struct ask ask = {.in = {.kind = kind, .caller = {.uid = 7}, .job = c->wishes[i].job}};
    send_ask(s, (struct asked){.of = ASK_JOB, .wish = i, .kind = kind}, ask);
}

static void node_command(struct sim *s, const struct keeper *k, enum input_kind kind)
{
    struct ask ask = {.in = {.kind = kind, .caller = {.admin = true}}};
    memcpy(ask.name, k->name, sizeof ask.name);
    send_ask(s, (struct asked){.of = ASK_OPERATOR}, ask);
}

void client_operates(struct sim *s, struct ask ask)
{
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
    node_command(s, k, chance(w, 300) ? INPUT_NODE_DRAIN : INPUT_NODE_RESUME);
}

// ---- operators ----

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
    for (size_t i = 0; i < s->disk.now.nodes_count; i++)
        for (int k = 0; k < s->keepers_count; k++)
            if (strcmp(s->keepers[k].name, s->disk.now.nodes[i].name) == 0 &&
                (s->disk.now.nodes[i].drain || s->disk.now.nodes[i].fenced))
                node_command(s, &s->keepers[k], INPUT_NODE_RESUME);
    for (size_t i = 0; i < s->disk.now.jobs_count; i++) {
        const struct job *j = &s->disk.now.jobs[i];
        bool never = disk_why(s, j) == REASON_UNSATISFIABLE_WAIT &&
                     w->now_ms > s->faults_until_ms + PATIENCE_MS;
        if (job_state_ended(j->state) || (!j->held && !never))
            continue;
        enum input_kind kind = never ? INPUT_CANCEL : INPUT_RELEASE;
        struct ask ask = {.in = {.kind = kind, .caller = {.uid = 7}, .job = j->id}};
        send_ask(s, (struct asked){.of = ASK_OPERATOR}, ask);
    }
}

// ---- life ----

void clients_start(struct sim *s)
{
    struct world *w = &s->world;
    struct client *c = s->client = xcalloc(1, sizeof *c);
    queues_start(s);
    c->wishes_count = (int)between(w, 20, JOBS_MAX);
    for (int i = 0; i < c->wishes_count; i++) {
        c->wishes[i].in = any_job(s);
        after(w, between(w, 0, s->faults_until_ms), NULL, wish_again, NULL, (uint64_t)i);
    }
    after(w, spread(w, 1000, 60000), NULL, change_mind, NULL, 0);
    after(w, spread(w, 1000, 200000), NULL, drain_some, NULL, 0);
    after(w, 5000, NULL, operator_looks, NULL, 0);
}

bool clients_done(const struct sim *s)
{
    for (int i = 0; i < s->client->wishes_count; i++)
        if (!s->client->wishes[i].answered && !s->client->wishes[i].given_up)
            return false;
    return true;
}

void clients_fini(struct sim *s)
{
    queues_fini(s);
    free(s->client);
}
