// What is common to all terms: a job enters and leaves with them, they keep it out of its class,
// and at the end of each step those of which something has changed are looked at.
#include "scheduler/core/state.h"

#include <stdlib.h>

// A place in a tree by a time of the wall clock.
static int by_time(int64_t x, int64_t y, const struct job_terms *a, const struct job_terms *b)
{
    if (x != y)
        return x < y ? -1 : 1;
    return a->of->id.v < b->of->id.v ? -1 : a->of->id.v > b->of->id.v;
}

int terms_begin_order(const struct job_terms *a, const struct job_terms *b)
{
    return by_time(a->begin_ms, b->begin_ms, a, b);
}

RB_GENERATE(terms_begins, job_terms, begin_link, terms_begin_order)

void terms_changed(struct cluster *c, struct job *j)
{
    if (j->terms->changed)
        return;
    j->terms->changed = true;
    pointers_push(&c->terms.changed, j);
}

// ---- why it may not start ----

// "job 12 to complete (and for 2 more)"
static void add_awaited(const struct cluster *c, const struct job *j, const struct depend *d,
                        struct text *ret)
{
    static const char *const to[DEPEND_KIND_COUNT] = {
#define X(name, word, what, instead) what,
        DEPEND_TABLE(X)
#undef X
    };
    const struct job *before = d->kind == DEPEND_SINGLETON ? singleton_before(c, j) : NULL;
    size_t more = depends_count(&j->terms->depends) - 1;
    text_add(ret, "job ");
    if (d->kind == DEPEND_SINGLETON)
        text_addf(ret, "%" PRIu64 " of the same name", before ? before->id.v : 0);
    else
        depend_add_name(d, ret);
    text_addf(ret, " to %s", to[d->kind]);
    if (more)
        text_addf(ret, " (and for %zu more)", more);
}

// The first that can never hold, else the first.
static const struct depend *worst(const struct job_terms *t)
{
    const struct depend *d;
    TAILQ_FOREACH(d, &t->depends, link)
    if (d->never)
        return d;
    return TAILQ_FIRST(&t->depends);
}

// NONE: its terms let it start. What is told beside the reason is appended.
static struct reason keeps(const struct cluster *c, const struct job *j, struct text *ret)
{
    const struct job_terms *t = j->terms;
    const struct depend *d = worst(t);
    if (d && d->never) {
        depend_add_never(d, ret);
        return (struct reason){.code = REASON_DEPENDENCY_NEVER};
    }
    if (d) {
        add_awaited(c, j, d, ret);
        return (struct reason){.code = REASON_DEPENDENCY};
    }
    if (t->begin_ms > c->now.wall_ms)
        return (struct reason){.code = REASON_BEGIN_TIME, .a = t->begin_ms};
    if (array_at_limit(j))
        return (struct reason){.code = REASON_ARRAY_LIMIT, .a = j->array_live};
    return (struct reason){0};
}

bool terms_never(const struct job *j)
{
    const struct depend *d = j->terms ? worst(j->terms) : NULL;
    return d && d->never;
}

static bool is_of_terms(enum reason_code code)
{
    return code == REASON_DEPENDENCY || code == REASON_DEPENDENCY_NEVER ||
           code == REASON_BEGIN_TIME || code == REASON_ARRAY_LIMIT;
}

static void watch_begin(struct cluster *c, struct job_terms *t)
{
    if (!t->waits || t->in_begins || t->begin_ms <= c->now.wall_ms)
        return;
    RB_INSERT(terms_begins, &c->terms.begins, t);
    t->in_begins = true;
}

bool terms_keep(struct cluster *c, struct job *j)
{
    AUTO(text) struct text detail = {0};
    struct job_terms *t = j->terms;
    if (!t)
        return false;
    t->waits = keeps(c, j, &detail).code;
    watch_begin(c, t);
    terms_changed(c, j); // it is told when the step has said what it is about
    return t->waits;
}

static void leave_begins(struct cluster *c, struct job_terms *t)
{
    if (t->in_begins)
        RB_REMOVE(terms_begins, &c->terms.begins, t);
    t->in_begins = false;
}

void terms_release(struct cluster *c, struct job *j)
{
    j->terms->waits = false;
    leave_begins(c, j->terms);
}

bool terms_wait(const struct job *j)
{
    return j->terms && j->terms->waits;
}

// ---- a job comes and goes ----

void terms_attach(struct cluster *c, struct job *j)
{
    if (!j->terms)
        return;
    j->terms->of = j;
    depend_link(c, j);
    deadline_watch(c, j);
}

void terms_detach(struct cluster *c, struct job *j)
{
    if (!j->terms)
        return;
    depend_unlink(c, j);
    leave_begins(c, j->terms);
    deadline_unwatch(c, j);
}

void terms_enter(struct cluster *c, struct job *j)
{
    if (job_state_ended(j->state))
        return;
    terms_attach(c, j);
    singleton_enter(c, j);
}

void terms_leave(struct cluster *c, struct job *j)
{
    singleton_leave(c, j);
    terms_detach(c, j);
}

void terms_start(struct cluster *c)
{
    c->terms.started = true;
    depend_start(c);
    singleton_start(c);
}

void terms_fini(struct cluster *c)
{
    singleton_fini(c);
    free(c->terms.changed.items);
}

// ---- each step ----

void terms_due(struct cluster *c)
{
    struct job_terms *t;
    if (c->meta.recovery_hold)
        return;
    while ((t = RB_MIN(terms_begins, &c->terms.begins)) && t->begin_ms <= c->now.wall_ms) {
        leave_begins(c, t);
        terms_changed(c, t->of);
    }
    deadline_due(c);
}

int64_t terms_wake_ms(const struct cluster *c)
{
    struct terms_begins *begins = &((struct cluster *)c)->terms.begins;
    const struct job_terms *t = RB_MIN(terms_begins, begins);
    int64_t deadline_ms = deadline_next_ms(c);
    int64_t wall_ms = t && t->begin_ms < deadline_ms ? t->begin_ms : deadline_ms;
    if (wall_ms == INT64_MAX)
        return INT64_MAX;
    return c->now.boot_ms + (wall_ms > c->now.wall_ms ? wall_ms - c->now.wall_ms : 0);
}

// Its reason is that of its terms, or not any more.
static void say(struct cluster *c, struct job *j, struct reason r, const char *detail)
{
    enum reason_code old = j->reason.code;
    if (r.code) {
        bool known = old == r.code && j->reason.a == r.a;
        const char *before = known ? reason_say(c, &j->reason, j->detail) : "";
        job_set_reason(c, j, r, detail);
        const char *text = reason_say(c, &j->reason, j->detail);
        if (r.code != REASON_ARRAY_LIMIT && strcmp(before, text) != 0)
            emit(c, EVENT_JOB_KEPT, j, NULL, "job %s %s", job_label(c, j), text);
    } else if (is_of_terms(old)) {
        struct reason turn = {.code = j->state == JOB_PENDING ? REASON_PRIORITY : REASON_NONE};
        job_set_reason(c, j, turn, NULL);
        if (old != REASON_ARRAY_LIMIT)
            emit(c, EVENT_JOB_READY, j, NULL, "job %s waits for its turn: its terms are met",
                 job_label(c, j));
    }
}

static void look_at(struct cluster *c, struct job *j)
{
    AUTO(text) struct text detail = {0};
    struct job_terms *t = j->terms;
    t->changed = false;
    if (job_state_ended(j->state) || j->cancelled)
        return;
    struct reason r = keeps(c, j, &detail);
    if (r.code == REASON_DEPENDENCY_NEVER && t->cancel_if_never && j->state == JOB_PENDING) {
        if (j->array_count)
            array_cut(c, j, r, text_str(&detail));
        else
            job_end(c, j, JOB_CANCELLED, r, text_str(&detail));
        return;
    }
    if (!j->queued)
        return;
    if (t->waits && !r.code) {
        queue_remove(c, j);
        queue_insert(c, j);
    }
    watch_begin(c, t); // the clock may have gone back
    if (!j->in_class || !r.code)
        say(c, j, r, text_str(&detail));
}

void terms_settle(struct cluster *c)
{
    for (size_t i = 0; i < c->terms.changed.count; i++)
        look_at(c, c->terms.changed.items[i]);
    c->terms.changed.count = 0;
    int64_t wake_ms = terms_wake_ms(c);
    if (wake_ms != INT64_MAX && !c->meta.recovery_hold)
        wake_by(c, wake_ms);
}
