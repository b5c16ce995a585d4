// The tables: jobs by id, uid and request id; nodes by id and name. Placements: part.c.
#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

void pointers_push(struct pointers *v, void *p)
{
    VEC_RESERVE(v->items, v->count, v->cap);
    v->items[v->count++] = p;
}

static uint64_t hash_id(const void *job)
{
    return index_mix(((const struct job *)job)->id.v);
}

static uint64_t hash_uid(const void *job)
{
    return index_mix(((const struct job *)job)->uid.v);
}

static uint64_t request_hash(const struct request_id *r)
{
    return index_mix(r->hi ^ index_mix(r->lo));
}

static uint64_t hash_request(const void *job)
{
    return request_hash(&((const struct job *)job)->request_id);
}

static bool is_id(const void *job, const void *id)
{
    return ((const struct job *)job)->id.v == ((const struct job_id *)id)->v;
}

static bool is_uid(const void *job, const void *uid)
{
    return ((const struct job *)job)->uid.v == ((const struct job_uid *)uid)->v;
}

static bool is_request(const void *job, const void *id)
{
    const struct request_id *a = &((const struct job *)job)->request_id, *b = id;
    return a->hi == b->hi && a->lo == b->lo;
}

static bool has_request(const struct job *j)
{
    return j->request_id.hi || j->request_id.lo;
}

struct job *job_find(const struct cluster *c, struct job_id id)
{
    return index_find(&c->jobs_by_id, index_mix(id.v), is_id, &id);
}

struct job *job_find_uid(const struct cluster *c, struct job_uid uid)
{
    return index_find(&c->jobs_by_uid, index_mix(uid.v), is_uid, &uid);
}

struct job *job_find_request(const struct cluster *c, struct request_id id)
{
    return id.hi || id.lo ? index_find(&c->jobs_by_request, request_hash(&id), is_request, &id)
                          : NULL;
}

struct job *job_add(struct cluster *c, const struct job *row)
{
    struct job *j = xmemdup(row, sizeof *row);
    j->detail = row->detail ? xstrdup(row->detail) : NULL;
    j->verdict_detail = row->verdict_detail ? xstrdup(row->verdict_detail) : NULL;
    j->terms = terms_copy(row->terms, NULL);
    TAILQ_INIT(&j->parts);
    j->queued = j->dirty = j->tallied_running = false;
    j->tallied_submitted = 0;
    j->member = NULL;
    j->in_class = NULL;
    j->reserved = false;
    struct job *before = TAILQ_LAST(&c->jobs, job_list);
    while (before && before->id.v > j->id.v)
        before = TAILQ_PREV(before, job_list, live_link);
    if (before)
        TAILQ_INSERT_AFTER(&c->jobs, before, j, live_link);
    else
        TAILQ_INSERT_HEAD(&c->jobs, j, live_link);
    index_add(&c->jobs_by_id, j, hash_id);
    index_add(&c->jobs_by_uid, j, hash_uid);
    if (has_request(j) && !job_find_request(c, j->request_id))
        index_add(&c->jobs_by_request, j, hash_request);
    selector_hold(c, j->req.need);
    selector_hold(c, j->req.prefer);
    terms_enter(c, j);
    return j;
}

static void job_free(struct cluster *c, struct job *j)
{
    CHECK(TAILQ_EMPTY(&j->parts) && !j->queued);
    if (!job_state_ended(j->state)) // the cluster goes
        terms_leave(c, j);
    TAILQ_REMOVE(&c->jobs, j, live_link);
    index_remove(&c->jobs_by_id, j, hash_id);
    index_remove(&c->jobs_by_uid, j, hash_uid);
    if (job_find_request(c, j->request_id) == j)
        index_remove(&c->jobs_by_request, j, hash_request);
    free(j->detail);
    free(j->verdict_detail);
    terms_free(j->terms);
    free(j);
}

void job_retire(struct cluster *c, struct job *j)
{
    CHECK(job_state_ended(j->state) && TAILQ_EMPTY(&j->parts));
    selector_release(c, j->req.need);
    selector_release(c, j->req.prefer);
    pointers_push(&c->retired, j);
}

struct node *node_find(const struct cluster *c, struct node_id id)
{
    return id.v >= 1 && id.v <= c->nodes_count ? c->nodes[id.v - 1] : NULL;
}

struct node *node_find_name(const struct cluster *c, const char *name)
{
    struct node *n;
    HASH_FIND(by_name, c->nodes_by_name, name, strlen(name), n);
    return n;
}

void node_hang(struct cluster *c, struct node *n)
{
    struct branch *leaf = topology_leaf(&c->topology, n->switch_path);
    if (leaf == n->leaf)
        return;
    CHECK(c->index.keys[n->id.v - 1] == INDEX_NONE);
    if (n->leaf)
        topology_unhang(n->leaf, n->id.v);
    topology_hang(leaf, n->id.v);
    n->leaf = leaf;
}

struct node *node_add(struct cluster *c, const struct node *row)
{
    struct node *n = xmemdup(row, sizeof *row);
    CHECK(n->id.v == c->nodes_count + 1);
    TAILQ_INIT(&n->parts);
    machine_join(c, n);
    VEC_RESERVE(c->nodes, c->nodes_count, c->nodes_cap);
    c->nodes[c->nodes_count++] = n;
    c->fit_scratch = xreallocarray(c->fit_scratch, c->nodes_cap, sizeof *c->fit_scratch);
    c->kept = xreallocarray(c->kept, c->nodes_cap, sizeof *c->kept);
    c->kept[n->id.v - 1] = NULL;
    c->fit_stamps = xreallocarray(c->fit_stamps, c->nodes_cap, sizeof *c->fit_stamps);
    c->fit_stamps[n->id.v - 1] = 0;
    rooms_add(&c->rooms);
    index_grow(&c->index);
    n->leaf = NULL;
    node_hang(c, n);
    c->hardware_gen++;
    c->usable_gen++;
    node_recount(c, n);
    selectors_judge_node(c, n);
    HASH_ADD(by_name, c->nodes_by_name, name, strlen(n->name), n);
    return n;
}

static void retire_all(struct cluster *c)
{
    for (size_t i = 0; i < c->retired.count; i++)
        job_free(c, c->retired.items[i]);
    c->retired.count = 0;
}

static void clear_marks(struct cluster *c)
{
    for (size_t i = 0; i < c->dirty_jobs.count; i++)
        ((struct job *)c->dirty_jobs.items[i])->dirty = false;
    for (size_t i = 0; i < c->dirty_nodes.count; i++)
        ((struct node *)c->dirty_nodes.items[i])->dirty = false;
    for (size_t i = 0; i < c->dirty_classes.count; i++)
        if (c->dirty_classes.items[i])
            ((struct job_class *)c->dirty_classes.items[i])->dirty_at = 0;
    for (size_t i = 0; i < c->dirty_parts.count; i++)
        if (c->dirty_parts.items[i])
            ((struct placement *)c->dirty_parts.items[i])->dirty = false;
    c->dirty_jobs.count = c->dirty_nodes.count = c->dirty_parts.count = 0;
    c->dirty_classes.count = 0;
}

void cluster_turn_begin(struct cluster *c)
{
    clear_marks(c);
    rules_turn_begin(c);
    retire_all(c);
    c->meta_dirty = c->queue_wait_dirty = false;
    c->out = (struct outcome){0};
    arena_reset(&c->arena);
}

struct cluster *cluster_new(const struct cluster_limits *limits)
{
    struct cluster *c = xcalloc(1, sizeof *c);
    c->limits = *limits;
    c->placing.policy = limits->policy;
    c->placing.counts = limits->policy == POLICY_FGD;
    c->placing.seed = limits->policy_seed;
    c->whole = xcalloc(WHOLE_MAX, sizeof *c->whole);
    c->tick_at_ms = c->preempt.wake_ms = c->pass.settle_ms = INT64_MAX;
    TAILQ_INIT(&c->jobs);
    RB_INIT(&c->queue);
    RB_INIT(&c->delayed);
    RB_INIT(&c->terms.begins);
    RB_INIT(&c->terms.deadlines);
    RB_INIT(&c->ends);
    TAILQ_INIT(&c->told);
    TAILQ_INIT(&c->classes);
    c->ranked.stale = true;
    c->grown.base = 1;
    c->usable_gen = 1;
    return c;
}

void cluster_free(struct cluster *c)
{
    if (!c)
        return;
    cluster_turn_begin(c);
    c->rules.started = false;
    backfill_clear(c);
    backfill_free(c);
    preempt_free(c);
    for (size_t i = 0; i < c->nodes_count; i++) {
        struct placement *p;
        while ((p = TAILQ_FIRST(&c->nodes[i]->parts)))
            part_remove(c, p);
    }
    HASH_CLEAR(by_name, c->nodes_by_name);
    HASH_CLEAR(by_machine, c->nodes_by_machine);
    for (size_t i = 0; i < c->nodes_count; i++) {
        free(c->nodes[i]->ports);
        free(c->nodes[i]);
    }
    classes_free(c);
    struct job *j;
    while ((j = TAILQ_FIRST(&c->jobs))) {
        j->queued = false;
        job_free(c, j);
    }
    index_free(&c->jobs_by_id);
    index_free(&c->jobs_by_uid);
    index_free(&c->jobs_by_request);
    terms_fini(c);
    rules_fini(c);
    free(c->nodes);
    free(c->fit_scratch);
    free(c->kept);
    windows_fini(c);
    free(c->fit_stamps);
    free(c->whole);
    placing_fini(c);
    rooms_fini(&c->rooms);
    index_fini(&c->index);
    topology_fini(&c->topology);
    free(c->dirty_jobs.items);
    free(c->dirty_nodes.items);
    free(c->dirty_parts.items);
    free(c->retired.items);
    free(c->events);
    free(c->effects);
    free(c->tasks);
    free(c->gone);
    free(c->waits_gone);
    free(c->dirty_classes.items);
    free(c->grown.nodes);
    free(c->pass.seconds);
    free(c->las.due);
    waits_loaded_free(c);
    selectors_fini(c);
    arena_free(&c->arena);
    free(c);
}

const struct cluster_meta *cluster_meta(const struct cluster *c)
{
    return &c->meta;
}

size_t cluster_live(const struct cluster *c)
{
    return c->jobs_by_id.count;
}

const struct job *cluster_job(const struct cluster *c, struct job_id id)
{
    return job_find(c, id);
}

const struct job *cluster_task(const struct cluster *c, struct attempt_id attempt,
                               struct node_id node, int64_t rank)
{
    const struct job *j = attempt.cluster.v == c->meta.id.v ? job_find_uid(c, attempt.job) : NULL;
    const struct placement *p;
    if (!j)
        return NULL;
    TAILQ_FOREACH(p, &j->parts, job_link)
    if (p->attempt == attempt.number && p->node.v == node.v && rank >= p->first_rank &&
        rank - p->first_rank < p->tasks)
        return j;
    return NULL;
}

const struct node *cluster_node(const struct cluster *c, struct node_id id)
{
    return node_find(c, id);
}

const struct node *cluster_node_by_name(const struct cluster *c, const char *name)
{
    return node_find_name(c, name);
}
