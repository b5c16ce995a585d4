#include "common/units.h"
#include "scheduler/core/state.h"

// A thousand years: sums of a few durations and a time stay far from the ends of 64 bits.
static const int64_t DURATION_MAX_MS = INT64_C(31557600000) * 1000;

// The first thing wrong with the request, or NULL.
static const char *malformed(const struct cluster *c, const struct input_submit *in)
{
    const struct request *r = &in->req;
    const char *wrong = request_wrong(r);
    if (wrong)
        return wrong;
    if (r->time_limit_ms > DURATION_MAX_MS || r->grace_ms > DURATION_MAX_MS)
        return "a duration is longer than a thousand years";
    if (r->lease_ms && r->lease_ms < c->limits.min_lease_ms)
        return "on_lost requeue:T needs T of at least 10s";
    if (in->max_attempts < 0 || in->max_attempts > JOB_ATTEMPTS_MAX)
        return "max_attempts must be 1 to 1000";
    if (in->nice < -JOB_NICE_MAX || in->nice > JOB_NICE_MAX)
        return "nice must be -1000000 to 1000000";
    if (in->array_count < 0 || in->array_count > JOB_ARRAY_MAX || in->array_first < 0)
        return "an array has at most 1000000 elements";
    if (in->array_limit && !in->array_count)
        return "a limit of elements is for arrays";
    if (in->uid.v == 0 || job_find_uid(c, in->uid))
        return "the uid is taken";
    return NULL;
}

static struct job row_of(const struct cluster *c, const struct input_submit *in,
                         const struct request *req, const struct member *m)
{
    return (struct job){
        .uid = in->uid,
        .spec = in->spec,
        .request_id = in->request_id,
        .owner_uid = in->owner_uid,
        .owner_gid = in->owner_gid,
        .req = *req,
        .queue = {(uint32_t)m->queue->row->id},
        .account = {(uint32_t)m->user->parent->row->id},
        .user = {(uint32_t)m->user->row->id},
        .qos = {(uint32_t)m->qos->row->id},
        .priority = in->priority,
        .nice = in->nice,
        .max_attempts = in->max_attempts   ? in->max_attempts
                        : in->req.lease_ms ? 3
                                           : 1,
        .held = in->held,
        .allow_unsatisfiable = in->allow_unsatisfiable,
        .submitted_at_ms = c->now.wall_ms,
        .name_key = in->name_key,
        .array_first = in->array_first,
        .array_count = (int32_t)in->array_count,
        .reason = {.code = in->held ? REASON_HELD : REASON_PRIORITY},
    };
}

static void narrate(struct cluster *c, const struct job *j)
{
    const struct request *r = &j->req;
    AUTO(text) struct text t = {0};
    const struct selector *need = selector_find(c, r->need), *prefer = selector_find(c, r->prefer);
    text_addf(&t, "%d task%s of ", r->tasks, r->tasks == 1 ? "" : "s");
    text_add_milli(&t, r->cpus * 1000 + r->cpu_milli);
    text_add(&t, r->cpus == 1 && !r->cpu_milli ? " core" : " cores");
    if (r->gpus || r->gpu_milli) {
        text_add(&t, ", ");
        text_add_milli(&t, r->gpus * 1000 + r->gpu_milli);
        text_add(&t, r->gpus > 1 ? " GPUs" : " GPU");
    }
    if (r->memory_mib) {
        text_add(&t, ", ");
        text_add_size_mib(&t, r->memory_mib);
    }
    if (r->nodes)
        text_addf(&t, " on %d nodes", r->nodes);
    if (r->tasks_per_node)
        text_addf(&t, ", at most %d a node", r->tasks_per_node);
    text_addf(&t, "%s%s", r->spread ? ", spread" : "", r->exclusive ? ", exclusive" : "");
    if (need)
        text_addf(&t, ", with %s", need->text);
    if (prefer)
        text_addf(&t, ", rather with %s", prefer->text);
    if (j->array_count)
        text_addf(&t, ", array of %" PRId32, j->array_count);
    emit(c, EVENT_JOB_SUBMITTED, j, NULL, "job %" PRIu64 " submitted: %s%s", j->id.v, text_str(&t),
         j->held ? ", held" : "");
}

// Its terms; false: they have been refused.
static bool terms_take(struct cluster *c, const struct caller *who, const struct input_submit *in,
                       const struct request *req, struct job_terms **ret)
{
    AUTO(text) struct text wrong = {0};
    struct job_terms *t = terms_new();
    struct reason r = {.a = in->deadline_ms};
    t->begin_ms = in->begin_ms;
    t->deadline_ms = in->deadline_ms;
    t->array_limit = in->array_limit;
    t->cancel_if_never = in->cancel_if_never;
    r.code = depend_judge(c, in->depends, in->depends_count, in->allow_unsatisfiable, &t->depends,
                          &wrong);
    if (terms_wrong(t)) {
        r.code = REASON_BAD_REQUEST;
        text_clear(&wrong);
        text_add(&wrong, terms_wrong(t));
    }
    if (!r.code && deadline_missed(c, in->begin_ms, req->time_limit_ms, in->deadline_ms))
        r.code = REASON_DEADLINE_MISSED;
    bool any = !TAILQ_EMPTY(&t->depends) || t->begin_ms || t->deadline_ms || t->array_limit;
    if (!any || r.code)
        terms_free(TAKE(t));
    *ret = t;
    if (r.code)
        reply_refuse(c, who, r, text_str(&wrong));
    return !r.code;
}

void submit(struct cluster *c, const struct caller *who, const struct input_submit *in)
{
    if (c->meta.recovery_hold) {
        reply_refuse(c, who, (struct reason){.code = REASON_IN_RECOVERY}, NULL);
        return;
    }
    const struct job *known = job_find_request(c, in->request_id);
    if (known) {
        reply_ok(c, who, known->id);
        if (who->reply_to)
            c->effects[c->out.effects_count - 1].reply.duplicate = true;
        return;
    }
    const char *wrong = malformed(c, in);
    if (wrong) {
        reply_refuse(c, who, (struct reason){.code = REASON_BAD_REQUEST}, wrong);
        return;
    }
    if ((int64_t)cluster_live(c) >= c->limits.jobs_max) {
        reply_refuse(c, who, (struct reason){.code = REASON_TOO_MANY, .a = c->limits.jobs_max},
                     NULL);
        return;
    }
    struct request req;
    struct member *m;
    if (!admit(c, who, in, &req, &m))
        return;
    struct job_terms *terms;
    if (!terms_take(c, who, in, &req, &terms))
        return;
    wrong = selector_get(c, in->need, &req.need);
    if (!wrong)
        wrong = selector_prefer(c, in->prefer, &req.prefer);
    struct job row = row_of(c, in, &req, m);
    const struct fit_node *f;
    size_t count;
    struct reason r = {.code = REASON_BAD_REQUEST};
    bool fits = !wrong && (in->allow_unsatisfiable || class_known_to_fit(c, &row) ||
                           fit(c, &req, FIT_ALL, &f, &count));
    if (!fits) {
        if (!wrong) {
            r = fit_shortage(c, &req);
            emit(c, EVENT_NOTE, NULL, NULL, "submission refused: %s", reason_say(c, &r, NULL));
        }
        selector_forget_unused(c, req.need);
        selector_forget_unused(c, req.prefer);
        reply_refuse(c, who, r, wrong);
        terms_free(terms);
        return;
    }
    row.terms = terms;
    row.id.v = c->meta.next_job++;
    meta_mark(c);
    struct job *j = job_add(c, &row);
    terms_free(terms);
    tally_job(c, j);
    job_mark(c, j);
    placing_count(c, &j->req, j->array_count ? j->array_count : 1);
    if (!j->held)
        queue_insert(c, j);
    if (!in->allow_unsatisfiable)
        class_fits(c, j);
    narrate(c, j);
    reply_ok(c, who, j->id);
}
