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

// What is free and not kept from others beyond the job's end.
static struct room room_for(const struct cluster *c, const struct node *n, const struct request *r)
{
    struct room m = c->rooms.of[n->id.v - 1];
    int64_t until_ms = latest_end_ms(c, r);
    for (const struct kept *k = c->kept[n->id.v - 1]; k && k->from_ms < until_ms; k = k->next)
        m = room_least(&m, &k->spare);
    return m;
}

int32_t fit_capacity(const struct cluster *c, const struct node *n, const struct request *r,
                     enum fit_view view)
{
    if (view != FIT_ALL && !node_usable(n))
        return 0;
    struct room m = view == FIT_FREE ? room_for(c, n, r) : room_empty(n);
    return room_capacity(&m, r);
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

static bool choose(struct cluster *c, const struct request *r, const struct rooms *rooms,
                   size_t count, const struct fit_node **ret, size_t *ret_count)
{
    struct fit_node *f = c->fit_scratch;
    if (!count)
        return false;
    size_t n = r->nodes ? choose_exactly(r, f, count) : choose_fewest(r, rooms, f, count);
    if (!n)
        return false;
    qsort(f, n, sizeof *f, by_name);
    *ret = f;
    *ret_count = n;
    return true;
}

bool fit(struct cluster *c, const struct request *r, enum fit_view view,
         const struct fit_node **ret, size_t *ret_count)
{
    size_t count = 0;
    for (size_t i = 0; i < c->nodes_count; i++) {
        int32_t k = fit_capacity(c, c->nodes[i], r, view);
        if (k)
            c->fit_scratch[count++] = (struct fit_node){.node = c->nodes[i], .capacity = k};
    }
    return choose(c, r, &c->rooms, count, ret, ret_count);
}

bool fit_in(struct cluster *c, const struct request *r, const struct rooms *rooms,
            const struct fit_node **ret, size_t *ret_count)
{
    size_t count = 0;
    CHECK(rooms->count == c->nodes_count);
    for (size_t i = 0; i < c->nodes_count; i++) {
        int32_t k = node_usable(c->nodes[i]) ? room_capacity(&rooms->of[i], r) : 0;
        if (k)
            c->fit_scratch[count++] = (struct fit_node){.node = c->nodes[i], .capacity = k};
    }
    return choose(c, r, rooms, count, ret, ret_count);
}

// Nodes that hold at least `tasks` tasks of r.
static int64_t nodes_holding(const struct cluster *c, const struct request *r, int32_t tasks)
{
    int64_t n = 0;
    for (size_t i = 0; i < c->nodes_count; i++)
        n += fit_capacity(c, c->nodes[i], r, FIT_ALL) >= tasks;
    return n;
}

struct reason fit_shortage(struct cluster *c, const struct request *r)
{
    int32_t nodes = r->nodes ? r->nodes : 1;
    int32_t tasks = r->nodes ? (r->tasks + r->nodes - 1) / r->nodes : 1;
    struct request cores = *r;
    cores.memory_mib = 0;
    cores.gpus = 0;
    int64_t have = nodes_holding(c, &cores, tasks);
    if (have < nodes)
        return (struct reason){REASON_UNSATISFIABLE, {0}, nodes, (int64_t)tasks * r->cpus, have};
    struct request gpus = *r;
    gpus.memory_mib = 0;
    have = nodes_holding(c, &gpus, tasks);
    if (have < nodes)
        return (struct reason){
            REASON_UNSATISFIABLE_GPUS, {0}, nodes, (int64_t)tasks * r->gpus, have};
    have = nodes_holding(c, r, tasks);
    if (have < nodes)
        return (struct reason){
            REASON_UNSATISFIABLE_MEMORY, {0}, nodes, (int64_t)tasks * r->memory_mib, have};
    int64_t room = 0;
    for (size_t i = 0; i < c->nodes_count; i++)
        room += fit_capacity(c, c->nodes[i], r, FIT_ALL);
    return (struct reason){REASON_UNSATISFIABLE_TASKS, {0}, r->tasks, r->cpus, room};
}
