// Gangs on the fewest switches: the tightest leaf that holds it, else the tightest switch above,
// and there the fewest of what hangs on it.
#include "scheduler/core/choose.h"

#include <stdlib.h>

// What a branch's nodes must hold: nodes of so many tasks, or tasks.
struct near {
    struct cluster *c;
    const struct question *q;
    bool by_nodes;
    int32_t tasks; // a node
    int64_t want;
    size_t count; // chosen so far
};

// Not less than what the branch holds.
static int64_t bound(const struct near *s, const struct branch *b)
{
    const struct request *r = s->q->r;
    int64_t k = 0;
    if (!s->by_nodes) {
        k = r->cpus ? b->free_cores / r->cpus : INT64_MAX;
        int64_t gpus = r->gpus ? b->free_gpus / r->gpus : INT64_MAX;
        return k < gpus ? k : gpus;
    }
    int64_t gpus = (int64_t)s->tasks * r->gpus, cores = (int64_t)s->tasks * r->cpus;
    if (gpus > NODE_GPUS_MAX || cores > CORESET_MAX)
        return 0;
    if (gpus)
        for (int i = index_gpu_class((int32_t)gpus); i < INDEX_GPU_CLASSES; i++)
            k += b->by_gpus[i];
    else
        for (int i = index_core_class((int32_t)cores); i < INDEX_CORE_CLASSES; i++)
            k += b->by_cores[i];
    return k;
}

static int32_t node_holds(const struct near *s, const struct node *n)
{
    int32_t k = s->c->index.keys[n->id.v - 1] == INDEX_NONE ? 0 : question_capacity(s->c, s->q, n);
    return s->by_nodes ? k >= s->tasks : k;
}

// Writes b->hold here and below.
static int64_t hold(const struct near *s, struct branch *b)
{
    b->hold = 0;
    for (size_t i = 0; i < b->nodes_count; i++)
        b->hold += node_holds(s, s->c->nodes[b->nodes[i] - 1]);
    for (size_t i = 0; i < b->children_count; i++)
        b->hold += hold(s, b->children[i]);
    return b->hold;
}

// Of these the tightest by its bound that holds all; NULL: none does.
static struct branch *tightest(const struct near *s, struct branch *const *b, size_t count)
{
    int64_t least = s->want, tried = -1;
    for (size_t after = 0;;) {
        // The least (bound, place) behind the one that was tried last.
        size_t best = count;
        int64_t best_bound = 0;
        for (size_t i = 0; i < count; i++) {
            int64_t k = bound(s, b[i]);
            if (k >= least && (k > tried || (k == tried && i >= after)) &&
                (best == count || k < best_bound)) {
                best = i;
                best_bound = k;
            }
        }
        if (best == count)
            return NULL;
        if (hold(s, b[best]) >= s->want)
            return b[best];
        tried = best_bound;
        after = best + 1;
    }
}

static int by_key(const void *a, const void *b)
{
    const struct fit_node *x = a, *y = b;
    if (x->tasks != y->tasks)
        return x->tasks < y->tasks ? -1 : 1;
    return x->node->id.v < y->node->id.v ? -1 : x->node->id.v > y->node->id.v;
}

// The tightest `want` nodes of a leaf.
static void take_leaf(struct near *s, const struct branch *b, int64_t want)
{
    struct fit_node *f = s->c->fit_scratch + s->count;
    size_t n = 0;
    for (size_t i = 0; i < b->nodes_count; i++) {
        struct node *node = s->c->nodes[b->nodes[i] - 1];
        if (node_holds(s, node))
            f[n++] = (struct fit_node){.node = node, .tasks = s->c->index.keys[node->id.v - 1]};
    }
    if ((int64_t)n > want)
        qsort(f, n, sizeof *f, by_key);
    CHECK((int64_t)n >= want);
    for (int64_t i = 0; i < want; i++) {
        f[i].capacity = question_capacity(s->c, s->q, f[i].node);
        f[i].tasks = s->q->base;
    }
    s->count += (size_t)want;
}

// From the fewest children: the tightest one that holds what is missing, else the roomiest whole.
static void take_below(struct near *s, struct branch *b, int64_t want)
{
    b->hold = 0; // it is not met again
    if (!b->children_count) {
        take_leaf(s, b, want);
        return;
    }
    while (want) {
        struct branch *last = NULL, *most = NULL;
        for (size_t i = 0; i < b->children_count; i++) {
            struct branch *d = b->children[i];
            if (d->hold >= want && (!last || d->hold < last->hold))
                last = d;
            if (!most || d->hold > most->hold)
                most = d;
        }
        CHECK(most && most->hold);
        struct branch *from = last ? last : most;
        int64_t some = from->hold < want ? from->hold : want;
        take_below(s, from, some);
        want -= some;
    }
}

// All nodes below that hold a task.
static void list_below(struct near *s, const struct branch *b)
{
    struct fit_node *f = s->c->fit_scratch;
    for (size_t i = 0; i < b->nodes_count; i++) {
        struct node *n = s->c->nodes[b->nodes[i] - 1];
        int32_t k = node_holds(s, n);
        if (k)
            f[s->count++] = (struct fit_node){.node = n, .capacity = k};
    }
    for (size_t i = 0; i < b->children_count; i++)
        list_below(s, b->children[i]);
}

// The least branch that holds it: a leaf, or the deepest switch; of equals the tightest.
static struct branch *least_branch(const struct near *s)
{
    const struct topology *t = &s->c->topology;
    struct branch *b = tightest(s, t->leaves, t->leaves_count);
    for (size_t i = 0, end; !b && i < t->inner_count; i = end) {
        for (end = i; end < t->inner_count && t->inner[end]->depth == t->inner[i]->depth;)
            end++;
        b = tightest(s, t->inner + i, end - i);
    }
    return b;
}

// Gives the `more` nodes with one task more.
static bool give_more(struct near *s)
{
    int32_t more = s->q->more;
    for (size_t i = 0; i < s->count && more; i++)
        if (s->c->fit_scratch[i].capacity > s->q->base) {
            s->c->fit_scratch[i].tasks++;
            more--;
        }
    return !more;
}

static size_t near_nodes(struct cluster *c, const struct question *q, int32_t tasks)
{
    struct near s = {.c = c, .q = q, .by_nodes = true, .tasks = tasks, .want = q->r->nodes};
    struct branch *b = bound(&s, c->topology.root) < s.want ? NULL : least_branch(&s);
    if (!b && bound(&s, c->topology.root) >= s.want && hold(&s, c->topology.root) >= s.want)
        b = c->topology.root;
    if (!b)
        return 0;
    take_below(&s, b, s.want);
    return give_more(&s) ? s.count : 0;
}

static size_t near_tasks(struct cluster *c, const struct question *q)
{
    struct near s = {.c = c, .q = q, .want = q->r->tasks};
    struct branch *b = least_branch(&s);
    if (!b)
        return 0;
    list_below(&s, b);
    return choose_fewest(q->r, &c->rooms, c->fit_scratch, s.count);
}

size_t choose_near(struct cluster *c, const struct question *q)
{
    const struct request *r = q->r;
    if (c->topology.leaves_count < 2 || r->spread || r->nodes == 1 || r->tasks == 1)
        return 0;
    if (!r->nodes)
        return near_tasks(c, q);
    size_t n = q->more ? near_nodes(c, q, q->base + 1) : 0;
    return n ? n : near_nodes(c, q, q->base);
}
