// Where a gang goes: all of it or none. Whole cores and GPUs, memory in MiB.
#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

bool node_usable(const struct node *n)
{
    return n->ready && !n->unreachable_since_ms && !n->drain && !n->fenced;
}

// When a job that is placed now has ended at the latest; for ever without a limit.
static int64_t latest_end_ms(const struct cluster *c, const struct request *r)
{
    return r->time_limit_ms ? c->now.boot_ms + r->time_limit_ms + r->grace_ms : INT64_MAX;
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
    struct room_view v = view == FIT_FREE ? fit_room(c, n, r, store) : room_empty(n);
    return room_capacity(&v, r);
}

static int by_id(const void *a, const void *b)
{
    const struct fit_node *x = a, *y = b;
    return x->node->id.v < y->node->id.v ? -1 : x->node->id.v > y->node->id.v;
}

// As people count: n2 before n10.
static int by_name(const void *a, const void *b)
{
    const struct fit_node *x = a, *y = b;
    return strverscmp(x->node->name, y->node->name);
}

// Roomiest first: the fewest nodes hold the gang.
static int by_room(const void *a, const void *b)
{
    const struct fit_node *x = a, *y = b;
    if (x->capacity != y->capacity)
        return x->capacity > y->capacity ? -1 : 1;
    return by_id(a, b);
}

// Tightest first: large holes stay for large jobs.
static int by_tightness(const void *a, const void *b)
{
    const struct fit_node *x = a, *y = b;
    if (x->capacity != y->capacity)
        return x->capacity < y->capacity ? -1 : 1;
    return by_id(a, b);
}

// As few nodes as hold the tasks; the last one as tight as possible: free cores left decide between
// nodes that hold all that is missing.
static size_t choose_fewest(const struct request *r, const struct rooms *rooms, struct fit_node *f,
                            size_t count)
{
    int32_t left = r->tasks;
    qsort(f, count, sizeof *f, by_room);
    size_t n = 0;
    while (left > 0 && n < count && f[n].capacity < left) {
        f[n].tasks = f[n].capacity;
        left -= f[n++].capacity;
    }
    if (left > 0) {
        size_t best = count;
        for (size_t i = n; i < count && f[i].capacity >= left; i++)
            if (best == count ||
                rooms->of[f[i].node->id.v - 1].cores < rooms->of[f[best].node->id.v - 1].cores)
                best = i;
        if (best == count)
            return 0;
        struct fit_node last = f[best];
        f[best] = f[n];
        f[n] = last;
        f[n++].tasks = left;
    }
    return n;
}

static void take(struct fit_node *from, size_t count, int32_t tasks, size_t want)
{
    for (size_t i = 0; i < count && want; i++)
        if (!from[i].tasks && from[i].capacity >= tasks) {
            from[i].tasks = tasks;
            want--;
        }
}

// Exactly r->nodes nodes, the tasks spread evenly.
static size_t choose_exactly(const struct request *r, struct fit_node *f, size_t count)
{
    int32_t base = r->tasks / r->nodes;
    size_t extra = (size_t)(r->tasks % r->nodes), want = (size_t)r->nodes;
    size_t hold_base = 0, hold_more = 0;
    for (size_t i = 0; i < count; i++) {
        hold_base += f[i].capacity >= base;
        hold_more += f[i].capacity > base;
    }
    if (hold_base < want || hold_more < extra)
        return 0;
    qsort(f, count, sizeof *f, by_tightness);
    take(f, count, base + 1, extra);
    take(f, count, base, want - extra);
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (f[i].tasks)
            f[n++] = f[i];
    CHECK(n == want);
    return n;
}

// One task a node, round and round, on the roomiest nodes.
static size_t choose_spread(const struct request *r, struct fit_node *f, size_t count)
{
    int32_t left = r->tasks;
    qsort(f, count, sizeof *f, by_room);
    size_t n = count < (size_t)left ? count : (size_t)left;
    for (bool gave = true; left && gave;) {
        gave = false;
        for (size_t i = 0; i < n && left; i++)
            if (f[i].tasks < f[i].capacity) {
                f[i].tasks++;
                left--;
                gave = true;
            }
    }
    return left ? 0 : n;
}

// What is asked of which nodes.
struct question {
    const struct request *r;
    enum fit_view view;
    const struct rooms *rooms; // these instead of the live ones; NULL: by the view
    const struct selector *need, *prefer;
};

static int32_t capacity(const struct cluster *c, const struct question *q, const struct node *n)
{
    if (!selector_has(q->need, n) || !selector_has(q->prefer, n))
        return 0;
    if (!q->rooms)
        return fit_capacity(c, n, q->r, q->view);
    struct room_view v = rooms_view(q->rooms, n);
    return node_usable(n) ? room_capacity(&v, q->r) : 0;
}

static bool choose(struct cluster *c, const struct question *q, const struct fit_node **ret,
                   size_t *ret_count)
{
    struct fit_node *f = c->fit_scratch;
    const struct rooms *rooms = q->rooms ? q->rooms : &c->rooms;
    size_t count = 0, n;
    for (size_t i = 0; i < c->nodes_count; i++) {
        int32_t k = capacity(c, q, c->nodes[i]);
        if (k)
            f[count++] = (struct fit_node){.node = c->nodes[i], .capacity = k};
    }
    if (!count)
        return false;
    if (q->r->nodes)
        n = choose_exactly(q->r, f, count);
    else if (q->r->spread)
        n = choose_spread(q->r, f, count);
    else
        n = choose_fewest(q->r, rooms, f, count);
    if (!n)
        return false;
    qsort(f, n, sizeof *f, by_name);
    *ret = f;
    *ret_count = n;
    return true;
}

// Preferred nodes alone, if these hold it.
static bool answer(struct cluster *c, struct question *q, const struct fit_node **ret,
                   size_t *ret_count)
{
    q->need = selector_find(c, q->r->need);
    q->prefer = selector_find(c, q->r->prefer);
    if (choose(c, q, ret, ret_count))
        return true;
    if (!q->prefer)
        return false;
    q->prefer = NULL;
    return choose(c, q, ret, ret_count);
}

bool fit(struct cluster *c, const struct request *r, enum fit_view view,
         const struct fit_node **ret, size_t *ret_count)
{
    struct question q = {.r = r, .view = view};
    return answer(c, &q, ret, ret_count);
}

bool fit_in(struct cluster *c, const struct request *r, const struct rooms *rooms,
            const struct fit_node **ret, size_t *ret_count)
{
    struct question q = {.r = r, .rooms = rooms};
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
