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

static int64_t grown(const struct queueing *q, int64_t at_ms)
{
    enum { MOMENT_BITS = 44 }; // 557 years: with the greatest weight that is below 2^59
    return (int64_t)((__int128)q->weight_age * clamp(at_ms, 0, INT64_C(1) << MOMENT_BITS) /
                     q->age_full_ms);
}

// How long a job that was submitted then has waited, not more than that it is full.
static int64_t waited(const struct queueing *q, int64_t submitted_ms, int64_t at_ms)
{
    int64_t full = q->age_full_ms, age;
    if (__builtin_sub_overflow(at_ms, submitted_ms, &age)) // a damaged row
        age = submitted_ms < 0 ? full : -full;
    return clamp(age, -full, full);
}

static int64_t age_part(const struct queueing *q, int64_t submitted_ms, int64_t at_ms)
{
    int64_t age = waited(q, submitted_ms, at_ms);
    if (age == q->age_full_ms || age == -q->age_full_ms)
        return age > 0 ? q->weight_age : -q->weight_age;
    return grown(q, at_ms) - grown(q, submitted_ms);
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
        .age = age_part(q, j->submitted_at_ms, wall_ms),
        .queue = queue ? q->weight_queue * queue->row->queue.priority : 0,
    };
    if (!queue || queue->order == ORDER_PRIORITY)
        add_wishes(c, j, ret);
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
    return p.total - grown(&c->queueing, c->ranked.wall_ms);
}

void ranks_stale(struct cluster *c)
{
    c->ranked.stale = true;
    c->pass_wanted = true;
}

// Are there other cores than the ranks know of, and do they count?
static bool cores_changed(const struct cluster *c)
{
    return c->queueing.weight_size && c->ranked.hardware != c->hardware_gen;
}

bool ranks_due(struct cluster *c)
{
    if (c->ranked.stale || cores_changed(c) || c->now.boot_ms - c->ranked.boot_ms >= RANK_PERIOD_MS)
        return true;
    wake_by(c, c->ranked.boot_ms + RANK_PERIOD_MS);
    return false;
}

static void count_cores(struct cluster *c)
{
    c->ranked.hardware = c->hardware_gen;
    c->cores_count = 0;
    for (size_t i = 0; i < c->nodes_count; i++)
        c->cores_count += c->nodes[i]->cores;
}

static bool is_las(const struct rule_entry *queue)
{
    return queue->order == ORDER_LAS;
}

// Does the order of some queue change by more than age?
static bool orders_move(const struct cluster *c)
{
    const struct rule_entry *queue = c->rules.by_name[RULE_QUEUE];
    while (queue && !is_las(queue))
        queue = queue->by_name.next;
    return queue;
}

// The ages that were full by the last moment or are by the next one.
static int64_t full_from_ms(const struct cluster *c, int64_t last_ms)
{
    int64_t later = c->ranked.wall_ms > last_ms ? c->ranked.wall_ms : last_ms, from;
    return __builtin_sub_overflow(later, c->queueing.age_full_ms, &from) ? INT64_MIN : from;
}

// A job that is said to be submitted so much later than it is gains nothing yet.
static bool any_too_new(struct cluster *c, int64_t last_ms)
{
    const struct job_class *newest = RB_MAX(class_ages, &c->ages);
    int64_t earlier = c->ranked.wall_ms < last_ms ? c->ranked.wall_ms : last_ms;
    return newest && waited(&c->queueing, newest->first_ms, earlier) == -c->queueing.age_full_ms;
}

static void moment_begin(struct cluster *c)
{
    int64_t last_ms = c->ranked.wall_ms;
    bool all = c->ranked.stale || cores_changed(c) || orders_move(c);
    c->ranked.boot_ms = c->now.boot_ms;
    c->ranked.wall_ms = c->now.wall_ms;
    c->ranked.stale = false;
    if (fair_share_refresh(c))
        all |= c->queueing.weight_fair_share != 0;
    if (cores_changed(c))
        count_cores(c);
    all |= any_too_new(c, last_ms);
    c->ranked.full_ms = all ? INT64_MAX : full_from_ms(c, last_ms);
    c->ranked.at = RB_MIN(class_ages, &c->ages);
}

// By a later moment the classes again whose place it changes: from the oldest on. In steps; no pass
// goes over a half-ordered queue.
bool ranks_refresh(struct cluster *c)
{
    if (!c->ranked.at) {
        if (!ranks_due(c))
            return true;
        moment_begin(c);
    }
    for (int i = 0; c->ranked.at && i < CLASSES_A_STEP; i++) {
        struct job_class *k = c->ranked.at;
        if (k->first_ms > c->ranked.full_ms) {
            c->ranked.at = NULL;
            break;
        }
        c->ranked.at = RB_NEXT(class_ages, &c->ages, k);
        class_rank(c, k);
    }
    if (c->ranked.at)
        return false;
    wake_by(c, c->ranked.boot_ms + RANK_PERIOD_MS);
    return true;
}
