#include "scheduler/core/priority.h"

#include "scheduler/core/state.h"

enum {
    RANK_PERIOD_MS = 60000,
    CLASSES_A_STEP = 4096,
};

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

static int64_t age_factor(const struct cluster *c, const struct job *j, int64_t wall_ms)
{
    int64_t full = rule_settings(c)->age_full_ms, age;
    if (__builtin_sub_overflow(wall_ms, j->submitted_at_ms, &age)) // a damaged row
        age = j->submitted_at_ms < 0 ? full : -full;
    return clamp(age, -full, full) * PRIORITY_ONE / full;
}

static int64_t size_factor(const struct cluster *c, const struct job *j)
{
    int64_t asked = (int64_t)j->req.tasks * j->req.cpus;
    return c->cores_count ? clamp(asked, 0, c->cores_count) * PRIORITY_ONE / c->cores_count : 0;
}

// Rows that are not there, or are of another kind, are mended at the start.
static int64_t qos_priority(const struct cluster *c, const struct job *j)
{
    const struct rule_entry *e = rule_by_id(c, j->qos.v);
    return e && e->row->kind == RULE_QOS ? e->row->qos.priority : 0;
}

// The factors as they are multiplied with the weights. In a queue that is not by priority, the
// order of submission and the queue alone count.
static void factors_at(const struct cluster *c, const struct job *j, int64_t wall_ms,
                       struct priority_parts *ret)
{
    const struct rule_entry *queue = queue_of(c, j);
    _Static_assert(FAIR_SHARE_ONE == (int)PRIORITY_ONE, "both are factors");
    *ret = (struct priority_parts){
        .age = age_factor(c, j, wall_ms),
        .queue = queue ? queue->row->queue.priority : 0,
    };
    if (queue && queue->order != ORDER_PRIORITY)
        return;
    ret->priority = j->priority;
    ret->size = size_factor(c, j);
    ret->nice = -(int64_t)j->nice;
    ret->qos = qos_priority(c, j);
    ret->fair_share = fair_share(c, j->user);
}

static void parts_at(const struct cluster *c, const struct job *j, int64_t wall_ms,
                     struct priority_parts *ret)
{
    const struct settings_rule *s = rule_settings(c);
    factors_at(c, j, wall_ms, ret);
    ret->total = 0;
#define X(name, one, doc)                             \
    ret->name = s->weight_##name * ret->name / (one); \
    ret->total += ret->name;
    PRIORITY_PARTS(X)
#undef X
}

void cluster_priority(const struct cluster *c, const struct job *j, struct priority_parts *ret)
{
    parts_at(c, j, c->now.wall_ms, ret);
}

int64_t cluster_factors(const struct cluster *c, const struct job *j,
                        struct priority_factor ret[PRIORITY_PARTS_COUNT])
{
    struct priority_parts factors, parts;
    const struct settings_rule *s = rule_settings(c);
    factors_at(c, j, c->ranked.wall_ms, &factors);
    parts_at(c, j, c->ranked.wall_ms, &parts);
    int i = 0;
#define X(name, one, doc) \
    ret[i++] =            \
        (struct priority_factor){#name, doc, s->weight_##name, factors.name, (one), parts.name};
    PRIORITY_PARTS(X)
#undef X
    return parts.total;
}

int64_t rank_of(const struct cluster *c, const struct job *j)
{
    struct priority_parts p;
    if (!c->rules.settings)
        return 0; // while jobs are loaded: the start ranks them
    if (c->supposed_first.v && c->supposed_first.v == j->id.v)
        return INT64_MAX;
    parts_at(c, j, c->ranked.wall_ms, &p);
    return p.total;
}

bool goes_before(const struct cluster *c, const struct job *a, const struct job *b)
{
    int64_t x = rank_of(c, a), y = rank_of(c, b);
    return x != y ? x > y : job_age_order(a, b) < 0;
}

static int64_t starts_left(const struct job *j)
{
    return j->array_count ? j->array_count - j->array_next : 1;
}

bool cluster_position(const struct cluster *c, const struct job *j, int64_t *ret_ahead,
                      int64_t *ret_all)
{
    const struct job_class *k;
    struct job *o;
    if (!j->in_class)
        return false;
    *ret_ahead = *ret_all = 0;
    TAILQ_FOREACH(k, &c->classes, all_link)
    RB_FOREACH(o, job_queue, (struct job_queue *)&k->jobs)
    {
        *ret_all += starts_left(o);
        if (o != j && goes_before(c, o, j))
            *ret_ahead += starts_left(o);
    }
    return true;
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
