// Placements: in the lists of their job and node. What a placement holds is added to its node and
// returned here and nowhere else.
#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

bool part_conflicts(const struct node *n, const struct placement *p)
{
    struct coreset shared = p->pool;
    if (p->port < 0 || p->port > UINT16_MAX)
        return true;
    coreset_subtract(&shared, &n->pool_cores);
    if (coreset_intersects(&n->used_cores, &p->cores) || coreset_intersects(&p->cores, &p->pool) ||
        coreset_intersects(&n->used_cores, &shared) || port_held(n, p->port))
        return true;
    for (uint64_t left = p->gpus & n->used_gpus; left; left &= left - 1) {
        int g = __builtin_ctzll(left);
        if (n->gpu_used_milli[g] + placement_gpu_milli(p, g) > 1000)
            return true;
    }
    return false;
}

// sign 1: p comes; -1: it has gone.
static void count_gpus(struct node *n, const struct placement *p, int sign)
{
    for (uint64_t left = p->gpus; left; left &= left - 1) {
        int g = __builtin_ctzll(left);
        n->gpu_used_milli[g] = (uint16_t)(n->gpu_used_milli[g] + sign * placement_gpu_milli(p, g));
        if (n->gpu_used_milli[g])
            n->used_gpus |= UINT64_C(1) << g;
        else
            n->used_gpus &= ~(UINT64_C(1) << g);
    }
}

// A shared core is free when no placement is left that shares it.
static void shrink_pool(struct node *n)
{
    const struct placement *p;
    struct coreset left = {0};
    TAILQ_FOREACH(p, &n->parts, node_link)
    if (p->cpu_milli)
        coreset_union(&left, &p->pool);
    coreset_subtract(&n->used_cores, &n->pool_cores);
    n->pool_cores = left;
    coreset_union(&n->used_cores, &left);
}

static void total_add(struct total *t, const struct room *m, int64_t sign)
{
    t->cores += sign * m->cores;
    t->gpus += sign * m->gpus;
    t->memory_mib += sign * m->memory_mib;
    t->nodes += sign;
}

void node_recount(struct cluster *c, struct node *n)
{
    struct room was = c->rooms.of[n->id.v - 1];
    rooms_count(&c->rooms, n);
    placing_changed(c, n->id.v);
    const struct room *is = &c->rooms.of[n->id.v - 1];
    int key = node_usable(n) ? index_key(index_gpu_class(is->gpus), index_core_class(is->cores))
                             : INDEX_NONE;
    int key_was = index_set(&c->index, n->id.v, key);
    topology_count(n->leaf, key_was, &was, key, is);
    if (key_was != INDEX_NONE)
        total_add(&c->free, &was, -1);
    if (key != INDEX_NONE)
        total_add(&c->free, is, 1);
    if ((key == INDEX_NONE) == (key_was == INDEX_NONE))
        return;
    c->usable_gen++;
    if (key != INDEX_NONE)
        node_grew(c, n);
}

struct placement *part_add(struct cluster *c, const struct placement *row)
{
    struct placement *p = xmemdup(row, sizeof *row);
    struct node *n = node_find(c, p->node);
    CHECK(n && !part_conflicts(n, p));
    p->dirty = false;
    coreset_union(&n->used_cores, &p->cores);
    if (p->cpu_milli) {
        coreset_union(&n->used_cores, &p->pool);
        coreset_union(&n->pool_cores, &p->pool);
        n->pool_used_milli += p->cpu_milli;
    }
    count_gpus(n, p, 1);
    n->used_memory_mib += p->memory_mib;
    TAILQ_INSERT_TAIL(&n->parts, p, node_link);
    n->parts_count++;
    port_take(n, p->port);
    node_recount(c, n);
    struct job *j = p->job.v ? job_find(c, p->job) : NULL;
    if (j)
        TAILQ_INSERT_TAIL(&j->parts, p, job_link);
    c->parts_count++;
    ends_add(c, p);
    return p;
}

void part_remove(struct cluster *c, struct placement *p)
{
    struct node *n = node_find(c, p->node);
    coreset_subtract(&n->used_cores, &p->cores);
    count_gpus(n, p, -1);
    n->used_memory_mib -= p->memory_mib;
    TAILQ_REMOVE(&n->parts, p, node_link);
    n->parts_count--;
    if (p->cpu_milli) {
        n->pool_used_milli -= p->cpu_milli;
        shrink_pool(n);
    }
    port_return(n, p->port);
    node_recount(c, n);
    ends_remove(c, p);
    struct job *j = p->job.v ? job_find(c, p->job) : NULL;
    if (j)
        TAILQ_REMOVE(&j->parts, p, job_link);
    if (p->dirty)
        c->dirty_parts.items[p->dirty_at] = NULL;
    size_t count = c->out.placements_gone_count;
    VEC_RESERVE(c->gone, count, c->cap.gone);
    c->gone[count] = p->id;
    c->out.placements_gone_count++;
    c->parts_count--;
    node_grew(c, n);
    free(p);
}

struct placement *part_find(const struct cluster *c, const struct node *n, struct job_uid uid,
                            uint32_t attempt)
{
    struct placement *p;
    const struct job *j = job_find_uid(c, uid);
    if (j)
        TAILQ_FOREACH(p, &j->parts, job_link)
    if (p->attempt == attempt && p->node.v == n->id.v)
        return p;
    TAILQ_FOREACH(p, &n->parts, node_link)
    if (!p->job.v && p->uid.v == uid.v && p->attempt == attempt)
        return p;
    return NULL;
}

bool part_current(const struct job *j, const struct placement *p)
{
    return p->attempt == j->attempt && !p->over && !job_state_ended(j->state) &&
           j->state != JOB_PENDING;
}
