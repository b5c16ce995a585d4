#include "scheduler/core/priority.h"

#include "scheduler/core/state.h"

enum {
    FACTOR_BITS = 20,
    RANK_PERIOD_MS = 60000,
    CLASSES_A_STEP = 4096,
};

static const int64_t FACTOR_ONE = INT64_C(1) << FACTOR_BITS;

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

static int64_t age_factor(const struct cluster *c, const struct job *j, int64_t wall_ms)
{
    int64_t full = c->queueing.age_full_ms, age;
    if (__builtin_sub_overflow(wall_ms, j->submitted_at_ms, &age)) // a damaged row
        age = j->submitted_at_ms < 0 ? full : -full;
    return clamp(age, -full, full) * FACTOR_ONE / full;
}

static int64_t size_factor(const struct cluster *c, const struct job *j)
{
    int64_t asked = (int64_t)j->req.tasks * j->req.cpus;
    return c->cores_count ? clamp(asked, 0, c->cores_count) * FACTOR_ONE / c->cores_count : 0;
}

// Rows that are not there, or are of another kind, are mended at the start.
static int64_t qos_priority(const struct cluster *c, const struct job *j)
{
    const struct rule_entry *e = rule_by_id(c, j->qos.v);
    return e && e->row->kind == RULE_QOS ? e->row->qos.priority : 0;
}

// All but the order of submission and the queue.
static void add_wishes(const struct cluster *c, const struct job *j, struct priority_parts *ret)
{
    const struct queueing *q = &c->queueing;
    _Static_assert(FAIR_SHARE_ONE == 1 << FACTOR_BITS, "both are factors");
    ret->priority = q->weight_priority * j->priority;
    ret->size = q->weight_size * size_factor(c, j) / FACTOR_ONE;
    ret->nice = -q->weight_nice * j->nice;
    ret->qos = q->weight_qos * qos_priority(c, j);
    ret->fair_share = q->weight_fair_share * fair_share(c, j->user) / FACTOR_ONE;
}

static void parts_at(const struct cluster *c, const struct job *j, int64_t wall_ms,
                     struct priority_parts *ret)
{
    const struct queueing *q = &c->queueing;
    const struct rule_entry *queue = queue_of(c, j);
    *ret = (struct priority_parts){
        .age = q->weight_age * age_factor(c, j, wall_ms) / FACTOR_ONE,
        .queue = queue ? q->weight_queue * queue->row->queue.priority : 0,
    };
    if (!queue || queue->order == ORDER_PRIORITY)
        add_wishes(c, j, ret);
    else if (ret->age < 0) // the wall clock has gone back
        ret->age = 0;
    if (queue && queue->order == ORDER_LAS)
        ret->level = -j->level * (q->weight_age + 1);
#define X(name, doc) ret->total += ret->name;
    PRIORITY_PARTS(X)
#undef X
}

void cluster_priority(const struct cluster *c, const struct job *j, struct priority_parts *ret)
{
    parts_at(c, j, c->now.wall_ms, ret);
}

int64_t rank_of(const struct cluster *c, const struct job *j)
{
    struct priority_parts p;
    parts_at(c, j, c->ranked.wall_ms, &p);
    return p.total;
}

void ranks_stale(struct cluster *c)
{
    c->ranked.stale = true;
    c->pass_wanted = true;
}

bool ranks_due(struct cluster *c)
{
    if (c->ranked.stale || c->ranked.hardware != c->hardware_gen ||
        c->now.boot_ms - c->ranked.boot_ms >= RANK_PERIOD_MS)
        return true;
    wake_by(c, c->ranked.boot_ms + RANK_PERIOD_MS);
    return false;
}

// All classes again, by a later moment. In steps; no pass goes over a half-ordered queue.
bool ranks_refresh(struct cluster *c)
{
    if (!c->ranked.at) {
        if (!ranks_due(c))
            return true;
        c->ranked.boot_ms = c->now.boot_ms;
        c->ranked.wall_ms = c->now.wall_ms;
        c->ranked.stale = false;
        fair_share_refresh(c);
        c->ranked.hardware = c->hardware_gen;
        c->cores_count = 0;
        for (size_t i = 0; i < c->nodes_count; i++)
            c->cores_count += c->nodes[i]->cores;
        c->ranked.at = TAILQ_FIRST(&c->classes);
    }
    for (int i = 0; c->ranked.at && i < CLASSES_A_STEP; i++) {
        struct job_class *k = c->ranked.at;
        c->ranked.at = TAILQ_NEXT(k, all_link);
        class_rank(c, k);
    }
    if (c->ranked.at)
        return false;
    wake_by(c, c->ranked.boot_ms + RANK_PERIOD_MS);
    return true;
}
