// A seeded random walk over the agent's core: schedulers of several terms with links that lose and
// delay, shepherds that die, a disk that is slow, crashes between any two steps, reboots. After
// every step: its own invariants; no task is started twice or without its order on disk; an END is
// said only when it is on disk and nothing is left; no running task has a lease that ends later
// than the scheduler counts on; a restarted agent knows what was journaled.
// WALK_SEED and WALK_STEPS choose the walk.
#include "agent/core/agent.h"
#include "common/alloc.h"
#include "common/check.h"
#include "common/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLUSTER = 0xc1, SLOTS = 24, CORES = 8, MAIL_MAX = 64 };

enum shepherd_life { SHEPHERD_NONE, SHEPHERD_WAITS, SHEPHERD_ORDERED, SHEPHERD_DEAD };

// One attempt as the world knows it: what runs, and what the scheduler believes.
struct slot {
    struct attempt_id id; // number 0: free
    struct agent_order order;
    enum shepherd_life shepherd;
    bool took_order, prepared, go, killed, tasks, started, end_file, told;
    bool launch_sent, go_sent, kill_sent, ended_heard, ack_sent, sweeping;
    int64_t word;        // the deadline on tmpfs; -1: no file
    int64_t lease_by_ms; // the scheduler counts on the lease's end by then
    struct reason end;
};

struct entry {
    enum agent_record what;
    struct attempt_id id;
    struct agent_order order;
    uint64_t cluster, term, nonce;
    bool started;
    struct reason end;
};

struct waiting {
    struct agent_output o;
    size_t record; // entries that must be durable
};

struct walk {
    struct agent *agent;
    struct rng rng;
    int64_t now_ms;
    struct slot slots[SLOTS];
    uint32_t numbers[SLOTS]; // of job i + 1
    struct entry *journal;
    size_t written, journal_cap, durable;
    struct waiting *queue;
    size_t queued, queue_cap;
    struct agent_input mail[MAIL_MAX]; // of the scheduler, on their way
    size_t mail_count;
    uint64_t session, term, nonce, request_heard;
    uint64_t starts, ends, restarts, reboots, expiries;
};

static bool chance(struct walk *w, uint64_t one_in)
{
    return rng_below(&w->rng, one_in) == 0;
}

static struct slot *slot_of(struct walk *w, struct attempt_id id)
{
    for (int i = 0; i < SLOTS; i++)
        if (w->slots[i].id.number && attempt_id_eq(w->slots[i].id, id))
            return &w->slots[i];
    return NULL;
}

static struct slot *any_slot(struct walk *w)
{
    return &w->slots[rng_below(&w->rng, SLOTS)];
}

static bool alive(const struct slot *s)
{
    return s->tasks || s->shepherd == SHEPHERD_WAITS || s->shepherd == SHEPHERD_ORDERED;
}

static bool on_disk(const struct walk *w, enum agent_record what, struct attempt_id id)
{
    for (size_t i = 0; i < w->durable; i++)
        if (w->journal[i].what == what && attempt_id_eq(w->journal[i].id, id))
            return true;
    return false;
}

static void step(struct walk *w, const struct agent_input *in);

// ---- performing ----

static void check_lease(const struct slot *s)
{
    if (s->tasks && s->order.lease_ms)
        CHECKF(s->word <= s->lease_by_ms, "job %" PRIu64 " may run %" PRId64 " ms too long",
               s->id.job.v, s->word - s->lease_by_ms);
}

// What runs at once: no core or GPU is given out over the whole of it.
static void check_held(const struct walk *w, const struct slot *s)
{
    struct agent_held_sum sum = {0};
    int64_t parts = 0;
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *o = &w->slots[i];
        if (!o->tasks)
            continue;
        CHECK(o == s || !agent_held_clash(&o->order.held, &s->order.held));
        agent_held_add(&sum, &o->order.held);
        parts += agent_held_of_pool(&o->order.held, &s->order.held.pool);
    }
    CHECK(!agent_held_over(&sum));
    CHECK(parts <= 1000 * (int64_t)coreset_count(&s->order.held.pool));
}

static void start_tasks(struct walk *w, struct slot *s)
{
    CHECKF(!s->started, "job %" PRIu64 " is started twice", s->id.job.v);
    CHECK(on_disk(w, AGENT_RECORD_ORDER, s->id));
    CHECK(!s->told && !s->ack_sent);
    s->started = s->tasks = true;
    check_held(w, s);
    w->starts++;
    check_lease(s);
}

static void perform_fork(struct walk *w, struct slot *s)
{
    const struct agent_attempt *t = agent_find(w->agent, s->id);
    if (!t || t->phase != ATTEMPT_FORKED)
        return;
    CHECK(on_disk(w, AGENT_RECORD_ORDER, s->id));
    CHECKF(!alive(s) && !s->took_order, "job %" PRIu64 " is forked again", s->id.job.v);
    if (s->word < 0)
        s->word = t->deadline_ms;
    if (chance(w, 20)) {
        struct agent_input in = {.kind = AGENT_IN_FORK_FAILED, .id = s->id, .detail = "no"};
        step(w, &in);
        return;
    }
    s->shepherd = SHEPHERD_WAITS;
}

static void perform_end(struct walk *w, struct slot *s)
{
    const struct agent_attempt *t = agent_find(w->agent, s->id);
    if (!t)
        return;
    CHECK(t->phase == ATTEMPT_ENDED && on_disk(w, AGENT_RECORD_END, s->id));
    CHECKF(!s->tasks, "job %" PRIu64 ": END is said and tasks are left", s->id.job.v);
    CHECK(t->started || !s->started);
    if (s->told)
        CHECK(s->end.code == t->end.code);
    s->told = s->ended_heard = true;
    s->end = t->end;
    w->ends++;
}

static void perform(struct walk *w, const struct agent_output *o)
{
    struct slot *s = slot_of(w, o->id);
    if (o->kind == AGENT_OUT_HELLO || o->kind == AGENT_OUT_HEARTBEAT) {
        if (agent_session(w->agent))
            w->request_heard = o->request;
        return;
    }
    if (!s)
        return;
    if (o->kind == AGENT_OUT_FORK) {
        perform_fork(w, s);
    } else if (o->kind == AGENT_OUT_GO) {
        s->go |= s->shepherd == SHEPHERD_ORDERED;
    } else if (o->kind == AGENT_OUT_KILL) {
        s->killed |= s->shepherd == SHEPHERD_ORDERED;
    } else if (o->kind == AGENT_OUT_SWEEP) {
        s->sweeping = true;
    } else if (o->kind == AGENT_OUT_DEADLINE) {
        s->word = o->deadline_ms;
        check_lease(s);
    } else if (o->kind == AGENT_OUT_END) {
        perform_end(w, s);
    } else if (o->kind == AGENT_OUT_RELEASE) {
        CHECK(on_disk(w, AGENT_RECORD_END, s->id) && !s->tasks);
        s->shepherd = s->shepherd == SHEPHERD_NONE ? SHEPHERD_NONE : SHEPHERD_DEAD;
        s->word = -1;
        s->end_file = false;
    } else if (o->kind == AGENT_OUT_FORGET) {
        CHECK(s->ack_sent && !alive(s));
        *s = (struct slot){0};
    }
}

static void write_entry(struct walk *w, const struct agent_output *o)
{
    VEC_RESERVE(w->journal, w->written, w->journal_cap);
    struct entry *e = &w->journal[w->written++];
    const struct agent_attempt *t = agent_find(w->agent, o->id);
    *e = (struct entry){.what = o->what, .id = o->id};
    e->cluster = agent_cluster(w->agent).v;
    e->term = agent_term_seen(w->agent);
    e->nonce = agent_nonce_seen(w->agent);
    if (t) {
        e->order = t->order;
        e->started = t->started;
        e->end = t->end;
    }
}

static void release(struct walk *w)
{
    while (w->queued && w->queue[0].record <= w->durable) {
        struct agent_output o = w->queue[0].o;
        memmove(w->queue, w->queue + 1, --w->queued * sizeof *w->queue);
        perform(w, &o);
    }
}

static void take_outputs(struct walk *w)
{
    size_t count;
    const struct agent_output *list = agent_outputs(w->agent, &count);
    AUTO_FREE struct agent_output *copy = xcalloc(count + 1, sizeof *copy);
    if (count)
        memcpy(copy, list, count * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        if (copy[i].kind == AGENT_OUT_JOURNAL) {
            write_entry(w, &copy[i]);
        } else if (copy[i].kind != AGENT_OUT_NOTE && !copy[i].urgent) {
            VEC_RESERVE(w->queue, w->queued, w->queue_cap);
            w->queue[w->queued++] = (struct waiting){copy[i], w->written};
        }
    }
    for (size_t i = 0; i < count; i++)
        if (copy[i].urgent)
            perform(w, &copy[i]);
    release(w);
}

static void step(struct walk *w, const struct agent_input *in)
{
    agent_step(w->agent, w->now_ms, in);
    agent_check(w->agent);
    take_outputs(w);
}

// ---- the scheduler ----

static void send(struct walk *w, struct agent_input in)
{
    in.session = w->session;
    if (w->mail_count < MAIL_MAX)
        w->mail[w->mail_count++] = in;
}

static void count_lease(struct walk *w, struct slot *s)
{
    bool waits = s->order.prepare && !s->go_sent;
    int64_t lease = s->order.lease_ms;
    if (waits && s->order.prepare_lease_ms > lease)
        lease = s->order.prepare_lease_ms;
    s->lease_by_ms = w->now_ms + lease;
}

static void send_launch(struct walk *w, struct slot *s)
{
    s->order.request = w->request_heard;
    s->launch_sent = true;
    count_lease(w, s);
    send(w, (struct agent_input){.kind = AGENT_IN_LAUNCH, .id = s->id, .order = s->order});
}

static void send_kill(struct walk *w, struct slot *s)
{
    s->kill_sent = true;
    send(w, (struct agent_input){.kind = AGENT_IN_KILL,
                                 .id = s->id,
                                 .grace_ms = (int64_t)rng_below(&w->rng, 3) * 1500,
                                 .reason = {.code = REASON_CANCELLED}});
}

// A core, or parts of cores and of a GPU.
static void choose_held(struct walk *w, struct agent_held *ret)
{
    if (chance(w, 2)) {
        coreset_add(&ret->cores, (unsigned)rng_below(&w->rng, CORES));
        return;
    }
    coreset_add(&ret->pool, (unsigned)rng_below(&w->rng, CORES));
    coreset_add(&ret->pool, (unsigned)rng_below(&w->rng, CORES));
    ret->cpu_milli = 1 + (int32_t)rng_below(&w->rng, 999);
    int g = (int)rng_below(&w->rng, 2);
    ret->gpus = UINT64_C(1) << g;
    ret->gpu_milli[g] = (uint16_t)(chance(w, 4) ? 0 : 1 + rng_below(&w->rng, 999));
}

static void place(struct walk *w)
{
    struct slot *s = any_slot(w);
    if (s->id.number)
        return;
    size_t i = (size_t)(s - w->slots);
    *s = (struct slot){.id = {{CLUSTER}, {i + 1}, ++w->numbers[i]}, .word = -1};
    s->order = (struct agent_order){
        .id = s->id,
        .lease_ms = chance(w, 2) ? 0 : 30000,
        .prepare_lease_ms = 60000,
        .grace_ms = 1000,
        .prepare = chance(w, 2),
    };
    choose_held(w, &s->order.held);
    if (chance(w, 10))
        send_kill(w, s); // overtakes its launch
    send_launch(w, s);
}

static void scheduler_acts(struct walk *w)
{
    struct slot *s = any_slot(w);
    if (!s->id.number) {
        place(w);
        return;
    }
    if (s->ended_heard) {
        s->ack_sent = true;
        send(w, (struct agent_input){.kind = AGENT_IN_END_ACK, .id = s->id});
        return;
    }
    const struct agent_attempt *t = agent_find(w->agent, s->id);
    bool ready = t && t->phase == ATTEMPT_PREPARED && !s->kill_sent;
    if (chance(w, 8)) {
        send_kill(w, s);
    } else if (ready || (s->go_sent && !s->kill_sent)) {
        s->go_sent = true;
        count_lease(w, s);
        send(w, (struct agent_input){.kind = AGENT_IN_GO,
                                     .id = s->id,
                                     .request = w->request_heard,
                                     .lease_ms = s->order.lease_ms});
    } else if (!s->started && chance(w, 3)) {
        send_launch(w, s);
    }
}

static void heartbeat(struct walk *w)
{
    step(w, &(struct agent_input){.kind = AGENT_IN_HEARTBEAT});
    if (!agent_session(w->agent))
        return;
    // Each grant by itself; kills and ended ones are not renewed.
    static struct attempt_id ids[SLOTS];
    for (int i = 0; i < SLOTS; i++) {
        struct slot *s = &w->slots[i];
        if (!s->id.number || s->kill_sent || s->ended_heard || chance(w, 4))
            continue;
        ids[i] = s->id;
        count_lease(w, s);
        send(w, (struct agent_input){.kind = AGENT_IN_GRANT,
                                     .request = w->request_heard,
                                     .id = s->id,
                                     .ids = &ids[i],
                                     .ids_count = 1});
    }
}

static void deliver_one(struct walk *w)
{
    struct agent_input in = w->mail[0];
    memmove(w->mail, w->mail + 1, --w->mail_count * sizeof *w->mail);
    if (in.kind == AGENT_IN_GRANT)
        in.ids = &in.id;
    if (slot_of(w, in.id))
        step(w, &in);
}

static void deliver(struct walk *w)
{
    for (uint64_t n = rng_below(&w->rng, 20) + 1; n && w->mail_count; n--)
        deliver_one(w);
}

static void connect(struct walk *w)
{
    uint64_t what = rng_below(&w->rng, 20);
    struct agent_input in = {.kind = AGENT_IN_WELCOME, .cluster = {CLUSTER}};
    if (chance(w, 2))
        w->mail_count = 0; // else they come after it, of an old session
    if (what == 0) {
        w->term++;
        w->nonce = rng_next(&w->rng);
    }
    uint64_t seen = agent_term_seen(w->agent), nonce = agent_nonce_seen(w->agent);
    in.term = what == 1 ? seen - 1 : what == 2 ? seen : w->term;
    in.nonce = what == 2 ? nonce + 1 : w->nonce;
    in.cluster.v = what == 3 ? 0xbad : CLUSTER;
    in.session = ++w->session;
    step(w, &in);
    bool strange = what >= 1 && what <= 3;
    CHECK(agent_session(w->agent) == (strange ? 0 : w->session));
    CHECK(agent_cluster(w->agent).v == CLUSTER);
    CHECK(agent_term_seen(w->agent) == (strange ? seen : w->term));
}

// ---- shepherds ----

static void say_status(struct walk *w, struct slot *s)
{
    step(w, &(struct agent_input){.kind = AGENT_IN_STATUS,
                                  .id = s->id,
                                  .phase = s->killed     ? ATTEMPT_ENDING
                                           : s->started  ? ATTEMPT_RUNNING
                                           : s->prepared ? ATTEMPT_PREPARED
                                                         : ATTEMPT_FORKED,
                                  .started = s->started});
}

static void say_end(struct walk *w, struct slot *s, enum reason_code code)
{
    s->tasks = false;
    s->end_file = true;
    s->end.code = code;
    step(w, &(struct agent_input){.kind = AGENT_IN_SHEPHERD_END,
                                  .id = s->id,
                                  .started = s->started,
                                  .reason = {.code = code}});
}

static void shepherd_lives(struct walk *w, struct slot *s)
{
    if (s->shepherd == SHEPHERD_WAITS) {
        const struct agent_attempt *t = agent_find(w->agent, s->id);
        if (!t)
            return;
        s->shepherd = SHEPHERD_ORDERED;
        s->took_order = true;
    } else if (s->end_file) {
        say_end(w, s, s->end.code);
    } else if (s->killed || w->now_ms >= s->word) {
        w->expiries += !s->killed;
        say_end(w, s, s->killed ? REASON_CANCELLED : REASON_LEASE_EXPIRED);
    } else if (s->started) {
        if (chance(w, 4))
            say_end(w, s, REASON_EXITED);
        else
            say_status(w, s);
    } else if (s->order.prepare && !s->prepared) {
        s->prepared = true;
        say_status(w, s);
    } else if (!s->order.prepare || s->go) {
        start_tasks(w, s);
        say_status(w, s);
    } else {
        say_status(w, s);
    }
}

static void world_acts(struct walk *w)
{
    struct slot *s = any_slot(w);
    if (!s->id.number)
        return;
    if (s->sweeping && !chance(w, 3)) {
        s->tasks = false;
        s->shepherd = s->shepherd == SHEPHERD_NONE ? SHEPHERD_NONE : SHEPHERD_DEAD;
        s->sweeping = false;
        step(w, &(struct agent_input){.kind = AGENT_IN_SWEPT, .id = s->id});
    } else if (s->shepherd == SHEPHERD_DEAD && agent_find(w->agent, s->id)) {
        if (s->end_file)
            say_end(w, s, s->end.code);
        else
            step(w, &(struct agent_input){
                        .kind = AGENT_IN_SHEPHERD_GONE, .id = s->id, .started = s->took_order});
    } else if (s->shepherd == SHEPHERD_WAITS || s->shepherd == SHEPHERD_ORDERED) {
        if (chance(w, 40))
            s->shepherd = SHEPHERD_DEAD; // its tasks live on
        else
            shepherd_lives(w, s);
    }
}

// ---- time, disk, crashes ----

static void pass_time(struct walk *w)
{
    static const int64_t spans[] = {1, 40, 300, 1100, 6000, 31000};
    w->now_ms += spans[rng_below(&w->rng, chance(w, 10) ? 6 : 4)];
    // The shepherd and the agent are two keepers of one deadline; here both are awake.
    for (int i = 0; i < SLOTS; i++)
        if (w->slots[i].shepherd == SHEPHERD_ORDERED && w->now_ms >= w->slots[i].word &&
            w->slots[i].id.number && !w->slots[i].end_file)
            shepherd_lives(w, &w->slots[i]);
    step(w, &(struct agent_input){.kind = AGENT_IN_TICK});
    CHECK(agent_wake_at_ms(w->agent) > w->now_ms);
}

static void sync_disk(struct walk *w)
{
    w->durable = w->written;
    release(w);
}

static void load(struct walk *w, const struct entry *e, bool rebooted)
{
    struct slot *s = slot_of(w, e->id);
    CHECK(s);
    struct reason rebooted_why = {.code = REASON_NODE_REBOOTED}, none = {0};
    struct reason lost = {.code = REASON_SHEPHERD_LOST};
    if (rebooted) {
        agent_load_order(w->agent, &e->order, ATTEMPT_ENDING, AGENT_NEVER, rebooted_why);
        return;
    }
    if (s->word < 0)
        s->word = 0; // none is invented: it has passed
    if (s->shepherd == SHEPHERD_WAITS || s->shepherd == SHEPHERD_ORDERED)
        agent_load_order(w->agent, &e->order, ATTEMPT_FORKED, s->word, none);
    else if (s->end_file)
        agent_load_end(w->agent, s->id, s->started, s->end, NULL);
    else if (s->took_order)
        agent_load_order(w->agent, &e->order, ATTEMPT_ENDING, s->word, lost);
    else
        agent_load_order(w->agent, &e->order, ATTEMPT_ORDERED, s->word, none);
}

// The last word of the journal's first `count` entries about an attempt, or NULL.
static const struct entry *last_word(const struct walk *w, size_t count, struct attempt_id id)
{
    for (size_t i = count; i-- > 0;)
        if (w->journal[i].what != AGENT_RECORD_TERM && attempt_id_eq(w->journal[i].id, id))
            return &w->journal[i];
    return NULL;
}

static void check_restarted(struct walk *w, struct agent *old, size_t kept)
{
    CHECK(kept < w->written || (agent_term_seen(w->agent) == agent_term_seen(old) &&
                                agent_nonce_seen(w->agent) == agent_nonce_seen(old) &&
                                agent_cluster(w->agent).v == agent_cluster(old).v));
    size_t same = 0;
    for (size_t i = 0; i < agent_count(old); i++) {
        const struct agent_attempt *a = agent_at(old, i);
        const struct agent_attempt *b = agent_find(w->agent, a->order.id);
        const struct entry *e = last_word(w, kept, a->order.id);
        CHECK(!b == !e);
        if (!b)
            continue;
        same++;
        if (e->what == AGENT_RECORD_END)
            CHECK(b->phase == ATTEMPT_ENDED && b->end.code == a->end.code &&
                  b->started == a->started);
        else
            CHECK(b->phase == ATTEMPT_ENDED ||
                  (coreset_equal(&a->order.held.cores, &b->order.held.cores) &&
                   a->order.lease_ms == b->order.lease_ms && a->order.prepare == b->order.prepare));
    }
    if (kept == w->written)
        CHECK(same == agent_count(old) && same == agent_count(w->agent));
}

// Keeps what is still true, as the agent does at its start; all of it is on disk then.
static void compact(struct walk *w, size_t kept)
{
    size_t n = 0;
    struct entry *fresh = xcalloc(kept + SLOTS + 1, sizeof *fresh);
    fresh[n++] = (struct entry){.what = AGENT_RECORD_TERM,
                                .cluster = agent_cluster(w->agent).v,
                                .term = agent_term_seen(w->agent),
                                .nonce = agent_nonce_seen(w->agent)};
    for (size_t i = 0; i < kept; i++) {
        const struct entry *e = &w->journal[i];
        if (e->what != AGENT_RECORD_TERM && agent_find(w->agent, e->id))
            fresh[n++] = *e;
    }
    for (size_t i = 0; i < agent_count(w->agent); i++) {
        const struct agent_attempt *t = agent_at(w->agent, i);
        const struct entry *e = last_word(w, kept, t->order.id);
        if (t->phase == ATTEMPT_ENDED && e->what == AGENT_RECORD_ORDER)
            fresh[n++] = (struct entry){
                .what = AGENT_RECORD_END, .id = t->order.id, .started = t->started, .end = t->end};
    }
    free(w->journal);
    w->journal = fresh;
    w->written = w->durable = n;
    w->journal_cap = kept + SLOTS + 1;
}

static void reboot(struct walk *w)
{
    for (int i = 0; i < SLOTS; i++) {
        struct slot *s = &w->slots[i];
        s->tasks = s->end_file = false;
        s->shepherd = s->shepherd == SHEPHERD_NONE ? SHEPHERD_NONE : SHEPHERD_DEAD;
        s->word = -1;
    }
    w->reboots++;
}

static void restart(struct walk *w)
{
    bool rebooted = chance(w, 6);
    size_t kept = w->durable + (size_t)rng_below(&w->rng, w->written - w->durable + 1);
    struct agent *old = w->agent;
    if (rebooted)
        reboot(w);
    w->agent = agent_new();
    w->queued = w->mail_count = 0;
    w->request_heard = 0;
    for (int i = 0; i < SLOTS; i++)
        w->slots[i].sweeping = false;
    for (size_t i = 0; i < kept; i++) {
        const struct entry *e = &w->journal[i];
        if (e->what == AGENT_RECORD_TERM && e->cluster)
            agent_load_term(w->agent, (struct cluster_id){e->cluster}, e->term, e->nonce);
    }
    for (int i = 0; i < SLOTS; i++) {
        const struct entry *e = last_word(w, kept, w->slots[i].id);
        if (e && e->what == AGENT_RECORD_ORDER)
            load(w, e, rebooted);
        else if (e && e->what == AGENT_RECORD_END)
            agent_load_end(w->agent, e->id, e->started, e->end, NULL);
        else if (e) // forgotten; the acknowledgement was all that was left
            w->slots[i] = (struct slot){0};
    }
    check_restarted(w, old, kept);
    agent_free(old);
    compact(w, kept);
    agent_start(w->agent, w->now_ms);
    agent_check(w->agent);
    take_outputs(w);
    w->restarts++;
}

static void walk_step(struct walk *w)
{
    uint64_t what = rng_below(&w->rng, 1000);
    if (what < 200)
        for (int i = 0; i < 6; i++)
            scheduler_acts(w);
    else if (what < 600)
        deliver(w);
    else if (what < 700)
        heartbeat(w);
    else if (what < 850)
        pass_time(w);
    else if (what < 960)
        sync_disk(w);
    else if (what < 965)
        step(w, &(struct agent_input){.kind = AGENT_IN_LINK_DOWN});
    else if (what < 995)
        connect(w);
    else
        restart(w);
    for (int i = 0; what % 3 == 0 && i < 4; i++)
        world_acts(w);
    if (!agent_session(w->agent) && chance(w, 10))
        connect(w);
}

static void random_walk(void **state)
{
    (void)state;
    const char *steps_text = getenv("WALK_STEPS"), *seed_text = getenv("WALK_SEED");
    long steps = steps_text ? atol(steps_text) : 200000;
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : 1;
    struct walk w = {.rng = {seed}, .agent = agent_new(), .now_ms = 1000, .term = 2, .nonce = 7};
    step(&w, &(struct agent_input){.kind = AGENT_IN_WELCOME,
                                   .cluster = {CLUSTER},
                                   .term = 2,
                                   .nonce = 7,
                                   .session = ++w.session});
    sync_disk(&w);
    for (long i = 0; i < steps; i++)
        walk_step(&w);
    printf("# seed %" PRIu64 ", %ld steps: %" PRIu64 " starts, %" PRIu64 " ends, %" PRIu64
           " leases ended, %" PRIu64 " restarts, %" PRIu64 " reboots\n",
           seed, steps, w.starts, w.ends, w.expiries, w.restarts, w.reboots);
    assert_true(w.starts > (uint64_t)steps / 500 && w.ends > w.starts);
    agent_free(w.agent);
    free(w.journal);
    free(w.queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_walk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
