// A shepherd's process around the production core, as agent/shepherd/run.c and watch.c have it, and
// the tasks, which live and die as the kernel and their fate will.
#include "tests/sim/sim.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { ORPHAN_MS = 60000, LOOK_AGAIN_MS = 1000, PIPE_MS = 1 };

static void step(struct sheep *p, struct shepherd_input in);

static struct world *world_of(const struct keeper *k)
{
    return &k->sim->world;
}

static int64_t boot_ms(const struct keeper *k)
{
    return clock_boot(world_of(k), &k->machine->clock);
}

static void *pointer_to(struct sheep *p)
{
    return xmemdup(&p, sizeof p);
}

// ---- the tasks' fate: the same whoever asks ----

struct fate {
    int64_t runs_ms;
    int32_t exit_code, signal;
    bool heeds_term, start_fails, prepare_fails, port_taken;
};

static struct fate fate_of(struct attempt_id id, int32_t rank)
{
    struct world f = {.rng = {id.job.v ^ (uint64_t)id.number << 40 ^ (uint64_t)rank << 32}};
    rng_next(&f.rng);
    struct fate fate = {.runs_ms = spread(&f, 5, 40000)};
    if (chance(&f, 150))
        fate.runs_ms = between(&f, 20000, 120000);
    uint64_t kind = rng_below(&f.rng, 100);
    if (kind < 6)
        fate.exit_code = (int32_t)between(&f, 1, 255);
    else if (kind < 10)
        fate.signal = SIGSEGV;
    fate.heeds_term = chance(&f, 700);
    fate.start_fails = chance(&f, 8);
    fate.prepare_fails = chance(&f, 8);
    fate.port_taken = chance(&f, 15);
    return fate;
}

// ---- groups ----

struct group *group_find(struct keeper *k, struct attempt_id id)
{
    struct group *g;
    TAILQ_FOREACH(g, &k->groups, link)
    if (attempt_id_eq(g->id, id))
        return g;
    return NULL;
}

static void group_free_if_over(struct keeper *k, struct group *g)
{
    if (g->alive || g->parent)
        return;
    TAILQ_REMOVE(&k->groups, g, link);
    free(g);
}

struct end_of_task {
    struct keeper *keeper;
    uint64_t group;
    int32_t task, exit_code, signal;
};

static void child_exited(struct world *w, void *arg, uint64_t n)
{
    struct sheep *p = *(struct sheep **)arg;
    const struct group *g = p->group;
    (void)w;
    if (!g || p->core.phase < SHEPHERD_STARTING)
        return;
    const struct task_result *r = &g->tasks[n].result;
    step(p, (struct shepherd_input){.kind = SHEPHERD_IN_TASK_EXIT,
                                    .task = (int32_t)n,
                                    .exit_code = r->signal ? 0 : r->exit_code,
                                    .signal = r->signal});
}

static void task_ends(struct world *w, void *arg, uint64_t n)
{
    struct end_of_task *e = arg;
    struct group *g;
    (void)n;
    TAILQ_FOREACH(g, &e->keeper->groups, link)
    if (g->number == e->group)
        break;
    struct sim_task *t = g ? &g->tasks[e->task] : NULL;
    if (!t || !t->alive)
        return;
    t->alive = false;
    g->alive--;
    t->result.exit_code = e->signal ? 128 + e->signal : e->exit_code;
    t->result.signal = e->signal;
    t->result.ended_at_ms = clock_wall(w, &e->keeper->machine->clock);
    if (g->parent)
        after(w, 0, &g->parent->process, child_exited, pointer_to(g->parent), (uint64_t)e->task);
    else
        group_free_if_over(e->keeper, g);
}

static void task_ends_in(struct keeper *k, const struct group *g, int32_t task, int64_t ms,
                         int32_t exit_code, int32_t signal)
{
    struct end_of_task e = {k, g->number, task, exit_code, signal};
    after(world_of(k), ms, NULL, task_ends, xmemdup(&e, sizeof e), 0);
}

static void group_signal(struct keeper *k, struct group *g, int signal)
{
    struct world *w = world_of(k);
    for (int32_t i = 0; i < g->launch.tasks; i++) {
        if (!g->tasks[i].alive)
            continue;
        struct fate fate = fate_of(g->id, g->tasks[i].rank);
        int64_t ms = between(w, 0, 15);
        if (signal == SIGTERM && !fate.heeds_term)
            continue;
        if (signal == SIGTERM)
            ms = spread(w, 1, 2000);
        else if (!g->launch.order.lease_ms && chance(w, 20))
            ms = spread(w, 15, 15000); // hangs in the kernel (docs/protocol.md, Lease 7)
        task_ends_in(k, g, i, ms, 0, signal);
    }
}

int group_kill(struct keeper *k, struct attempt_id id)
{
    struct group *g = group_find(k, id);
    if (!g)
        return 0;
    group_signal(k, g, SIGKILL);
    return g->alive;
}

static void group_start(struct sheep *p)
{
    struct keeper *k = p->keeper;
    struct world *w = world_of(k);
    struct group *g = xcalloc(1, sizeof *g);
    *g = (struct group){.number = ++k->sim->groups,
                        .id = p->id,
                        .launch = p->launch,
                        .parent = p,
                        .alive = p->launch.tasks};
    p->group = g;
    TAILQ_INSERT_TAIL(&k->groups, g, link);
    judge_task_start(k->sim, k, g);
    for (int32_t i = 0; i < g->launch.tasks; i++) {
        struct sim_task *t = &g->tasks[i];
        t->alive = true;
        t->rank = g->launch.first_rank + i;
        t->result = (struct task_result){.rank = t->rank,
                                         .user_ms = -1,
                                         .system_ms = -1,
                                         .peak_kib = -1,
                                         .started_at_ms = clock_wall(w, &k->machine->clock)};
        struct fate fate = fate_of(g->id, t->rank);
        task_ends_in(k, g, i, fate.runs_ms, fate.exit_code, fate.signal);
    }
}

// ---- what the shepherd says ----

static void status_arrives(struct world *w, void *arg, uint64_t n)
{
    const struct status_word *m = arg;
    (void)w;
    (void)n;
    keeper_status(m->keeper, m);
}

static void report(struct sheep *p, bool with_launch)
{
    static const enum attempt_phase phases[] = {
        [SHEPHERD_IDLE] = ATTEMPT_FORKED,       [SHEPHERD_PREPARING] = ATTEMPT_FORKED,
        [SHEPHERD_PREPARED] = ATTEMPT_PREPARED, [SHEPHERD_STARTING] = ATTEMPT_RUNNING,
        [SHEPHERD_RUNNING] = ATTEMPT_RUNNING,   [SHEPHERD_ENDING] = ATTEMPT_ENDING,
        [SHEPHERD_ENDED] = ATTEMPT_ENDING,
    };
    if (!p->connection)
        return;
    struct status_word *m = xcalloc(1, sizeof *m);
    *m = (struct status_word){.keeper = p->keeper,
                              .id = p->id,
                              .connection = p->connection,
                              .is_end = p->has_end,
                              .started = p->core.started,
                              .has_launch = with_launch && p->core.phase != SHEPHERD_IDLE,
                              .phase = phases[p->core.phase],
                              .end = p->end,
                              .launch = p->launch};
    after(world_of(p->keeper), PIPE_MS, &p->keeper->process, status_arrives, m, 0);
}

static void write_end(struct sheep *p)
{
    struct trace *t = trace_find(p->keeper, p->id);
    p->end = (struct end_data){.started = p->core.started, .reason = p->core.verdict};
    if (p->core.started && p->group) {
        p->end.results_count = p->launch.tasks;
        for (int32_t i = 0; i < p->launch.tasks; i++)
            p->end.results[i] = p->group->tasks[i].result;
    }
    p->has_end = true;
    if (t && t->holder == p) {
        t->end = p->end;
        t->has_end = true;
    }
    report(p, false);
}

// ---- performing ----

static bool late(const struct sheep *p)
{
    return p->deadline_ms <= boot_ms(p->keeper);
}

static void ready(struct world *w, void *arg, uint64_t n)
{
    struct sheep *p = *(struct sheep **)arg;
    (void)w;
    (void)n;
    if (p->core.phase != SHEPHERD_PREPARING)
        return;
    judge_prepared(p->keeper->sim, p->id, p->launch.index);
    step(p, (struct shepherd_input){.kind = SHEPHERD_IN_READY, .late = late(p)});
}

static void prepare(struct sheep *p)
{
    struct world *w = world_of(p->keeper);
    struct fate fate = fate_of(p->id, -1 - p->launch.index);
    if (!p->launch.index && fate.port_taken)
        step(p, (struct shepherd_input){.kind = SHEPHERD_IN_PORT_TAKEN,
                                        .port = p->launch.order.held.port});
    else if (fate.prepare_fails)
        step(p, (struct shepherd_input){.kind = SHEPHERD_IN_PREPARE_FAILED});
    else
        after(w, p->launch.pmix ? spread(w, 0, 500) : 0, &p->process, ready, pointer_to(p), 0);
}

static void start(struct sheep *p)
{
    if (fate_of(p->id, -1 - p->launch.index).start_fails) {
        step(p, (struct shepherd_input){.kind = SHEPHERD_IN_START_FAILED});
        return;
    }
    group_start(p);
    step(p, (struct shepherd_input){.kind = SHEPHERD_IN_STARTED});
}

static void perform(struct sheep *p, enum shepherd_output_kind what)
{
    switch (what) {
    case SHEPHERD_OUT_PREPARE:
        prepare(p);
        break;
    case SHEPHERD_OUT_START:
        start(p);
        break;
    case SHEPHERD_OUT_LEFT:
        break;
    case SHEPHERD_OUT_REPORT:
        report(p, false);
        break;
    case SHEPHERD_OUT_TERM:
        if (p->group)
            group_signal(p->keeper, p->group, SIGTERM);
        break;
    case SHEPHERD_OUT_KILL:
        if (p->group)
            group_signal(p->keeper, p->group, SIGKILL);
        break;
    case SHEPHERD_OUT_LOOK:
        if (!p->group || !p->group->alive || PLANTED(END_BEFORE_LAST))
            step(p, (struct shepherd_input){.kind = SHEPHERD_IN_EMPTY});
        break;
    case SHEPHERD_OUT_END:
        write_end(p);
        break;
    }
}

static void on_timer(struct world *w, void *arg, uint64_t n)
{
    struct sheep *p = *(struct sheep **)arg;
    (void)w;
    if (n != p->timer)
        return;
    if (p->core.phase != SHEPHERD_IDLE && late(p) && !p->deadline_passed) {
        p->deadline_passed = true;
        step(p, (struct shepherd_input){.kind = SHEPHERD_IN_DEADLINE});
    }
    step(p, (struct shepherd_input){.kind = SHEPHERD_IN_TICK});
}

static void arm(struct sheep *p)
{
    struct world *w = world_of(p->keeper);
    int64_t now = boot_ms(p->keeper), at = shepherd_wake_at_ms(&p->core);
    p->timer++;
    if (p->has_end)
        return;
    if (!p->deadline_passed && p->deadline_ms < at)
        at = p->deadline_ms;
    if (p->deadline_ms != AGENT_NEVER && now + LOOK_AGAIN_MS < at)
        at = now + LOOK_AGAIN_MS; // it may have been shortened
    if (at == INT64_MAX)
        return;
    int64_t delay = clock_until(w, &p->keeper->machine->clock, at);
    after(w, delay < 1 ? 1 : delay, &p->process, on_timer, pointer_to(p), p->timer);
}

static void step(struct sheep *p, struct shepherd_input in)
{
    enum shepherd_output_kind todo[SHEPHERD_OUTPUTS_MAX];
    shepherd_step(&p->core, boot_ms(p->keeper), &in);
    size_t count = p->core.outputs_count;
    memcpy(todo, p->core.outputs, sizeof todo);
    for (size_t i = 0; i < count; i++)
        perform(p, todo[i]);
    arm(p);
}

// ---- what the agent says ----

struct lost_word {
    struct keeper *keeper;
    struct attempt_id id;
};

static void loss_arrives(struct world *w, void *arg, uint64_t n)
{
    struct lost_word *m = arg;
    (void)w;
    sheep_lost(m->keeper, m->id, n);
}

// The process is gone, of itself or not.
static void die(struct sheep *p)
{
    struct keeper *k = p->keeper;
    struct trace *t = trace_find(k, p->id);
    process_die(&p->process);
    if (t && t->holder == p)
        t->holder = NULL;
    const struct held *h = k->process.alive ? held_find(k, p->id) : NULL;
    if (h && h->sheep == p) { // accepted or not, the agent's connection ends
        struct lost_word m = {k, p->id};
        after(world_of(k), PIPE_MS, &k->process, loss_arrives, xmemdup(&m, sizeof m),
              h->connection);
    }
    p->connection = 0;
    if (p->group) {
        struct group *g = TAKE(p->group);
        g->parent = NULL;
        group_free_if_over(k, g);
    }
}

static void take_order(struct sheep *p, const struct launch *l)
{
    struct trace *t = trace_find(p->keeper, p->id);
    if (p->core.phase != SHEPHERD_IDLE) {
        report(p, false);
        return;
    }
    if (!t || t->holder != p || !t->has_deadline) {
        die(p);
        return;
    }
    p->launch = *l;
    p->deadline_ms = t->deadline_ms;
    t->ordered = true;
    step(p, (struct shepherd_input){.kind = SHEPHERD_IN_ORDER,
                                    .order = {.tasks = l->tasks,
                                              .first_rank = l->first_rank,
                                              .prepare = l->order.prepare,
                                              .time_limit_ms = l->time_limit_ms,
                                              .grace_ms = l->order.grace_ms}});
}

struct word_to {
    struct sheep *to;
    struct word word;
};

static void word_arrives(struct world *w, void *arg, uint64_t n)
{
    struct word_to *m = arg;
    struct sheep *p = m->to;
    (void)w;
    (void)n;
    if (m->word.kind == WORD_HELLO && m->word.connection > p->connection) {
        p->connection = m->word.connection;
        report(p, true);
        return;
    }
    if (m->word.connection != p->connection)
        return;
    switch (m->word.kind) {
    case WORD_HELLO:
        break;
    case WORD_ORDER:
        take_order(p, &m->word.launch);
        break;
    case WORD_GO:
        step(p, (struct shepherd_input){.kind = SHEPHERD_IN_GO, .late = late(p)});
        break;
    case WORD_KILL:
        if (p->core.phase == SHEPHERD_IDLE)
            die(p);
        else
            step(p, (struct shepherd_input){.kind = SHEPHERD_IN_KILL,
                                            .reason = m->word.reason,
                                            .grace_ms = m->word.grace_ms});
        break;
    case WORD_END_ACK:
        if (p->has_end)
            die(p);
        break;
    }
}

void sheep_send(struct keeper *k, struct held *h, struct word word)
{
    if (!h->sheep)
        return;
    word.connection = h->connection;
    struct word_to m = {h->sheep, word};
    after(world_of(k), PIPE_MS, &h->sheep->process, word_arrives, xmemdup(&m, sizeof m), 0);
}

// ---- life ----

static void orphaned(struct world *w, void *arg, uint64_t n)
{
    struct sheep *p = *(struct sheep **)arg;
    (void)w;
    (void)n;
    if (p->core.phase == SHEPHERD_IDLE)
        die(p);
}

struct fork {
    struct keeper *keeper;
    struct attempt_id id;
};

static void forked(struct world *w, void *arg, uint64_t n)
{
    const struct fork *f = arg;
    struct keeper *k = f->keeper;
    if (!k->machine->on || (uint64_t)k->machine->boots != n)
        return;
    struct trace *t = trace_add(k, f->id);
    if (t->holder)
        return; // another one of this attempt holds the lock
    struct sheep *p = xcalloc(1, sizeof *p);
    p->keeper = k;
    p->id = f->id;
    p->deadline_ms = AGENT_NEVER;
    TAILQ_INSERT_TAIL(&k->sheep, p, link);
    shepherd_init(&p->core);
    process_start(&p->process);
    t->lock = true;
    t->ordered = false;
    t->holder = p;
    after(w, ORPHAN_MS, &p->process, orphaned, pointer_to(p), 0);
}

void sheep_fork(struct keeper *k, struct attempt_id id)
{
    struct fork f = {k, id};
    struct world *w = world_of(k);
    int64_t delay = chance(w, 30) ? spread(w, 1, 15000) : between(w, 1, 30);
    after(w, delay, NULL, forked, xmemdup(&f, sizeof f), (uint64_t)k->machine->boots);
}

static void zygote_kills(struct world *w, void *arg, uint64_t n)
{
    struct fork *f = arg;
    struct group *g = group_find(f->keeper, f->id);
    (void)w;
    if (g && !g->parent && g->number == n)
        group_kill(f->keeper, f->id);
}

// What it leaves falls to the zygote, which may be gone as well: then the agent sweeps.
void sheep_kill(struct sheep *p)
{
    struct keeper *k = p->keeper;
    struct world *w = world_of(k);
    if (!p->process.alive)
        return;
    uint64_t number = p->group && p->group->alive ? p->group->number : 0;
    die(p);
    if (number && (!k->process.alive || k->process.stopped || chance(w, 600))) {
        struct fork f = {k, p->id};
        after(w, spread(w, 1, 200), NULL, zygote_kills, xmemdup(&f, sizeof f), number);
    }
}

void groups_power_off(struct keeper *k)
{
    struct sheep *p;
    struct group *g;
    TAILQ_FOREACH(p, &k->sheep, link)
    {
        process_die(&p->process);
        p->connection = 0;
        p->group = NULL;
    }
    while ((g = TAILQ_FIRST(&k->groups))) {
        TAILQ_REMOVE(&k->groups, g, link);
        free(g);
    }
}

void sheep_fini(struct keeper *k)
{
    struct sheep *p;
    groups_power_off(k);
    while ((p = TAILQ_FIRST(&k->sheep))) {
        TAILQ_REMOVE(&k->sheep, p, link);
        shepherd_fini(&p->core);
        process_fini(&p->process);
        free(p);
    }
}
