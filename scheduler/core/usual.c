// Which tasks are usual: given by the caller, or counted as they are submitted.
#include "scheduler/core/placing.h"

#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

static bool alike(const struct usual *a, const struct usual *b)
{
    return a->cpu_milli == b->cpu_milli && a->gpus == b->gpus && a->gpu_milli == b->gpu_milli &&
           a->need.v == b->need.v;
}

// What one node is asked for: a task, or the tasks of a node where their number is said.
static struct usual usual_of(const struct request *r)
{
    int32_t tasks = r->nodes && !r->gpu_milli ? r->tasks / r->nodes : 1;
    return (struct usual){.cpu_milli = tasks * (r->cpus * INT64_C(1000) + r->cpu_milli),
                          .gpus = tasks * r->gpus,
                          .gpu_milli = r->gpu_milli,
                          .need = r->need};
}

// Most frequent first; of equals by what they ask for.
static int by_count(const void *a, const void *b)
{
    const struct usual *x = a, *y = b;
    const int64_t keys[][2] = {{y->count, x->count},
                               {x->gpus, y->gpus},
                               {x->gpu_milli, y->gpu_milli},
                               {x->cpu_milli, y->cpu_milli},
                               {x->need.v, y->need.v}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i][0] != keys[i][1])
            return keys[i][0] < keys[i][1] ? -1 : 1;
    return 0;
}

static void hold(struct cluster *c, int32_t sign)
{
    for (size_t i = 0; i < c->placing.usual_count; i++)
        selector_usual(c, c->placing.usual[i].need, sign);
}

// The first of the list that make up TYPICAL_PERCENT of all.
static void take(struct cluster *c, struct usual *list, size_t count)
{
    struct placing *p = &c->placing;
    int64_t total = 0, sum = 0;
    size_t n = 0;
    if (count)
        qsort(list, count, sizeof *list, by_count);
    for (size_t i = 0; i < count; i++)
        total += list[i].count;
    while (n < count && n < TYPICAL_MAX && sum * 100 < total * TYPICAL_PERCENT)
        sum += list[n++].count;
    struct usual old[TYPICAL_MAX];
    size_t old_count = p->usual_count;
    memcpy(old, p->usual, sizeof old);
    if (n)
        memcpy(p->usual, list, n * sizeof *list);
    p->usual_count = n;
    p->usual_total = sum;
    for (size_t i = 0; i < n; i++)
        p->usual[i].holds = selector_find(c, p->usual[i].need);
    hold(c, 1);
    for (size_t i = 0; i < old_count; i++)
        selector_usual(c, old[i].need, -1);
    p->usual_number++;
}

static void add(struct usual *list, size_t *count, struct usual u)
{
    for (size_t i = 0; i < *count; i++)
        if (alike(&list[i], &u)) {
            list[i].count += u.count;
            return;
        }
    list[(*count)++] = u;
}

void cluster_set_typical(struct cluster *c, const struct typical *t, size_t count)
{
    struct usual *list = xcalloc(count + 1, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct usual u = usual_of(&t[i].req);
        if (selector_get(c, t[i].need, &u.need) || t[i].count <= 0)
            continue;
        u.count = t[i].count;
        add(list, &n, u);
    }
    take(c, list, n);
    for (size_t i = 0; i < n; i++)
        selector_forget_unused(c, list[i].need);
    c->placing.given = true;
    free(list);
}

// All that is counted, halved when it is much: what was usual once is forgotten.
static void look_again(struct cluster *c)
{
    enum { MUCH = 1 << 20 };
    struct placing *p = &c->placing;
    struct usual *list = xcalloc(COUNTED_MAX, sizeof *list);
    size_t n = 0;
    bool much = p->counted_total > MUCH;
    p->counted_total = 0;
    for (size_t i = 0; i < COUNTED_MAX; i++) {
        struct usual *u = &p->counted[i].task;
        if (much)
            u->count /= 2;
        // A constraint that no job names any more is not usual.
        if (!u->count || (u->need.v && !selector_find(c, u->need))) {
            u->count = 0;
            p->counted[i].used = false;
            continue;
        }
        p->counted_total += u->count;
        list[n++] = *u;
    }
    take(c, list, n);
    p->count_again_at = p->counted_total + p->counted_total / 8 + 16;
    free(list);
}

void placing_count(struct cluster *c, const struct request *r, int64_t times)
{
    struct placing *p = &c->placing;
    if (!p->counts || p->given)
        return;
    if (!p->counted)
        p->counted = xcalloc(COUNTED_MAX, sizeof *p->counted);
    struct usual u = usual_of(r);
    uint64_t h = index_mix((uint64_t)u.cpu_milli ^ (uint64_t)u.gpus << 24 ^
                           (uint64_t)u.gpu_milli << 32 ^ (uint64_t)u.need.v << 44);
    // Among eight places: its own, a free one, or that of the rarest.
    struct counted *at = NULL;
    for (size_t i = 0; i < 8; i++) {
        struct counted *k = &p->counted[(h + i) % COUNTED_MAX];
        if (k->used && alike(&k->task, &u)) {
            at = k;
            break;
        }
        if (!at || (at->used && (!k->used || k->task.count < at->task.count)))
            at = k;
    }
    if (!at->used || !alike(&at->task, &u)) {
        p->counted_total -= at->used ? at->task.count : 0;
        *at = (struct counted){.task = u, .used = true};
    }
    at->task.count += times;
    p->counted_total += times;
    if (p->counted_total >= p->count_again_at)
        look_again(c);
}

void placing_count_for(struct cluster *c, enum policy policy)
{
    const struct job *j;
    if (policy != POLICY_FGD || c->placing.counts)
        return;
    c->placing.counts = true;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    if (!job_state_ended(j->state))
        placing_count(c, &j->req, 1);
}
