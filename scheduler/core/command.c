// What submitters and operators ask of jobs, and the end of recovery hold.
#include "scheduler/core/state.h"

// The job if the caller may touch it; otherwise answers and returns NULL.
static struct job *named_job(struct cluster *c, const struct input *in)
{
    struct job *j = job_find(c, in->job);
    enum reason_code no = c->meta.recovery_hold                                 ? REASON_IN_RECOVERY
                          : !j                                                  ? REASON_NO_SUCH_JOB
                          : !in->caller.admin && in->caller.uid != j->owner_uid ? REASON_NOT_OWNER
                          : job_state_ended(j->state)                           ? REASON_JOB_ENDED
                                                                                : REASON_NONE;
    if (no == REASON_NONE)
        return j;
    reply_refuse(c, &in->caller, (struct reason){.code = no}, NULL);
    return NULL;
}

static void cancel(struct cluster *c, const struct input *in, struct job *j)
{
    struct reason r = {.code = REASON_CANCELLED, .a = in->caller.uid};
    reply_ok(c, &in->caller, j->id);
    if (j->cancelled)
        return;
    emit(c, EVENT_JOB_CANCEL, j, NULL, "job %s is to be cancelled by user %u", job_label(c, j),
         in->caller.uid);
    if (j->array_count) {
        array_cancel(c, j, r);
        return;
    }
    j->cancelled = true;
    job_mark(c, j);
    if (j->state == JOB_PENDING)
        job_end(c, j, JOB_CANCELLED, r, NULL);
    else
        attempt_condemn(c, j, r, NULL);
}

// Something of it still waits to be placed.
static bool waits(const struct job *j)
{
    if (j->cancelled)
        return false;
    return j->array_count ? j->array_next < j->array_count : j->state == JOB_PENDING;
}

static void hold(struct cluster *c, const struct input *in, struct job *j)
{
    if (!waits(j)) {
        reply_refuse(c, &in->caller, (struct reason){.code = REASON_NOT_PENDING}, NULL);
        return;
    }
    reply_ok(c, &in->caller, j->id);
    if (j->held)
        return;
    j->held = true;
    if (j->queued)
        queue_remove(c, j);
    job_mark(c, j);
    job_set_reason(c, j, (struct reason){.code = REASON_HELD}, NULL);
    emit(c, EVENT_JOB_HELD, j, NULL, "job %s held by user %u", job_label(c, j), in->caller.uid);
}

static void release(struct cluster *c, const struct input *in, struct job *j)
{
    if (!j->held || !waits(j)) {
        reply_refuse(c, &in->caller, (struct reason){.code = REASON_NOT_HELD}, NULL);
        return;
    }
    reply_ok(c, &in->caller, j->id);
    j->held = false;
    job_mark(c, j);
    job_set_reason(c, j, (struct reason){.code = REASON_PRIORITY}, NULL);
    queue_insert(c, j);
    emit(c, EVENT_JOB_RELEASED, j, NULL, "job %s released by user %u", job_label(c, j),
         in->caller.uid);
}

void job_command(struct cluster *c, const struct input *in)
{
    struct job *j = named_job(c, in);
    if (!j)
        return;
    if (in->kind == INPUT_CANCEL)
        cancel(c, in, j);
    else if (in->kind == INPUT_HOLD)
        hold(c, in, j);
    else if (in->kind == INPUT_JOB_SET)
        job_set(c, &in->caller, j, &in->set);
    else
        release(c, in, j);
}

void recover(struct cluster *c, const struct caller *who)
{
    if (!who->admin || !c->meta.recovery_hold) {
        reply_refuse(
            c, who,
            (struct reason){.code = who->admin ? REASON_NOT_IN_RECOVERY : REASON_NOT_OPERATOR},
            NULL);
        return;
    }
    // Floors above all that the lost part of the history can have given out.
    static const uint64_t floor_step = 1000000;
    uint64_t seen = c->meta.term_seen > c->meta.term ? c->meta.term_seen : c->meta.term;
    c->meta.term = seen + 1;
    c->meta.next_job += floor_step;
    c->meta.next_placement += floor_step;
    c->meta.next_session += floor_step;
    c->meta.next_event += floor_step;
    c->meta.next_class += floor_step;
    c->meta.recovery_hold = false;
    c->meta.term_seen = 0;
    meta_mark(c);
    emit(c, EVENT_RECOVERED, NULL, NULL,
         "recovery accepted by user %u: term %" PRIu64 ", job ids from %" PRIu64, who->uid,
         c->meta.term, c->meta.next_job);
    for (size_t i = 0; i < c->nodes_count; i++) {
        struct node *n = c->nodes[i];
        uint64_t link = n->new_link ? n->new_link : n->link;
        if (link)
            link_welcome(c, n, link);
    }
    c->pass_wanted = true;
    reply_ok(c, who, (struct job_id){0});
}
