// Arrays: one record for up to a million elements; an element is a job only while it lives.
#include "scheduler/core/state.h"

// A bijection for each index (odd multiplier), as unique as the array's own uid; and another one
// with each start of the scheduler (its nonce), so that an old database that gives out an element
// once more cannot take what is left of the first one for it.
static struct job_uid element_uid(const struct cluster *c, const struct job *array)
{
    uint64_t v = array->uid.v + (uint64_t)(array->array_next + 1) * UINT64_C(0x9e3779b97f4a7c15);
    struct job_uid uid = {v ^ c->meta.nonce};
    while (!uid.v || job_find_uid(c, uid))
        uid.v++;
    return uid;
}

bool array_at_limit(const struct job *array)
{
    const struct job_terms *t = array->terms;
    return t && t->array_limit && array->array_live >= t->array_limit + PLANTED(ARRAY_LIMIT_LATE);
}

// One more has started, or ended without.
void array_element_begun(struct cluster *c, struct job *array)
{
    if (++array->array_begun == array->array_count)
        depend_tell(c, array);
    job_mark(c, array);
}

struct job *array_next_element(struct cluster *c, struct job *array)
{
    CHECK(array->array_next < array->array_count);
    struct job row = *array;
    row.id.v = c->meta.next_job++;
    row.uid = element_uid(c, array);
    row.request_id = (struct request_id){0};
    row.array = array->id;
    row.element = array->array_first + array->array_next;
    row.array_first = row.array_count = row.array_next = row.array_live = row.array_failed = 0;
    row.state = JOB_PENDING;
    row.reason = (struct reason){0};
    row.class_id.v = 0;
    row.detail = row.verdict_detail = NULL;
    row.array_begun = 0;
    struct job_terms terms = {.deadline_ms = array->terms ? array->terms->deadline_ms : 0};
    TAILQ_INIT(&terms.depends);
    row.terms = terms.deadline_ms ? &terms : NULL;
    row.started_at_ms = 0;
    meta_mark(c);
    struct job *e = job_add(c, &row);
    job_mark(c, e);
    array->array_next++;
    array->array_live++;
    tally_job(c, e);
    tally_job(c, array);
    job_mark(c, array);
    deadline_watch(c, array);
    bool all = array->array_next == array->array_count;
    if (all || array_at_limit(array))
        queue_remove(c, array);
    if (!all && !array->queued)
        queue_insert(c, array);
    return e;
}

void array_element_started(struct cluster *c, struct job *element)
{
    struct job *array = job_find(c, element->array);
    if (array->started_at_ms)
        return;
    array->started_at_ms = c->now.wall_ms;
    job_move(c, array, JOB_RUNNING);
    if (!array->cancelled && !terms_wait(array))
        job_set_reason(c, array, (struct reason){0}, NULL);
    emit(c, EVENT_JOB_STARTED, array, NULL, "array %" PRIu64 " runs", array->id.v);
}

void array_settle(struct cluster *c, struct job *array)
{
    if (array->array_live || (array->array_next < array->array_count && !array->cancelled))
        return;
    if (array->cancelled) {
        job_end(c, array, JOB_CANCELLED, array->verdict, array->verdict_detail);
    } else if (array->array_failed) {
        array->exit_code = 1;
        struct reason r = {
            .code = REASON_ARRAY_FAILED, .a = array->array_failed, .b = array->array_count};
        job_end(c, array, JOB_FAILED, r, NULL);
    } else {
        job_end(c, array, JOB_COMPLETED, (struct reason){.code = REASON_EXITED}, NULL);
    }
}

void array_element_ended(struct cluster *c, struct job *element)
{
    struct job *array = job_find(c, element->array);
    CHECK(array && array->array_live > 0);
    array->array_live--;
    array->array_failed += element->state != JOB_COMPLETED;
    job_mark(c, array);
    if (!element->begun)
        array_element_begun(c, array);
    if (terms_wait(array))
        terms_changed(c, array);
    array_settle(c, array);
}

static void stop_placing(struct cluster *c, struct job *array, struct reason r, const char *detail)
{
    array->cancelled = true;
    job_set_verdict(array, r, detail);
    tally_job(c, array);
    deadline_watch(c, array);
    job_mark(c, array);
    job_set_reason(c, array, r, detail);
    if (array->queued)
        queue_remove(c, array);
}

void array_cut(struct cluster *c, struct job *array, struct reason r, const char *detail)
{
    stop_placing(c, array, r, detail);
    array_settle(c, array);
}

void array_cancel(struct cluster *c, struct job *array, struct reason r)
{
    stop_placing(c, array, r, NULL);
    struct job *j, *next;
    TAILQ_FOREACH_SAFE(j, &c->jobs, live_link, next)
    {
        if (j->array.v != array->id.v || job_state_ended(j->state) || j->cancelled)
            continue;
        j->cancelled = true;
        job_mark(c, j);
        if (j->state == JOB_PENDING)
            job_end(c, j, JOB_CANCELLED, r, NULL);
        else
            attempt_condemn(c, j, r, NULL);
    }
    if (!job_state_ended(array->state))
        array_settle(c, array);
}
