// The operators' wishes for the queue: its weights and how it is filled.
#include "scheduler/core/queueing.h"

#include "scheduler/core/state.h"

static bool weight_is(int64_t w)
{
    return w >= 0 && w <= WEIGHT_MAX;
}

static const char *wrong_with(const struct queueing *q)
{
    if (!weight_is(q->weight_priority) || !weight_is(q->weight_age) || !weight_is(q->weight_size) ||
        !weight_is(q->weight_nice) || !weight_is(q->weight_queue) || !weight_is(q->weight_qos) ||
        !weight_is(q->weight_fair_share))
        return "a weight must be 0 to 1073741824";
    if (q->age_full_ms < 60000 || q->age_full_ms > INT64_C(90) * 86400 * 1000)
        return "age_full must be a minute to 90 days";
    if (q->reservations < 0 || q->reservations > RESERVATIONS_MAX)
        return "reservations must be 0 to 10000";
    if (q->depth < 1 || q->depth > QUEUE_DEPTH_MAX)
        return "depth must be 1 to 10000000";
    return NULL;
}

void queueing_set(struct cluster *c, const struct caller *who, const struct queueing *to)
{
    const char *wrong = wrong_with(to);
    enum reason_code no = c->meta.recovery_hold ? REASON_IN_RECOVERY
                          : !who->admin         ? REASON_NOT_OPERATOR
                          : wrong               ? REASON_BAD_REQUEST
                                                : REASON_NONE;
    if (no != REASON_NONE) {
        reply_refuse(c, who, (struct reason){.code = no}, wrong);
        return;
    }
    c->queueing = *to;
    c->queueing.id = 1;
    c->queueing_dirty = true;
    emit(c, EVENT_QUEUEING_SET, NULL, NULL,
         "queueing set by user %u: weights of priority %" PRId64 ", age %" PRId64 ", size %" PRId64
         ", nice %" PRId64 ", queue %" PRId64 ", qos %" PRId64 ", fair share %" PRId64
         "; age is full after %" PRId64 " s; %" PRId64 " reservations, depth %" PRId64,
         who->uid, to->weight_priority, to->weight_age, to->weight_size, to->weight_nice,
         to->weight_queue, to->weight_qos, to->weight_fair_share, to->age_full_ms / 1000,
         to->reservations, to->depth);
    backfill_clear(c);
    ranks_stale(c);
    reply_ok(c, who, (struct job_id){0});
}

int cluster_load_queueing(struct cluster *c, const struct queueing *row, struct err *err)
{
    const char *wrong = row->id == 1 ? wrong_with(row) : "there is one row";
    if (wrong)
        return fail(err, E_CORRUPT, "the queue's configuration: %s", wrong);
    c->queueing = *row;
    return 0;
}
