#include "agent/core/agent.h"

#include "common/alloc.h"
#include "common/arena.h"
#include "common/check.h"
#include "common/planted.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KILL_PATIENCE_MS = 1000, END_REPEAT_MS = 5000 };

struct request {
    uint64_t number;
    int64_t sent_ms;
};

struct agent {
    struct cluster_id cluster;
    uint64_t term, nonce;
    uint64_t session; // of the scheduler that is obeyed; 0: none
    struct request requests[AGENT_REQUESTS_MAX];
    uint64_t last_request, record;
    struct agent_attempt *list;
    size_t count, cap;
    int64_t repeat_ms;
    uint64_t dropped;
    bool stopping;
    struct agent_given given;
    struct arena arena;
    struct agent_output *outputs;
    size_t outputs_count, outputs_cap;
    int64_t now_ms;
};

// ---- words ----

const char *attempt_phase_word(enum attempt_phase p)
{
    static const char *const words[ATTEMPT_PHASE_COUNT] = {"ordered", "forked", "prepared",
                                                           "running", "ending", "ended"};
    CHECK(p < ATTEMPT_PHASE_COUNT);
    return words[p];
}

static struct agent_output *out(struct agent *a, enum agent_output_kind kind, struct attempt_id id)
{
    VEC_RESERVE(a->outputs, a->outputs_count, a->outputs_cap);
    struct agent_output *o = &a->outputs[a->outputs_count++];
    *o = (struct agent_output){.kind = kind, .id = id};
    return o;
}

static void note(struct agent *a, const struct agent_attempt *t, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void note(struct agent *a, const struct agent_attempt *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(&a->arena, fmt, ap);
    va_end(ap);
    if (t)
        text = arena_printf(&a->arena, "attempt %016" PRIx64 ".%u %s", t->order.id.job.v,
                            t->order.id.number, text);
    out(a, AGENT_OUT_NOTE, t ? t->order.id : (struct attempt_id){0})->text = text;
}

static void journal(struct agent *a, enum agent_record what, struct attempt_id id)
{
    struct agent_output *o = out(a, AGENT_OUT_JOURNAL, id);
    o->what = what;
    o->record = ++a->record;
}

// ---- table ----

struct agent_attempt *agent_find(struct agent *a, struct attempt_id id)
{
    for (size_t i = 0; i < a->count; i++)
        if (attempt_id_eq(a->list[i].order.id, id))
            return &a->list[i];
    return NULL;
}

static struct agent_attempt *add(struct agent *a, const struct agent_order *order,
                                 enum attempt_phase phase)
{
    VEC_RESERVE(a->list, a->count, a->cap);
    struct agent_attempt *t = &a->list[a->count++];
    *t = (struct agent_attempt){
        .order = *order, .phase = phase, .deadline_ms = AGENT_NEVER, .kill_check_ms = AGENT_NEVER};
    return t;
}

static void remove_attempt(struct agent *a, struct agent_attempt *t)
{
    size_t i = (size_t)(t - a->list);
    memmove(t, t + 1, (a->count - i - 1) * sizeof *t);
    a->count--;
}

static const bool moves[ATTEMPT_PHASE_COUNT][ATTEMPT_PHASE_COUNT] = {
    [ATTEMPT_ORDERED] = {[ATTEMPT_FORKED] = true, [ATTEMPT_ENDED] = true},
    [ATTEMPT_FORKED] = {[ATTEMPT_PREPARED] = true,
                        [ATTEMPT_RUNNING] = true,
                        [ATTEMPT_ENDING] = true,
                        [ATTEMPT_ENDED] = true},
    [ATTEMPT_PREPARED] =
        {[ATTEMPT_RUNNING] = true, [ATTEMPT_ENDING] = true, [ATTEMPT_ENDED] = true},
    [ATTEMPT_RUNNING] = {[ATTEMPT_ENDING] = true, [ATTEMPT_ENDED] = true},
    [ATTEMPT_ENDING] = {[ATTEMPT_ENDED] = true},
};

static void move(struct agent *a, struct agent_attempt *t, enum attempt_phase to)
{
    CHECKF(moves[t->phase][to], "attempt: %s -> %s", attempt_phase_word(t->phase),
           attempt_phase_word(to));
    t->phase = to;
    note(a, t, "%s", attempt_phase_word(to));
}

// ---- leases ----

// The end of a lease of `ms` that counts from the sending of a request; 0 if that is unknown.
static int64_t lease_end(const struct agent *a, uint64_t request, int64_t ms)
{
    const struct request *r = &a->requests[request % AGENT_REQUESTS_MAX];
    if (!request || r->number != request)
        return 0;
    int64_t from_ms = PLANTED(LEASE_FROM_RECEIPT) ? a->now_ms : r->sent_ms;
    return ms ? from_ms + ms : AGENT_NEVER;
}

static void set_deadline(struct agent *a, struct agent_attempt *t, int64_t at_ms)
{
    t->deadline_ms = at_ms;
    struct agent_output *o = out(a, AGENT_OUT_DEADLINE, t->order.id);
    o->deadline_ms = at_ms;
    o->urgent = true;
}

static uint64_t new_request(struct agent *a)
{
    uint64_t n = ++a->last_request;
    a->requests[n % AGENT_REQUESTS_MAX] = (struct request){n, a->now_ms};
    return n;
}

// ---- endings ----

static void say_end(struct agent *a, const struct agent_attempt *t)
{
    if (a->session)
        out(a, AGENT_OUT_END, t->order.id);
}

// Nothing of the attempt is left: journal, then tell.
static void ended(struct agent *a, struct agent_attempt *t, bool started, struct reason r,
                  const char *detail)
{
    if (t->phase == ATTEMPT_ENDED)
        return;
    move(a, t, ATTEMPT_ENDED);
    t->started = started;
    t->end = r;
    if (detail != t->detail)
        snprintf(t->detail, sizeof t->detail, "%s", detail ? detail : "");
    t->kill_check_ms = AGENT_NEVER;
    t->end_durable = true; // what follows the journal output waits for the disk
    if (!PLANTED(END_NOT_JOURNALED))
        journal(a, AGENT_RECORD_END, t->order.id);
    out(a, AGENT_OUT_RELEASE, t->order.id);
    say_end(a, t);
}

static void tell_kill(struct agent *a, struct agent_attempt *t, int64_t grace_ms, struct reason r,
                      const char *detail)
{
    int64_t left = t->deadline_ms == AGENT_NEVER ? grace_ms : t->deadline_ms - a->now_ms;
    if (grace_ms > left) // any grace lies inside the lease (Lease 3)
        grace_ms = left;
    if (grace_ms < 0)
        grace_ms = 0;
    struct agent_output *o = out(a, AGENT_OUT_KILL, t->order.id);
    o->grace_ms = grace_ms;
    o->reason = r;
    o->detail = arena_strdup(&a->arena, detail);
    o->urgent = true;
    t->killed = true;
    int64_t by = a->now_ms + grace_ms + KILL_PATIENCE_MS;
    if (by < t->kill_check_ms)
        t->kill_check_ms = by;
}

static void kill_attempt(struct agent *a, struct agent_attempt *t, int64_t grace_ms,
                         struct reason r, const char *detail)
{
    switch (t->phase) {
    case ATTEMPT_ORDERED: // no shepherd was asked for: nothing can start any more
        ended(a, t, false, (struct reason){.code = REASON_NEVER_STARTED}, NULL);
        break;
    case ATTEMPT_FORKED:
    case ATTEMPT_PREPARED:
    case ATTEMPT_RUNNING:
        move(a, t, ATTEMPT_ENDING);
        t->end = r;
        tell_kill(a, t, grace_ms, r, detail);
        break;
    case ATTEMPT_ENDING:
        tell_kill(a, t, grace_ms, r, detail);
        break;
    case ATTEMPT_ENDED:
    case ATTEMPT_PHASE_COUNT:
        break;
    }
}

// ---- the scheduler's word ----

static void welcome(struct agent *a, const struct agent_input *in)
{
    a->session = 0;
    bool ours = !a->cluster.v || a->cluster.v == in->cluster.v;
    bool newer = PLANTED(OBEY_OLD_TERM) || in->term > a->term ||
                 (in->term == a->term && in->nonce == a->nonce);
    if (ours && newer) {
        if (!a->cluster.v || in->term > a->term || PLANTED(OBEY_OLD_TERM)) {
            a->cluster = in->cluster;
            a->term = in->term;
            a->nonce = in->nonce;
            journal(a, AGENT_RECORD_TERM, (struct attempt_id){0});
        }
        a->session = in->session;
    } else {
        note(a, NULL, "the scheduler of term %" PRIu64 " is not obeyed: %s", in->term,
             ours ? "a higher term or another start of this one was seen" : "another cluster");
    }
    // Told in any case: by it the scheduler learns that its database is old or foreign.
    out(a, AGENT_OUT_HELLO, (struct attempt_id){0})->request = new_request(a);
    for (size_t i = 0; i < a->count && !PLANTED(END_NOT_REPEATED); i++)
        if (a->list[i].phase == ATTEMPT_ENDED)
            say_end(a, &a->list[i]);
    a->repeat_ms = a->now_ms + END_REPEAT_MS;
}

static void refuse(struct agent *a, const struct agent_order *order, struct reason r,
                   const char *detail)
{
    struct agent_attempt *t = add(a, order, ATTEMPT_ORDERED);
    t->order.held = (struct agent_held){0};
    ended(a, t, false, r, detail);
}

// Is more than the whole of the pool given out, with `more` thousandths?
static bool pool_is_over(const struct agent *a, const struct coreset *pool, int64_t more)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->list[i].phase != ATTEMPT_ENDED)
            more += agent_held_of_pool(&a->list[i].order.held, pool);
    return more > 1000 * (int64_t)coreset_count(pool);
}

// Of its own pool, or of one that holds this.
static bool pools_are_full(const struct agent *a, const struct agent_held *h)
{
    if (!h->cpu_milli)
        return false;
    if (pool_is_over(a, &h->pool, h->cpu_milli))
        return true;
    for (size_t i = 0; i < a->count; i++) {
        const struct agent_held *o = &a->list[i].order.held;
        if (a->list[i].phase != ATTEMPT_ENDED && agent_held_of_pool(h, &o->pool) &&
            pool_is_over(a, &o->pool, h->cpu_milli))
            return true;
    }
    return false;
}

static const char *in_the_way(const struct agent *a, const struct agent_order *o)
{
    struct agent_held_sum sum = {0};
    if (!agent_held_within(&o->held, &a->given))
        return "more than the node has now";
    agent_held_add(&sum, &o->held);
    for (size_t i = 0; i < a->count; i++) {
        const struct agent_attempt *t = &a->list[i];
        if (t->phase == ATTEMPT_ENDED)
            continue;
        if (t->order.id.job.v == o->id.job.v)
            return "an earlier attempt of the job";
        if (t->order.lease_ms < 0)
            return "an attempt that was found here and has not said yet what it holds";
        if (agent_held_clash(&t->order.held, &o->held))
            return "an attempt that is not over";
        agent_held_add(&sum, &t->order.held);
    }
    if (agent_held_over(&sum) || pools_are_full(a, &o->held))
        return "attempts that share it and are not over";
    if (o->held.memory_mib && sum.memory_mib > a->given.memory_mib)
        return "attempts that hold its memory and are not over";
    return NULL;
}

static void launch(struct agent *a, const struct agent_input *in)
{
    struct agent_attempt *t = agent_find(a, in->id);
    if (t) {
        if (t->phase == ATTEMPT_ENDED)
            say_end(a, t);
        else
            out(a, AGENT_OUT_REPORT, in->id);
        return;
    }
    struct agent_order o = in->order;
    int64_t valid = lease_end(a, o.request, o.prepare_lease_ms);
    int64_t until = o.prepare ? valid : lease_end(a, o.request, o.lease_ms);
    if (PLANTED(LATE_LAUNCH)) {
        until = o.lease_ms ? a->now_ms + o.lease_ms : AGENT_NEVER;
    } else if (a->now_ms >= valid || a->now_ms >= until) { // Lease 1
        refuse(a, &o, (struct reason){.code = REASON_LAUNCH_EXPIRED}, NULL);
        return;
    }
    const char *way = a->count >= AGENT_ATTEMPTS_MAX ? "too many attempts" : in_the_way(a, &o);
    if (a->stopping)
        way = "the node is being stopped";
    if (way) {
        refuse(a, &o, (struct reason){.code = REASON_NODE_BUSY}, way);
        return;
    }
    t = add(a, &o, ATTEMPT_ORDERED);
    t->deadline_ms = until;
    note(a, t, "ordered");
    if (!PLANTED(ORDER_NOT_JOURNALED))
        journal(a, AGENT_RECORD_ORDER, o.id); // Launch 2: before the fork
    set_deadline(a, t, until);
    a->outputs[a->outputs_count - 1].urgent = false; // its file is made with the fork
    out(a, AGENT_OUT_FORK, o.id);
    t->phase = ATTEMPT_FORKED;
}

static void go(struct agent *a, const struct agent_input *in)
{
    struct agent_attempt *t = agent_find(a, in->id);
    if (!t || t->phase == ATTEMPT_ENDED || t->phase == ATTEMPT_ENDING) {
        a->dropped++;
        return;
    }
    int64_t until = lease_end(a, in->request, in->lease_ms);
    if (a->now_ms >= until || a->now_ms >= t->deadline_ms) { // Lease 1
        a->dropped++;
        note(a, t, "refuses a GO that came after its lease");
        if (t->phase == ATTEMPT_PREPARED && a->now_ms < t->deadline_ms && !PLANTED(LATE_GO_DROPPED))
            out(a, AGENT_OUT_REPORT, in->id); // it waits for another one
        return;
    }
    if (t->phase == ATTEMPT_PREPARED || t->phase == ATTEMPT_FORKED) {
        t->go = true;
        set_deadline(a, t, until);
        out(a, AGENT_OUT_GO, in->id);
    }
}

static void kill_order(struct agent *a, const struct agent_input *in)
{
    struct agent_attempt *t = agent_find(a, in->id);
    if (t && t->phase == ATTEMPT_ENDED) {
        say_end(a, t);
    } else if (t) {
        kill_attempt(a, t, in->grace_ms, in->reason, in->detail);
    } else if (!PLANTED(KILL_OF_UNKNOWN_DROPPED)) { // Launch 3: a late LAUNCH of it is refused
        struct agent_order unknown = {.id = in->id};
        refuse(a, &unknown, (struct reason){.code = REASON_NEVER_STARTED}, NULL);
    }
}

// By how much a grant renews. A GO of before a restart is not remembered: until the shepherd says
// that it runs, the shorter lease holds.
static int64_t renewal_ms(const struct agent_attempt *t)
{
    int64_t lease = t->order.lease_ms, waiting = t->order.prepare_lease_ms;
    if (!t->order.prepare || t->go || t->phase == ATTEMPT_RUNNING)
        return lease;
    return lease && lease < waiting ? lease : waiting;
}

static void grant(struct agent *a, const struct agent_input *in)
{
    for (size_t i = 0; i < in->ids_count; i++) {
        struct agent_attempt *t = agent_find(a, in->ids[i]);
        if (!t || t->phase >= ATTEMPT_ENDING || t->deadline_ms == AGENT_NEVER ||
            t->deadline_ms <= a->now_ms) // an expired lease is never renewed
            continue;
        if (t->order.lease_ms < 0) // adopted, and its shepherd has not told the order yet
            continue;
        int64_t until = lease_end(a, in->request, renewal_ms(t));
        if (until > t->deadline_ms)
            set_deadline(a, t, until);
    }
}

static void end_ack(struct agent *a, const struct agent_input *in)
{
    struct agent_attempt *t = agent_find(a, in->id);
    if (!t || t->phase != ATTEMPT_ENDED)
        return;
    journal(a, AGENT_RECORD_END_ACK, in->id);
    out(a, AGENT_OUT_FORGET, in->id);
    remove_attempt(a, t);
}

// ---- the shepherd's word ----

static void status(struct agent *a, const struct agent_input *in)
{
    struct agent_attempt *t = agent_find(a, in->id);
    if (!t || t->phase == ATTEMPT_ENDED)
        return;
    t->started |= in->started;
    if (t->phase == ATTEMPT_ENDING) {
        // The KILL found no shepherd connected: it is told what is left of its grace.
        if (in->phase < ATTEMPT_ENDING && t->killed)
            tell_kill(a, t, t->kill_check_ms - KILL_PATIENCE_MS - a->now_ms, t->end, NULL);
        return;
    }
    bool news = false;
    if (in->phase == ATTEMPT_PREPARED && t->phase == ATTEMPT_FORKED)
        news = true;
    if (in->phase == ATTEMPT_RUNNING && t->phase != ATTEMPT_RUNNING)
        news = true;
    if (!news)
        return;
    move(a, t, in->phase);
    if (a->session)
        out(a, AGENT_OUT_REPORT, in->id);
}

static void shepherd_gone(struct agent *a, const struct agent_input *in)
{
    struct agent_attempt *t = agent_find(a, in->id);
    if (!t || t->phase == ATTEMPT_ENDED)
        return;
    if (!in->started && !t->started) { // a lock file that vanished takes no start back
        ended(a, t, false, (struct reason){.code = REASON_SHEPHERD_LOST}, NULL);
        return;
    }
    t->started = true;
    if (t->phase != ATTEMPT_ENDING) {
        move(a, t, ATTEMPT_ENDING);
        t->end = (struct reason){.code = REASON_SHEPHERD_LOST};
    }
    out(a, AGENT_OUT_SWEEP, in->id)->urgent = true;
}

static void stop(struct agent *a, const struct agent_input *in)
{
    a->stopping = true;
    for (size_t i = 0; i < a->count; i++) {
        struct agent_attempt *t = &a->list[i];
        int64_t grace = in->grace_ms < 0 ? t->order.grace_ms : in->grace_ms;
        kill_attempt(a, t, grace, (struct reason){.code = REASON_NODE_STOPPED}, NULL);
    }
}

// ---- time ----

static void tick_attempt(struct agent *a, struct agent_attempt *t)
{
    if (t->phase == ATTEMPT_ENDED)
        return;
    if (t->deadline_ms <= a->now_ms && t->end.code != REASON_LEASE_EXPIRED) {
        t->end = (struct reason){.code = REASON_NONE};
        kill_attempt(a, t, 0, (struct reason){.code = REASON_LEASE_EXPIRED}, NULL);
        t->end = (struct reason){.code = REASON_LEASE_EXPIRED};
    }
    if (t->kill_check_ms <= a->now_ms && t->phase == ATTEMPT_ENDING) {
        t->kill_check_ms = a->now_ms + KILL_PATIENCE_MS;
        out(a, AGENT_OUT_SWEEP, t->order.id)->urgent = true; // the shepherd did not react
    }
}

static void tick(struct agent *a)
{
    for (size_t i = 0; i < a->count; i++)
        tick_attempt(a, &a->list[i]);
    if (a->session && a->repeat_ms <= a->now_ms && !PLANTED(END_NOT_REPEATED)) {
        for (size_t i = 0; i < a->count; i++)
            if (a->list[i].phase == ATTEMPT_ENDED)
                say_end(a, &a->list[i]);
        a->repeat_ms = a->now_ms + END_REPEAT_MS;
    }
}

int64_t agent_wake_at_ms(const struct agent *a)
{
    int64_t at = AGENT_NEVER;
    bool waiting = false;
    for (size_t i = 0; i < a->count; i++) {
        const struct agent_attempt *t = &a->list[i];
        waiting |= t->phase == ATTEMPT_ENDED;
        if (t->phase == ATTEMPT_ENDED)
            continue;
        if (t->end.code != REASON_LEASE_EXPIRED && t->deadline_ms < at)
            at = t->deadline_ms;
        if (t->kill_check_ms < at)
            at = t->kill_check_ms;
    }
    if (waiting && a->session && a->repeat_ms < at)
        at = a->repeat_ms;
    return at;
}

// ---- entry ----

static bool from_scheduler(enum agent_input_kind kind)
{
    return kind == AGENT_IN_LAUNCH || kind == AGENT_IN_GO || kind == AGENT_IN_KILL ||
           kind == AGENT_IN_GRANT || kind == AGENT_IN_END_ACK;
}

static void shepherd_input(struct agent *a, const struct agent_input *in)
{
    struct agent_attempt *t = agent_find(a, in->id);
    if (in->kind == AGENT_IN_STATUS)
        status(a, in);
    else if (in->kind == AGENT_IN_SHEPHERD_GONE)
        shepherd_gone(a, in);
    else if (t && in->kind == AGENT_IN_SHEPHERD_END && t->phase == ATTEMPT_ENDED)
        out(a, AGENT_OUT_RELEASE, in->id); // it still waits to be told that it may go
    else if (t && in->kind == AGENT_IN_SHEPHERD_END)
        ended(a, t, in->started, in->reason, in->detail);
    else if (t && in->kind == AGENT_IN_FORK_FAILED)
        ended(a, t, false, (struct reason){.code = REASON_PREPARE_FAILED}, in->detail);
    else if (t && in->kind == AGENT_IN_SWEPT && t->phase == ATTEMPT_ENDING)
        ended(a, t, true, t->end, t->detail);
}

static void begin(struct agent *a, int64_t now_ms)
{
    a->now_ms = now_ms;
    a->outputs_count = 0;
    arena_reset(&a->arena);
}

void agent_step(struct agent *a, int64_t now_ms, const struct agent_input *in)
{
    begin(a, now_ms);
    if (from_scheduler(in->kind) &&
        (!a->session || in->session != a->session ||
         (in->kind != AGENT_IN_GRANT && in->id.cluster.v != a->cluster.v))) {
        a->dropped++;
        return;
    }
    switch (in->kind) {
    case AGENT_IN_WELCOME:
        welcome(a, in);
        break;
    case AGENT_IN_LINK_DOWN:
        a->session = 0;
        break;
    case AGENT_IN_LAUNCH:
        launch(a, in);
        break;
    case AGENT_IN_GO:
        go(a, in);
        break;
    case AGENT_IN_KILL:
        kill_order(a, in);
        break;
    case AGENT_IN_GRANT:
        grant(a, in);
        break;
    case AGENT_IN_END_ACK:
        end_ack(a, in);
        break;
    case AGENT_IN_HEARTBEAT:
        if (a->session) {
            struct agent_output *o = out(a, AGENT_OUT_HEARTBEAT, (struct attempt_id){0});
            o->request = new_request(a);
            o->urgent = true;
        }
        break;
    case AGENT_IN_JOURNALED:
        break;
    case AGENT_IN_STATUS:
    case AGENT_IN_SHEPHERD_END:
    case AGENT_IN_SHEPHERD_GONE:
    case AGENT_IN_FORK_FAILED:
    case AGENT_IN_SWEPT:
        shepherd_input(a, in);
        break;
    case AGENT_IN_STOP:
        stop(a, in);
        break;
    case AGENT_IN_TICK:
        tick(a);
        break;
    }
}

// ---- life ----

struct agent *agent_new(void)
{
    struct agent *a = xcalloc(1, sizeof *a);
    a->given = (struct agent_given){CORESET_MAX, AGENT_GPUS_MAX, INT64_MAX};
    return a;
}

void agent_give(struct agent *a, const struct agent_given *given)
{
    a->given = *given;
}

void agent_free(struct agent *a)
{
    if (!a)
        return;
    free(a->list);
    free(a->outputs);
    arena_free(&a->arena);
    free(a);
}

void agent_load_term(struct agent *a, struct cluster_id cluster, uint64_t term, uint64_t nonce)
{
    a->cluster = cluster;
    if (term >= a->term) {
        a->term = term;
        a->nonce = nonce;
    }
}

void agent_load_order(struct agent *a, const struct agent_order *order, enum attempt_phase phase,
                      int64_t deadline_ms, struct reason end)
{
    struct agent_attempt *t = add(a, order, phase);
    t->deadline_ms = deadline_ms;
    t->end = end;
    t->started = phase == ATTEMPT_ENDING;
}

void agent_load_end(struct agent *a, struct attempt_id id, bool started, struct reason end,
                    const char *detail)
{
    struct agent_order order = {.id = id};
    struct agent_attempt *t = add(a, &order, ATTEMPT_ENDED);
    t->started = started;
    t->end = end;
    t->end_durable = true;
    snprintf(t->detail, sizeof t->detail, "%s", detail ? detail : "");
}

void agent_adopt(struct agent *a, const struct agent_order *order)
{
    struct agent_attempt *t = agent_find(a, order->id);
    if (t)
        t->order = *order;
}

void agent_start(struct agent *a, int64_t now_ms)
{
    begin(a, now_ms);
    for (size_t i = 0; i < a->count; i++) {
        struct agent_attempt *t = &a->list[i];
        if (PLANTED(DEADLINE_INVENTED))
            t->deadline_ms = t->order.lease_ms ? now_ms + t->order.lease_ms : AGENT_NEVER;
        if (t->phase == ATTEMPT_ORDERED && t->deadline_ms <= now_ms) {
            ended(a, t, false, (struct reason){.code = REASON_LEASE_EXPIRED}, NULL);
        } else if (t->phase == ATTEMPT_ORDERED) {
            out(a, AGENT_OUT_FORK, t->order.id);
            t->phase = ATTEMPT_FORKED;
        } else if (t->phase == ATTEMPT_ENDING) {
            out(a, AGENT_OUT_SWEEP, t->order.id)->urgent = true;
        } else if (t->phase == ATTEMPT_ENDED) {
            out(a, AGENT_OUT_RELEASE, t->order.id); // it may not have come to that
        }
    }
}

const struct agent_output *agent_outputs(const struct agent *a, size_t *ret_count)
{
    *ret_count = a->outputs_count;
    return a->outputs;
}

size_t agent_count(const struct agent *a)
{
    return a->count;
}

const struct agent_attempt *agent_at(const struct agent *a, size_t i)
{
    CHECK(i < a->count);
    return &a->list[i];
}

uint64_t agent_session(const struct agent *a)
{
    return a->session;
}

uint64_t agent_term_seen(const struct agent *a)
{
    return a->term;
}

struct cluster_id agent_cluster(const struct agent *a)
{
    return a->cluster;
}

uint64_t agent_dropped(const struct agent *a)
{
    return a->dropped;
}

void agent_check(const struct agent *a)
{
    struct agent_held_sum sum = {0};
    for (size_t i = 0; i < a->count; i++) {
        const struct agent_attempt *t = &a->list[i];
        CHECK(t->phase < ATTEMPT_PHASE_COUNT);
        if (t->phase != ATTEMPT_ENDED) {
            agent_held_add(&sum, &t->order.held);
            CHECK(!pool_is_over(a, &t->order.held.pool, 0));
        }
        for (size_t k = i + 1; k < a->count; k++) {
            const struct agent_attempt *u = &a->list[k];
            CHECK(!attempt_id_eq(t->order.id, u->order.id));
            if (t->phase == ATTEMPT_ENDED || u->phase == ATTEMPT_ENDED)
                continue;
            CHECK(!agent_held_clash(&t->order.held, &u->order.held));
            // One that was found here may be what is left of an earlier attempt.
            bool found = t->order.lease_ms < 0 || u->order.lease_ms < 0;
            CHECK(found || t->order.id.job.v != u->order.id.job.v);
        }
    }
    CHECK(!agent_held_over(&sum));
}

uint64_t agent_nonce_seen(const struct agent *a)
{
    return a->nonce;
}
