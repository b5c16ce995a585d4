// When every part of an attempt is over: the job ends, or returns to the queue.
#include "scheduler/core/state.h"

#include <stdlib.h>

// Ends that say nothing about the program: the node, the link or the operator failed it.
static bool is_loss(enum reason_code code)
{
    switch ((int)code) {
    case REASON_LEASE_EXPIRED:
    case REASON_NODE_REBOOTED:
    case REASON_NODE_FENCED:
    case REASON_NODE_STOPPED:
    case REASON_SHEPHERD_LOST:
    case REASON_LAUNCH_EXPIRED:
    case REASON_NODE_BUSY:
    case REASON_NEVER_STARTED:
        return true;
    default:
        return false;
    }
}

static void forget_if_done(struct cluster *c, struct job *j)
{
    if (job_state_ended(j->state) && TAILQ_EMPTY(&j->parts))
        job_retire(c, j);
}

void job_end(struct cluster *c, struct job *j, enum job_state state, struct reason r,
             const char *detail)
{
    if (j->queued)
        queue_remove(c, j);
    job_set_reason(c, j, r, detail);
    las_attempt_over(c, j);
    job_move(c, j, state);
    j->ended_at_ms = c->now.wall_ms;
    if (state == JOB_COMPLETED)
        j->exit_code = 0;
    emit(c, EVENT_JOB_ENDED, j, NULL, "job %s %s%s%s", job_label(c, j), job_state_word(state),
         r.code ? ": " : "", r.code ? reason_say(c, &r, detail) : "");
    terms_leave(c, j);
    depend_tell(c, j);
    if (j->array.v)
        array_element_ended(c, j);
    forget_if_done(c, j);
}

static void requeue(struct cluster *c, struct job *j)
{
    const char *why = reason_say(c, &j->verdict, j->verdict_detail);
    if (j->verdict.code == REASON_PREEMPTED)
        j->attempts_used -= j->started_at_ms && !PLANTED(PREEMPTION_COUNTS);
    if (j->started_at_ms) {
        j->not_before_ms = 0;
    } else if (j->verdict.code == REASON_PORT_TAKEN) {
        j->not_before_ms = 0; // the next attempt has another one
        j->ports_taken++;
    } else {
        int32_t doublings = j->never_started < 6 ? j->never_started : 6;
        int64_t delay = (int64_t)RETRY_FIRST_MS << doublings;
        j->not_before_ms = c->now.boot_ms + (delay < RETRY_LAST_MS ? delay : RETRY_LAST_MS);
        j->never_started++;
    }
    if (PLANTED(FORGET_CANCEL))
        j->cancelled = false;
    job_move(c, j, JOB_PENDING);
    job_set_reason(c, j, (struct reason){.code = REASON_REQUEUED}, why);
    las_attempt_over(c, j);
    j->started_at_ms = 0;
    j->exit_code = 0;
    queue_insert(c, j);
    emit(c, EVENT_JOB_REQUEUED, j, NULL, "job %s waits for its next attempt: %s", job_label(c, j),
         why);
}

static enum job_state end_state(const struct reason *verdict)
{
    if (verdict->code == REASON_CANCELLED || verdict->code == REASON_PREEMPTED)
        return JOB_CANCELLED;
    if (verdict->code == REASON_TIME_LIMIT || verdict->code == REASON_DEADLINE ||
        verdict->code == REASON_RESERVATION_ENDED)
        return JOB_TIMED_OUT;
    return is_loss(verdict->code) ? JOB_LOST : JOB_FAILED;
}

// A loss may be tried again: a restartable job, or one of which nothing ever ran in this attempt.
static bool may_retry(const struct cluster *c, const struct job *j)
{
    if (PLANTED(FORGET_CANCEL) && j->cancelled)
        return true;
    if (j->verdict.code == REASON_PORT_TAKEN)
        return !j->cancelled && !j->started_at_ms && j->ports_taken < PORT_TRIES_MAX;
    if (j->verdict.code == REASON_PREEMPTED)
        return !j->cancelled && preempt_requeues(c, j);
    if (!is_loss(j->verdict.code) || j->cancelled)
        return false;
    if (!j->started_at_ms)
        return true;
    return j->req.lease_ms && j->attempts_used < j->max_attempts;
}

static void settle_verdict(struct cluster *c, struct job *j)
{
    if (j->cancelled && !PLANTED(FORGET_CANCEL)) {
        job_end(c, j, JOB_CANCELLED, j->verdict, j->verdict_detail);
    } else if (preempt_came_late(j)) {
        job_end(c, j, JOB_COMPLETED, (struct reason){.code = REASON_EXITED}, NULL);
    } else if (may_retry(c, j)) {
        requeue(c, j);
    } else if (is_loss(j->verdict.code) && j->req.lease_ms && j->max_attempts > 1) {
        const char *why = reason_say(c, &j->verdict, j->verdict_detail);
        struct reason r = {.code = REASON_ATTEMPTS_USED, .a = j->max_attempts};
        job_end(c, j, JOB_LOST, r, why);
    } else {
        job_end(c, j, end_state(&j->verdict), j->verdict, j->verdict_detail);
    }
}

void attempt_settle(struct cluster *c, struct job *j)
{
    if (job_state_ended(j->state)) {
        forget_if_done(c, j);
        return;
    }
    if (j->state == JOB_PENDING)
        return; // a part of an earlier attempt
    const struct placement *p;
    TAILQ_FOREACH(p, &j->parts, job_link)
    if (p->attempt == j->attempt && !p->over)
        return;
    if (j->verdict.code)
        settle_verdict(c, j);
    else
        job_end(c, j, JOB_COMPLETED, (struct reason){.code = REASON_EXITED}, NULL);
}

void part_judge_over(struct cluster *c, struct placement *p, struct reason why)
{
    struct job *j = job_find(c, p->job);
    if (!j || p->over)
        return;
    bool waits = p->state == PLACEMENT_PREPARED ||
                 (p->state == PLACEMENT_PLACED && (j->req.pmix || j->req.tasks > p->tasks));
    bool current = part_current(j, p);
    if (current && !waits)
        attempt_started(c, j, p); // it may have run
    p->over = true;
    ends_reckon(c, p);
    part_mark(c, p);
    emit(c, EVENT_PART_OVER, j, node_find(c, p->node), "job %s attempt %u counts as over on %s: %s",
         job_label(c, j), p->attempt, node_find(c, p->node)->name, reason_say(c, &why, NULL));
    if (current)
        attempt_condemn(c, j, why, NULL);
}
