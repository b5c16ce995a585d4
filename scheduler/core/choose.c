// From the index: the tightest node for what one node holds, the roomiest for what needs several.
#include "scheduler/core/choose.h"

static bool taken(const struct cluster *c, uint32_t id)
{
    return c->fit_stamps[id - 1] == c->fit_stamp;
}

static void take(struct cluster *c, size_t at, struct node *n, int32_t capacity, int32_t tasks)
{
    c->fit_scratch[at] = (struct fit_node){.node = n, .capacity = capacity, .tasks = tasks};
    c->fit_stamps[n->id.v - 1] = c->fit_stamp;
}

static struct index_walk tightest(const struct cluster *c, const struct request *r, int32_t tasks)
{
    int64_t gpus = (int64_t)tasks * r->gpus, cores = (int64_t)tasks * r->cpus;
    if (gpus > NODE_GPUS_MAX || cores > CORESET_MAX) // no node has so many
        return (struct index_walk){.index = &c->index, .gpu = INDEX_GPU_CLASSES};
    return index_tightest(&c->index, (int32_t)gpus, (int32_t)cores);
}

// The tightest node that is not taken yet and holds so many tasks.
static struct node *tightest_node(struct cluster *c, const struct question *q, int32_t tasks,
                                  int32_t *ret_capacity)
{
    struct index_walk w = tightest(c, q->r, tasks);
    uint32_t id;
    while ((id = index_next(&w))) {
        struct node *n = c->nodes[id - 1];
        int32_t k = question_capacity(c, q, n);
        if (k >= tasks && !taken(c, id)) {
            *ret_capacity = k;
            return n;
        }
    }
    return NULL;
}

size_t choose_one(struct cluster *c, const struct question *q)
{
    int32_t k;
    c->fit_stamp++;
    struct node *n = tightest_node(c, q, q->r->tasks, &k);
    if (n)
        take(c, 0, n, k, q->r->tasks);
    return n != NULL;
}

// As few nodes as hold the tasks, as well as one can say without looking at all of them: no single
// one does.
static size_t free_fewest(struct cluster *c, const struct question *q)
{
    int32_t left = q->r->tasks, k;
    size_t count = 0;
    struct node *n;
    if (left == 1)
        return 0;
    struct index_walk w = index_roomiest(&c->index, q->r->gpus, q->r->cpus);
    uint32_t id;
    while (left && (id = index_next(&w))) {
        k = question_capacity(c, q, c->nodes[id - 1]);
        if (!k)
            continue;
        if (k >= left && (n = tightest_node(c, q, left, &k))) {
            take(c, count++, n, k, left);
            return count;
        }
        take(c, count++, c->nodes[id - 1], k, k < left ? k : left);
        left -= k < left ? k : left;
    }
    return left ? 0 : count;
}

// So many nodes with so many tasks each, the tightest.
static size_t free_some(struct cluster *c, const struct question *q, size_t at, int32_t tasks,
                        int32_t want)
{
    struct index_walk w = tightest(c, q->r, tasks);
    uint32_t id;
    while (want && (id = index_next(&w))) {
        int32_t k = taken(c, id) ? 0 : question_capacity(c, q, c->nodes[id - 1]);
        if (k < tasks)
            continue;
        take(c, at++, c->nodes[id - 1], k, tasks);
        want--;
    }
    return at;
}

static size_t free_exactly(struct cluster *c, const struct question *q)
{
    size_t n = free_some(c, q, 0, q->base + 1, q->more);
    if (n < (size_t)q->more)
        return 0;
    n = free_some(c, q, n, q->base, q->r->nodes - q->more);
    return n == (size_t)q->r->nodes ? n : 0;
}

static size_t free_spread(struct cluster *c, const struct question *q)
{
    struct index_walk w = index_roomiest(&c->index, q->r->gpus, q->r->cpus);
    size_t count = 0;
    uint32_t id;
    while (count < (size_t)q->r->tasks && (id = index_next(&w))) {
        int32_t k = question_capacity(c, q, c->nodes[id - 1]);
        if (k)
            take(c, count++, c->nodes[id - 1], k, 0);
    }
    return choose_spread(q->r, c->fit_scratch, count);
}

size_t choose_free(struct cluster *c, const struct question *q)
{
    c->fit_stamp++;
    if (q->r->nodes)
        return free_exactly(c, q);
    return q->r->spread ? free_spread(c, q) : free_fewest(c, q);
}
