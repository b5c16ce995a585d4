// Choosing among nodes that are listed, whatever cluster they are of.
#include "scheduler/core/choose.h"

#include <stdlib.h>

static int by_id(const struct fit_node *x, const struct fit_node *y)
{
    return x->node->id.v < y->node->id.v ? -1 : x->node->id.v > y->node->id.v;
}

// Roomiest first: the fewest nodes hold the gang.
static int by_room(const void *a, const void *b)
{
    const struct fit_node *x = a, *y = b;
    if (x->capacity != y->capacity)
        return x->capacity > y->capacity ? -1 : 1;
    return by_id(x, y);
}

// Tightest first: large holes stay for large jobs.
static int by_tightness(const void *a, const void *b)
{
    const struct fit_node *x = a, *y = b;
    if (x->capacity != y->capacity)
        return x->capacity < y->capacity ? -1 : 1;
    return by_id(x, y);
}

// As few nodes as hold the tasks; the last one as tight as possible: free cores left decide between
// nodes that hold all that is missing.
size_t choose_fewest(const struct request *r, const struct rooms *rooms, struct fit_node *f,
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

static void take(struct fit_node *from, size_t count, int32_t tasks, int32_t want)
{
    for (size_t i = 0; i < count && want; i++)
        if (!from[i].tasks && from[i].capacity >= tasks) {
            from[i].tasks = tasks;
            want--;
        }
}

// Exactly r->nodes nodes, the tasks spread evenly.
size_t choose_exactly(const struct question *q, struct fit_node *f, size_t count)
{
    int32_t want = q->r->nodes, hold_base = 0, hold_more = 0;
    for (size_t i = 0; i < count; i++) {
        hold_base += f[i].capacity >= q->base;
        hold_more += f[i].capacity > q->base;
    }
    if (hold_base < want || hold_more < q->more)
        return 0;
    qsort(f, count, sizeof *f, by_tightness);
    take(f, count, q->base + 1, q->more);
    take(f, count, q->base, want - q->more);
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (f[i].tasks)
            f[n++] = f[i];
    CHECK(n == (size_t)want);
    return n;
}

// One task a node, round and round, on the roomiest nodes.
size_t choose_spread(const struct request *r, struct fit_node *f, size_t count)
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
