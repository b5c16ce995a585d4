// A pending job is changed: what it waits for, its times and limits. All is judged before anything
// is changed. Here alone cycles of dependencies can come about: a job that is submitted is waited
// for by nobody yet.
#include "common/units.h"
#include "scheduler/core/state.h"

#include <stdlib.h>

// ---- cycles ----

struct step {
    struct job_id job;
    size_t from; // the step that waits for it
};
struct search {
    struct cluster *c;
    struct job_id goal;
    struct step *steps;
    size_t count, cap;
    size_t at; // the step that is being looked at
    bool found;
};

// Whoever has no terms waits for nobody.
static void reach(struct search *s, struct job_id job)
{
    struct job *j = job_find(s->c, job);
    bool goal = job.v == s->goal.v;
    if (s->found || (!goal && (!j || !j->terms || j->terms->seen == s->c->terms.searches)))
        return;
    if (j->terms)
        j->terms->seen = s->c->terms.searches;
    VEC_RESERVE(s->steps, s->count, s->cap);
    s->steps[s->count++] = (struct step){job, s->at};
    s->found = goal;
}

// Earlier jobs of its name.
static void reach_names(struct search *s, const struct job *j)
{
    const struct job *other;
    TAILQ_FOREACH(other, &s->c->jobs, live_link)
    {
        if (other->id.v >= j->id.v)
            return;
        if (other->name_key == j->name_key && !other->array.v && !job_state_ended(other->state))
            reach(s, other->id);
    }
}

static void reach_all(struct search *s, const struct job *j, const struct depend_list *list)
{
    const struct depend *d;
    TAILQ_FOREACH(d, list, link)
    if (d->kind == DEPEND_SINGLETON)
        reach_names(s, j);
    else if (!d->never)
        reach(s, d->job);
}

// "12 waits for 14, 14 for 12"
static void add_path(const struct search *s, struct text *ret)
{
    AUTO_FREE size_t *path = xcalloc(s->count, sizeof *path);
    size_t count = 0;
    for (size_t i = s->count - 1; i; i = s->steps[i].from)
        path[count++] = i;
    uint64_t from = s->goal.v;
    for (size_t i = count; i-- > 0;) {
        uint64_t to = s->steps[path[i]].job.v;
        text_addf(ret, "%s%" PRIu64 " %s %" PRIu64, i + 1 < count ? ", " : "", from,
                  i + 1 < count ? "for" : "waits for", to);
        from = to;
    }
}

// Would the job wait for itself if it waited for these? Then how is appended.
static bool is_cycle(struct cluster *c, const struct job *j, const struct depend_list *list,
                     struct text *ret)
{
    struct search s = {.c = c, .goal = j->id};
    VEC_RESERVE(s.steps, s.count, s.cap);
    s.steps[s.count++] = (struct step){j->id, 0};
    c->terms.searches++;
    reach_all(&s, j, list);
    for (s.at = 1; s.at < s.count && !s.found; s.at++) {
        const struct job *at = job_find(c, s.steps[s.at].job);
        if (at && at->terms && !job_state_ended(at->state))
            reach_all(&s, at, &at->terms->depends);
    }
    if (s.found)
        add_path(&s, ret);
    free(s.steps);
    return s.found;
}

// ---- what is wanted ----

// The job as it is to be; `terms` is owned.
struct wanted {
    struct request req;
    int32_t nice;
    struct job_terms *terms;
};

static struct reason wrong(enum reason_code code, const char *what, struct text *ret)
{
    text_add(ret, what);
    return (struct reason){.code = code};
}

static struct reason want_terms(struct cluster *c, const struct job *j,
                                const struct input_job_set *in, struct wanted *w, struct text *ret)
{
    struct job_terms *t = w->terms;
    if (in->what & JOB_SET_DEPENDENCY) {
        depends_clear(&t->depends);
        enum reason_code no = depend_judge(c, in->depends, in->depends_count,
                                           j->allow_unsatisfiable, &t->depends, ret);
        if (no)
            return (struct reason){.code = no};
        if (is_cycle(c, j, &t->depends, ret))
            return (struct reason){.code = REASON_DEPENDENCY_CYCLE};
    }
    if (in->what & JOB_SET_BEGIN)
        t->begin_ms = in->begin_ms;
    if (in->what & JOB_SET_DEADLINE)
        t->deadline_ms = in->deadline_ms;
    if (in->what & JOB_SET_ARRAY_LIMIT)
        t->array_limit = in->array_limit;
    if (t->array_limit && !j->array_count)
        return wrong(REASON_BAD_REQUEST, "a limit of elements is for arrays", ret);
    if (terms_wrong(t))
        return wrong(REASON_BAD_REQUEST, terms_wrong(t), ret);
    return (struct reason){0};
}

static struct reason want(struct cluster *c, struct job *j, const struct input_job_set *in,
                          struct wanted *w, struct text *ret)
{
    if (in->what & JOB_SET_NICE)
        w->nice = in->nice;
    if (in->what & JOB_SET_TIME_LIMIT)
        w->req.time_limit_ms = in->time_limit_ms;
    if (w->nice < -JOB_NICE_MAX || w->nice > JOB_NICE_MAX)
        return wrong(REASON_BAD_REQUEST, "nice must be -1000000 to 1000000", ret);
    if (request_wrong(&w->req))
        return wrong(REASON_BAD_REQUEST, request_wrong(&w->req), ret);
    const struct member *m = member_of(c, j);
    if ((in->what & JOB_SET_TIME_LIMIT) && !w->req.time_limit_ms)
        w->req.time_limit_ms = limit_time_ms(m);
    if ((in->what & JOB_SET_TIME_LIMIT) && !limit_submit(c, m, &w->req, 0, ret))
        return (struct reason){.code = REASON_LIMIT};
    struct reason no = want_terms(c, j, in, w, ret);
    int64_t limit_ms = w->req.time_limit_ms;
    if (!no.code && deadline_missed(c, w->terms->begin_ms, limit_ms, w->terms->deadline_ms))
        no = (struct reason){.code = REASON_DEADLINE_MISSED, .a = w->terms->deadline_ms};
    return no;
}

// ---- the change ----

static void narrate(struct cluster *c, const struct job *j, uint32_t uid,
                    const struct input_job_set *in)
{
    AUTO(text) struct text t = {0}, list = {0};
    terms_depends_text(j, &list);
    if (in->what & JOB_SET_DEPENDENCY)
        text_addf(&t, ", dependency %s", list.len ? text_str(&list) : "none");
    if (in->what & JOB_SET_BEGIN) {
        text_add(&t, ", begin ");
        text_add_time_ms(&t, in->begin_ms);
    }
    if (in->what & JOB_SET_DEADLINE) {
        text_add(&t, ", deadline ");
        text_add_time_ms(&t, in->deadline_ms);
    }
    if (in->what & JOB_SET_ARRAY_LIMIT)
        text_addf(&t, ", at most %d elements at once", in->array_limit);
    if (in->what & JOB_SET_NICE)
        text_addf(&t, ", nice %d", j->nice);
    if (in->what & JOB_SET_TIME_LIMIT) {
        text_add(&t, ", time limit ");
        text_add_duration_ms(&t, j->req.time_limit_ms);
    }
    emit(c, EVENT_JOB_CHANGED, j, NULL, "job %s changed by user %u: %s", job_label(c, j), uid,
         t.len ? text_str(&t) + 2 : "nothing");
}

static void become(struct cluster *c, struct job *j, struct wanted *w)
{
    if (j->queued)
        queue_remove(c, j);
    terms_detach(c, j);
    terms_free(j->terms);
    const struct job_terms *t = w->terms;
    bool any = !TAILQ_EMPTY(&t->depends) || t->begin_ms || t->deadline_ms || t->array_limit;
    j->terms = any ? TAKE(w->terms) : NULL;
    j->req = w->req;
    j->nice = w->nice;
    terms_attach(c, j);
    singleton_changed(c, j);
    job_mark(c, j);
    if (j->held)
        return;
    job_set_reason(c, j, (struct reason){.code = j->state == JOB_PENDING ? REASON_PRIORITY : 0},
                   NULL);
    queue_insert(c, j);
}

void job_set(struct cluster *c, const struct caller *who, struct job *j,
             const struct input_job_set *in)
{
    AUTO(text) struct text detail = {0};
    bool waits = j->array_count ? j->array_next < j->array_count : j->state == JOB_PENDING;
    struct wanted w = {.req = j->req, .nice = j->nice};
    struct reason no = {.code = REASON_NOT_PENDING};
    if (waits && !j->cancelled && !j->array.v) {
        w.terms = j->terms ? terms_copy(j->terms, NULL) : terms_new();
        no = want(c, j, in, &w, &detail);
    }
    if (no.code) {
        reply_refuse(c, who, no, text_str(&detail));
    } else {
        become(c, j, &w);
        narrate(c, j, who->uid, in);
        reply_ok(c, who, j->id);
    }
    terms_free(w.terms);
}
