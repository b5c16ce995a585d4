// A pass over the queue: classes in order of rank; the first that could run on the usable nodes but
// finds too little free keeps what follows waiting, so that nothing starves. A class that needs
// nodes that are not usable now stands aside. Bounded: a pass that uses up its budget asks to be
// continued, and goes on where it was.
#include "scheduler/core/state.h"

enum {
    NODES_AN_EVALUATION = 64, // so many nodes looked at cost as much as a candidate
    VAIN_MAX = 8,             // passes in a row that only change promises
    SETTLE_MS = 1000,         // from the last of them to the next one
};

// Names the first resource of which there is too little altogether.
static void explain_blocked(struct cluster *c, struct job_class *k)
{
    const struct request *q = &k->first->req;
    const struct total free = c->free;
    struct reason r = {.code = REASON_RESOURCES_SCATTERED,
                       .a = (q->tasks * (q->cpus * INT64_C(1000) + q->cpu_milli) + 999) / 1000,
                       .b = q->nodes ? q->nodes : 1,
                       .c = free.cores};
    int64_t gpus = (int64_t)q->tasks * q->gpus, memory_mib = q->tasks * q->memory_mib;
    if (q->reservation.v) {
        r.code = REASON_RESERVATION_FULL;
    } else if (r.a > free.cores) {
        r.code = REASON_RESOURCES;
    } else if (gpus > free.gpus) {
        r.code = REASON_RESOURCES_GPUS;
        r.a = gpus;
        r.c = free.gpus;
    } else if (memory_mib > free.memory_mib) {
        r.code = REASON_RESOURCES_MEMORY;
        r.a = memory_mib;
        r.c = free.memory_mib;
    } else if (q->exclusive) {
        r.code = REASON_RESOURCES_EXCLUSIVE;
    } else if (q->need.v) {
        r.code = REASON_RESOURCES_CONSTRAINT;
    } else if (q->gpu_milli) {
        r.code = REASON_RESOURCES_SHARE;
        r.a = q->gpu_milli;
        r.b = q->tasks;
    }
    class_say(c, k, r);
}

// How a shortage is said of a job that was let in nevertheless.
static enum reason_code wait_of(enum reason_code shortage)
{
    return shortage == REASON_UNSATISFIABLE_GPUS         ? REASON_UNSATISFIABLE_WAIT_GPUS
           : shortage == REASON_UNSATISFIABLE_MEMORY     ? REASON_UNSATISFIABLE_WAIT_MEMORY
           : shortage == REASON_UNSATISFIABLE_CONSTRAINT ? REASON_UNSATISFIABLE_WAIT_CONSTRAINT
           : shortage == REASON_UNSATISFIABLE_TASKS      ? REASON_UNSATISFIABLE_WAIT_TASKS
                                                         : REASON_UNSATISFIABLE_WAIT;
}

static void explain_aside(struct cluster *c, struct job_class *k)
{
    const struct fit_node *f;
    size_t count;
    struct reason r;
    if (fit(c, &k->first->req, FIT_ALL, &f, &count)) {
        r = (struct reason){.code = REASON_NODES_UNUSABLE,
                            .a = (int64_t)count,
                            .b = c->free.nodes,
                            .c = (int64_t)c->nodes_count};
    } else {
        r = fit_shortage(c, &k->first->req);
        if (r.code != REASON_UNSATISFIABLE_RESERVED && r.code != REASON_UNSATISFIABLE_OUTSIDE)
            r.code = wait_of(r.code);
    }
    class_say(c, k, r);
}

static bool is_aside(enum reason_code code)
{
    return code == REASON_NODES_UNUSABLE || code == REASON_UNSATISFIABLE_WAIT;
}

enum considered {
    CONSIDERED_PLACED,
    CONSIDERED_ASIDE,   // what follows in the queue may be considered
    CONSIDERED_BLOCKED, // what follows waits
};

static enum considered place(struct cluster *c, struct job_class *k, const struct fit_node *f,
                             size_t count)
{
    int32_t port = port_find(c, f[0].node);
    if (!port) {
        struct reason r = {REASON_RESOURCES_PORTS, f[0].node->id, c->limits.port_count, 0, 0};
        class_say(c, k, r);
        return CONSIDERED_BLOCKED;
    }
    struct job *j = k->first;
    struct job *placed = j->array_count ? array_next_element(c, j) : j;
    if (placed->queued)
        queue_remove(c, placed);
    attempt_place(c, placed, f, count, port);
    c->pass.placed = true;
    return CONSIDERED_PLACED;
}

// There is so much room on the usable nodes, were they empty, that the request surely fits: found
// by looking at as few of them as that takes. False: perhaps not.
static bool surely_usable(struct cluster *c, const struct request *r)
{
    const struct selector *need = selector_find(c, r->need);
    int64_t room = 0, larger = 0, extra = r->nodes ? r->tasks % r->nodes : 0;
    for (size_t i = 0; i < c->nodes_count; i++) {
        const struct node *n = c->nodes[i];
        c->pass.cost++;
        if (!node_usable(n) || !selector_has(need, n) || !window_open(c, n, r, INT64_MAX))
            continue;
        struct room_view v = room_empty(n);
        room += request_use(&v, r);
        larger += extra && room_capacity(&v, r) > r->tasks / r->nodes;
        if (room >= request_needs(r) && larger >= extra)
            return true;
    }
    return false;
}

// Would the class fit on the usable nodes if they were empty? Asked once for a set of nodes.
static bool fits_usable(struct cluster *c, struct job_class *k)
{
    const struct fit_node *f;
    size_t count;
    if (k->usable_at != c->usable_gen) {
        uint64_t before = c->looked;
        k->usable =
            surely_usable(c, &k->first->req) || fit(c, &k->first->req, FIT_USABLE, &f, &count);
        k->usable_at = c->usable_gen;
        c->pass.cost += (int64_t)(c->looked - before);
        if (!k->usable)
            explain_aside(c, k);
    } else if (!k->usable && !is_aside(k->wait.reason.code)) { // something else was said since
        explain_aside(c, k);
    }
    return k->usable;
}

// Rises whenever something that had too little room may have more.
static uint64_t stamp(const struct cluster *c)
{
    return grown_end(c) + c->backfill.changes;
}

// Its own promise aside.
static bool fit_beside(struct cluster *c, struct job *j, const struct fit_node **f, size_t *count)
{
    uint64_t changes = c->backfill.changes;
    backfill_hide(c, j);
    bool found = fit_job(c, j, f, count);
    backfill_show(c, j);
    c->backfill.changes = changes; // all is as it was
    return found;
}

// Room for the job.
static bool find_room(struct cluster *c, struct job *j, const struct fit_node **f, size_t *count)
{
    uint64_t before = c->looked;
    bool found = fit_beside(c, j, f, count);
    if (!found && backfill_outrank(c, j))
        found = fit_beside(c, j, f, count);
    c->pass.cost += (int64_t)(c->looked - before);
    return found;
}

// Are windows of others all that keeps the job, its own promise aside?
static bool kept_by_windows(struct cluster *c, struct job *j, struct reason *ret)
{
    uint64_t changes = c->backfill.changes;
    if (!c->windows.count)
        return false;
    backfill_hide(c, j);
    bool kept = window_keeps(c, &j->req, ret);
    backfill_show(c, j);
    c->backfill.changes = changes; // all is as it was
    return kept;
}

// The job waits for room: some is kept for it, if it is among the first to wait or will have what
// others are stopped for. True: they are.
static bool reserve(struct cluster *c, struct job *j)
{
    enum preemption how = preempt(c, j, &c->pass.cost);
    if (how == PREEMPT_STOPS) {
        backfill_drop(c, j); // it starts earlier than that
        c->pass.placed = true;
    }
    if (how == PREEMPT_STOPS || how == PREEMPT_WAITS)
        limit_hold(c, j);
    if (j->reserved) {
        backfill_visit(c, j, &c->pass.cost);
    } else if (how > PREEMPT_NOT ||
               (int64_t)c->backfill.visited < rule_settings(c)->backfill_reservations) {
        backfill_outrank(c, j);
        backfill_add(c, j, &c->pass.cost);
    }
    return how == PREEMPT_STOPS || how == PREEMPT_WAITS;
}

// The next of its class may be among the first to wait as well, or have others stopped.
static void add_second(struct cluster *c, struct job *j, bool stops)
{
    struct job *next = RB_NEXT(job_queue, &j->in_class->jobs, j);
    bool among =
        j->reserved && (int64_t)c->backfill.visited < rule_settings(c)->backfill_reservations;
    if (!next || (!next->reserved && !among && !stops))
        return;
    VEC_RESERVE(c->pass.seconds, c->pass.seconds_count, c->pass.seconds_cap);
    size_t i = c->pass.seconds_count++;
    for (; i && goes_before(c, c->pass.seconds[i - 1], next); i--)
        c->pass.seconds[i] = c->pass.seconds[i - 1];
    c->pass.seconds[i] = next;
}

void pass_forget(struct cluster *c, const struct job *j)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->pass.seconds_count; i++)
        if (c->pass.seconds[i] != j)
            c->pass.seconds[kept++] = c->pass.seconds[i];
    c->pass.seconds_count = kept;
}

static void explain_waiting(struct cluster *c, struct job_class *k, bool room)
{
    struct reason r = {.code = REASON_PRIORITY};
    struct job_id first;
    if (preempt_waits(c, k->first, &first, &r.b)) {
        r.code = REASON_PREEMPTS;
        r.a = (int64_t)first.v;
        class_say(c, k, r);
        return;
    }
    if (room && k->windowed && kept_by_windows(c, k->first, &r)) {
        class_say(c, k, r);
        return;
    }
    if (!c->pass.blocked) {
        explain_blocked(c, k);
        return;
    }
    if (room && !k->first->reserved && c->backfill.count) {
        r.code = REASON_WOULD_DELAY;
        r.a = (int64_t)backfill_first(c)->id.v;
    }
    class_say(c, k, r);
}

// A limit keeps it, or its queue starts nothing: no room is kept for it, and others may go on.
static enum considered stand_aside(struct cluster *c, struct job_class *k, struct reason why)
{
    backfill_drop(c, k->first);
    class_say(c, k, why);
    return CONSIDERED_ASIDE;
}

// It found too little room and waits for its turn. If all that a later pass can do with it is to
// find the same, it need not be looked at until there is more.
static void rest(struct cluster *c, struct job_class *k)
{
    if (!k->reserved && k->wait.reason.code == REASON_PRIORITY && limit_none(c, k->first) &&
        !may_ever_preempt(c, k->first))
        class_rest(k);
}

static enum considered consider(struct cluster *c, struct job_class *k)
{
    const struct fit_node *f;
    size_t count;
    struct job *j = k->first;
    struct reason limit;
    c->pass.cost += NODES_AN_EVALUATION;
    k->pass = c->pass.number;
    if (!limit_start(c, j, NULL, 0, &limit))
        return stand_aside(c, k, limit);
    if (j->req.reservation.v && !window_admits(c, j, &limit))
        return stand_aside(c, k, limit);
    if (!j->reserved)
        backfill_inherit(c, j);
    bool room = class_may_fit(c, k, &c->pass.cost);
    if (room && k->refused_at != stamp(c)) {
        if (find_room(c, j, &f, &count)) {
            if (!limit_start(c, j, f, count, &limit))
                return stand_aside(c, k, limit);
            backfill_drop(c, j);
            return place(c, k, f, count);
        }
        k->refused_at = stamp(c);
        k->windowed = kept_by_windows(c, j, &limit);
    }
    if (!fits_usable(c, k)) {
        backfill_drop(c, j);
        return CONSIDERED_ASIDE;
    }
    bool stops = reserve(c, j);
    if (!j->reserved)
        class_say_start(c, k, 0);
    explain_waiting(c, k, room);
    c->pass.blocked++;
    add_second(c, j, stops);
    if (!room)
        rest(c, k);
    return CONSIDERED_BLOCKED;
}

static void pass_begin(struct cluster *c)
{
    c->pass.number++;
    limit_pass_begin(c);
    c->pass.running = true;
    c->pass.at = RB_MIN(class_order, &c->queue);
    c->pass.blocked = c->pass.depth = 0;
    c->pass.seconds_count = 0;
    c->pass.placed = c->pass.again = false;
    c->preempt.wake_ms = c->pass.settle_ms = INT64_MAX;
    c->pass.began_ms = c->now.boot_ms;
    c->pass.plan = backfill_hash(c);
    backfill_begin(c);
}

// What was refused may be possible now if the pass has placed something or has changed promises:
// then another one follows. A pass that has done neither would do the same again: the queue rests.
// Passes that do nothing but change promises are bounded: after so many in a row the next one comes
// a little later.
static void look_again(struct cluster *c)
{
    bool waits = c->pass.blocked || c->backfill.count;
    bool changed = (c->pass.placed && waits) || backfill_due_since(c, c->pass.began_ms) ||
                   backfill_hash(c) != c->pass.plan;
    c->pass.vain = !changed || c->pass.placed ? 0 : c->pass.vain + 1;
    c->pass.again = changed && c->pass.vain < VAIN_MAX;
    if (changed && !c->pass.again) {
        c->pass.vain = 0;
        c->pass.settle_ms = c->now.boot_ms + SETTLE_MS;
        wake_by(c, c->pass.settle_ms);
    }
}

// Those that this pass did not come to wait for their turn.
static void pass_end(struct cluster *c)
{
    struct job_class *k, *next;
    TAILQ_FOREACH_SAFE(k, &c->told, told_link, next)
    if (k->pass != c->pass.number)
        class_say(c, k, (struct reason){.code = REASON_PRIORITY});
    c->pass.running = false;
    c->pass.at = NULL;
    c->pass.seconds_count = 0;
    backfill_end(c);
    if (c->backfill.count)
        wake_by(c, c->backfill.wake_ms);
    look_again(c);
    grown_cut(c);
}

// A second job of a class waits like the first.
static void walk_second(struct cluster *c)
{
    struct job *j = c->pass.seconds[--c->pass.seconds_count];
    struct reason limit;
    c->pass.cost += NODES_AN_EVALUATION;
    if (!j->reserved && !limit_start(c, j, NULL, 0, &limit))
        return;
    bool stops = reserve(c, j);
    add_second(c, j, stops);
}

// The class that the pass is at. False: nothing behind it may be considered.
static bool walk_class(struct cluster *c)
{
    struct job_class *k = c->pass.at, *next = RB_NEXT(class_order, &c->queue, k);
    struct class_id id = k->wait.id;
    c->pass.at = next;
    enum considered what = consider(c, k);
    if (what == CONSIDERED_BLOCKED && !rule_settings(c)->backfill_reservations)
        return false;
    if (c->pass.blocked && what != CONSIDERED_PLACED &&
        c->pass.depth++ >= rule_settings(c)->backfill_depth)
        return false;
    // If its class has more, the next of them comes before or after the first of the next class.
    k = what == CONSIDERED_PLACED ? class_find(c, id) : NULL;
    if (k && (!c->pass.at || class_order_compare(k, c->pass.at) < 0))
        c->pass.at = k;
    return true;
}

// Steps over the classes that rest, which the pass would do nothing with now that others wait and
// the first reservations are made. False: nothing is left that may be looked at.
static bool step_over(struct cluster *c)
{
    if (c->pass.seconds_count)
        return true;
    if (c->pass.blocked && (int64_t)c->backfill.visited >= rule_settings(c)->backfill_reservations)
        c->pass.at = class_awake(c, c->pass.at, &c->pass.depth);
    return c->pass.at && c->pass.depth <= rule_settings(c)->backfill_depth;
}

// Goes on until the end of the queue, a class that blocks it, or the budget.
static void walk(struct cluster *c)
{
    int64_t budget = (int64_t)c->limits.pass_budget * NODES_AN_EVALUATION;
    c->pass.cost = 0;
    while (step_over(c)) {
        if (c->pass.cost >= budget)
            return;
        const struct job *second =
            c->pass.seconds_count ? c->pass.seconds[c->pass.seconds_count - 1] : NULL;
        if (second && (!c->pass.at || goes_before(c, second, c->pass.at->first)))
            walk_second(c);
        else if (!walk_class(c))
            break;
    }
    pass_end(c);
}

void pass(struct cluster *c)
{
    if (c->meta.recovery_hold) {
        c->pass_wanted = c->pass.running = false;
        return;
    }
    queue_due(c);
    if (!c->pass.running && !ranks_refresh(c)) {
        c->pass_wanted = true;
        return;
    }
    // What changed while a pass was under way is for the next one.
    bool again = c->pass.running && c->pass_wanted && !PLANTED(PASS_FORGETS);
    if (!c->free.nodes) {
        struct reason r = {.code = REASON_NO_NODES, .a = (int64_t)c->nodes_count};
        if (!RB_EMPTY(&c->queue))
            queue_say(c, r);
        c->pass_wanted = c->pass.running = false;
        return;
    }
    queue_say(c, (struct reason){0});
    if (!c->pass.running)
        pass_begin(c);
    walk(c);
    c->pass_wanted = again || c->pass.again;
}
