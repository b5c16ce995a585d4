// Deadlines, by the wall clock: a job that cannot be over by its own any more is not started, and
// one that runs is stopped at it, as at a time limit.
#include "scheduler/core/state.h"

int terms_deadline_order(const struct job_terms *a, const struct job_terms *b)
{
    if (a->due_ms != b->due_ms)
        return a->due_ms < b->due_ms ? -1 : 1;
    return a->of->id.v < b->of->id.v ? -1 : a->of->id.v > b->of->id.v;
}

RB_GENERATE(terms_deadlines, job_terms, deadline_link, terms_deadline_order)

// Something of it may still be placed.
static bool waits(const struct job *j)
{
    return j->array_count ? j->array_next < j->array_count && !j->cancelled
                          : j->state == JOB_PENDING;
}

// When something is to be done about the job; INT64_MAX: nothing.
static int64_t due_ms(const struct job *j)
{
    if (job_state_ended(j->state))
        return INT64_MAX;
    if (waits(j))
        return j->terms->deadline_ms - j->req.time_limit_ms + 1;
    // Of an array the elements run, and each has its own.
    return j->array_count || j->verdict.code ? INT64_MAX : j->terms->deadline_ms;
}

void deadline_unwatch(struct cluster *c, struct job *j)
{
    struct job_terms *t = j->terms;
    if (t->in_deadlines)
        RB_REMOVE(terms_deadlines, &c->terms.deadlines, t);
    t->in_deadlines = false;
}

void deadline_watch(struct cluster *c, struct job *j)
{
    struct job_terms *t = j->terms;
    if (!t || !t->deadline_ms)
        return;
    deadline_unwatch(c, j);
    if (PLANTED(DEADLINE_FORGOTTEN) && j->state != JOB_PENDING)
        return;
    t->due_ms = due_ms(j);
    if (t->due_ms == INT64_MAX)
        return;
    RB_INSERT(terms_deadlines, &c->terms.deadlines, t);
    t->in_deadlines = true;
}

int64_t deadline_next_ms(const struct cluster *c)
{
    struct terms_deadlines *all = &((struct cluster *)c)->terms.deadlines;
    const struct job_terms *t = RB_MIN(terms_deadlines, all);
    return t ? t->due_ms : INT64_MAX;
}

bool deadline_missed(const struct cluster *c, int64_t begin_ms, int64_t time_limit_ms,
                     int64_t deadline_ms)
{
    int64_t from_ms = begin_ms > c->now.wall_ms ? begin_ms : c->now.wall_ms;
    return deadline_ms && from_ms > deadline_ms - time_limit_ms;
}

static void pass_deadline(struct cluster *c, struct job *j)
{
    struct reason r = {.code = waits(j) ? REASON_DEADLINE_MISSED : REASON_DEADLINE,
                       .a = j->terms->deadline_ms};
    if (!waits(j))
        attempt_condemn(c, j, r, NULL);
    else if (j->array_count)
        array_cut(c, j, r, NULL);
    else
        job_end(c, j, JOB_CANCELLED, r, NULL);
}

void deadline_due(struct cluster *c)
{
    struct job_terms *t;
    while ((t = RB_MIN(terms_deadlines, &c->terms.deadlines)) && t->due_ms <= c->now.wall_ms) {
        deadline_unwatch(c, t->of);
        pass_deadline(c, t->of);
    }
}
