#include "scheduler/shell/relax.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "scheduler/core/why.h"
#include "scheduler/shell/copy.h"

#include <string.h>

enum { TRIALS_MAX = 100, LIMITS_MAX = 8 };

static struct now now(void)
{
    return (struct now){clock_boot_ms(), clock_wall_ms()};
}

struct trial {
    struct job_id job;
    const struct supposition *supposed;
};

static void try_start(struct cluster *c, const void *arg, struct text *ret)
{
    const struct trial *t = arg;
    text_add(ret, cluster_suppose(c, now(), t->job, t->supposed) ? "1" : "0");
}

static bool starts(struct cluster *c, struct job_id job, const struct supposition *s, int *trials)
{
    AUTO(text) struct text said = {0};
    return ++*trials <= TRIALS_MAX && copy_try(c, try_start, &(struct trial){job, s}, &said) &&
           *text_str(&said) == '1';
}

// ---- limits: what an operator would have to lift ----

void put_lift(struct text *t, const char *key_of, const struct rule *from, const struct rule *to,
              const struct rule_field *f)
{
    AUTO(text) struct text name = {0}, key = {0}, was = {0}, now_is = {0};
    rule_name(to, &name);
    rule_field_key(f, &key);
    rule_add_value(from, f, &was);
    rule_add_value(to, f, &now_is);
    put_open(t, key_of, '{');
    put_str(t, "kind", rule_kind_word(to->kind));
    put_str(t, "name", text_str(&name));
    put_str(t, "key", text_str(&key));
    put_str(t, "from", text_str(&was));
    put_str(t, "to", text_str(&now_is));
    text_addc(t, '}');
}

// Lifts what keeps the job, and tells it; false: nothing that could be lifted does.
static bool lift(struct cluster *c, struct job_id id, bool any_turn, struct text *ret)
{
    struct rule row, from;
    const struct rule_field *f;
    struct reason never;
    struct job *j = (struct job *)cluster_job(c, id);
    const struct reason *r = any_turn && limit_never(c, j, &never) ? &never : cluster_reason(c, j);
    if (!limit_lift(c, r, &row, &f))
        return false;
    const struct rule_entry *stands = rule_by_id(c, row.id);
    memcpy(&from, stands->row, rule_size(row.kind));
    struct input in = {.kind = INPUT_RULE_SET, .caller = {.admin = true}};
    in.rule.row = &row;
    in.rule.mode = RULE_CHANGE;
    cluster_turn_begin(c);
    cluster_step(c, now(), &in);
    if (rule_field_equal(stands->row, &from, f))
        return false; // refused
    put_lift(ret, NULL, &from, &row, f);
    return true;
}

// Said: what was lifted for it to start; nothing: that does not help.
static void try_lifted(struct cluster *c, const void *arg, struct text *ret)
{
    const struct trial *t = arg;
    for (int i = 0; i < LIMITS_MAX; i++) {
        if (!lift(c, t->job, i == 0, ret))
            break;
        if (cluster_suppose(c, now(), t->job, t->supposed))
            return;
    }
    text_clear(ret);
}

// ---- dials: what the submitter could turn down ----

// What a submitter can turn down, and the key of the request. Cores and GPUs in thousandths;
// exclusive and the constraint are there or not.
enum dial {
    DIAL_TASKS,
    DIAL_NODES,
    DIAL_PER_NODE,
    DIAL_EXCLUSIVE,
    DIAL_CONSTRAINT,
    DIAL_CPUS,
    DIAL_GPUS,
    DIAL_MEMORY,
    DIAL_TIME,
    DIAL_COUNT
};

static const char *const dial_keys[] = {"tasks",     "nodes",      "tasks_per_node",
                                        "exclusive", "constraint", "cpus",
                                        "gpus",      "memory_mib", "time_limit_ms"};

static int64_t dial_get(const struct request *r, enum dial d)
{
    const int64_t values[] = {r->tasks,
                              r->nodes,
                              r->tasks_per_node,
                              r->exclusive,
                              r->need.v != 0,
                              r->cpus * 1000 + r->cpu_milli,
                              r->gpus * 1000 + r->gpu_milli,
                              r->memory_mib,
                              r->time_limit_ms};
    return values[d];
}

// To a value of dial_get() of `from`, or less.
static void dial_set(struct request *r, enum dial d, int64_t v, const struct request *from)
{
    switch (d) {
    case DIAL_TASKS:
        r->tasks = (int32_t)v;
        break;
    case DIAL_NODES:
        r->nodes = (int32_t)v;
        break;
    case DIAL_PER_NODE:
        r->tasks_per_node = (int32_t)v;
        break;
    case DIAL_EXCLUSIVE:
        r->exclusive = v;
        break;
    case DIAL_CONSTRAINT:
        r->need = v ? from->need : (struct selector_id){0};
        break;
    case DIAL_CPUS:
        r->cpus = (int32_t)(v / 1000);
        r->cpu_milli = (int32_t)(v % 1000);
        break;
    case DIAL_GPUS:
        r->gpus = (int32_t)(v / 1000);
        r->gpu_milli = (int32_t)(v % 1000);
        break;
    case DIAL_MEMORY:
        r->memory_mib = v;
        break;
    case DIAL_TIME:
        r->time_limit_ms = v;
        break;
    case DIAL_COUNT:
        break;
    }
}

enum { MINUTE_MS = 60000, PART_MILLI = 50 };

// Whole cores and GPUs stay whole, parts are turned down by twentieths.
static int64_t dial_grain(const struct request *r, enum dial d)
{
    if (d == DIAL_CPUS)
        return r->cpu_milli ? PART_MILLI : 1000;
    if (d == DIAL_GPUS)
        return r->gpu_milli ? PART_MILLI : 1000;
    return d == DIAL_TIME ? MINUTE_MS : 1;
}

// The least that is worth asking for.
static int64_t dial_floor(const struct request *r, enum dial d)
{
    switch (d) {
    case DIAL_TASKS:
        return r->nodes ? r->nodes : 1;
    case DIAL_CPUS:
        return dial_grain(r, d);
    case DIAL_TIME:
        return MINUTE_MS;
    case DIAL_MEMORY:
        return r->memory_mib ? 1 : 0;
    case DIAL_NODES: // 0: on any number of nodes
    case DIAL_PER_NODE:
    case DIAL_EXCLUSIVE:
    case DIAL_CONSTRAINT:
    case DIAL_GPUS:
    case DIAL_COUNT:
        break;
    }
    return 0;
}

// There is nothing between what is asked and the least.
static bool dial_jumps(enum dial d)
{
    return d == DIAL_NODES || d == DIAL_PER_NODE || d == DIAL_EXCLUSIVE || d == DIAL_CONSTRAINT;
}

// Is there something to turn down? A job without a time limit has the most of it.
static bool dial_turns(const struct request *r, enum dial d)
{
    if (d == DIAL_TIME && !r->time_limit_ms)
        return true;
    return dial_get(r, d) > dial_floor(r, d);
}

// The largest value below the present one with which it starts; false: none.
static bool dial_search(struct cluster *c, struct job_id job, struct supposition s, enum dial d,
                        int *trials, int64_t *ret)
{
    enum { DAY_MS = 86400000 };
    struct request *r = &s.req;
    const struct request was = s.req;
    int64_t low = dial_floor(r, d), high = dial_get(r, d), grain = dial_grain(r, d);
    if (!dial_turns(r, d))
        return false;
    if (d == DIAL_TIME && !high)
        high = 7 * DAY_MS;
    if (d == DIAL_TIME && !r->time_limit_ms) { // any limit at all
        dial_set(r, d, high, &was);
        if (starts(c, job, &s, trials)) {
            *ret = high;
            return true;
        }
    }
    dial_set(r, d, low, &was);
    if (!starts(c, job, &s, trials))
        return false;
    while (!dial_jumps(d) && high - low > grain) { // it starts with low and not with high
        if (d == DIAL_MEMORY && high - low <= low / 32)
            break;
        int64_t middle = low + (high - low) / 2 / grain * grain;
        if (middle == low)
            break;
        dial_set(r, d, middle, &was);
        if (starts(c, job, &s, trials))
            low = middle;
        else
            high = middle;
    }
    *ret = low;
    return true;
}

static void put_dial(struct text *t, const struct cluster *c, const struct request *r,
                     const char *need, enum dial d)
{
    if (d == DIAL_EXCLUSIVE)
        put_bool(t, dial_keys[d], r->exclusive);
    else if (d == DIAL_CONSTRAINT && !need)
        put_str(t, dial_keys[d], r->need.v ? why_constraint(c, r) : NULL);
    else if (d == DIAL_CONSTRAINT)
        put_str(t, dial_keys[d], need);
    else if (d == DIAL_CPUS || d == DIAL_GPUS)
        put_milli(t, dial_keys[d], dial_get(r, d));
    else
        put_int(t, dial_keys[d], dial_get(r, d));
}

static void put_relaxation(struct text *t, const struct cluster *c, const struct supposition *s,
                           const struct request *was, unsigned turned, const char *lifted)
{
    put_open(t, NULL, '{');
    put_bool(t, "first", s->first);
    put_bool(t, "released", s->released);
    put_open(t, "limits", '[');
    text_add(t, lifted);
    text_addc(t, ']');
    put_open(t, "change", '{');
    for (enum dial d = 0; d < DIAL_COUNT; d++)
        if (turned >> d & 1)
            put_dial(t, c, &s->req, s->need, d);
    text_add(t, "}");
    put_open(t, "instead_of", '{');
    for (enum dial d = 0; d < DIAL_COUNT; d++)
        if (turned >> d & 1)
            put_dial(t, c, was, NULL, d);
    text_add(t, "}}");
}

// A constraint of several terms, each of them left out alone.
static int relax_terms(struct cluster *c, struct job_id job, const struct supposition *base,
                       int *trials, struct text *t)
{
    int found = 0;
    for (int term = 0;; term++) {
        AUTO(text) struct text need = {0};
        struct supposition s = *base;
        if (!why_without_term(c, &base->req, term, &need) || !need.len)
            return found;
        s.need = text_str(&need);
        if (!starts(c, job, &s, trials))
            continue;
        put_relaxation(t, c, &s, &base->req, 1U << DIAL_CONSTRAINT, "");
        found++;
    }
}

// Each dial alone. Returns how many helped.
static int relax_one(struct cluster *c, struct job_id job, const struct supposition *base,
                     int *trials, struct text *t)
{
    int found = 0;
    for (enum dial d = 0; d < DIAL_COUNT; d++) {
        struct supposition s = *base;
        int64_t value;
        int terms = d == DIAL_CONSTRAINT ? relax_terms(c, job, base, trials, t) : 0;
        found += terms;
        if (terms || !dial_search(c, job, s, d, trials, &value))
            continue;
        dial_set(&s.req, d, value, &base->req);
        put_relaxation(t, c, &s, &base->req, 1U << d, "");
        found++;
    }
    return found;
}

// Two dials: the second at its lowest while the first is searched, then the second is.
static int relax_two(struct cluster *c, struct job_id job, const struct supposition *base,
                     int *trials, struct text *t)
{
    for (enum dial a = 0; a < DIAL_COUNT; a++)
        for (enum dial b = a + 1; b < DIAL_COUNT; b++) {
            struct supposition s = *base;
            int64_t value;
            if (!dial_turns(&base->req, a) || !dial_turns(&base->req, b))
                continue;
            dial_set(&s.req, b, dial_floor(&base->req, b), &base->req);
            if (!dial_search(c, job, s, a, trials, &value))
                continue;
            dial_set(&s.req, a, value, &base->req);
            dial_set(&s.req, b, dial_get(&base->req, b), &base->req);
            if (!dial_search(c, job, s, b, trials, &value))
                continue;
            dial_set(&s.req, b, value, &base->req);
            put_relaxation(t, c, &s, &base->req, 1U << a | 1U << b, "");
            return 1;
        }
    return 0;
}

// Limits lifted, if need be also out of its turn.
static bool relax_limits(struct cluster *c, const struct job *j, struct text *t)
{
    struct supposition s = {.req = j->req, .released = j->held};
    for (int first = 0; first < 2; first++) {
        AUTO(text) struct text lifted = {0};
        s.first = first;
        if (!copy_try(c, try_lifted, &(struct trial){j->id, &s}, &lifted) || !lifted.len)
            continue;
        put_relaxation(t, c, &s, &j->req, 0, text_str(&lifted));
        return true;
    }
    return false;
}

// From what costs the submitter nothing to what costs most, until something helps.
void put_relaxations(struct cluster *c, const struct job *j, struct text *t)
{
    int trials = 0;
    struct supposition s = {.req = j->req, .released = j->held};
    put_open(t, "relaxations", '[');
    bool starts_so = j->held && starts(c, j->id, &s, &trials);
    if (starts_so)
        put_relaxation(t, c, &s, &j->req, 0, "");
    s.first = true;
    bool starts_first = !starts_so && starts(c, j->id, &s, &trials);
    if (starts_first)
        put_relaxation(t, c, &s, &j->req, 0, "");
    bool lifted = !starts_so && !starts_first && relax_limits(c, j, t);
    s.first = false;
    int found = starts_so ? 1 : relax_one(c, j->id, &s, &trials, t);
    if (!found)
        found = relax_two(c, j->id, &s, &trials, t);
    s.first = true;
    if (!found && !starts_first && !lifted && !relax_one(c, j->id, &s, &trials, t))
        relax_two(c, j->id, &s, &trials, t);
    text_addc(t, ']');
}
