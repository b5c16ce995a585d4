// Which jobs are stopped for one that found no room.
//
// The candidates are taken in an order until the job fits, found by halving, and those dropped
// again without whom it fits too, the oldest first. This is done with the order by age, and with
// the nodes in order of how few victims they need; the better of both sets is taken. What is
// expected to have ended when the last of the candidates that were tried together had used up its
// grace counts as free: the job may have to wait for that beside its victims.
#include "scheduler/core/preempt.h"

#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

struct choice {
    struct cluster *c;
    const struct job *j;
    struct request req; // what it asks for; no nodes are preferred, which would cost victims
    struct victim *v;   // in the order in which they are tried
    size_t count;
    int64_t at_ms; // when those that were supposed to be stopped last would have ended
    const struct fit_node *f;
    size_t f_count;
    int64_t cost;
};

// What an order led to.
struct set {
    uint64_t *victims; // orders of the placements of those that are stopped
    size_t count;
    uint64_t oldest;
    const struct fit_node *f;
    size_t f_count;
};

// ---- suppositions ----

static void suppose(struct choice *q, const struct victim *v, bool gone)
{
    struct placement *p;
    FOREACH_PART_OF(p, v->job)
    p->supposed_gone = gone;
    (void)q;
}

static void suppose_none(struct choice *q)
{
    for (size_t i = 0; i < q->count; i++)
        suppose(q, &q->v[i], false);
}

static int64_t end_ms(const struct choice *q, const struct victim *v)
{
    int64_t end, most = INT64_MAX - 1;
    return __builtin_add_overflow(q->c->now.boot_ms, v->job->req.grace_ms, &end) || end > most
               ? most
               : end;
}

// The first of them are gone when the last of them has used up its grace; without any, when the
// first of all could have.
static void suppose_first(struct choice *q, size_t count)
{
    struct preempting *ps = &q->c->preempt;
    ps->gone_count = 0;
    q->at_ms = count ? 0 : INT64_MAX - 1;
    for (size_t i = 0; i < q->count; i++) {
        struct placement *p;
        bool gone = i < count;
        int64_t end = end_ms(q, &q->v[i]);
        suppose(q, &q->v[i], gone);
        if (count ? gone && end > q->at_ms : end < q->at_ms)
            q->at_ms = end;
        if (!gone)
            continue;
        FOREACH_PART_OF(p, q->v[i].job)
        {
            VEC_RESERVE(ps->gone, ps->gone_count, ps->gone_cap);
            ps->gone[ps->gone_count++] = p;
        }
    }
    q->cost += (int64_t)q->count;
}

static bool fits(struct choice *q, size_t count)
{
    suppose_first(q, count);
    return backfill_fits(q->c, &q->req, q->at_ms, q->c->preempt.gone, q->c->preempt.gone_count,
                         &q->f, &q->f_count, &q->cost);
}

// The least count of the first with which it fits, known to be at most `most`, and above 0.
static size_t least_prefix(struct choice *q, size_t most)
{
    size_t low = 0;
    while (most - low > 1) {
        size_t middle = low + (most - low) / 2;
        if (fits(q, middle))
            most = middle;
        else
            low = middle;
    }
    return most;
}

// ---- dropping ----

// Tasks that each node must hold then, by node id - 1.
static int32_t *tasks_wanted(const struct choice *q)
{
    int32_t *tasks = xcalloc(q->c->nodes_count, sizeof *tasks);
    for (size_t i = 0; i < q->f_count; i++)
        tasks[q->f[i].node->id.v - 1] = q->f[i].tasks;
    return tasks;
}

static bool holds_any(const struct victim *v, const int32_t *tasks)
{
    const struct placement *p;
    FOREACH_PART_OF(p, v->job)
    if (tasks[p->node.v - 1])
        return true;
    return false;
}

// Do its nodes hold their tasks though it stays?
static bool may_stay(struct choice *q, const struct victim *v, const int32_t *tasks)
{
    const struct placement *p;
    suppose(q, v, false);
    FOREACH_PART_OF(p, v->job)
    {
        size_t node = p->node.v - 1;
        if (tasks[node] &&
            backfill_capacity(q->c, &q->req, q->at_ms, node, &q->cost) < tasks[node]) {
            suppose(q, v, true);
            return false;
        }
    }
    return true;
}

// The oldest of the highest QoS first.
static int drop_order(const void *a, const void *b)
{
    const struct victim *x = a, *y = b;
    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static struct set drop_needless(struct choice *q, size_t count)
{
    struct set set = {.victims = arena_alloc(&q->c->arena, (count + 1) * sizeof *set.victims),
                      .oldest = UINT64_MAX,
                      .f_count = q->f_count};
    AUTO_FREE int32_t *tasks = tasks_wanted(q);
    AUTO_FREE struct victim *v = xmemdup(q->v, count * sizeof *v);
    set.f = arena_copy(&q->c->arena, q->f, q->f_count * sizeof *q->f);
    qsort(v, count, sizeof *v, drop_order);
    for (size_t i = 0; i < count; i++)
        if (!PLANTED(PREEMPT_TOO_MANY) && !holds_any(&v[i], tasks))
            suppose(q, &v[i], false);
    for (size_t i = 0; i < count; i++) {
        if (!PLANTED(PREEMPT_TOO_MANY) && (!holds_any(&v[i], tasks) || may_stay(q, &v[i], tasks)))
            continue;
        set.victims[set.count++] = v[i].order;
        set.oldest = v[i].order < set.oldest ? v[i].order : set.oldest;
    }
    return set;
}

static struct set choose_in_order(struct choice *q)
{
    size_t count = least_prefix(q, q->count);
    CHECK(fits(q, count));
    return drop_needless(q, count);
}

// ---- the order by nodes ----

// A part that a candidate has on a node.
struct part_there {
    size_t node, victim;
    int64_t size;
    const struct placement *part;
};

// A node, with the fewest victims that give it room for its share.
struct node_need {
    size_t first, count; // of the parts
    uint64_t oldest;
};

// Thousandths of what the node's share of the request needs, of what it needs most of.
static int64_t size_of(const struct request *r, int32_t tasks, const struct placement *p)
{
    int64_t gpus = 0, most = 0;
    for (uint64_t left = p->gpus; left; left &= left - 1)
        gpus += placement_gpu_milli(p, __builtin_ctzll(left));
    const int64_t held[] = {(int64_t)coreset_count(&p->cores) * 1000 + p->cpu_milli, gpus,
                            p->memory_mib};
    const int64_t needed[] = {tasks * (r->cpus * INT64_C(1000) + r->cpu_milli),
                              tasks * (r->gpus * INT64_C(1000) + r->gpu_milli),
                              tasks * r->memory_mib};
    for (int i = 0; i < 3; i++)
        if (needed[i]) {
            int64_t part = held[i] >= needed[i] ? 1000 : held[i] * 1000 / needed[i];
            most = part > most ? part : most;
        }
    return most;
}

// Tasks that the node would take of the request, were it empty, as far as one must.
static int32_t share_of(const struct request *r, const struct node *n)
{
    struct room_view v = room_empty(n);
    int32_t most = room_capacity(&v, r), tasks = r->nodes ? r->tasks / r->nodes : r->tasks;
    if (r->spread && !r->nodes)
        tasks = 1;
    return most < tasks ? most : tasks;
}

// By node, the largest first, of equals the youngest.
static int part_order(const void *a, const void *b)
{
    const struct part_there *x = a, *y = b;
    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return x->part->id > y->part->id ? -1 : x->part->id < y->part->id;
}

static int need_order(const void *a, const void *b)
{
    const struct node_need *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    if (x->oldest != y->oldest)
        return x->oldest > y->oldest ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static struct part_there *list_parts(struct choice *q, size_t *ret_count)
{
    struct part_there *parts = NULL;
    size_t count = 0, cap = 0;
    const struct selector *need = selector_find(q->c, q->req.need);
    for (size_t i = 0; i < q->count; i++) {
        const struct placement *p;
        FOREACH_PART_OF(p, q->v[i].job)
        {
            const struct node *n = q->c->nodes[p->node.v - 1];
            if (!node_usable(n) || !selector_has(need, n))
                continue;
            VEC_RESERVE(parts, count, cap);
            parts[count++] = (struct part_there){.node = p->node.v - 1,
                                                 .victim = i,
                                                 .size = size_of(&q->req, share_of(&q->req, n), p),
                                                 .part = p};
        }
    }
    if (count)
        qsort(parts, count, sizeof *parts, part_order);
    q->cost += 2 * (int64_t)count;
    *ret_count = count;
    return parts;
}

// How many of the node's parts, from `first` on, must go; 0: all of them do not help.
static struct node_need need_of_node(struct choice *q, const struct part_there *parts, size_t first,
                                     size_t end)
{
    struct rooms *rs = &q->c->preempt.rooms;
    const struct node *n = q->c->nodes[parts[first].node];
    int32_t share = share_of(&q->req, n);
    struct node_need need = {.first = first, .oldest = UINT64_MAX};
    for (size_t i = first; i < end; i++) {
        rooms_give(rs, q->c, parts[i].part);
        need.oldest = parts[i].part->id < need.oldest ? parts[i].part->id : need.oldest;
        struct room_view v = rooms_view(rs, n);
        if (room_capacity(&v, &q->req) >= share) {
            need.count = i + 1 - first;
            return need;
        }
    }
    return need;
}

static struct node_need *list_needs(struct choice *q, const struct part_there *parts,
                                    size_t parts_count, size_t *ret_count)
{
    struct node_need *needs = xcalloc(parts_count + 1, sizeof *needs);
    size_t count = 0;
    rooms_copy(&q->c->preempt.rooms, &q->c->rooms);
    for (size_t i = 0, end; i < parts_count; i = end) {
        for (end = i + 1; end < parts_count && parts[end].node == parts[i].node;)
            end++;
        needs[count] = need_of_node(q, parts, i, end);
        count += needs[count].count > 0;
    }
    if (count)
        qsort(needs, count, sizeof *needs, need_order);
    *ret_count = count;
    return needs;
}

static void order_by_nodes(struct choice *q)
{
    size_t parts_count, needs_count, at = 0;
    AUTO_FREE struct part_there *parts = list_parts(q, &parts_count);
    AUTO_FREE struct node_need *needs = list_needs(q, parts, parts_count, &needs_count);
    AUTO_FREE struct victim *was = xmemdup(q->v, q->count * sizeof *was);
    AUTO_FREE bool *taken = xcalloc(q->count + 1, sizeof *taken);
    for (size_t i = 0; i < needs_count; i++)
        for (size_t k = 0; k < needs[i].count; k++) {
            size_t victim = parts[needs[i].first + k].victim;
            if (!taken[victim])
                q->v[at++] = was[victim];
            taken[victim] = true;
        }
    for (size_t i = 0; i < q->count; i++)
        if (!taken[i])
            q->v[at++] = was[i];
}

// ---- the choice ----

// So many of the first, whole QoS by their priority, as the job needs to fit; 0: all do not do.
static size_t lowest_qos(struct choice *q)
{
    for (size_t i = 0, end; i < q->count; i = end) {
        for (end = i + 1; end < q->count && q->v[end].priority == q->v[i].priority;)
            end++;
        if (fits(q, end))
            return end;
    }
    return 0;
}

static void mark(struct choice *q, const struct set *set)
{
    for (size_t i = 0; i < q->count; i++) {
        q->v[i].chosen = false;
        for (size_t k = 0; k < set->count; k++)
            q->v[i].chosen |= q->v[i].order == set->victims[k];
    }
}

static bool is_better(const struct set *a, const struct set *b)
{
    return a->count != b->count ? a->count < b->count : a->oldest > b->oldest;
}

static enum preemption choose(struct choice *q, struct set *ret)
{
    if (fits(q, 0))
        return PREEMPT_SOON;
    size_t all = q->count;
    if (!(q->count = lowest_qos(q))) {
        for (size_t i = 0; i < all; i++)
            q->v[i].chosen = PLANTED(PREEMPT_IN_VAIN);
        return PLANTED(PREEMPT_IN_VAIN) ? PREEMPT_STOPS : PREEMPT_NOT;
    }
    struct set by_age = choose_in_order(q);
    suppose_none(q);
    if (by_age.count > 1) {
        order_by_nodes(q);
        struct set by_nodes = choose_in_order(q);
        if (is_better(&by_nodes, &by_age))
            by_age = by_nodes;
    }
    *ret = by_age;
    mark(q, ret);
    return ret->count ? PREEMPT_STOPS : PREEMPT_SOON;
}

enum preemption preempt_choose(struct cluster *c, const struct job *j, const struct fit_node **ret,
                               size_t *ret_count, int64_t *cost)
{
    struct choice q = {
        .c = c, .j = j, .req = j->req, .v = c->preempt.victims, .count = c->preempt.victims_count};
    struct set set = {0};
    q.req.prefer.v = 0;
    backfill_lengthen(&q.req);
    enum preemption what = choose(&q, &set);
    q.count = c->preempt.victims_count;
    suppose_none(&q);
    *ret = set.f;
    *ret_count = set.f_count;
    *cost += q.cost;
    return what;
}
