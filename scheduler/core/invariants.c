// Every invariant of the core, walked after each step of the tests and the simulator.
#include "scheduler/core/state.h"

#include <string.h>

// How many hold this port on the node's machine.
static int ports_equal(const struct node *n, int32_t port)
{
    int count = 0;
    const struct node *mate = n;
    do {
        const struct placement *p;
        TAILQ_FOREACH(p, &mate->parts, node_link)
        count += port && p->port == port;
    } while ((mate = mate->next_on_machine) != n);
    return count;
}

// Are exactly the nodes with its machine id in the node's ring?
static void check_machine(const struct cluster *c, const struct node *n)
{
    size_t same = 0, ring = 0;
    for (size_t i = 0; n->inc.machine_id[0] && i < c->nodes_count; i++)
        same += strcmp(c->nodes[i]->inc.machine_id, n->inc.machine_id) == 0;
    const struct node *mate = n;
    do {
        CHECK(strcmp(mate->inc.machine_id, n->inc.machine_id) == 0);
        ring++;
    } while ((mate = mate->next_on_machine) != n);
    CHECK(ring == (same ? same : 1));
}

static void check_node(const struct cluster *c, const struct node *n, size_t *parts)
{
    struct coreset cores = {0};
    uint64_t gpus = 0;
    int64_t memory = 0;
    const struct placement *p;
    TAILQ_FOREACH(p, &n->parts, node_link)
    {
        CHECK(p->node.v == n->id.v);
        CHECKF(!coreset_intersects(&cores, &p->cores), "a core of %s is given out twice", n->name);
        CHECKF(!(gpus & p->gpus), "a GPU of %s is given out twice", n->name);
        coreset_union(&cores, &p->cores);
        gpus |= p->gpus;
        memory += p->memory_mib;
        CHECK(!p->port || !p->job.v ||
              (p->port >= c->limits.port_first &&
               p->port < c->limits.port_first + c->limits.port_count));
        CHECKF(ports_equal(n, p->port) <= 1, "port %d of %s is given out twice", p->port, n->name);
        CHECK((p->job.v == 0) == (p->state == PLACEMENT_QUARANTINED));
        CHECK(!p->job.v || job_find(c, p->job));
        ++*parts;
    }
    CHECK(coreset_equal(&cores, &n->used_cores));
    CHECK(gpus == n->used_gpus && memory == n->used_memory_mib);
    struct room counted = room_of(n), kept = c->rooms.of[n->id.v - 1];
    CHECKF(counted.cores == kept.cores && counted.gpus == kept.gpus &&
               counted.memory_mib == kept.memory_mib && counted.parts == kept.parts,
           "the room of %s is not what its sets say", n->name);
    CHECK(counted.cores >= 0 && counted.gpus >= 0);
    CHECK(n->ready == (n->link != 0));
    CHECK(node_find_name(c, n->name) == n);
    check_machine(c, n);
}

static void check_gang(const struct cluster *c, const struct job *j)
{
    int32_t tasks = 0, newest = 0;
    const struct placement *p;
    TAILQ_FOREACH(p, &j->parts, job_link)
    {
        CHECK(p->job.v == j->id.v && p->uid.v == j->uid.v && p->attempt <= j->attempt);
        if (p->attempt < j->attempt)
            CHECKF(p->over, "two attempts of job %" PRIu64 " count at once", j->id.v);
        else
            tasks += p->tasks, newest++;
        CHECK(coreset_count(&p->cores) == (unsigned)(p->tasks * j->req.cpus));
        CHECK(__builtin_popcountll(p->gpus) == p->tasks * j->req.gpus);
        CHECK(p->memory_mib == p->tasks * j->req.memory_mib);
        CHECK(!p->port || p->index == 0);
        CHECK(j->verdict.code == REASON_NONE || p->attempt < j->attempt || p->over || p->kill);
    }
    CHECK(tasks <= j->req.tasks);
    if (j->state == JOB_STARTING && !newest)
        CHECK(false);
    (void)c;
}

static void check_job(const struct cluster *c, const struct job *j)
{
    CHECK(job_find_uid(c, j->uid) == j && job_find(c, j->id) == j);
    CHECK(j->id.v && j->id.v < c->meta.next_job);
    CHECK(j->attempts_used <= (int32_t)j->attempt);
    if (j->array_count) {
        CHECK(TAILQ_EMPTY(&j->parts) && j->attempt == 0);
        CHECK(j->array_live >= 0 && j->array_live <= j->array_next);
        CHECK(j->array_next <= j->array_count);
        CHECK(!job_state_ended(j->state) || !j->array_live);
        CHECK(j->queued == (j->array_next < j->array_count && !j->held && !j->cancelled));
    } else {
        CHECK(j->queued == (j->state == JOB_PENDING && !j->held));
        check_gang(c, j);
    }
    if (j->state == JOB_STOPPING)
        CHECK(j->verdict.code);
    if (j->state == JOB_PENDING || job_state_ended(j->state))
        for (const struct placement *p = TAILQ_FIRST(&j->parts); p; p = TAILQ_NEXT(p, job_link))
            CHECKF(p->over, "job %" PRIu64 " is %s and still runs", j->id.v,
                   job_state_word(j->state));
    CHECK(!j->cancelled || job_state_ended(j->state) || j->verdict.code);
    CHECK(job_state_ended(j->state) == (j->ended_at_ms != 0));
}

static void check_member(struct cluster *c, struct job *j)
{
    const struct policy *queue = policy_by_id(c, j->queue.v), *user = policy_by_id(c, j->user.v);
    const struct policy *qos = policy_by_id(c, j->qos.v);
    CHECK(queue && queue->row->kind == RULE_QUEUE && qos && qos->row->kind == RULE_QOS);
    CHECK(user && user->row->kind == RULE_USER && user->parent &&
          user->parent->row->id == j->account.v);
    const struct member *m = member_of(c, j);
    CHECK(m->queue == queue && m->user == user && m->qos == qos);
}

static void check_policies(struct cluster *c)
{
    struct job *j;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    if (tally_counts_job(j))
        check_member(c, j);
    tally_sum(c);
    for (const struct tally *t = c->policies.tallies; t; t = t->by_id.next) {
        CHECK(policy_by_id(c, t->rule));
        CHECKF(tally_is_sum(t), "tally %" PRId64 " of %" PRId64 " is not what jobs make it",
               t->rule, t->uid);
    }
    for (size_t i = 0; i < c->policies.count; i++) {
        const struct policy *p = c->policies.by_id[i];
        CHECK(!p || policy_find(c, p->row->kind, p->key) == p);
        CHECK(!p || !policy_is_level(p->row->kind) || p->tally);
    }
}

void cluster_check(const struct cluster *c)
{
    check_policies((struct cluster *)c);
    size_t parts = 0, queued = 0, in_queue = 0;
    for (size_t i = 0; i < c->nodes_count; i++)
        check_node(c, c->nodes[i], &parts);
    CHECK(parts == c->parts_count);
    struct job *j, *last = NULL;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    {
        check_job(c, j);
        queued += j->queued;
    }
    struct cluster *walk = (struct cluster *)c;
    RB_FOREACH(j, job_queue, &walk->queue)
    {
        CHECK(j->queued && (!last || job_queue_order(last, j) < 0));
        last = j;
        in_queue++;
    }
    CHECK(queued == in_queue);
}
