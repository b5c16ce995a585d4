// What jobs have attained, their levels, and when these change.
#include "scheduler/core/las.h"

#include "scheduler/core/state.h"

#include <string.h>

enum { WATCHED_LEAST = 64 };

// ---- what it is ----

int64_t job_devices_milli(const struct job *j)
{
    const struct request *r = &j->req;
    int64_t gpus = r->gpus * INT64_C(1000) + r->gpu_milli;
    int64_t cores = r->cpus * INT64_C(1000) + r->cpu_milli;
    int64_t milli = r->tasks * (gpus ? gpus : cores);
    return milli > 0 ? milli : 1;
}

// a * b / d, INT64_MAX if that is more.
static int64_t scaled(int64_t a, int64_t b, int64_t d)
{
    __int128 v = (__int128)a * b / d;
    return v < INT64_MAX ? (int64_t)v : INT64_MAX;
}

int64_t job_attained_ms(const struct job *j, int64_t wall_ms)
{
    int64_t ran = 0, sum;
    if (!j->started_at_ms || j->ended_at_ms ||
        __builtin_sub_overflow(wall_ms, j->started_at_ms, &ran) || ran <= 0)
        return j->attained_ms;
    return __builtin_add_overflow(j->attained_ms, scaled(ran, job_devices_milli(j), 1000), &sum)
               ? INT64_MAX
               : sum;
}

// Since it began at level 0.
static int64_t since_promotion(const struct job *j, int64_t wall_ms)
{
    int64_t all = job_attained_ms(j, wall_ms);
    int64_t since;
    return !__builtin_sub_overflow(all, j->promoted_ms, &since) && since > 0 ? since : 0;
}

int64_t las_level_end_ms(const struct queue_rule *q, int32_t level)
{
    int64_t end = q->las_first_ms;
    if (level >= q->las_levels - 1)
        return INT64_MAX;
    for (int32_t i = 0; i < level; i++)
        end = scaled(end, q->las_factor, 1);
    return end;
}

int32_t las_level(const struct queue_rule *q, const struct job *j, int64_t wall_ms)
{
    int64_t had = since_promotion(j, wall_ms);
    int32_t level = 0;
    while (level < LAS_LEVELS_MAX - 1 && had >= las_level_end_ms(q, level))
        level++;
    return level;
}

// Its queue, if that goes by what jobs have attained.
static const struct queue_rule *las_queue(const struct cluster *c, const struct job *j)
{
    const struct rule_entry *p = queue_of(c, j);
    return p && p->order == ORDER_LAS && !j->array_count ? &p->row->queue : NULL;
}

int32_t las_level_now(const struct cluster *c, const struct job *j)
{
    const struct queue_rule *q = las_queue(c, j);
    return q ? las_level(q, j, c->now.wall_ms) : 0;
}

// ---- when it changes ----

static bool sooner(const struct las_due *a, const struct las_due *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->job < b->job;
}

static void sift_up(struct las *l, size_t i)
{
    for (size_t up; i && sooner(&l->due[i], &l->due[up = (i - 1) / 2]); i = up) {
        struct las_due swap = l->due[i];
        l->due[i] = l->due[up];
        l->due[up] = swap;
    }
}

static void sift_down(struct las *l)
{
    for (size_t i = 0, least;; i = least) {
        size_t left = 2 * i + 1, right = left + 1;
        least = i;
        if (left < l->count && sooner(&l->due[left], &l->due[least]))
            least = left;
        if (right < l->count && sooner(&l->due[right], &l->due[least]))
            least = right;
        if (least == i)
            return;
        struct las_due swap = l->due[i];
        l->due[i] = l->due[least];
        l->due[least] = swap;
    }
}

static struct las_due pop(struct las *l)
{
    struct las_due first = l->due[0];
    l->due[0] = l->due[--l->count];
    sift_down(l);
    return first;
}

static bool is_waiting(const struct job *j)
{
    return j->queued && j->state == JOB_PENDING;
}

// Wall clock at which it will have waited so long that it is promoted; INT64_MAX: never.
static int64_t patience_ends_ms(const struct queue_rule *q, const struct job *j)
{
    int64_t end;
    if (!q->las_promote || !j->level)
        return INT64_MAX;
    int64_t ran = scaled(since_promotion(j, 0), 1000, job_devices_milli(j));
    return __builtin_add_overflow(j->waits_since_ms, scaled(ran, q->las_promote, 1), &end)
               ? INT64_MAX
               : end;
}

// Wall clock at which a running job leaves its level; INT64_MAX: never.
static int64_t level_ends_ms(const struct queue_rule *q, const struct job *j, int64_t wall_ms)
{
    int64_t devices = job_devices_milli(j), end;
    int64_t had = since_promotion(j, wall_ms);
    int64_t to = las_level_end_ms(q, las_level(q, j, wall_ms));
    if (to == INT64_MAX)
        return INT64_MAX;
    int64_t ms = scaled(to - had, 1000, devices);
    return __builtin_add_overflow(wall_ms, ms + (scaled(ms, devices, 1000) < to - had), &end)
               ? INT64_MAX
               : end;
}

// INT64_MAX: its level does not change by time.
static int64_t due_ms(const struct cluster *c, const struct job *j)
{
    const struct queue_rule *q = las_queue(c, j);
    int64_t at = INT64_MAX;
    if (q && is_waiting(j))
        at = patience_ends_ms(q, j);
    else if (q && j->started_at_ms && !job_state_ended(j->state))
        at = level_ends_ms(q, j, c->now.wall_ms);
    if (at == INT64_MAX || __builtin_sub_overflow(at, c->now.wall_ms, &at) ||
        __builtin_add_overflow(at, c->now.boot_ms, &at))
        return INT64_MAX;
    return at;
}

static void watch(struct cluster *c, const struct job *j)
{
    struct las *l = &c->las;
    int64_t at = due_ms(c, j);
    if (at == INT64_MAX)
        return;
    VEC_RESERVE(l->due, l->count, l->cap);
    l->due[l->count] = (struct las_due){.at_ms = at,
                                        .job = j->id.v,
                                        .attempt = j->attempt,
                                        .level = (int8_t)las_level_now(c, j),
                                        .waits = is_waiting(j)};
    sift_up(l, l->count++);
    wake_by(c, at);
}

// ---- what running jobs hold, by level ----

static bool is_placed(const struct job *j)
{
    return j->state == JOB_STARTING || j->state == JOB_RUNNING || j->state == JOB_STOPPING;
}

static void count(struct cluster *c, const struct job *j, int32_t sign)
{
    const struct rule_entry *p = queue_of(c, j);
    if (!p || p->order != ORDER_LAS || j->array_count)
        return;
    struct las_held *h = &p->held[j->level];
    h->jobs += sign;
    h->gpus_milli += sign * j->req.tasks * (j->req.gpus * INT64_C(1000) + j->req.gpu_milli);
    h->cores_milli += sign * j->req.tasks * (j->req.cpus * INT64_C(1000) + j->req.cpu_milli);
}

static void count_all(struct cluster *c)
{
    struct job *j;
    for (size_t i = 0; i < c->rules.count; i++) {
        struct rule_entry *p = c->rules.by_id[i];
        if (!p || p->row->kind != RULE_QUEUE || p->order != ORDER_LAS)
            continue;
        memset(p->held, 0, LAS_LEVELS_MAX * sizeof *p->held);
    }
    TAILQ_FOREACH(j, &c->jobs, live_link)
    if (is_placed(j)) {
        j->level = (int8_t)las_level_now(c, j);
        count(c, j, 1);
    }
}

void las_placed(struct cluster *c, struct job *j)
{
    count(c, j, 1);
}

bool las_may_preempt(const struct cluster *c, const struct job *j, const struct job *victim)
{
    const struct rule_entry *p = queue_of(c, j);
    return p && p->order == ORDER_LAS && j->queue.v == victim->queue.v &&
           (victim->level > j->level || PLANTED(LAS_ANY_LEVEL));
}

bool las_may_preempt_any(const struct cluster *c, const struct job *j)
{
    const struct rule_entry *p = queue_of(c, j);
    int64_t gpus = c->free.gpus * 1000, cores = c->free.cores * 1000, jobs = 0;
    if (!p || p->order != ORDER_LAS)
        return false;
    for (int level = PLANTED(LAS_ANY_LEVEL) ? 0 : j->level + 1; level < LAS_LEVELS_MAX; level++) {
        jobs += p->held[level].jobs;
        gpus += p->held[level].gpus_milli;
        cores += p->held[level].cores_milli;
    }
    return jobs && gpus >= j->req.tasks * (j->req.gpus * INT64_C(1000) + j->req.gpu_milli) &&
           cores >= j->req.tasks * (j->req.cpus * INT64_C(1000) + j->req.cpu_milli);
}

// ---- those that are watched ----

static void watch_all(struct cluster *c)
{
    const struct job *j;
    c->las.count = 0;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    watch(c, j);
}

void las_watch_all(struct cluster *c)
{
    count_all(c);
    watch_all(c);
}

void las_watch(struct cluster *c, struct job *j)
{
    // Entries that are no longer true go when they come up; too many of them go at once.
    if (c->las.count > WATCHED_LEAST + 4 * c->jobs_by_id.count)
        watch_all(c);
    else
        watch(c, j);
}

static void add_devices(const struct job *j, struct text *t)
{
    bool gpus = j->req.gpus || j->req.gpu_milli;
    text_add(t, gpus ? "GPU" : "core");
}

static void promote(struct cluster *c, struct job *j)
{
    AUTO(text) struct text what = {0};
    int64_t waited_s = (c->now.wall_ms - j->waits_since_ms) / 1000;
    add_devices(j, &what);
    queue_remove(c, j);
    j->promoted_ms = j->attained_ms;
    j->waits_since_ms = c->now.wall_ms;
    job_mark(c, j);
    emit(c, EVENT_JOB_LEVEL, j, NULL,
         "job %s goes back to level 0: it has waited %" PRId64 " s after %" PRId64 " %s-seconds",
         job_label(c, j), waited_s, j->attained_ms / 1000, text_str(&what));
    queue_insert(c, j);
}

static void rise(struct cluster *c, struct job *j)
{
    AUTO(text) struct text what = {0};
    add_devices(j, &what);
    emit(c, EVENT_JOB_LEVEL, j, NULL, "job %s comes to level %d: it has had %" PRId64 " %s-seconds",
         job_label(c, j), las_level_now(c, j), job_attained_ms(j, c->now.wall_ms) / 1000,
         text_str(&what));
    count(c, j, -1);
    j->level = (int8_t)las_level_now(c, j);
    count(c, j, 1);
    c->pass_wanted = true; // others may take its place now
    c->preempt.changes++;
    watch(c, j);
}

void las_look(struct cluster *c)
{
    struct las *l = &c->las;
    while (l->count && l->due[0].at_ms <= c->now.boot_ms) {
        struct las_due d = pop(l);
        struct job *j = job_find(c, (struct job_id){d.job});
        if (!j || j->attempt != d.attempt || is_waiting(j) != d.waits)
            continue;
        const struct queue_rule *q = las_queue(c, j);
        if (!q)
            continue;
        if (d.waits && patience_ends_ms(q, j) <= c->now.wall_ms)
            promote(c, j);
        else if (!d.waits && las_level_now(c, j) > d.level)
            rise(c, j);
        else
            watch(c, j); // the wall clock has gone back
    }
    if (l->count)
        wake_by(c, l->due[0].at_ms);
}

void las_attempt_over(struct cluster *c, struct job *j)
{
    if (is_placed(j))
        count(c, j, -1);
    if (!j->started_at_ms)
        return;
    if (!PLANTED(ATTAINED_FORGOTTEN))
        j->attained_ms = job_attained_ms(j, c->now.wall_ms);
    j->waits_since_ms = c->now.wall_ms;
    job_mark(c, j);
}

void las_queue_changed(struct cluster *c, int64_t queue)
{
    struct job *j;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    if (j->queue.v == queue && j->queued && j->level != las_level_now(c, j)) {
        queue_remove(c, j);
        queue_insert(c, j);
    }
    las_watch_all(c);
}
