// What fails, when: each kind by itself, as often as the world's mix says, until faults are over.
#include "tests/sim/sim.h"

#include <string.h>

const char *const fault_words[FAULT_COUNT] = {
    [FAULT_SCHEDULER_KILL] = "scheduler killed",
    [FAULT_SCHEDULER_POINT] = "scheduler killed at a point",
    [FAULT_SCHEDULER_STOP] = "scheduler stopped",
    [FAULT_SCHEDULER_REBOOT] = "scheduler rebooted",
    [FAULT_COMMIT_FAILS] = "commit fails",
    [FAULT_DISK_SLOW] = "disk slow",
    [FAULT_DISK_FULL] = "disk full",
    [FAULT_BACKUP_RESTORED] = "old database restored",
    [FAULT_AGENT_KILL] = "agent killed",
    [FAULT_AGENT_POINT] = "agent killed at a point",
    [FAULT_AGENT_STOP] = "agent stopped",
    [FAULT_NODE_ENDS] = "node ends",
    [FAULT_POWER_CUT] = "power cut",
    [FAULT_JOURNAL_SLOW] = "journal slow",
    [FAULT_JOURNAL_LOST] = "journal lost",
    [FAULT_AGENT_DISK_FULL] = "agent's disk full",
    [FAULT_SHEPHERD_KILL] = "shepherd killed",
    [FAULT_SHEPHERD_STOP] = "shepherd stopped",
    [FAULT_LINK_BREAKS] = "link breaks",
    [FAULT_LINK_HALF_OPEN] = "link half open",
    [FAULT_PARTITION] = "partition",
    [FAULT_LINK_SLOW] = "link slow",
    [FAULT_WALL_JUMP] = "wall clock jumps",
    [FAULT_CLONE] = "clone",
};

// Mostly short, often long.
static int64_t lasting(struct world *w, int64_t most_ms)
{
    return chance(w, 500) ? spread(w, 100, most_ms) : between(w, most_ms / 4, most_ms);
}

static struct keeper *any_keeper(struct sim *s)
{
    return &s->keepers[between(&s->world, 0, s->keepers_count - 1)];
}

static struct sheep *any_sheep(struct sim *s)
{
    struct keeper *k = any_keeper(s);
    struct sheep *p, *found = NULL;
    int count = 0;
    TAILQ_FOREACH(p, &k->sheep, link)
    if (p->process.alive && between(&s->world, 0, count++) == 0)
        found = p;
    return found;
}

// ---- the scheduler ----

static void scheduler_goes_on(struct world *w, void *arg, uint64_t n)
{
    struct process *p = &sim_of(w)->scheduler.process;
    (void)arg;
    if (p->alive && p->life == n)
        process_continue(w, p);
}

// The disk comes from an older backup, with or without what lies beside the database.
static void restore_backup(struct sim *s)
{
    struct world *w = &s->world;
    if (!s->disk.has_backup) {
        disk_backup(s);
        return;
    }
    bool with_term_file = chance(w, 500);
    tell(w, "an old database is restored, the term file %s", with_term_file ? "too" : "is newer");
    scheduler_kill(s, spread(w, 100, 10000));
    disk_restore(s, with_term_file);
    disk_backup(s);
    for (int i = 0; i < s->keepers_count; i++) // what ran then may be forgotten by its agent
        s->keepers[i].operator_owes = true;
}

static void strike_scheduler(struct sim *s, enum fault_kind kind)
{
    struct world *w = &s->world;
    struct scheduler *sc = &s->scheduler;
    if (kind == FAULT_DISK_SLOW) {
        s->disk.slow_until_ms = w->now_ms + lasting(w, 60000);
    } else if (kind == FAULT_DISK_FULL) {
        s->disk.full_until_ms = w->now_ms + spread(w, 1000, 60000);
        s->disk.reserve = (int)spread(w, 0, 2000);
    } else if (kind == FAULT_COMMIT_FAILS) {
        s->disk.fails_next = true;
    } else if (!sc->process.alive) {
        return;
    } else if (kind == FAULT_SCHEDULER_KILL) {
        tell(w, "scheduler killed");
        scheduler_kill(s, spread(w, 50, 60000));
    } else if (kind == FAULT_SCHEDULER_POINT) {
        sc->crash_in = spread(w, 1, 60);
    } else if (kind == FAULT_SCHEDULER_STOP) {
        tell(w, "scheduler stopped");
        process_stop(&sc->process);
        after(w, spread(w, 10, 60000), NULL, scheduler_goes_on, NULL, sc->process.life);
    } else if (kind == FAULT_SCHEDULER_REBOOT) {
        scheduler_reboot(s, spread(w, 1000, 120000));
    } else if (kind == FAULT_BACKUP_RESTORED) {
        restore_backup(s);
    }
}

// ---- agents ----

static void power_returns(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    (void)arg;
    machine_power_on(s, &s->machines[n]);
}

static void cut_power(struct sim *s, struct machine *m)
{
    struct world *w = &s->world;
    if (!m->on)
        return;
    machine_power_cut(s, m);
    bool cloned = m == s->keepers[0].machine && s->counts.faults[FAULT_CLONE];
    if (!cloned && chance(w, 300)) { // nobody fences a node whose name a second one claims
        m->was_fenced = true;
        operator_fences(s, m);
        return;
    }
    after(w, spread(w, 500, 120000), NULL, power_returns, NULL, (uint64_t)(m - s->machines));
}

// Its journal is gone. What it has forgotten only an operator can put right, in the end.
static void lose_journal(struct keeper *k)
{
    if (k->clone)
        return;
    tell(&k->sim->world, "%s loses its journal", k->name);
    keeper_kill(k, spread(&k->sim->world, 20, 5000));
    k->written = k->synced = 0;
    k->journal_lost = k->operator_owes = true;
    judge_journal_lost(k->sim);
}

static void sheep_wakes(struct world *w, void *arg, uint64_t n)
{
    struct sheep *p = *(struct sheep **)arg;
    if (p->process.life == n)
        process_continue(w, &p->process);
}

static void strike_sheep(struct sim *s, enum fault_kind kind)
{
    struct world *w = &s->world;
    struct sheep *p = any_sheep(s);
    if (!p)
        return;
    tell(w, "%s: shepherd of %016" PRIx64 ".%u %s", p->keeper->name, p->id.job.v, p->id.number,
         kind == FAULT_SHEPHERD_KILL ? "killed" : "stopped");
    if (kind == FAULT_SHEPHERD_KILL) {
        sheep_kill(p);
    } else if (p->keeper->process.alive && !p->keeper->process.stopped) {
        process_stop(&p->process);
        after(w, spread(w, 10, 60000), NULL, sheep_wakes, xmemdup(&p, sizeof p), p->process.life);
    }
}

static void strike_agent(struct sim *s, enum fault_kind kind)
{
    struct world *w = &s->world;
    struct keeper *k = any_keeper(s);
    if (kind == FAULT_JOURNAL_SLOW) {
        k->disk_slow_until_ms = w->now_ms + spread(w, 100, 30000);
    } else if (kind == FAULT_AGENT_DISK_FULL) {
        k->disk_full_until_ms = w->now_ms + spread(w, 100, 60000);
    } else if (kind == FAULT_POWER_CUT) {
        cut_power(s, k->machine);
    } else if (!k->process.alive) {
        return;
    } else if (kind == FAULT_AGENT_KILL) {
        tell(w, "agent %s killed", k->name);
        keeper_kill(k, spread(w, 20, 60000));
    } else if (kind == FAULT_AGENT_POINT) {
        k->crash_in = spread(w, 1, 40);
    } else if (kind == FAULT_AGENT_STOP) {
        tell(w, "agent %s stopped", k->name);
        keeper_stop(k, spread(w, 10, 60000));
    } else if (kind == FAULT_NODE_ENDS && !k->process.stopped) {
        tell(w, "node %s is to end", k->name);
        keeper_end(k);
    } else if (kind == FAULT_JOURNAL_LOST) {
        lose_journal(k);
    }
}

// ---- links ----

static void slow_link_breaks(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    struct wire *l = wire_find(s, n);
    (void)arg;
    if (s->calm || !l->agent_up || l->keeper->wire != l)
        return;
    if (chance(w, 500))
        wire_break(s, l, WIRE_HALF_OPEN);
    else // what it has sent is still under way when the next one says HELLO
        keeper_kill(l->keeper, spread(w, 20, 5000));
}

static void strike_link(struct sim *s, enum fault_kind kind)
{
    struct world *w = &s->world;
    struct keeper *k = any_keeper(s);
    if (kind == FAULT_PARTITION) {
        k->cut_until_ms = w->now_ms + lasting(w, 60000);
        tell(w, "%s is cut off until %" PRId64, k->name, k->cut_until_ms);
        if (k->wire && chance(w, 500))
            wire_break(s, k->wire, WIRE_HALF_OPEN);
    } else if (!k->wire) {
        return;
    } else if (kind == FAULT_LINK_SLOW) {
        tell(w, "the link of %s is slow", k->name);
        k->wire->slow_until_ms = w->now_ms + lasting(w, 60000);
        k->wire->slow_ms = chance(w, 500) ? spread(w, 10, 90000) : between(w, 10000, 60000);
        k->wire->slow_down = chance(w, 800);
        k->wire->slow_up = !k->wire->slow_down || chance(w, 400);
        if (chance(w, 500))
            after(w, spread(w, 10, 30000), NULL, slow_link_breaks, NULL, k->wire->id);
    } else {
        tell(w, "the link of %s breaks", k->name);
        wire_break(s, k->wire, kind == FAULT_LINK_BREAKS ? WIRE_CLOSED : WIRE_HALF_OPEN);
    }
}

static void clone_ends(struct world *w, void *arg, uint64_t n)
{
    struct keeper *k = &sim_of(w)->keepers[n];
    (void)arg;
    keeper_kill(k, 1);
    k->process.life++; // and is not started again
}

// Has the cluster met the node, so that another one under its name can be told from it?
static bool is_known(const struct sim *s, const struct keeper *k)
{
    for (size_t i = 0; i < s->disk.now.nodes_count; i++)
        if (strcmp(s->disk.now.nodes[i].name, k->name) == 0)
            return s->disk.now.nodes[i].inc.state_id != 0;
    return false;
}

// A second agent under a name that is taken, from a copied or another state directory.
static void start_clone(struct sim *s)
{
    struct world *w = &s->world;
    int i = s->keepers_count - 1;
    struct keeper *k = &s->keepers[i], *of = &s->keepers[0];
    if (k->process.alive || !k->machine->on || of->machine->was_fenced || !is_known(s, of))
        return;
    s->counts.faults[FAULT_CLONE]++;
    k->state_id = chance(w, 500) ? of->state_id : rng_next(&w->rng) | 1;
    keeper_start_later(k, 0);
    after(w, spread(w, 100, 20000), NULL, clone_ends, NULL, (uint64_t)i);
    if (of->wire && chance(w, 600)) // both come up at the same time
        wire_break(s, of->wire, WIRE_CLOSED);
}

// ---- the schedule ----

static void strike(struct sim *s, enum fault_kind kind)
{
    s->counts.faults[kind] += kind != FAULT_CLONE;
    if (kind <= FAULT_BACKUP_RESTORED)
        strike_scheduler(s, kind);
    else if (kind == FAULT_SHEPHERD_KILL || kind == FAULT_SHEPHERD_STOP)
        strike_sheep(s, kind);
    else if (kind < FAULT_SHEPHERD_KILL)
        strike_agent(s, kind);
    else if (kind == FAULT_WALL_JUMP && chance(&s->world, 200))
        s->scheduler.machine.clock.wall_offset_ms = between(&s->world, -100000, 100000);
    else if (kind == FAULT_WALL_JUMP)
        any_keeper(s)->machine->clock.wall_offset_ms = between(&s->world, -1000000000, 1000000000);
    else if (kind == FAULT_CLONE)
        start_clone(s);
    else
        strike_link(s, kind);
}

static void fault_now(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    (void)arg;
    if (s->calm)
        return;
    strike(s, (enum fault_kind)n);
    after(w, between(w, 1, 2 * s->every_ms[n]), NULL, fault_now, NULL, n);
}

void faults_start(struct sim *s)
{
    struct world *w = &s->world;
    bool none = chance(w, 60), brutal = chance(w, 100);
    for (int i = 0; i < FAULT_COUNT; i++) {
        bool rare = i == FAULT_BACKUP_RESTORED || i == FAULT_JOURNAL_LOST;
        bool often = i == FAULT_LINK_SLOW || i == FAULT_DISK_SLOW || i == FAULT_POWER_CUT ||
                     i == FAULT_AGENT_POINT;
        if (none || !chance(w, rare ? 80 : brutal || often ? 600 : 300))
            continue;
        s->every_ms[i] = spread(w, brutal ? 3000 : 8000, 200000);
        after(w, between(w, 1, 2 * s->every_ms[i]), NULL, fault_now, NULL, (uint64_t)i);
    }
    s->doubled = chance(w, 300) ? (unsigned)spread(w, 1, 200) : 0;
}

void faults_end(struct sim *s)
{
    struct world *w = &s->world;
    tell(w, "faults are over");
    s->calm = true;
    s->doubled = 0;
    s->round_ms = 3;
    s->disk.slow_until_ms = s->disk.full_until_ms = 0;
    s->disk.fails_next = false;
    s->scheduler.crash_in = 0;
    process_continue(w, &s->scheduler.process);
    for (size_t i = 0; i < s->wires_count; i++)
        s->wires[i]->slow_until_ms = 0;
    for (int i = 0; i < s->keepers_count; i++) {
        struct keeper *k = &s->keepers[i];
        struct sheep *p;
        k->cut_until_ms = 0;
        k->disk_slow_until_ms = k->disk_full_until_ms = 0;
        k->crash_in = 0;
        process_continue(w, &k->process);
        TAILQ_FOREACH(p, &k->sheep, link)
        process_continue(w, &p->process);
        if (k->operator_owes && k->machine->on) { // reboots it: nothing forgotten runs any more
            machine_power_cut(s, k->machine);
            after(w, 1000, NULL, power_returns, NULL, (uint64_t)(k->machine - s->machines));
        }
    }
}
