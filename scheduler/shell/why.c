#include "scheduler/shell/why.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "scheduler/core/forecast.h"
#include "scheduler/core/why.h"
#include "scheduler/shell/copy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TRIALS_MAX = 100, FORECAST_MAX = 100000 };

struct question {
    struct job_id job;
    char said[]; // the durable answer, an object without its closing brace
};

// ---- trials: would it start now if it asked for this? ----

struct trial {
    struct job_id job;
    const struct supposition *supposed;
};

static struct now now(void)
{
    return (struct now){clock_boot_ms(), clock_wall_ms()};
}

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

// Its start as the core run ahead foretells it, or nothing.
static void foretell(struct cluster *c, const void *arg, struct text *ret)
{
    const struct job_id *job = arg;
    struct now from = now();
    struct forecast f;
    cluster_forecast(c, from, FORECAST_MAX, &f);
    const struct forecast_row *row = forecast_find(&f, *job);
    if (row && row->first_ms != INT64_MAX)
        text_addf(ret, "%" PRId64, from.wall_ms + row->first_ms - from.boot_ms);
}

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
    return d == DIAL_TIME ? MINUTE_MS : d == DIAL_MEMORY ? 1 + r->memory_mib / 64 : 1;
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
                           const struct request *was, unsigned turned)
{
    put_open(t, NULL, '{');
    put_bool(t, "first", s->first);
    put_bool(t, "released", s->released);
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
        put_relaxation(t, c, &s, &base->req, 1U << DIAL_CONSTRAINT);
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
        put_relaxation(t, c, &s, &base->req, 1U << d);
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
            put_relaxation(t, c, &s, &base->req, 1U << a | 1U << b);
            return 1;
        }
    return 0;
}

// From what costs the submitter nothing to what costs most, until something helps.
static void put_relaxations(struct cluster *c, const struct job *j, struct text *t)
{
    int trials = 0;
    struct supposition s = {.req = j->req, .released = j->held};
    put_open(t, "relaxations", '[');
    bool starts_so = j->held && starts(c, j->id, &s, &trials);
    if (starts_so)
        put_relaxation(t, c, &s, &j->req, 0);
    s.first = true;
    bool starts_first = !starts_so && starts(c, j->id, &s, &trials);
    if (starts_first)
        put_relaxation(t, c, &s, &j->req, 0);
    s.first = false;
    int found = starts_so ? 1 : relax_one(c, j->id, &s, &trials, t);
    if (!found)
        found = relax_two(c, j->id, &s, &trials, t);
    s.first = true;
    if (!found && !starts_first && !relax_one(c, j->id, &s, &trials, t))
        relax_two(c, j->id, &s, &trials, t);
    text_addc(t, ']');
}

// ---- the answer ----

static void put_conditions(const struct why *w, struct text *t)
{
    put_open(t, "conditions", '[');
    bool marked = false;
    for (size_t i = 0; i < w->rows_count; i++) {
        const struct why_row *row = &w->rows[i];
        put_open(t, NULL, '{');
        put_str(t, "text", row->condition);
        put_int(t, "nodes", row->nodes);
        put_int(t, "tasks", row->tasks);
        put_bool(t, "enough", row->enough);
        put_bool(t, "fails", !row->enough && !marked);
        marked |= !row->enough;
        text_addc(t, '}');
    }
    text_addc(t, ']');
}

static void put_holders(const struct why *w, struct text *t)
{
    put_open(t, "holders", '[');
    for (size_t i = 0; i < w->holders_count; i++) {
        const struct why_holder *h = &w->holders[i];
        put_open(t, NULL, '{');
        put_int_or_null(t, "job", h->job ? (int64_t)h->job->id.v : 0);
        put_int(t, "nodes", h->nodes);
        put_milli(t, "cores", h->cpu_milli);
        put_milli(t, "gpus", h->gpu_milli);
        put_int(t, "memory_mib", h->memory_mib);
        put_int_or_null(t, "until", h->until_ms);
        text_addc(t, '}');
    }
    text_addc(t, ']');
}

static int explain(struct server *s, const void *arg, struct text *t)
{
    const struct question *q = arg;
    struct cluster *c = s->cluster;
    const struct job *j = cluster_job(c, q->job);
    struct why w = {0};
    text_add(t, q->said);
    if (j)
        cluster_why(c, now(), j, &w);
    put_str(t, "verdict", why_verdict_word(w.verdict));
    if (w.verdict != WHY_NOT_WAITING) {
        AUTO(text) struct text start = {0};
        copy_try(c, foretell, &j->id, &start);
        put_key(t, "expected_start");
        text_add(t, start.len ? text_str(&start) : "null");
        put_conditions(&w, t);
        put_holders(&w, t);
        put_relaxations(c, j, t);
    }
    text_addc(t, '}');
    return 200;
}

void why_ask(struct read *r)
{
    size_t len = r->body.len - 1; // without the brace
    struct question *q = xcalloc(1, sizeof *q + len + 1);
    q->job = r->job;
    memcpy(q->said, text_str(&r->body), len);
    copy_ask(r->server, r->handle, explain, q);
    read_free(r);
}
