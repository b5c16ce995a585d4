#include "scheduler/shell/why.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "scheduler/core/forecast.h"
#include "scheduler/core/why.h"
#include "scheduler/shell/copy.h"
#include "scheduler/shell/relax.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FORECAST_MAX = 100000 };

struct question {
    struct job_id job;
    char said[]; // the durable answer, an object without its closing brace
};

static struct now now(void)
{
    return (struct now){clock_boot_ms(), clock_wall_ms()};
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

// Weight x factor = part for each part; they sum to the number.
static void put_priority(struct text *t, const struct cluster *c, const struct job *j)
{
    struct priority_factor parts[PRIORITY_PARTS_COUNT];
    int64_t ahead, all, total = cluster_factors(c, j, parts);
    bool waits = cluster_position(c, j, &ahead, &all);
    put_int_or_null(t, "position", waits ? ahead + 1 : 0);
    put_int_or_null(t, "waiting", waits ? all : 0);
    put_int(t, "priority", total);
    put_open(t, "factors", '[');
    for (int i = 0; i < PRIORITY_PARTS_COUNT; i++) {
        const struct priority_factor *f = &parts[i];
        put_open(t, NULL, '{');
        put_str(t, "name", f->name);
        put_str(t, "meaning", f->doc);
        put_int(t, "weight", f->weight);
        put_key(t, "factor");
        text_addf(t, "%.10g", (double)f->factor / (double)f->one);
        put_int(t, "part", f->part);
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
        copy_try(c, foretell, &q->job, &start);
        put_key(t, "expected_start");
        text_add(t, start.len ? text_str(&start) : "null");
        put_str(t, "limit", w.limit);
        if (w.lift)
            put_lift(t, "lift", rule_by_id(c, w.lift->id)->row, w.lift, w.lift_field);
        else
            put_null(t, "lift");
        put_priority(t, c, j);
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
