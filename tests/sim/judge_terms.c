// Terms: nothing starts before what it waits for, more of an array lives than may at once, or is
// started too late for its deadline; and nothing waits for what has come. What a job was to wait
// for is what its submission said, and what has become of others is what their rows say.
#include "tests/sim/client.h"
#include "tests/sim/judge.h"

#include <stdlib.h>

enum { STUCK_LOOKS_MAX = 5 };

struct stuck {
    uint64_t job;
    int looks;
    UT_hash_handle hh;
};

static const struct wish *wish_of(struct sim *s, const struct job *j)
{
    const struct job *array = j->array.v ? disk_job(s, j->array) : j;
    for (int i = 0; array && i < s->client->wishes_count; i++) {
        const struct wish *x = &s->client->wishes[i];
        if (!x->changed && x->in.request_id.lo == array->request_id.lo &&
            x->in.request_id.hi == array->request_id.hi)
            return x;
    }
    return NULL;
}

// ---- what has become of others ----

static bool row_begun(const struct job *j)
{
    return j->begun || job_state_ended(j->state);
}

static const struct job *element_row(struct sim *s, uint64_t array, int64_t element)
{
    const struct tables *t = &s->disk.now;
    for (size_t i = t->jobs_count; i-- > 0;)
        if (t->jobs[i].array.v == array && t->jobs[i].element == element)
            return &t->jobs[i];
    return NULL;
}

// Of an array every element counts.
static struct job_fate fate_by_rows(struct sim *s, const struct depend_asked *d)
{
    const struct job *j = disk_job(s, d->job);
    struct job_fate f = {.known = j, .begun = true, .completed = true, .ended = true};
    if (!j)
        return f;
    int64_t first = 0, count = j->array_count;
    if (d->element != ELEMENT_NONE) {
        first = d->element - j->array_first;
        count = 1;
    }
    for (int64_t i = first; i < first + count; i++) {
        const struct job *e = element_row(s, j->id.v, j->array_first + i);
        f.begun &= e ? row_begun(e) : job_state_ended(j->state);
        f.ended &= e ? job_state_ended(e->state) : job_state_ended(j->state);
        f.completed &= e && e->state == JOB_COMPLETED;
    }
    if (!j->array_count)
        f = (struct job_fate){.known = true,
                              .begun = row_begun(j),
                              .ended = job_state_ended(j->state),
                              .completed = j->state == JOB_COMPLETED};
    return f;
}

static bool is_first_of_name(struct sim *s, const struct job *j)
{
    const struct tables *t = &s->disk.now;
    for (size_t i = 0; i < t->jobs_count && t->jobs[i].id.v < j->id.v; i++)
        if (t->jobs[i].name_key == j->name_key && !t->jobs[i].array.v &&
            !job_state_ended(t->jobs[i].state))
            return false;
    return true;
}

static bool holds(struct sim *s, const struct job *j, const struct depend_asked *d)
{
    if (d->kind == DEPEND_SINGLETON)
        return is_first_of_name(s, j);
    struct job_fate f = fate_by_rows(s, d);
    bool ok = f.ended && f.completed;
    return d->kind == DEPEND_AFTER        ? f.begun
           : d->kind == DEPEND_AFTEROK    ? ok
           : d->kind == DEPEND_AFTERNOTOK ? f.ended && !ok
                                          : f.ended;
}

static bool all_hold(struct sim *s, const struct job *j, const struct wish *x)
{
    for (size_t i = 0; i < x->in.depends_count; i++)
        if (!holds(s, j, &x->in.depends[i]))
            return false;
    return true;
}

static int64_t live_elements(struct sim *s, uint64_t array)
{
    const struct tables *t = &s->disk.now;
    int64_t count = 0;
    for (size_t i = 0; i < t->jobs_count; i++)
        count += t->jobs[i].array.v == array && !job_state_ended(t->jobs[i].state);
    return count;
}

// ---- at a commit ----

static void check_started(struct sim *s, const struct job *j, const struct wish *x)
{
    const struct job *array = j->array.v ? disk_job(s, j->array) : j;
    if (!all_hold(s, array, x))
        broken(s, "job %" PRIu64 " starts before what it waits for", j->id.v);
    if (x->in.begin_ms > s->judge->wall_most_ms)
        broken(s, "job %" PRIu64 " starts before its begin time", j->id.v);
    if (j->array.v && x->in.array_limit && live_elements(s, j->array.v) > x->in.array_limit)
        broken(s, "more than %d elements of job %" PRIu64 " live", x->in.array_limit, j->array.v);
}

void judge_terms_committed(struct sim *s, const struct store_batch *b)
{
    for (const struct store_slot *slot = b->jobs; slot; slot = slot->hh.next) {
        const struct job *j = slot->row;
        const struct wish *x = j->state == JOB_STARTING ? wish_of(s, j) : NULL;
        if (x)
            check_started(s, j, x);
    }
}

void judge_clock(struct sim *s, int64_t wall_ms)
{
    if (wall_ms > s->judge->wall_most_ms)
        s->judge->wall_most_ms = wall_ms;
}

// ---- what must not last ----

static bool waits(const struct job *j)
{
    return !j->cancelled &&
           (j->array_count ? j->array_next < j->array_count : j->state == JOB_PENDING);
}

static const char *stuck_by(struct sim *s, const struct job *j, const struct wish *x)
{
    int64_t wall_ms = clock_wall(&s->world, &s->scheduler.machine.clock);
    enum reason_code why = disk_why(s, j);
    int64_t deadline_ms = x->in.deadline_ms ? x->in.deadline_ms : INT64_MAX;
    if (job_state_ended(j->state))
        return NULL;
    if (waits(j) && wall_ms > deadline_ms - j->req.time_limit_ms)
        return "it cannot be over by its deadline any more";
    if ((j->state == JOB_STARTING || j->state == JOB_RUNNING) && !j->array_count &&
        wall_ms > deadline_ms && !j->verdict.code)
        return "its deadline has passed";
    if (!waits(j) || j->held)
        return NULL;
    if (why == REASON_DEPENDENCY && all_hold(s, j, x))
        return "all that it waits for has come";
    if (why == REASON_BEGIN_TIME && wall_ms >= x->in.begin_ms)
        return "its begin time has come";
    if (why == REASON_ARRAY_LIMIT && live_elements(s, j->id.v) < x->in.array_limit)
        return "fewer of its elements live than may";
    return NULL;
}

static struct stuck *stuck_get(struct sim *s, uint64_t job)
{
    struct stuck *k;
    HASH_FIND(hh, s->judge->stuck, &job, sizeof job, k);
    if (k)
        return k;
    k = xcalloc(1, sizeof *k);
    k->job = job;
    HASH_ADD(hh, s->judge->stuck, job, sizeof k->job, k);
    return k;
}

void judge_terms_look(struct sim *s)
{
    const struct scheduler *sc = &s->scheduler;
    const struct disk *d = &s->disk;
    bool well = sc->process.alive && !sc->process.stopped && !d->now.meta.recovery_hold &&
                s->world.now_ms >= d->slow_until_ms;
    for (size_t i = 0; i < d->now.jobs_count; i++) {
        const struct job *j = &d->now.jobs[i];
        const struct wish *x = wish_of(s, j);
        const char *stuck = well && x ? stuck_by(s, j, x) : NULL;
        struct stuck *k = stuck_get(s, j->id.v);
        k->looks = stuck ? k->looks + 1 : 0;
        if (k->looks > STUCK_LOOKS_MAX)
            broken(s, "job %" PRIu64 " is %s, and %s", j->id.v, job_state_word(j->state), stuck);
    }
}

void judge_terms_fini(struct sim *s)
{
    struct stuck *k, *next;
    HASH_ITER(hh, s->judge->stuck, k, next)
    {
        HASH_DEL(s->judge->stuck, k);
        free(k);
    }
}
