// A pass over the queue: classes in order of rank; the first that could run on the usable nodes but
// finds too little free keeps what follows waiting, so that nothing starves. A class that needs
// nodes that are not usable now stands aside. Bounded: a pass that uses up its budget asks to be
// continued, and goes on where it was.
#include "scheduler/core/state.h"

enum { NODES_AN_EVALUATION = 64 }; // so many nodes looked at cost as much as a candidate

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
    if (r.a > free.cores) {
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
        r.code = REASON_UNSATISFIABLE_WAIT;
    }
    class_say(c, k, r);
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
    return CONSIDERED_PLACED;
}

// Would the class fit on the usable nodes if they were empty? Asked once for a set of nodes.
static bool fits_usable(struct cluster *c, struct job_class *k)
{
    const struct fit_node *f;
    size_t count;
    if (k->usable_at != c->usable_gen) {
        uint64_t before = c->looked;
        k->usable = fit(c, &k->first->req, FIT_USABLE, &f, &count);
        k->usable_at = c->usable_gen;
        c->pass.cost += (int64_t)(c->looked - before);
        if (!k->usable)
            explain_aside(c, k);
    } else if (!k->usable && k->wait.reason.code == REASON_PRIORITY) {
        explain_aside(c, k);
    }
    return k->usable;
}

static enum considered consider(struct cluster *c, struct job_class *k)
{
    const struct fit_node *f;
    size_t count;
    c->pass.cost += NODES_AN_EVALUATION;
    k->pass = c->pass.number;
    if (class_may_fit(c, k, &c->pass.cost) && k->refused_at != grown_end(c)) {
        uint64_t before = c->looked;
        bool fits = fit(c, &k->first->req, FIT_FREE, &f, &count);
        c->pass.cost += (int64_t)(c->looked - before);
        if (fits)
            return place(c, k, f, count);
        k->refused_at = grown_end(c);
    }
    if (!fits_usable(c, k))
        return CONSIDERED_ASIDE;
    explain_blocked(c, k);
    return CONSIDERED_BLOCKED;
}

static void pass_begin(struct cluster *c)
{
    c->pass.number++;
    c->pass.running = true;
    c->pass.at = RB_MIN(class_order, &c->queue);
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
    grown_cut(c);
}

// Goes on until the end of the queue, a class that blocks it, or the budget.
static void walk(struct cluster *c)
{
    int64_t budget = (int64_t)c->limits.pass_budget * NODES_AN_EVALUATION;
    c->pass.cost = 0;
    for (struct job_class *k; (k = c->pass.at);) {
        if (c->pass.cost >= budget)
            return;
        struct job_class *next = RB_NEXT(class_order, &c->queue, k);
        c->pass.at = next;
        struct class_id id = k->wait.id;
        enum considered what = consider(c, k);
        if (what == CONSIDERED_BLOCKED)
            break;
        // If its class has more, the next of them comes before or after the first of the next
        // class.
        k = what == CONSIDERED_PLACED ? class_find(c, id) : NULL;
        if (k && (!next || class_order_compare(k, next) < 0))
            c->pass.at = k;
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
    c->pass_wanted = again;
}
