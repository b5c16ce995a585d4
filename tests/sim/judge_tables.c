// What a commit brings: the tables against the events, and against the processes that live.
#include "tests/sim/judge.h"

#include <string.h>

// The events alone tell what is given out.
static void recount(struct sim *s, const struct store_batch *b)
{
    struct tables *t = &s->disk.now;
    for (size_t i = 0; i < b->events_count; i++) {
        const struct event *e = &b->events[i];
        struct coreset *given = e->node.v ? &t->given[e->node.v - 1] : NULL;
        if (e->kind == EVENT_JOB_PLACED || e->kind == EVENT_QUARANTINED) {
            if (coreset_intersects(given, &e->cores))
                broken(s, "the events give cores of node %u twice: %s", e->node.v, e->text);
            coreset_union(given, &e->cores);
        } else if (e->kind == EVENT_PART_ENDED) {
            if (!coreset_contains(given, &e->cores))
                broken(s, "the events return what was not given: %s", e->text);
            coreset_subtract(given, &e->cores);
        }
    }
    struct coreset held[KEEPERS_MAX * 2] = {0};
    for (size_t i = 0; i < t->parts_count; i++) {
        struct coreset *of = &held[t->parts[i].node.v - 1];
        if (coreset_intersects(of, &t->parts[i].cores))
            broken(s, "the tables give cores of node %u twice", t->parts[i].node.v);
        coreset_union(of, &t->parts[i].cores);
    }
    for (size_t i = 0; i < t->nodes_count; i++)
        if (!coreset_equal(&held[i], &t->given[i]))
            broken(s, "node %zu: the events and the placements disagree on what is given out",
                   i + 1);
}

// ---- rooms ----

static bool is_told(const struct store_batch *b, enum event_kind kind, struct node_id node)
{
    for (size_t i = 0; i < b->events_count; i++)
        if (b->events[i].kind == kind && b->events[i].node.v == node.v)
            return true;
    return false;
}

struct given {
    uint32_t gpu_milli[NODE_GPUS_MAX];
    int64_t cpu_milli, memory_mib;
    struct coreset cores, pool;
};

static void add_part(struct sim *s, struct given *g, const struct placement *p)
{
    for (uint64_t left = p->gpus; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        g->gpu_milli[i] += (uint32_t)placement_gpu_milli(p, i);
        if (g->gpu_milli[i] > 1000)
            broken(s, "the tables give more of GPU %d of node %u than there is", i, p->node.v);
    }
    g->cpu_milli += p->cpu_milli;
    g->memory_mib += p->memory_mib;
    coreset_union(&g->cores, &p->cores);
    coreset_union(&g->pool, &p->pool);
}

// Shares, memory and ports. What an agent told of attempts that the database does not know may be
// more than there is; no placement is made then.
static void look_at_room(struct sim *s, const struct store_batch *b, const struct node *n)
{
    const struct tables *t = &s->disk.now;
    struct given g = {0};
    for (size_t i = 0; i < t->parts_count; i++)
        if (t->parts[i].node.v == n->id.v)
            add_part(s, &g, &t->parts[i]);
    if (coreset_intersects(&g.cores, &g.pool))
        broken(s, "the tables give cores of node %s whole and shared", n->name);
    if (g.cpu_milli > 1000 * (int64_t)coreset_count(&g.pool))
        broken(s, "the tables give more of the shared cores of node %s than there is", n->name);
    if (g.memory_mib > n->memory_mib && !is_told(b, EVENT_QUARANTINED, n->id))
        broken(s, "the tables give %" PRId64 " MiB of node %s, which has %" PRId64, g.memory_mib,
               n->name, n->memory_mib);
}

static void look_at_port(struct sim *s, const struct placement *p)
{
    const struct tables *t = &s->disk.now;
    const struct node *n = &t->nodes[p->node.v - 1];
    for (size_t i = 0; p->port && i < t->parts_count; i++) {
        const struct placement *o = &t->parts[i];
        const struct node *m = &t->nodes[o->node.v - 1];
        if (o->id != p->id && o->port == p->port && o->state != PLACEMENT_QUARANTINED &&
            strcmp(n->inc.machine_id, m->inc.machine_id) == 0)
            broken(s, "the tables give port %d of machine %s twice", p->port, n->inc.machine_id);
    }
}

static void look_at_rooms(struct sim *s, const struct store_batch *b)
{
    const struct tables *t = &s->disk.now;
    for (size_t i = 0; i < t->nodes_count; i++)
        if (is_told(b, EVENT_JOB_PLACED, t->nodes[i].id))
            look_at_room(s, b, &t->nodes[i]);
    for (const struct store_slot *slot = b->placements; slot; slot = slot->hh.next) {
        const struct placement *p = slot->row;
        if (p && p->state == PLACEMENT_PLACED)
            look_at_port(s, p);
    }
}

// ---- processes ----

static const struct group *live_group(struct sim *s, struct job_uid uid, struct keeper **ret)
{
    for (int i = 0; i < s->keepers_count; i++) {
        const struct group *g;
        TAILQ_FOREACH(g, &s->keepers[i].groups, link)
        if (g->alive && g->id.job.v == uid.v) {
            *ret = &s->keepers[i];
            return g;
        }
    }
    return NULL;
}

void judge_committed(struct sim *s, const struct store_batch *b)
{
    recount(s, b);
    judge_terms_committed(s, b);
    look_at_rooms(s, b);
    judge_limits(s, b);
    for (const struct store_slot *slot = b->jobs; slot; slot = slot->hh.next) {
        const struct job *j = slot->row;
        judge_preempted(s, j);
        struct keeper *k;
        judge_attained(s, b, j);
        bool over = job_state_ended(j->state) || j->state == JOB_PENDING;
        if (!over || !j->attempt || truth_of(s, j->uid)->forgiven)
            continue;
        const struct group *g = live_group(s, j->uid, &k);
        if (g)
            broken(s, "job %" PRIu64 " is %s while attempt %u has live tasks on %s", j->id.v,
                   job_state_word(j->state), g->id.number, k->name);
    }
}
