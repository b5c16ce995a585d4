// What agents tell of attempts: states on the way, and the end.
#include "scheduler/core/state.h"

static void resend_go(struct cluster *c, struct node *n, const struct job *j,
                      const struct placement *p)
{
    struct effect *e = effect_to(c, n, EFFECT_GO);
    if (!e)
        return;
    e->attempt = (struct attempt_id){c->meta.id, p->uid, p->attempt};
    e->go.lease_ms = j->req.lease_ms;
}

static void heard_prepared(struct cluster *c, struct node *n, struct job *j, struct placement *p)
{
    if (p->state == PLACEMENT_GOING) {
        resend_go(c, n, j, p);
    } else if (p->state == PLACEMENT_PLACED) {
        p->state = PLACEMENT_PREPARED;
        part_mark(c, p);
        emit(c, EVENT_PART_PREPARED, j, n, "job %s prepared on %s", job_label(c, j), n->name);
    }
}

static void heard_running(struct cluster *c, struct node *n, struct job *j, struct placement *p)
{
    if (p->state != PLACEMENT_RUNNING) {
        p->state = PLACEMENT_RUNNING;
        part_mark(c, p);
        emit(c, EVENT_PART_STARTED, j, n, "job %s started on %s", job_label(c, j), n->name);
    }
    attempt_started(c, j, p);
}

void part_heard(struct cluster *c, struct node *n, struct placement *p,
                const struct reported_attempt *a)
{
    struct job *j = job_find(c, p->job);
    if (!j || a->state == AGENT_ENDED)
        return; // END follows
    if (!part_current(j, p) || p->kill) {
        part_kill(c, p);
        return;
    }
    if (a->state == AGENT_PREPARED)
        heard_prepared(c, n, j, p);
    else if (a->state == AGENT_RUNNING || a->started)
        heard_running(c, n, j, p);
    attempt_progress(c, j);
}

void attempt_report(struct cluster *c, const struct input_report *in)
{
    struct node *n = node_find(c, in->node);
    if (!n || !n->ready || n->session != in->session || c->meta.recovery_hold ||
        in->attempt.id.cluster.v != c->meta.id.v) {
        c->dropped++;
        return;
    }
    struct placement *p = part_find(c, n, in->attempt.id.job, in->attempt.id.number);
    if (p)
        part_heard(c, n, p, &in->attempt);
    else
        c->dropped++;
}

static void keep_results(struct cluster *c, const struct job *j, const struct input_end *in)
{
    for (size_t i = 0; i < in->tasks_count; i++) {
        size_t count = c->out.tasks_count;
        VEC_RESERVE(c->tasks, count, c->cap.tasks);
        c->tasks[c->out.tasks_count++] = (struct task_row){
            .job = j->id,
            .attempt = in->attempt.number,
            .node = in->node,
            .result = in->tasks[i],
        };
    }
}

// A start that was never reported: the tasks' own time of it, by the node's clock, within reason.
static void take_start_time(struct job *j, const struct input_end *in)
{
    for (size_t i = 0; i < in->tasks_count; i++) {
        int64_t at_ms = in->tasks[i].started_at_ms;
        if (at_ms >= j->submitted_at_ms && at_ms < j->started_at_ms)
            j->started_at_ms = at_ms;
    }
}

static void part_ended(struct cluster *c, struct node *n, struct placement *p,
                       const struct input_end *in)
{
    struct job *j = job_find(c, p->job);
    struct reason r = in->reason;
    if (!r.node.v)
        r.node = n->id;
    struct event *e = emit(c, EVENT_PART_ENDED, j, n, "%s%s attempt %u ended on %s: %s",
                           j ? "job " : "a quarantined", j ? job_label(c, j) : "", p->attempt,
                           n->name, reason_say(c, &r, in->detail));
    e->attempt = p->attempt;
    e->cores = p->cores;
    e->gpus = p->gpus;
    e->memory_mib = p->memory_mib;
    if (!j) {
        part_remove(c, p);
        return;
    }
    keep_results(c, j, in);
    bool current = part_current(j, p);
    if (PLANTED(LEAK_ON_REQUEUE) && r.code == REASON_SHEPHERD_LOST) {
        attempt_condemn(c, j, r, in->detail);
        p->over = true;
        part_mark(c, p);
        attempt_settle(c, j);
        return;
    }
    if (current && in->started) {
        bool unheard = !j->started_at_ms;
        attempt_started(c, j, p);
        if (unheard)
            take_start_time(j, in);
    }
    part_remove(c, p);
    if (current && !(r.code == REASON_EXITED && r.a == 0))
        attempt_condemn(c, j, r, in->detail);
    else if (current)
        attempt_progress(c, j);
    attempt_settle(c, j);
}

void end(struct cluster *c, const struct input_end *in)
{
    struct node *n = node_find(c, in->node);
    if (!n || !n->ready || (n->session != in->session && !PLANTED(OLD_SESSION)) ||
        c->meta.recovery_hold || in->attempt.cluster.v != c->meta.id.v) {
        c->dropped++;
        return;
    }
    struct placement *p = part_find(c, n, in->attempt.job, in->attempt.number);
    if (p)
        part_ended(c, n, p, in);
    struct effect *e = effect_to(c, n, EFFECT_END_ACK);
    if (e)
        e->attempt = in->attempt;
}
