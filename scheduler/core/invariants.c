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

struct held {
    struct coreset cores, pool;
    int32_t pool_milli, parts, ports;
    uint64_t gpus;
    uint16_t milli[NODE_GPUS_MAX];
    int64_t memory_mib;
};

static void hold(struct held *h, const struct node *n, const struct placement *p)
{
    CHECKF(!coreset_intersects(&h->cores, &p->cores), "a core of %s is given out twice", n->name);
    CHECK(p->cpu_milli >= 0 && (p->cpu_milli != 0) == !coreset_empty(&p->pool));
    coreset_union(&h->cores, &p->cores);
    coreset_union(&h->pool, &p->pool);
    h->pool_milli += p->cpu_milli;
    for (int g = 0; g < NODE_GPUS_MAX; g++) {
        h->milli[g] = (uint16_t)(h->milli[g] + placement_gpu_milli(p, g));
        CHECKF(h->milli[g] <= 1000, "GPU %d of %s is given out twice", g, n->name);
    }
    h->gpus |= p->gpus;
    h->memory_mib += p->memory_mib;
    h->ports += p->port != 0;
    h->parts++;
}

// What the node keeps is what its placements say.
static void check_held(const struct cluster *c, const struct node *n, const struct held *h)
{
    struct coreset all = h->cores;
    CHECKF(!coreset_intersects(&h->cores, &h->pool), "a shared core of %s is given out whole",
           n->name);
    CHECKF((uint32_t)h->pool_milli <= 1000 * coreset_count(&h->pool),
           "more than all of the shared cores of %s is given out", n->name);
    coreset_union(&all, &h->pool);
    CHECK(coreset_equal(&all, &n->used_cores) && coreset_equal(&h->pool, &n->pool_cores));
    CHECK(h->pool_milli == n->pool_used_milli && h->gpus == n->used_gpus);
    CHECK(memcmp(h->milli, n->gpu_used_milli, sizeof h->milli) == 0);
    CHECK(h->memory_mib == n->used_memory_mib);
    CHECK(h->parts == n->parts_count && h->ports == n->ports_count);
    struct rooms counted = {.stride = c->rooms.stride};
    for (uint32_t i = 0; i < n->id.v; i++)
        rooms_add(&counted);
    rooms_count(&counted, n);
    struct room_view a = rooms_view(&counted, n), b = rooms_view(&c->rooms, n);
    CHECKF(memcmp(&a.room, &b.room, sizeof a.room) == 0 &&
               memcmp(a.gpu_milli, b.gpu_milli, c->rooms.stride * sizeof(uint16_t)) == 0,
           "the room of %s is not what its sets say", n->name);
    CHECK(a.room.cores >= 0 && a.room.gpus >= 0);
    int key = node_usable(n)
                  ? index_key(index_gpu_class(a.room.gpus), index_core_class(a.room.cores))
                  : INDEX_NONE;
    CHECKF(c->index.keys[n->id.v - 1] == key, "%s stands at the wrong place of the index", n->name);
    rooms_fini(&counted);
}

static void check_node(const struct cluster *c, const struct node *n, size_t *parts)
{
    struct held held = {0};
    const struct placement *p;
    TAILQ_FOREACH(p, &n->parts, node_link)
    {
        CHECK(p->node.v == n->id.v);
        hold(&held, n, p);
        CHECK(!p->port || !p->job.v ||
              (p->port >= c->limits.port_first &&
               p->port < c->limits.port_first + c->limits.port_count));
        CHECKF(ports_equal(n, p->port) <= 1, "port %d of %s is given out twice", p->port, n->name);
        CHECK((p->job.v == 0) == (p->state == PLACEMENT_QUARANTINED));
        CHECK(!p->job.v || job_find(c, p->job));
        ++*parts;
    }
    check_held(c, n, &held);
    for (const struct selector *s = c->selectors_by_id; s; s = s->by_id.next)
        CHECK((s->jobs || s->usual) && selector_has(s, n) == selector_holds(s, n));
    CHECK(n->ready == (n->link != 0));
    CHECK(node_find_name(c, n->name) == n);
    check_machine(c, n);
}

// A part holds what its tasks ask for.
static void check_part(const struct job *j, const struct placement *p)
{
    const struct request *r = &j->req;
    int32_t shares = 0;
    if (r->exclusive)
        return;
    for (int g = 0; g < NODE_GPUS_MAX; g++)
        shares += p->shares.milli[g];
    CHECK(coreset_count(&p->cores) == (unsigned)(p->tasks * r->cpus));
    CHECK(p->cpu_milli == p->tasks * r->cpu_milli && shares == p->tasks * r->gpu_milli);
    CHECK(r->gpu_milli || __builtin_popcountll(p->gpus) == p->tasks * r->gpus);
    CHECK(p->memory_mib == p->tasks * r->memory_mib);
    CHECK(!r->tasks_per_node || p->tasks <= r->tasks_per_node);
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
        check_part(j, p);
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
    CHECK(!j->queued || j->level == las_level_now(c, j));
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
    const struct rule_entry *queue = rule_by_id(c, j->queue.v), *user = rule_by_id(c, j->user.v);
    const struct rule_entry *qos = rule_by_id(c, j->qos.v);
    CHECK(queue && queue->row->kind == RULE_QUEUE && qos && qos->row->kind == RULE_QOS);
    CHECK(user && user->row->kind == RULE_USER && user->parent &&
          user->parent->row->id == j->account.v);
    const struct member *m = member_of(c, j);
    CHECK(m->queue == queue && m->user == user && m->qos == qos);
}

static void check_rules(struct cluster *c)
{
    struct job *j;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    if (tally_counts_job(j))
        check_member(c, j);
    tally_sum(c);
    for (const struct tally *t = c->rules.tallies; t; t = t->by_id.next) {
        CHECK(rule_by_id(c, t->rule));
        CHECKF(tally_is_sum(t), "tally %" PRId64 " of %" PRId64 " is not what jobs make it",
               t->rule, t->uid);
    }
    for (size_t i = 0; i < c->rules.count; i++) {
        const struct rule_entry *p = c->rules.by_id[i];
        CHECK(!p || rule_find(c, p->row->kind, p->key) == p);
        CHECK(!p || !rule_is_level(p->row->kind) || p->tally);
    }
}

// A branch's counts are those of its nodes.
static void check_branch(const struct cluster *c, const struct branch *b, struct total *ret)
{
    struct total sum = {0};
    for (size_t i = 0; i < b->nodes_count; i++) {
        const struct node *n = c->nodes[b->nodes[i] - 1];
        const struct room *m = &c->rooms.of[b->nodes[i] - 1];
        CHECK(n->leaf == b && strcmp(n->switch_path, b->path + 1) == 0);
        CHECK(!i || b->nodes[i - 1] < b->nodes[i]);
        if (!node_usable(n))
            continue;
        sum.nodes++;
        sum.cores += m->cores;
        sum.gpus += m->gpus;
        sum.memory_mib += m->memory_mib;
    }
    for (size_t i = 0; i < b->children_count; i++) {
        CHECK(b->children[i]->parent == b);
        check_branch(c, b->children[i], &sum);
    }
    int64_t by_gpus = 0, by_cores = 0;
    for (int i = 0; i < INDEX_GPU_CLASSES; i++)
        by_gpus += b->by_gpus[i];
    for (int i = 0; i < INDEX_CORE_CLASSES; i++)
        by_cores += b->by_cores[i];
    CHECK(by_gpus == sum.nodes && by_cores == sum.nodes && b->usable == sum.nodes);
    CHECK(b->free_cores == sum.cores && b->free_gpus == sum.gpus);
    ret->nodes += sum.nodes;
    ret->cores += sum.cores;
    ret->gpus += sum.gpus;
    ret->memory_mib += sum.memory_mib;
}

// Every node is met once by a walk over all.
static void check_index(const struct cluster *c)
{
    struct index_walk tight = index_tightest(&c->index, 0, 0);
    struct index_walk roomy = index_roomiest(&c->index, 0, 0);
    int64_t met = 0;
    int32_t cores = INT32_MAX;
    uint32_t id;
    while ((id = index_next(&tight)))
        met++;
    CHECK(met == c->free.nodes);
    while ((id = index_next(&roomy))) {
        int class = c->index.keys[id - 1] % INDEX_CORE_CLASSES;
        CHECK(class <= cores);
        cores = class;
        met--;
    }
    CHECK(!met);
    struct total sum = {0};
    if (c->topology.root)
        check_branch(c, c->topology.root, &sum);
    CHECK(sum.nodes == c->free.nodes && sum.cores == c->free.cores && sum.gpus == c->free.gpus &&
          sum.memory_mib == c->free.memory_mib);
}

// Its jobs are alike, in order, and know it. Returns their number.
static size_t check_class(const struct cluster *c, struct job_class *k)
{
    struct job *j, *last = NULL;
    size_t count = 0, reserved = 0;
    RB_FOREACH(j, job_queue, &k->jobs)
    {
        reserved += j->reserved;
        CHECK(j->queued && j->in_class == k && j->class_id.v == k->wait.id.v);
        CHECK(class_holds(k, j));
        CHECK(!last || job_age_order(last, j) < 0);
        last = j;
        count++;
    }
    CHECK(count && count == k->count && k->first == RB_MIN(job_queue, &k->jobs));
    CHECK(class_find(c, k->wait.id) == k && k->wait.id.v < c->meta.next_class);
    CHECK(k->reserved == reserved);
    CHECK(k->first_ms == k->first->submitted_at_ms);
    const struct rule_entry *queue = queue_of(c, k->first);
    bool moves = c->ranked.at || c->ranked.stale || (queue && queue->order == ORDER_LAS);
    CHECK(moves || k->rank == rank_of(c, k->first));
    class_check(k);
    return count;
}

static bool classes_ordered(struct class_order *queue)
{
    struct job_class *k, *last = NULL;
    RB_FOREACH(k, class_order, queue)
    {
        if (last && class_order_compare(last, k) >= 0)
            return false;
        last = k;
    }
    return true;
}

void cluster_check(const struct cluster *c)
{
    check_rules((struct cluster *)c);
    size_t parts = 0, queued = 0, in_queue = 0;
    for (size_t i = 0; i < c->nodes_count; i++)
        check_node(c, c->nodes[i], &parts);
    CHECK(parts == c->parts_count);
    check_index(c);
    struct job *j;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    {
        check_job(c, j);
        queued += j->queued;
        in_queue += terms_wait(j);
        CHECK(!terms_wait(j) || (j->queued && !j->in_class && !j->class_id.v));
        CHECK(!j->terms || !j->terms->changed);
    }
    struct job_class *k;
    struct class_order *queue = &((struct cluster *)c)->queue;
    RB_FOREACH(k, class_order, queue)
    in_queue += check_class(c, k);
    CHECK(classes_ordered(queue));
    struct job_delayed *delayed = &((struct cluster *)c)->delayed;
    RB_FOREACH(j, job_delayed, delayed)
    {
        CHECK(j->queued && !j->in_class && !j->class_id.v && j->not_before_ms);
        in_queue++;
    }
    backfill_check(c);
    CHECK(queued == in_queue);
}
