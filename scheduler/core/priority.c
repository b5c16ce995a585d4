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

static int64_t grown(const struct settings_rule *q, int64_t at_ms)
{
    enum { MOMENT_BITS = 44 }; // 557 years: with the greatest weight that is below 2^59
    return (int64_t)((__int128)q->weight_age * clamp(at_ms, 0, INT64_C(1) << MOMENT_BITS) /
                     q->age_full_ms);
}

// How long a job that was submitted then has waited, not more than that it is full.
static int64_t waited(const struct settings_rule *q, int64_t submitted_ms, int64_t at_ms)
{
    int64_t full = q->age_full_ms, age;
    if (__builtin_sub_overflow(at_ms, submitted_ms, &age)) // a damaged row
        age = submitted_ms < 0 ? full : -full;
    return clamp(age, -full, full);
}

static int64_t age_part(const struct settings_rule *q, int64_t submitted_ms, int64_t at_ms)
{
    int64_t age = waited(q, submitted_ms, at_ms);
    if (age == q->age_full_ms || age == -q->age_full_ms)
        return age > 0 ? q->weight_age : -q->weight_age;
    return grown(q, at_ms) - grown(q, submitted_ms);
}

// More than ages can differ by: an age is at most 1, and as much below 0 where clocks went back.
static int64_t level_weight(const struct settings_rule *s)
{
    return 2 * s->weight_age + 1;
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

enum factor {
#define X(name, one, doc) FACTOR_##name,
    PRIORITY_FACTORS(X)
#undef X
};

// The factors as they are multiplied with the weights; that of age, age_part() has. In a queue that
// is not by priority, the order of submission and the queue alone count.
static void factors_of(const struct cluster *c, const struct job *j, struct priority_parts *ret)
{
    const struct rule_entry *queue = queue_of(c, j);
    _Static_assert(FAIR_SHARE_ONE == (int)PRIORITY_ONE, "both are factors");
    *ret = (struct priority_parts){.queue = queue ? queue->row->queue.priority : 0};
    if (queue && queue->order == ORDER_LAS)
        ret->level = -j->level;
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
    factors_of(c, j, ret);
    ret->total = 0;
#define X(name, one, doc)                             \
    ret->name = s->weight_##name * ret->name / (one); \
    ret->total += ret->name;
    PRIORITY_FACTORS(X)
#undef X
    ret->age = age_part(s, j->submitted_at_ms, wall_ms);
    ret->level *= level_weight(s);
    ret->total += ret->age + ret->level;
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
    factors_of(c, j, &factors);
    parts_at(c, j, c->ranked.wall_ms, &parts);
    int i = 0;
#define X(name, one, doc) \
    ret[i++] =            \
        (struct priority_factor){#name, doc, s->weight_##name, factors.name, (one), parts.name};
    PRIORITY_FACTORS(X)
#undef X
    ret[FACTOR_age].factor = waited(s, j->submitted_at_ms, c->ranked.wall_ms);
    ret[FACTOR_age].one = s->age_full_ms;
    ret[i] = (struct priority_factor){
        "level", "how much it has had already", level_weight(s), factors.level, 1, parts.level};
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
    return p.total - grown(rule_settings(c), c->ranked.wall_ms);
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

// Are there other cores than the ranks know of, and do they count?
static bool cores_changed(const struct cluster *c)
{
    return rule_settings(c)->weight_size && c->ranked.hardware != c->hardware_gen;
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

// The ages that were full by the last moment or are by the next one.
static int64_t full_from_ms(const struct cluster *c, int64_t last_ms)
{
    int64_t later = c->ranked.wall_ms > last_ms ? c->ranked.wall_ms : last_ms, from;
    return __builtin_sub_overflow(later, rule_settings(c)->age_full_ms, &from) ? INT64_MIN : from;
}

// A job that is said to be submitted so much later than it is gains nothing yet.
static bool any_too_new(struct cluster *c, int64_t last_ms)
{
    const struct job_class *newest = RB_MAX(class_ages, &c->ages);
    int64_t earlier = c->ranked.wall_ms < last_ms ? c->ranked.wall_ms : last_ms;
    return newest &&
           waited(rule_settings(c), newest->first_ms, earlier) == -rule_settings(c)->age_full_ms;
}

static void moment_begin(struct cluster *c)
{
    int64_t last_ms = c->ranked.wall_ms;
    bool all = c->ranked.stale || cores_changed(c);
    c->ranked.boot_ms = c->now.boot_ms;
    c->ranked.wall_ms = c->now.wall_ms;
    c->ranked.stale = false;
    if (fair_share_refresh(c))
        all |= rule_settings(c)->weight_fair_share != 0;
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
