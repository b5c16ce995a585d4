#include "common/units.h"
#include "scheduler/core/state.h"

// The first thing wrong with the request, or NULL.
static const char *malformed(const struct cluster *c, const struct input_submit *in)
{
    const struct request *r = &in->req;
    if (r->tasks < 1 || r->tasks > JOB_TASKS_MAX)
        return "tasks must be 1 to 65536";
    if (r->nodes < 0 || r->nodes > r->tasks)
        return "nodes must be at most the number of tasks";
    if (r->cpus < 1 || r->cpus > CORESET_MAX)
        return "cpus must be 1 to 1024";
    if (r->gpus < 0 || r->gpus > NODE_GPUS_MAX)
        return "gpus must be 0 to 64";
    if (r->memory_mib < 0 || r->memory_mib > INT64_C(1) << 40)
        return "memory is out of range";
    if (r->time_limit_ms < 0 || r->grace_ms < 0)
        return "a duration is negative";
    if (r->lease_ms && r->lease_ms < c->limits.min_lease_ms)
        return "on_lost requeue:T needs T of at least 10s";
    if (in->max_attempts < 0 || in->max_attempts > JOB_ATTEMPTS_MAX)
        return "max_attempts must be 1 to 1000";
    if (in->array_count < 0 || in->array_count > JOB_ARRAY_MAX || in->array_first < 0)
        return "an array has at most 1000000 elements";
    if (in->uid.v == 0 || job_find_uid(c, in->uid))
        return "the uid is taken";
    return NULL;
}

static struct job *make(struct cluster *c, const struct input_submit *in, const struct request *req,
                        const struct member *m)
{
    struct job row = {
        .id = {c->meta.next_job++},
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
        .max_attempts = in->max_attempts   ? in->max_attempts
                        : in->req.lease_ms ? 3
                                           : 1,
        .held = in->held,
        .allow_unsatisfiable = in->allow_unsatisfiable,
        .submitted_at_ms = c->now.wall_ms,
        .array_first = in->array_first,
        .array_count = in->array_count,
        .reason = {.code = in->held ? REASON_HELD : REASON_PRIORITY},
    };
    meta_mark(c);
    return job_add(c, &row);
}

static void narrate(struct cluster *c, const struct job *j)
{
    const struct request *r = &j->req;
    AUTO(text) struct text t = {0};
    text_addf(&t, "%d task%s of %d core%s", r->tasks, r->tasks == 1 ? "" : "s", r->cpus,
              r->cpus == 1 ? "" : "s");
    if (r->gpus)
        text_addf(&t, ", %d GPU%s", r->gpus, r->gpus == 1 ? "" : "s");
    if (r->memory_mib) {
        text_add(&t, ", ");
        text_add_size_mib(&t, r->memory_mib);
    }
    if (r->nodes)
        text_addf(&t, " on %d nodes", r->nodes);
    if (j->array_count)
        text_addf(&t, ", array of %" PRId64, j->array_count);
    emit(c, EVENT_JOB_SUBMITTED, j, NULL, "job %" PRIu64 " submitted: %s%s", j->id.v, text_str(&t),
         j->held ? ", held" : "");
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
    const struct fit_node *f;
    size_t count;
    if (!in->allow_unsatisfiable && !fit(c, &in->req, FIT_ALL, &f, &count)) {
        struct reason r = fit_shortage(c, &in->req);
        emit(c, EVENT_NOTE, NULL, NULL, "submission refused: %s", reason_say(c, &r, NULL));
        reply_refuse(c, who, r, NULL);
        return;
    }
    struct request req;
    struct member *m;
    if (!admit(c, who, in, &req, &m))
        return;
    struct job *j = make(c, in, &req, m);
    tally_job(c, j);
    job_mark(c, j);
    narrate(c, j);
    if (!j->held)
        queue_insert(c, j);
    reply_ok(c, who, j->id);
}
