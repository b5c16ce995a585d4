// From the tables back to the core: a restart knows what was durable, and no more.
#include "scheduler/core/state.h"

void cluster_load_meta(struct cluster *c, const struct cluster_meta *meta)
{
    c->meta = *meta;
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
    n.link = n.new_link = n.new_session = n.request = 0;
    n.ready = n.dirty = false;
    node_add(c, &n);
    return 0;
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
    struct job *j = job_add(c, row);
    bool elements_left = !j->array_count || j->array_next < j->array_count;
    bool waits = j->state == JOB_PENDING || (j->array_count && j->state == JOB_RUNNING);
    if (waits && !j->held && elements_left && !j->cancelled) {
        RB_INSERT(job_queue, &c->queue, j);
        j->queued = true;
    }
    return 0;
}

int cluster_load_placement(struct cluster *c, const struct placement *row, struct err *err)
{
    struct node *n = node_find(c, row->node);
    if (!n || (row->job.v && !job_find(c, row->job)) ||
        coreset_intersects(&n->used_cores, &row->cores) || (n->used_gpus & row->gpus) ||
        port_held(n, row->port))
        return fail(err, E_CORRUPT,
                    "placement %" PRIu64 " names a job or node that is not there, or holds what "
                    "another one holds",
                    row->id);
    part_add(c, row)->lease_end_ms = INT64_MAX;
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
    part_lease_from(c, p, n->unreachable_since_ms);
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
    policies_start(c, same_boot);
    for (size_t i = 0; i < c->nodes_count; i++)
        start_node(c, c->nodes[i], same_boot);
    if (hold)
        hold_enter(c, term_seen, "the term file beside the database is ahead of it");
    // A crash may have come between the last END and the job's own end.
    struct job *j, *next;
    TAILQ_FOREACH_SAFE(j, &c->jobs, live_link, next)
    {
        if (j->state != JOB_PENDING && !j->array_count)
            attempt_settle(c, j);
    }
    c->pass_wanted = true;
}
