// From the tables back to the core: a restart knows what was durable, and no more.
#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

void cluster_load_meta(struct cluster *c, const struct cluster_meta *meta)
{
    c->meta = *meta;
    if (!c->meta.next_selector)
        c->meta.next_selector = 1;
    if (!c->meta.next_class)
        c->meta.next_class = 1; // 0 is the whole queue
}

// Rows of classes until their jobs are loaded, by id.
struct waits_loaded {
    struct wait *rows;
    size_t count, cap;
};

int cluster_load_wait(struct cluster *c, const struct wait *row, struct err *err)
{
    struct waits_loaded *l = c->waits_loaded;
    if (!l)
        l = c->waits_loaded = xcalloc(1, sizeof *l);
    if (row->id.v >= c->meta.next_class || (l->count && row->id.v <= l->rows[l->count - 1].id.v))
        return fail(err, E_CORRUPT, "class %" PRIu64 " is out of order or not given out",
                    row->id.v);
    if (!row->id.v) {
        c->queue_wait = *row;
        return 0;
    }
    VEC_RESERVE(l->rows, l->count, l->cap);
    l->rows[l->count++] = *row;
    return 0;
}

const struct wait *pending_wait(const struct cluster *c, struct class_id id)
{
    const struct waits_loaded *l = c->waits_loaded;
    size_t low = 0, high = l ? l->count : 0;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (l->rows[mid].id.v == id.v)
            return &l->rows[mid];
        if (l->rows[mid].id.v < id.v)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

void waits_loaded_free(struct cluster *c)
{
    if (c->waits_loaded)
        free(c->waits_loaded->rows);
    free(c->waits_loaded);
    c->waits_loaded = NULL;
}

// Rows whose class has no job are not of this state.
static void drop_lost_waits(struct cluster *c)
{
    const struct waits_loaded *l = c->waits_loaded;
    for (size_t i = 0; l && i < l->count; i++)
        if (!class_find(c, l->rows[i].id))
            wait_gone(c, l->rows[i].id);
    waits_loaded_free(c);
}

int cluster_load_node(struct cluster *c, const struct node *row, struct err *err)
{
    if (row->id.v != c->nodes_count + 1 || !row->name[0] || node_find_name(c, row->name))
        return fail(err, E_CORRUPT, "node %u \"%s\" is out of order or twice there", row->id.v,
                    row->name);
    struct node n = *row;
    n.used_cores = (struct coreset){0};
    n.used_gpus = 0;
    n.used_memory_mib = 0;
    n.parts_count = 0;
    n.pool_cores = (struct coreset){0};
    n.pool_used_milli = 0;
    memset(n.gpu_used_milli, 0, sizeof n.gpu_used_milli);
    n.ports = NULL;
    n.ports_count = n.ports_cap = 0;
    node_learn_numa(&n);
    n.link = n.new_link = n.new_session = n.request = 0;
    n.ready = n.dirty = false;
    node_add(c, &n);
    return 0;
}

// Something of it waits to be placed, and it is not held.
static bool in_queue(const struct job *j)
{
    bool elements_left = !j->array_count || j->array_next < j->array_count;
    bool waits = j->state == JOB_PENDING || (j->array_count && j->state == JOB_RUNNING);
    return waits && !j->held && elements_left && !j->cancelled;
}

// The queue as it was stored: jobs that name a class are in it. The others come in at the start.
static void rejoin(struct cluster *c, struct job *j)
{
    if (!in_queue(j))
        return;
    j->level = (int8_t)las_level_now(c, j);
    j->queued = class_rejoin(c, j);
}

int cluster_load_job(struct cluster *c, const struct job *row, struct err *err)
{
    if (!row->id.v || !row->uid.v || row->id.v >= c->meta.next_job || job_find(c, row->id) ||
        job_find_uid(c, row->uid))
        return fail(err, E_CORRUPT,
                    "job %" PRIu64 " has an id or uid that is taken or not given out", row->id.v);
    if (row->array.v && !job_state_ended(row->state) && !job_find(c, row->array))
        return fail(err, E_CORRUPT,
                    "job %" PRIu64 " is an element of job %" PRIu64 ", which is not there",
                    row->id.v, row->array.v);
    if ((row->req.need.v && !selector_find(c, row->req.need)) ||
        (row->req.prefer.v && !selector_find(c, row->req.prefer)))
        return fail(err, E_CORRUPT, "job %" PRIu64 " names a selector that is not there",
                    row->id.v);
    struct job *j = job_add(c, row);
    while (PLANTED(DEPENDENCY_FORGOTTEN) && j->terms && !TAILQ_EMPTY(&j->terms->depends))
        depend_drop(c, TAILQ_FIRST(&j->terms->depends));
    rejoin(c, j);
    placing_count(c, &row->req, 1);
    return 0;
}

int cluster_load_placement(struct cluster *c, const struct placement *row, struct err *err)
{
    struct node *n = node_find(c, row->node);
    if (!n || (row->job.v && !job_find(c, row->job)) || part_conflicts(n, row))
        return fail(err, E_CORRUPT,
                    "placement %" PRIu64 " names a job or node that is not there, or holds what "
                    "another one holds",
                    row->id);
    part_add(c, row)->lease_end_ms = INT64_MAX;
    if (PLANTED(COUNT_TWICE_AT_LOAD))
        n->used_memory_mib += row->memory_mib;
    return 0;
}

static void start_node(struct cluster *c, struct node *n, bool same_boot)
{
    if (!n->unreachable_since_ms || !same_boot || n->unreachable_since_ms > c->now.boot_ms) {
        n->unreachable_since_ms = c->now.boot_ms;
        node_mark(c, n);
    }
    struct placement *p;
    TAILQ_FOREACH(p, &n->parts, node_link)
    {
        part_lease_from(c, p, n->unreachable_since_ms);
        ends_reckon(c, p);
    }
}

void cluster_start(struct cluster *c, struct now now, uint64_t term, uint64_t nonce, bool same_boot,
                   bool hold, uint64_t term_seen)
{
    cluster_turn_begin(c);
    c->now = now;
    c->meta.term = term;
    c->meta.nonce = nonce;
    meta_mark(c);
    emit(c, EVENT_STARTED, NULL, NULL, "scheduler started: term %" PRIu64 ", %zu jobs, %zu nodes",
         term, cluster_live(c), c->nodes_count);
    rules_start(c, same_boot);
    for (size_t i = 0; i < c->nodes_count; i++)
        start_node(c, c->nodes[i], same_boot);
    drop_lost_waits(c);
    terms_start(c);
    preempt_load(c);
    struct job *j, *next;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    if (in_queue(j) && !j->queued)
        queue_insert(c, j);
    las_watch_all(c);
    if (hold)
        hold_enter(c, term_seen, "the term file beside the database is ahead of it");
    // A crash may have come between the last END and the job's own end.
    TAILQ_FOREACH_SAFE(j, &c->jobs, live_link, next)
    {
        if (j->state != JOB_PENDING && !j->array_count)
            attempt_settle(c, j);
    }
    terms_due(c);
    terms_settle(c);
    c->pass_wanted = true;
}
