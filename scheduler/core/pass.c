// A pass over the queue: jobs in order; the first that could run on the usable nodes but finds too
// little free keeps what follows waiting, so that nothing starves. A job that needs nodes that are
// not usable now stands aside. Bounded: a pass that uses up its budget asks to be continued.
#include "scheduler/core/state.h"

struct total {
    int64_t cores, gpus, memory_mib;
};

static struct total free_total(const struct cluster *c)
{
    struct total free = {0};
    for (size_t i = 0; i < c->nodes_count; i++) {
        const struct room *m = &c->rooms.of[i];
        if (!node_usable(c->nodes[i]))
            continue;
        free.cores += m->cores;
        free.gpus += m->gpus;
        free.memory_mib += m->memory_mib;
    }
    return free;
}

static int64_t usable_nodes(const struct cluster *c)
{
    int64_t n = 0;
    for (size_t i = 0; i < c->nodes_count; i++)
        n += node_usable(c->nodes[i]);
    return n;
}

// Names the first resource of which there is too little altogether.
static void explain_blocked(struct cluster *c, struct job *j)
{
    const struct request *q = &j->req;
    struct total free = free_total(c);
    struct reason r = {.code = REASON_RESOURCES_SCATTERED,
                       .a = (int64_t)q->tasks * q->cpus,
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
    }
    job_set_reason(c, j, r, NULL);
}

static void explain_aside(struct cluster *c, struct job *j)
{
    const struct fit_node *f;
    size_t count;
    struct reason r;
    if (fit(c, &j->req, FIT_ALL, &f, &count)) {
        r = (struct reason){.code = REASON_NODES_UNUSABLE,
                            .a = (int64_t)count,
                            .b = usable_nodes(c),
                            .c = (int64_t)c->nodes_count};
    } else {
        r = fit_shortage(c, &j->req);
        r.code = REASON_UNSATISFIABLE_WAIT;
    }
    job_set_reason(c, j, r, NULL);
}

enum considered {
    CONSIDERED_PLACED,
    CONSIDERED_ASIDE,   // what follows in the queue may be considered
    CONSIDERED_BLOCKED, // what follows waits
};

static enum considered consider(struct cluster *c, struct job *j)
{
    const struct fit_node *f;
    size_t count;
    if (j->not_before_ms > c->now.boot_ms) {
        wake_by(c, j->not_before_ms);
        return CONSIDERED_ASIDE;
    }
    struct reason limit;
    const char *detail;
    if (!limit_start(c, j, 0, &limit, &detail)) {
        job_set_reason(c, j, limit, detail);
        return CONSIDERED_ASIDE;
    }
    if (fit(c, &j->req, FIT_FREE, &f, &count)) {
        if (!limit_start(c, j, (int64_t)count, &limit, &detail)) {
            job_set_reason(c, j, limit, detail);
            return CONSIDERED_ASIDE;
        }
        int32_t port = port_find(c, f[0].node);
        if (!port) {
            struct reason r = {REASON_RESOURCES_PORTS, f[0].node->id, c->limits.port_count, 0, 0};
            job_set_reason(c, j, r, NULL);
            return CONSIDERED_BLOCKED;
        }
        struct job *placed = j->array_count ? array_next_element(c, j) : j;
        if (placed->queued)
            queue_remove(c, placed);
        attempt_place(c, placed, f, count, port);
        return CONSIDERED_PLACED;
    }
    if (fit(c, &j->req, FIT_USABLE, &f, &count)) {
        explain_blocked(c, j);
        return CONSIDERED_BLOCKED;
    }
    explain_aside(c, j);
    return CONSIDERED_ASIDE;
}

static void pass_over(struct cluster *c, struct job *blocked)
{
    queue_set_blocked(c, blocked ? blocked->id : (struct job_id){0});
    c->pass_wanted = false;
}

// No agent is there: one reason for all, said once.
static void explain_no_nodes(struct cluster *c)
{
    struct job *first = RB_MIN(job_queue, &c->queue);
    struct reason r = {.code = REASON_NO_NODES, .a = (int64_t)c->nodes_count};
    if (first)
        job_set_reason(c, first, r, NULL);
    pass_over(c, first);
}

void pass(struct cluster *c)
{
    c->pass_wanted = false;
    if (c->meta.recovery_hold)
        return;
    if (!c->pass_at)
        limit_pass_begin(c);
    struct job *j = c->pass_at ? c->pass_at : RB_MIN(job_queue, &c->queue);
    c->pass_at = NULL;
    if (!usable_nodes(c)) {
        explain_no_nodes(c);
        return;
    }
    for (int32_t budget = c->limits.pass_budget; j; budget--) {
        if (!budget) {
            c->pass_at = j;
            c->pass_wanted = true;
            return;
        }
        struct job *next = RB_NEXT(job_queue, &c->queue, j);
        enum considered what = consider(c, j);
        if (what == CONSIDERED_BLOCKED)
            break;
        // An array stays in the queue while it has elements left.
        if (what == CONSIDERED_ASIDE || !j->array_count || !j->queued)
            j = next;
    }
    pass_over(c, j);
}
