#include "scheduler/core/why.h"

#include "common/units.h"
#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

// The conditions in the order in which they are told. Each holds those before it.
enum stage {
    STAGE_KNOWN,
    STAGE_CONNECTED,
    STAGE_ENABLED,
    STAGE_WANTED, // by the job's selector
    STAGE_CORES,
    STAGE_GPUS,
    STAGE_MEMORY,
    STAGE_EMPTY, // of other jobs, for one that wants nodes alone
    STAGE_FREE_CORES,
    STAGE_FREE_GPUS,
    STAGE_FREE_MEMORY,
    STAGE_OPEN, // as reservations are
    STAGE_NOT_KEPT,
    STAGE_COUNT
};

static const char *const verdict_words[] = {
    [WHY_NOT_WAITING] = "not_waiting", [WHY_HELD] = "held",           [WHY_NEVER] = "never",
    [WHY_NOT_NOW] = "not_now",         [WHY_RESOURCES] = "resources", [WHY_TURN] = "turn",
    [WHY_RESERVED] = "reserved",       [WHY_LIMITS] = "limits",
};

const char *why_verdict_word(enum why_verdict v)
{
    return verdict_words[v];
}

static bool anything_kept(const struct cluster *c)
{
    for (size_t i = 0; i < c->nodes_count; i++)
        if (c->kept[i])
            return true;
    return false;
}

static bool stage_applies(const struct cluster *c, enum stage s, const struct request *r)
{
    if (s == STAGE_NOT_KEPT)
        return anything_kept(c);
    if (s == STAGE_OPEN)
        return c->windows.count || r->reservation.v;
    if (s == STAGE_WANTED)
        return r->need.v != 0;
    if (s == STAGE_EMPTY)
        return r->exclusive;
    if (s == STAGE_GPUS || s == STAGE_FREE_GPUS)
        return r->gpus || r->gpu_milli;
    if (s == STAGE_MEMORY || s == STAGE_FREE_MEMORY)
        return r->memory_mib > 0;
    return true;
}

// Tasks of r that the node holds under the conditions up to this stage.
static int32_t capacity_at(const struct cluster *c, const struct node *n, const struct request *r,
                           enum stage s)
{
    const struct room_view has = room_empty(n), free = rooms_view(&c->rooms, n);
    struct room_view v = {.room = {.memory_mib = INT64_MAX, .cores = INT32_MAX, .gpus = INT32_MAX}};
    if (s >= STAGE_CONNECTED && (!n->ready || n->unreachable_since_ms))
        return 0;
    if (s >= STAGE_ENABLED && (n->drain || n->fenced))
        return 0;
    if (s >= STAGE_WANTED && !selector_has(selector_find(c, r->need), n))
        return 0;
    if (s >= STAGE_OPEN && !window_open(c, n, r, c->now.boot_ms))
        return 0;
    if (s >= STAGE_NOT_KEPT)
        return fit_capacity(c, n, r, FIT_FREE);
    if (s >= STAGE_CORES)
        v.room.cores = has.room.cores;
    if (s >= STAGE_GPUS)
        v.room.gpus = has.room.gpus;
    if (s >= STAGE_MEMORY)
        v.room.memory_mib = has.room.memory_mib;
    if (s >= STAGE_EMPTY)
        v.room.parts = free.room.parts;
    if (s >= STAGE_FREE_CORES) {
        v.room.cores = free.room.cores;
        v.room.pool_milli = free.room.pool_milli;
        v.room.pool_cores = free.room.pool_cores;
    }
    if (s >= STAGE_FREE_GPUS) {
        v.room.gpus = free.room.gpus;
        v.gpu_milli = free.gpu_milli;
        v.gpus = free.gpus;
    }
    if (s >= STAGE_FREE_MEMORY)
        v.room.memory_mib = free.room.memory_mib;
    return room_capacity(&v, r);
}

// "1.5 cores", "2 GPUs"
static const char *amount_say(struct cluster *c, int64_t milli, const char *what)
{
    AUTO(text) struct text t = {0};
    text_add_milli(&t, milli);
    return arena_printf(&c->arena, "%s %s%s", text_str(&t), what, milli == 1000 ? "" : "s");
}

static const char *stage_say(struct cluster *c, enum stage s, const struct request *r)
{
    // A node must hold so many tasks if the job names the number of nodes.
    int64_t tasks = r->nodes ? r->tasks / r->nodes : 1;
    AUTO(text) struct text memory = {0};
    text_add_size_mib(&memory, tasks * r->memory_mib);
    const char *of = s >= STAGE_FREE_CORES ? "free now" : "in all";
    switch (s) {
    case STAGE_KNOWN:
        return "known to the cluster";
    case STAGE_CONNECTED:
        return "connected and heard of";
    case STAGE_ENABLED:
        return "neither drained nor declared off";
    case STAGE_WANTED:
        return arena_printf(&c->arena, "with %s", selector_find(c, r->need)->text);
    case STAGE_CORES:
    case STAGE_FREE_CORES:
        return arena_printf(&c->arena, "with %s %s",
                            amount_say(c, tasks * (r->cpus * 1000 + r->cpu_milli), "core"), of);
    case STAGE_GPUS:
    case STAGE_FREE_GPUS:
        return arena_printf(&c->arena, "with %s %s",
                            amount_say(c, tasks * (r->gpus * 1000 + r->gpu_milli), "GPU"), of);
    case STAGE_MEMORY:
    case STAGE_FREE_MEMORY:
        return arena_printf(&c->arena, "with %s %s", text_str(&memory), of);
    case STAGE_EMPTY:
        return "with no other job on it";
    case STAGE_OPEN:
        if (!r->reservation.v)
            return "outside of reservations until it ends";
        return arena_printf(&c->arena, "in its reservation \"%s\" until it ends",
                            rule_by_id(c, r->reservation.v) ? rule_by_id(c, r->reservation.v)->key
                                                            : "?");
    case STAGE_NOT_KEPT:
        return "not kept for jobs before it";
    case STAGE_COUNT:
        break;
    }
    CHECK(false);
    return NULL;
}

static struct why_row row_at(struct cluster *c, const struct request *r, enum stage s)
{
    struct why_row row = {.condition = stage_say(c, s, r)};
    int32_t base = r->nodes ? r->tasks / r->nodes : 1;
    int64_t hold_more = 0, extra = r->nodes ? r->tasks % r->nodes : 0;
    for (size_t i = 0; i < c->nodes_count; i++) {
        int32_t k = capacity_at(c, c->nodes[i], r, s);
        if (k < base)
            continue;
        row.nodes++;
        row.tasks += k;
        hold_more += k > base;
    }
    row.enough = r->nodes ? row.nodes >= r->nodes && hold_more >= extra : row.tasks >= r->tasks;
    return row;
}

// The stage at which too little is left; STAGE_COUNT: it fits.
static enum stage walk_stages(struct cluster *c, const struct job *j, struct why *ret)
{
    const struct request *r = &j->req;
    struct why_row *rows = arena_alloc(&c->arena, STAGE_COUNT * sizeof *rows);
    enum stage failed = STAGE_COUNT;
    backfill_hide_all(c); // what is kept for others is free: then it is their turn
    for (enum stage s = STAGE_KNOWN; s < STAGE_COUNT; s++) {
        if (s == STAGE_NOT_KEPT) {
            backfill_show_all(c);
            backfill_hide(c, (struct job *)j);
        }
        if (!stage_applies(c, s, r))
            continue;
        rows[ret->rows_count++] = row_at(c, r, s);
        if (!rows[ret->rows_count - 1].enough && failed == STAGE_COUNT)
            failed = s;
    }
    backfill_show(c, (struct job *)j);
    ret->rows = rows;
    return failed;
}

// ---- who holds it ----

static int64_t until_ms(const struct job *j)
{
    return j && j->req.time_limit_ms && j->started_at_ms ? j->started_at_ms + j->req.time_limit_ms
                                                         : 0;
}

// The first to end before the others, those without a limit last; then the largest.
static int by_end(const void *a, const void *b)
{
    const struct why_holder *x = a, *y = b;
    if ((x->until_ms == 0) != (y->until_ms == 0))
        return x->until_ms ? -1 : 1;
    if (x->until_ms != y->until_ms)
        return x->until_ms < y->until_ms ? -1 : 1;
    if (x->cpu_milli != y->cpu_milli)
        return x->cpu_milli > y->cpu_milli ? -1 : 1;
    uint64_t p = x->job ? x->job->id.v : 0, q = y->job ? y->job->id.v : 0;
    return p < q ? -1 : p > q;
}

// What job `j` (NULL: what belongs to none) holds on nodes that could hold tasks of r.
static struct why_holder held_by(const struct cluster *c, const struct job *j,
                                 const struct placement *parts, size_t count,
                                 const struct request *r)
{
    struct why_holder h = {.job = j, .until_ms = until_ms(j)};
    for (size_t i = 0; i < count; i++) {
        const struct placement *p = &parts[i];
        if (!capacity_at(c, c->nodes[p->node.v - 1], r, STAGE_MEMORY))
            continue;
        h.nodes++;
        h.cpu_milli += (int64_t)coreset_count(&p->cores) * 1000 + p->cpu_milli;
        for (int g = 0; g < NODE_GPUS_MAX; g++)
            h.gpu_milli += placement_gpu_milli(p, g);
        h.memory_mib += p->memory_mib;
    }
    return h;
}

static int by_job(const void *a, const void *b)
{
    const struct placement *x = a, *y = b;
    if (x->job.v != y->job.v)
        return x->job.v < y->job.v ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void find_holders(struct cluster *c, const struct request *r, struct why *ret)
{
    struct placement *parts = arena_alloc(&c->arena, (c->parts_count + 1) * sizeof *parts), *p;
    struct why_holder *holders = arena_alloc(&c->arena, (c->parts_count + 1) * sizeof *holders);
    size_t count = 0, found = 0;
    for (size_t i = 0; i < c->nodes_count; i++)
        TAILQ_FOREACH(p, &c->nodes[i]->parts, node_link)
    parts[count++] = *p;
    qsort(parts, count, sizeof *parts, by_job);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && parts[end].job.v == parts[i].job.v;)
            end++;
        struct why_holder h = held_by(c, job_find(c, parts[i].job), parts + i, end - i, r);
        if (h.nodes)
            holders[found++] = h;
    }
    qsort(holders, found, sizeof *holders, by_end);
    ret->holders = holders;
    ret->holders_count = found < WHY_HOLDERS_MAX ? found : WHY_HOLDERS_MAX;
}

// Is it kept by what operators have set, whatever the others do?
static void look_at_limits(struct cluster *c, const struct job *j, struct why *ret)
{
    struct reason r;
    AUTO(text) struct text t = {0};
    if (!limit_never(c, (struct job *)j, &r))
        return;
    ret->verdict = WHY_LIMITS;
    if (r.code == REASON_QUEUE_DRAINING)
        text_add(&t, "its queue is draining");
    else
        cluster_limit_text(c, &r, &t);
    ret->limit = arena_printf(&c->arena, "%s", text_str(&t));
    struct rule *row = arena_alloc(&c->arena, sizeof *row);
    if (limit_lift(c, &r, row, &ret->lift_field))
        ret->lift = row;
}

void cluster_why(struct cluster *c, struct now now, const struct job *j, struct why *ret)
{
    *ret = (struct why){0};
    c->now = now;
    bool left = j->array_count ? j->array_next < j->array_count : j->state == JOB_PENDING;
    if (!left || j->cancelled) {
        ret->verdict = WHY_NOT_WAITING;
        return;
    }
    const struct fit_node *f;
    size_t count;
    enum stage failed = walk_stages(c, j, ret);
    if (failed >= STAGE_NOT_KEPT)
        ret->verdict = WHY_TURN;
    else if (failed >= STAGE_EMPTY && failed != STAGE_OPEN)
        ret->verdict = WHY_RESOURCES;
    else if (failed == STAGE_OPEN && fit(c, &j->req, FIT_ALL, &f, &count))
        ret->verdict = WHY_RESERVED;
    else
        ret->verdict = fit(c, &j->req, FIT_ALL, &f, &count) ? WHY_NOT_NOW : WHY_NEVER;
    if (ret->verdict == WHY_RESOURCES)
        find_holders(c, &j->req, ret);
    if (ret->verdict != WHY_NEVER)
        look_at_limits(c, j, ret);
    if (j->held && ret->verdict != WHY_NEVER)
        ret->verdict = WHY_HELD;
}

const char *why_constraint(const struct cluster *c, const struct request *r)
{
    const struct selector *s = selector_find(c, r->need);
    return s ? s->text : "";
}

bool why_without_term(const struct cluster *c, const struct request *r, int term, struct text *ret)
{
    bool found = false;
    size_t start = ret->len;
    for (const char *at = why_constraint(c, r); *at; term--) {
        const char *end = strchrnul(at, '&'), *last = end;
        while (*at == ' ')
            at++;
        while (last > at && last[-1] == ' ')
            last--;
        if (term == 0)
            found = true;
        else
            text_addf(ret, "%s%.*s", ret->len > start ? " & " : "", (int)(last - at), at);
        at = *end ? end + 1 : end;
    }
    return found;
}

bool cluster_suppose(struct cluster *c, struct now now, struct job_id id,
                     const struct supposition *s)
{
    struct job *j = job_find(c, id);
    if (!j || (j->held && !s->released))
        return false;
    cluster_turn_begin(c);
    c->now = now;
    if (j->queued)
        queue_remove(c, j);
    j->held = false;
    j->req = s->req;
    if (s->need && selector_get(c, s->need, &j->req.need))
        return false;
    if (s->first) {
        j->priority = INT32_MAX; // a class of its own
        c->supposed_first = id;
    }
    queue_insert(c, j);
    int64_t before = j->array_next;
    struct input go_on = {.kind = INPUT_CONTINUE};
    do
        cluster_step(c, now, &go_on);
    while (cluster_outcome(c)->continue_wanted);
    return j->array_count ? j->array_next > before : j->state == JOB_STARTING;
}
