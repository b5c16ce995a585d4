// Where a gang goes: all of it or none. Whole cores and GPUs, memory in MiB.
#include "scheduler/core/choose.h"

#include <stdlib.h>
#include <string.h>

bool node_usable(const struct node *n)
{
    return n->ready && !n->unreachable_since_ms && !n->drain && !n->fenced;
}

// When a job that is placed now has ended at the latest; for ever without a limit.
static int64_t latest_end_ms(const struct cluster *c, const struct request *r)
{
    return latest_end_from_ms(c, r, c->now.boot_ms);
}

struct room_view fit_room(const struct cluster *c, const struct node *n, const struct request *r,
                          uint16_t *store)
{
    struct room_view v = rooms_view(&c->rooms, n);
    const struct kept *k = c->kept[n->id.v - 1];
    int64_t until_ms = k ? latest_end_ms(c, r) : 0;
    for (; k && k->from_ms < until_ms; k = k->next)
        v = room_least(&v, k, store);
    return v;
}

int32_t fit_capacity(const struct cluster *c, const struct node *n, const struct request *r,
                     enum fit_view view)
{
    uint16_t store[NODE_GPUS_MAX];
    if (view != FIT_ALL && !node_usable(n))
        return 0;
    if (!window_open(c, n, r, view == FIT_FREE ? c->now.boot_ms : INT64_MAX))
        return 0;
    struct room_view v = view == FIT_FREE ? fit_room(c, n, r, store) : room_empty(n);
    return room_capacity(&v, r);
}

// As people count: n2 before n10.
static int by_name(const void *a, const void *b)
{
    const struct fit_node *x = a, *y = b;
    return strverscmp(x->node->name, y->node->name);
}

int32_t question_capacity(struct cluster *c, const struct question *q, const struct node *n)
{
    c->looked++;
    if (!selector_has(q->need, n) || !selector_has(q->prefer, n))
        return 0;
    if (!q->rooms)
        return fit_capacity(c, n, q->r, q->view);
    struct room_view v = rooms_view(q->rooms, n);
    return node_usable(n) && window_open(c, n, q->r, q->at_ms) ? room_capacity(&v, q->r) : 0;
}

// By a look at every node.
static size_t choose_listed(struct cluster *c, const struct question *q)
{
    struct fit_node *f = c->fit_scratch;
    const struct rooms *rooms = q->rooms ? q->rooms : &c->rooms;
    size_t count = 0;
    for (size_t i = 0; i < c->nodes_count; i++) {
        int32_t k = question_capacity(c, q, c->nodes[i]);
        if (k)
            f[count++] = (struct fit_node){.node = c->nodes[i], .capacity = k};
    }
    if (!count)
        return 0;
    if (q->r->nodes)
        return choose_exactly(q, f, count);
    return q->r->spread ? choose_spread(q->r, f, count) : choose_fewest(q->r, rooms, f, count);
}

static size_t choose(struct cluster *c, const struct question *q)
{
    if (q->rooms)
        return choose_listed(c, q);
    if (q->view != FIT_FREE)
        return whole_kept(c, q, choose_listed);
    // One node is nearer than any switch.
    if (q->r->nodes == 1 || (!q->r->nodes && !q->r->spread)) {
        size_t n = q->policy == POLICY_BEST_FIT ? choose_one(c, q) : choose_by_policy(c, q);
        if (n)
            return n;
    }
    size_t n = choose_near(c, q);
    return n ? n : choose_free(c, q);
}

// Preferred nodes alone, if these hold it.
static bool answer(struct cluster *c, struct question *q, const struct fit_node **ret,
                   size_t *ret_count)
{
    const struct request *r = q->r;
    q->need = selector_find(c, r->need);
    q->prefer = q->view == FIT_FREE || q->rooms ? selector_find(c, r->prefer) : NULL;
    if (r->nodes) {
        q->base = r->tasks / r->nodes;
        q->more = r->tasks % r->nodes;
    }
    size_t n = choose(c, q);
    if (!n && q->prefer) {
        q->prefer = NULL;
        n = choose(c, q);
    }
    bool listed = q->rooms || q->view == FIT_FREE;
    if (n > 1 && listed)
        qsort(c->fit_scratch, n, sizeof *c->fit_scratch, by_name);
    *ret = listed ? c->fit_scratch : NULL;
    *ret_count = n;
    return n;
}

bool fit(struct cluster *c, const struct request *r, enum fit_view view,
         const struct fit_node **ret, size_t *ret_count)
{
    struct question q = {.r = r, .view = view, .policy = c->placing.policy};
    return answer(c, &q, ret, ret_count);
}

bool fit_job(struct cluster *c, const struct job *j, const struct fit_node **ret, size_t *ret_count)
{
    const struct rule_entry *queue = queue_of(c, j);
    struct question q = {
        .r = &j->req, .view = FIT_FREE, .policy = queue ? queue->policy : c->placing.policy};
    return answer(c, &q, ret, ret_count);
}

bool fit_in(struct cluster *c, const struct request *r, const struct rooms *rooms,
            const struct fit_node **ret, size_t *ret_count)
{
    return fit_at(c, r, rooms, c->now.boot_ms, ret, ret_count);
}

bool fit_at(struct cluster *c, const struct request *r, const struct rooms *rooms, int64_t at_ms,
            const struct fit_node **ret, size_t *ret_count)
{
    struct question q = {.r = r, .rooms = rooms, .at_ms = at_ms};
    CHECK(rooms->count == c->nodes_count);
    return answer(c, &q, ret, ret_count);
}

// Nodes that meet the job's constraint and hold at least `tasks` tasks of r.
static int64_t nodes_holding(const struct cluster *c, const struct request *r, int32_t tasks)
{
    int64_t n = 0;
    const struct selector *need = selector_find(c, r->need);
    for (size_t i = 0; i < c->nodes_count; i++)
        n += selector_has(need, c->nodes[i]) && fit_capacity(c, c->nodes[i], r, FIT_ALL) >= tasks;
    return n;
}

// Cores that so many tasks take on one node.
static int64_t cores_of(const struct request *r, int64_t tasks)
{
    return tasks * r->cpus + (tasks * r->cpu_milli + 999) / 1000;
}

struct reason fit_shortage(struct cluster *c, const struct request *r)
{
    int32_t nodes = r->nodes ? r->nodes : 1;
    int32_t tasks = r->nodes ? (r->tasks + r->nodes - 1) / r->nodes : 1;
    if (r->reservation.v)
        return (struct reason){.code = REASON_UNSATISFIABLE_OUTSIDE};
    if (window_keeps_always(c, r))
        return (struct reason){.code = REASON_UNSATISFIABLE_RESERVED};
    struct request q = *r;
    q.memory_mib = 0;
    q.gpus = q.gpu_milli = 0;
    q.need.v = 0;
    int64_t have = nodes_holding(c, &q, tasks);
    if (have < nodes)
        return (struct reason){REASON_UNSATISFIABLE, {0}, nodes, cores_of(r, tasks), have};
    q.gpus = r->gpus;
    q.gpu_milli = r->gpu_milli;
    have = nodes_holding(c, &q, tasks);
    if (have < nodes)
        return (struct reason){REASON_UNSATISFIABLE_GPUS,
                               {0},
                               nodes,
                               (int64_t)tasks * r->gpus + (tasks * r->gpu_milli + 999) / 1000,
                               have};
    q.memory_mib = r->memory_mib;
    have = nodes_holding(c, &q, tasks);
    if (have < nodes)
        return (struct reason){
            REASON_UNSATISFIABLE_MEMORY, {0}, nodes, (int64_t)tasks * r->memory_mib, have};
    have = nodes_holding(c, r, tasks);
    if (have < nodes)
        return (struct reason){REASON_UNSATISFIABLE_CONSTRAINT, {0}, nodes, have, 0};
    int64_t room = 0;
    const struct selector *need = selector_find(c, r->need);
    for (size_t i = 0; i < c->nodes_count; i++)
        room += selector_has(need, c->nodes[i]) ? fit_capacity(c, c->nodes[i], r, FIT_ALL) : 0;
    return (struct reason){REASON_UNSATISFIABLE_TASKS, {0}, r->tasks, cores_of(r, 1), room};
}
