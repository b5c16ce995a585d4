// The classes in order of rank, and which of them rest. Each node of the tree knows the least that
// classes below it need, so that those for which too little is free are stepped over together, and
// how many they are.
#include "scheduler/core/class.h"

#include "scheduler/core/state.h"

static void lift(struct job_class *k);

#undef RB_AUGMENT
#define RB_AUGMENT(k) lift(k)
RB_GENERATE(class_order, job_class, order_link, class_order_compare)

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void lessen(struct class_need *to, const struct job_class *below)
{
    if (!below)
        return;
    const struct class_need *n = &below->below;
    to->cores = least(to->cores, n->cores);
    to->gpus = least(to->gpus, n->gpus);
    to->node_cores = (int32_t)least(to->node_cores, n->node_cores);
    to->node_gpus = (int32_t)least(to->node_gpus, n->node_gpus);
}

static size_t size_of(const struct job_class *k)
{
    return k ? k->size : 0;
}

static void lift(struct job_class *k)
{
    k->size = 1 + size_of(RB_LEFT(k, order_link)) + size_of(RB_RIGHT(k, order_link));
    k->below = k->need;
    lessen(&k->below, RB_LEFT(k, order_link));
    lessen(&k->below, RB_RIGHT(k, order_link));
}

static void lift_from(struct job_class *k)
{
    for (; k; k = RB_PARENT(k, order_link))
        lift(k);
}

void class_order_add(struct cluster *c, struct job_class *k)
{
    RB_INSERT(class_order, &c->queue, k);
    lift_from(k);
}

void class_order_remove(struct cluster *c, struct job_class *k)
{
    if (c->pass.at == k)
        c->pass.at = RB_NEXT(class_order, &c->queue, k);
    struct job_class *above = RB_PARENT(k, order_link);
    RB_REMOVE(class_order, &c->queue, k);
    lift_from(above);
}

static bool equal(const struct class_need *a, const struct class_need *b)
{
    return a->cores == b->cores && a->gpus == b->gpus && a->node_cores == b->node_cores &&
           a->node_gpus == b->node_gpus;
}

static void set_need(struct job_class *k, struct class_need need)
{
    if (equal(&k->need, &need))
        return;
    k->need = need;
    lift_from(k);
}

void class_rest(struct job_class *k)
{
    const struct request *r = &k->first->req;
    int32_t tasks = r->nodes ? r->tasks / r->nodes : 1;
    int64_t cores = (int64_t)tasks * r->cpus, gpus = (int64_t)tasks * r->gpus;
    set_need(k, (struct class_need){
                    .cores = (int64_t)r->tasks * r->cpus,
                    .gpus = (int64_t)r->tasks * r->gpus,
                    .node_cores = index_core_class((int32_t)least(cores, INT32_MAX)),
                    .node_gpus = index_gpu_class((int32_t)least(gpus, INT32_MAX)),
                });
}

void class_wake(struct job_class *k)
{
    set_need(k, (struct class_need){0});
}

// What is known of resting classes is of these nodes and these limits.
static void wake_all(struct cluster *c)
{
    if (c->rest_nodes == c->usable_gen && c->rest_rules == c->rules.changed)
        return;
    c->rest_nodes = c->usable_gen;
    c->rest_rules = c->rules.changed;
    struct job_class *k;
    TAILQ_FOREACH(k, &c->classes, all_link)
    k->need = k->below = (struct class_need){0};
}

static struct class_need free_now(const struct cluster *c)
{
    struct class_need most = {.cores = c->free.cores, .gpus = c->free.gpus};
    index_most(&c->index, &most.node_gpus, &most.node_cores);
    return most;
}

static bool enough(const struct class_need *free, const struct class_need *need)
{
    return need->cores <= free->cores && need->gpus <= free->gpus &&
           need->node_cores <= free->node_cores && need->node_gpus <= free->node_gpus;
}

// The first below k, with itself, for which there is enough.
static struct job_class *first_below(struct job_class *k, const struct class_need *free)
{
    if (!k || !enough(free, &k->below))
        return NULL;
    struct job_class *found = first_below(RB_LEFT(k, order_link), free);
    if (found)
        return found;
    return enough(free, &k->need) ? k : first_below(RB_RIGHT(k, order_link), free);
}

// Classes before k.
static size_t place_of(const struct job_class *k)
{
    size_t before = size_of(RB_LEFT(k, order_link));
    for (const struct job_class *up; (up = RB_PARENT(k, order_link)); k = up)
        if (RB_RIGHT(up, order_link) == k)
            before += 1 + size_of(RB_LEFT(up, order_link));
    return before;
}

static struct job_class *next_awake(struct job_class *k, const struct class_need *free)
{
    while (k && !enough(free, &k->need)) {
        struct job_class *found = first_below(RB_RIGHT(k, order_link), free);
        if (found)
            return found;
        const struct job_class *from = k;
        for (k = RB_PARENT(k, order_link); k && RB_RIGHT(k, order_link) == from;
             k = RB_PARENT(k, order_link))
            from = k;
    }
    return k;
}

struct job_class *class_awake(struct cluster *c, struct job_class *k, int64_t *passed)
{
    wake_all(c);
    const struct class_need most = free_now(c);
    if (!k || enough(&most, &k->need))
        return k;
    struct job_class *found = next_awake(k, &most);
    *passed += (int64_t)((found ? place_of(found) : size_of(RB_ROOT(&c->queue))) - place_of(k));
    return found;
}

void class_check(const struct job_class *k)
{
    struct job_class was = *k;
    lift(&was);
    CHECK(was.size == k->size && equal(&was.below, &k->below));
    CHECK(!k->reserved || equal(&k->need, &(struct class_need){0}));
}
