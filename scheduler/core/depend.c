// Dependencies on other jobs: who waits for whom, and what a job's start or end means to those that
// wait for it. What holds is taken off a job's list in the step in which it comes to hold, so that
// a database never names a job whose end says nothing new.
#include "scheduler/core/state.h"

#include <stdlib.h>

struct job_fate job_fate(const struct job *j)
{
    bool ended = job_state_ended(j->state);
    bool begun = j->array_count ? j->array_begun == j->array_count : j->begun;
    return (struct job_fate){.known = true,
                             .begun = begun || ended,
                             .ended = ended,
                             .completed = j->state == JOB_COMPLETED};
}

enum depend_holds depend_holds(enum depend_kind k, const struct job_fate *f)
{
    bool holds = false;
    switch (k) {
    case DEPEND_AFTER:
        return f->begun ? DEPEND_HOLDS : DEPEND_OPEN;
    case DEPEND_AFTEROK:
        holds = f->completed;
        break;
    case DEPEND_AFTERNOTOK:
        holds = !f->completed;
        break;
    case DEPEND_AFTERANY:
    case DEPEND_SINGLETON:
        holds = true;
        break;
    case DEPEND_KIND_COUNT:
        CHECK(false);
    }
    return !f->ended ? DEPEND_OPEN : holds ? DEPEND_HOLDS : DEPEND_NEVER;
}

// ---- who waits for whom ----

struct awaited_key {
    uint64_t job;
    int64_t element;
};
struct awaited {
    struct awaited_key key;
    struct depend_list by;
    UT_hash_handle hh;
};

static struct awaited *awaited_find(const struct cluster *c, struct job_id job, int64_t element)
{
    struct awaited_key key = {job.v, element};
    struct awaited *a;
    HASH_FIND(hh, c->terms.awaited, &key, sizeof key, a);
    return a;
}

static struct awaited *awaited_get(struct cluster *c, struct job_id job, int64_t element)
{
    struct awaited *a = awaited_find(c, job, element);
    if (a)
        return a;
    a = xcalloc(1, sizeof *a);
    a->key = (struct awaited_key){job.v, element};
    TAILQ_INIT(&a->by);
    HASH_ADD(hh, c->terms.awaited, key, sizeof a->key, a);
    return a;
}

static void unlink_one(struct cluster *c, struct depend *d)
{
    struct awaited *a = d->on;
    if (!a)
        return;
    TAILQ_REMOVE(&a->by, d, on_link);
    d->on = NULL;
    if (!TAILQ_EMPTY(&a->by))
        return;
    HASH_DELETE(hh, c->terms.awaited, a);
    free(a);
}

void depend_link(struct cluster *c, struct job *j)
{
    struct depend *d;
    TAILQ_FOREACH(d, &j->terms->depends, link)
    {
        d->of = j;
        if (d->never || d->kind == DEPEND_SINGLETON)
            continue;
        d->on = awaited_get(c, d->job, d->element);
        TAILQ_INSERT_TAIL(&d->on->by, d, on_link);
    }
}

void depend_unlink(struct cluster *c, struct job *j)
{
    struct depend *d;
    TAILQ_FOREACH(d, &j->terms->depends, link)
    unlink_one(c, d);
}

void depend_drop(struct cluster *c, struct depend *d)
{
    struct job *j = d->of;
    unlink_one(c, d);
    TAILQ_REMOVE(&j->terms->depends, d, link);
    free(d);
    job_mark(c, j);
    terms_changed(c, j);
}

static void decide(struct cluster *c, struct depend *d, enum depend_holds holds)
{
    if (holds == DEPEND_HOLDS) {
        depend_drop(c, d);
    } else if (holds == DEPEND_NEVER) {
        d->never = true;
        unlink_one(c, d);
        job_mark(c, d->of);
        terms_changed(c, d->of);
    }
}

static void tell(struct cluster *c, struct job_id job, int64_t element, const struct job_fate *f)
{
    struct awaited *a = awaited_find(c, job, element);
    if (!a)
        return;
    struct depend *d = TAILQ_FIRST(&a->by), *next;
    for (; d; d = next) { // the last one takes the list with it
        next = TAILQ_NEXT(d, on_link);
        decide(c, d, depend_holds(d->kind, f));
    }
}

// Elements that have not been placed when their array ends never are.
static void tell_unplaced(struct cluster *c, const struct job *array)
{
    struct job_fate f = {.known = true, .begun = true, .ended = true};
    struct awaited *a, *next;
    HASH_ITER(hh, c->terms.awaited, a, next)
    if (a->key.job == array->id.v && a->key.element >= array->array_first + array->array_next)
        tell(c, array->id, a->key.element, &f);
}

void depend_tell(struct cluster *c, const struct job *j)
{
    if (!c->terms.awaited)
        return;
    struct job_fate f = job_fate(j);
    tell(c, j->id, ELEMENT_NONE, &f);
    if (f.ended && j->array_next < j->array_count)
        tell_unplaced(c, j);
    if (j->array.v)
        tell(c, j->array, j->element, &f);
}

// ---- of a submission ----

// An element changes its state in this turn: what the shell knows is older.
static const struct job *element_of_turn(const struct cluster *c, struct job_id array,
                                         int64_t element)
{
    for (size_t i = 0; i < c->dirty_jobs.count; i++) {
        const struct job *j = c->dirty_jobs.items[i];
        if (j->array.v == array.v && j->element == element)
            return j;
    }
    return NULL;
}

// What has become of it: what lives here is known best here.
static struct job_fate fate_of(const struct cluster *c, const struct depend *d,
                               const struct job_fate *told)
{
    const struct job *j = job_find(c, d->job);
    if (d->element == ELEMENT_NONE)
        return j ? job_fate(j) : *told;
    const struct job *e = element_of_turn(c, d->job, d->element);
    if (e)
        return job_fate(e);
    bool there = j && d->element >= j->array_first && d->element < j->array_first + j->array_count;
    if (!told->known && there && (job_state_ended(j->state) || j->cancelled)) // it never became one
        return (struct job_fate){.known = true, .begun = true, .ended = true};
    return !told->known && there ? (struct job_fate){.known = true} : *told;
}

void depend_add_never(const struct depend *d, struct text *ret)
{
    static const char *const instead[DEPEND_KIND_COUNT] = {
#define X(name, word, to, otherwise) otherwise,
        DEPEND_TABLE(X)
#undef X
    };
    text_add(ret, "job ");
    depend_add_name(d, ret);
    text_addf(ret, " %s", *instead[d->kind] ? instead[d->kind] : "is not known any more");
}

enum reason_code depend_judge(struct cluster *c, const struct depend_asked *asked, size_t count,
                              bool allow_never, struct depend_list *ret, struct text *wrong)
{
    for (size_t i = 0; i < count; i++) {
        struct depend d = {asked[i].kind, asked[i].job, asked[i].element, false, NULL, NULL,
                           {0},           {0}};
        if (d.kind != DEPEND_SINGLETON) {
            struct job_fate f = fate_of(c, &d, &asked[i].fate);
            enum depend_holds holds = depend_holds(d.kind, &f);
            d.never = holds == DEPEND_NEVER;
            if (!f.known) {
                depend_add_name(&d, wrong);
                return REASON_NO_SUCH_DEPENDENCY;
            }
            if (holds == DEPEND_HOLDS)
                continue;
            if (d.never && !allow_never) {
                depend_add_never(&d, wrong);
                return REASON_DEPENDENCY_IMPOSSIBLE;
            }
        }
        struct depend *kept = xmemdup(&d, sizeof d);
        TAILQ_INSERT_TAIL(ret, kept, link);
    }
    return REASON_NONE;
}

// ---- a start of the scheduler ----

// Of a job whose record is damaged nobody knows the end.
void depend_start(struct cluster *c)
{
    struct awaited *a, *next;
    HASH_ITER(hh, c->terms.awaited, a, next)
    {
        const struct job *j = job_find(c, (struct job_id){a->key.job});
        bool there = j && !job_state_ended(j->state);
        struct depend *d = there ? NULL : TAILQ_FIRST(&a->by), *after;
        for (; d; d = after) {
            after = TAILQ_NEXT(d, on_link);
            decide(c, d, DEPEND_NEVER);
        }
    }
}
