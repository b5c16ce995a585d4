#include "scheduler/core/class.h"

#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

RB_GENERATE(job_queue, job, queue_link, job_age_order)
RB_GENERATE(class_ages, job_class, age_link, class_age_compare)

int class_order_compare(const struct job_class *a, const struct job_class *b)
{
    if (a->rank != b->rank)
        return a->rank > b->rank ? -1 : 1;
    return job_age_order(a->first, b->first);
}

int class_age_compare(const struct job_class *a, const struct job_class *b)
{
    if (a->first_ms != b->first_ms)
        return a->first_ms < b->first_ms ? -1 : 1;
    return a->wait.id.v < b->wait.id.v ? -1 : a->wait.id.v > b->wait.id.v;
}

static void key_of(const struct job *j, int64_t *key)
{
    int i = 0;
#define PUT(member) key[i++] = (int64_t)j->member;
    CLASS_KEY(PUT)
#undef PUT
}

bool class_holds(const struct job_class *k, const struct job *j)
{
    int64_t key[CLASS_KEY_COUNT];
    key_of(j, key);
    return memcmp(k->key, key, sizeof key) == 0;
}

static uint64_t key_hash(const int64_t *key)
{
    uint64_t h = 0;
    for (int i = 0; i < CLASS_KEY_COUNT; i++)
        h = index_mix(h ^ (uint64_t)key[i]);
    return h;
}

static uint64_t hash_key(const void *class)
{
    return key_hash(((const struct job_class *)class)->key);
}

static uint64_t hash_id(const void *class)
{
    return index_mix(((const struct job_class *)class)->wait.id.v);
}

static bool is_key(const void *class, const void *key)
{
    return memcmp(((const struct job_class *)class)->key, key,
                  sizeof((struct job_class *)0)->key) == 0;
}

static bool is_id(const void *class, const void *id)
{
    return ((const struct job_class *)class)->wait.id.v == ((const struct class_id *)id)->v;
}

struct job_class *class_find(const struct cluster *c, struct class_id id)
{
    return index_find(&c->classes_by_id, index_mix(id.v), is_id, &id);
}

static struct job_class *class_of(const struct cluster *c, const struct job *j)
{
    int64_t key[CLASS_KEY_COUNT];
    key_of(j, key);
    return index_find(&c->classes_by_key, key_hash(key), is_key, key);
}

bool class_known_to_fit(struct cluster *c, const struct job *like)
{
    const struct job_class *k = class_of(c, like);
    return k && k->fits_at == c->usable_gen;
}

void class_fits(struct cluster *c, const struct job *j)
{
    if (j->in_class)
        j->in_class->fits_at = c->usable_gen;
}

static struct job_class *class_new(struct cluster *c, const struct job *j, struct class_id id)
{
    struct job_class *k = xcalloc(1, sizeof *k);
    k->wait.id = id;
    k->wait.reason.code = REASON_PRIORITY;
    key_of(j, k->key);
    RB_INIT(&k->jobs);
    TAILQ_INSERT_TAIL(&c->classes, k, all_link);
    index_add(&c->classes_by_key, k, hash_key);
    index_add(&c->classes_by_id, k, hash_id);
    return k;
}

static bool is_told(const struct job_class *k)
{
    return k->wait.reason.code != REASON_PRIORITY;
}

void wait_gone(struct cluster *c, struct class_id id)
{
    VEC_RESERVE(c->waits_gone, c->out.waits_gone_count, c->cap.waits_gone);
    c->waits_gone[c->out.waits_gone_count++] = id.v;
}

static void class_free(struct cluster *c, struct job_class *k)
{
    CHECK(!k->count);
    if (is_told(k))
        TAILQ_REMOVE(&c->told, k, told_link);
    if (k->dirty_at)
        c->dirty_classes.items[k->dirty_at - 1] = NULL;
    if (k->stored)
        wait_gone(c, k->wait.id);
    TAILQ_REMOVE(&c->classes, k, all_link);
    index_remove(&c->classes_by_key, k, hash_key);
    index_remove(&c->classes_by_id, k, hash_id);
    free(k);
}

void classes_free(struct cluster *c)
{
    struct job_class *k;
    while ((k = RB_MIN(class_order, &c->queue))) {
        RB_REMOVE(class_order, &c->queue, k);
        free(k);
    }
    index_free(&c->classes_by_key);
    index_free(&c->classes_by_id);
}

static void order_insert(struct cluster *c, struct job_class *k)
{
    k->rank = rank_of(c, k->first);
    class_order_add(c, k);
}

static void first_leave(struct cluster *c, struct job_class *k)
{
    if (c->ranked.at == k)
        c->ranked.at = RB_NEXT(class_ages, &c->ages, k);
    RB_REMOVE(class_ages, &c->ages, k);
    class_order_remove(c, k);
}

static void first_set(struct cluster *c, struct job_class *k, struct job *j)
{
    k->first = j;
    k->first_ms = j->submitted_at_ms;
    RB_INSERT(class_ages, &c->ages, k);
    order_insert(c, k);
}

void class_rank(struct cluster *c, struct job_class *k)
{
    if (k->rank == rank_of(c, k->first))
        return;
    class_order_remove(c, k);
    order_insert(c, k);
}

static void enter(struct cluster *c, struct job_class *k, struct job *j)
{
    bool comes_first = !k->first || job_age_order(j, k->first) < 0;
    if (comes_first && k->first)
        first_leave(c, k);
    RB_INSERT(job_queue, &k->jobs, j);
    k->count++;
    j->in_class = k;
    if (comes_first)
        first_set(c, k, j);
}

void class_join(struct cluster *c, struct job *j)
{
    struct job_class *k = class_of(c, j);
    if (!k) {
        k = class_new(c, j, (struct class_id){c->meta.next_class++});
        meta_mark(c);
    }
    j->class_id = k->wait.id;
    job_mark(c, j);
    enter(c, k, j);
}

void class_leave(struct cluster *c, struct job *j)
{
    struct job_class *k = j->in_class;
    bool was_first = k->first == j;
    if (was_first)
        first_leave(c, k);
    RB_REMOVE(job_queue, &k->jobs, j);
    k->count--;
    j->in_class = NULL;
    j->class_id.v = 0;
    job_mark(c, j);
    if (!was_first)
        return;
    struct job *next = RB_MIN(job_queue, &k->jobs);
    if (next)
        first_set(c, k, next);
    else
        class_free(c, k);
}

bool class_rejoin(struct cluster *c, struct job *j)
{
    struct job_class *by_key = class_of(c, j), *by_id = class_find(c, j->class_id);
    if (by_key != by_id || !j->class_id.v || j->class_id.v >= c->meta.next_class)
        return false;
    if (!by_id) {
        by_id = class_new(c, j, j->class_id);
        const struct wait *row = pending_wait(c, j->class_id);
        if (row) {
            by_id->wait = *row;
            by_id->stored = true;
        }
        if (is_told(by_id))
            TAILQ_INSERT_TAIL(&c->told, by_id, told_link);
    }
    enter(c, by_id, j);
    return true;
}

static void mark(struct cluster *c, struct job_class *k)
{
    k->stored = true;
    if (k->dirty_at)
        return;
    pointers_push(&c->dirty_classes, k);
    k->dirty_at = c->dirty_classes.count;
}

// What is free changes all the time: `c` of a reason is no fact.
static bool same_fact(const struct reason *a, const struct reason *b)
{
    return a->code == b->code && a->node.v == b->node.v && a->a == b->a && a->b == b->b;
}

void class_say(struct cluster *c, struct job_class *k, struct reason r)
{
    struct reason old = k->wait.reason;
    if (same_fact(&old, &r) && old.c == r.c)
        return;
    bool was_told = is_told(k);
    k->wait.reason = r;
    mark(c, k);
    if (old.code != r.code)
        k->wait.since_ms = c->now.wall_ms;
    if (was_told && !is_told(k))
        TAILQ_REMOVE(&c->told, k, told_link);
    else if (!was_told && is_told(k))
        TAILQ_INSERT_TAIL(&c->told, k, told_link);
    if (same_fact(&old, &r))
        return;
    const struct job *j = k->first;
    const char *others =
        k->count > 1 ? arena_printf(&c->arena, " (and %zu like it)", k->count - 1) : "";
    emit(c, EVENT_JOB_WAITS, j, NULL, "job %s%s %s", job_label(c, j), others,
         reason_say(c, &r, NULL));
}

void class_say_start(struct cluster *c, struct job_class *k, int64_t starts_ms)
{
    if (k->wait.starts_ms == starts_ms)
        return;
    k->wait.starts_ms = starts_ms;
    mark(c, k);
}

void queue_say(struct cluster *c, struct reason r)
{
    struct reason old = c->queue_wait.reason;
    if (same_fact(&old, &r))
        return;
    c->queue_wait.reason = r;
    c->queue_wait.since_ms = c->now.wall_ms;
    c->queue_wait_dirty = true;
    if (r.code) {
        struct event *e =
            emit(c, EVENT_JOB_WAITS, NULL, NULL, "every pending job %s", reason_say(c, &r, NULL));
        e->class_id.v = 0;
    } else {
        emit(c, EVENT_JOB_WAITS, NULL, NULL, "the queue goes on");
    }
}

int64_t request_needs(const struct request *r)
{
    return r->nodes ? r->nodes : r->tasks;
}

int64_t request_use(const struct room_view *v, const struct request *r)
{
    int32_t k = room_capacity(v, r);
    return r->nodes ? k >= r->tasks / r->nodes : k;
}

static int64_t use_of(const struct cluster *c, size_t node, const struct request *r,
                      const struct selector *need)
{
    const struct node *n = c->nodes[node];
    if (!node_usable(n) || !selector_has(need, n))
        return 0;
    struct room_view v = rooms_view(&c->rooms, n);
    return request_use(&v, r);
}

static void recount(struct cluster *c, struct job_class *k, int64_t *cost)
{
    const struct selector *need = selector_find(c, k->first->req.need);
    k->bound = 0;
    const struct request *r = &k->first->req;
    int32_t tasks = r->nodes ? r->tasks / r->nodes : 1;
    int64_t gpus = (int64_t)tasks * r->gpus, cores = (int64_t)tasks * r->cpus;
    uint32_t id;
    k->seen = grown_end(c);
    if (gpus > NODE_GPUS_MAX || cores > CORESET_MAX)
        return;
    struct index_walk w = index_tightest(&c->index, (int32_t)gpus, (int32_t)cores);
    for (; k->bound < request_needs(r) && (id = index_next(&w)); ++*cost)
        k->bound += use_of(c, id - 1, r, need);
}

bool class_may_fit(struct cluster *c, struct job_class *k, int64_t *cost)
{
    const struct request *r = &k->first->req;
    const struct selector *need = selector_find(c, r->need);
    uint64_t end = grown_end(c);
    bool known = k->seen && k->seen >= c->grown.base && end - k->seen <= c->nodes_count / 8 + 8;
    if (known && k->bound < request_needs(r)) {
        for (uint64_t i = k->seen; i < end && k->bound < request_needs(r); i++)
            k->bound += use_of(c, grown_node(c, i), r, need);
        *cost += (int64_t)(end - k->seen);
    }
    k->seen = end;
    if (known && k->bound < request_needs(r))
        return false;
    // What was added may have been taken again since, or counted twice.
    recount(c, k, cost);
    return k->bound >= request_needs(r);
}
