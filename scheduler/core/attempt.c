// An attempt from its placement to its verdict.
#include "common/units.h"
#include "scheduler/core/state.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const bool job_moves[JOB_STATE_COUNT][JOB_STATE_COUNT] = {
    [JOB_PENDING] = {[JOB_STARTING] = true,
                     [JOB_RUNNING] = true /* arrays */,
                     [JOB_CANCELLED] = true,
                     [JOB_COMPLETED] = true,
                     [JOB_FAILED] = true},
    [JOB_STARTING] = {[JOB_RUNNING] = true,
                      [JOB_STOPPING] = true,
                      [JOB_COMPLETED] = true,
                      [JOB_PENDING] = true,
                      [JOB_FAILED] = true,
                      [JOB_CANCELLED] = true,
                      [JOB_TIMED_OUT] = true,
                      [JOB_LOST] = true},
    [JOB_RUNNING] = {[JOB_STOPPING] = true,
                     [JOB_COMPLETED] = true,
                     [JOB_FAILED] = true,
                     [JOB_CANCELLED] = true,
                     [JOB_TIMED_OUT] = true,
                     [JOB_LOST] = true,
                     [JOB_PENDING] = true},
    [JOB_STOPPING] = {[JOB_PENDING] = true,
                      [JOB_COMPLETED] = true,
                      [JOB_FAILED] = true,
                      [JOB_CANCELLED] = true,
                      [JOB_TIMED_OUT] = true,
                      [JOB_LOST] = true},
};

void job_move(struct cluster *c, struct job *j, enum job_state to)
{
    CHECKF(job_moves[j->state][to], "job %" PRIu64 ": %s -> %s", j->id.v, job_state_word(j->state),
           job_state_word(to));
    j->state = to;
    tally_job(c, j);
    deadline_watch(c, j);
    job_mark(c, j);
}

static bool same_text(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static void set_text(char **to, const char *text)
{
    char *copy = text && *text ? xstrndup(text, NODE_REASON_MAX) : NULL;
    free(*to);
    *to = copy;
}

void job_set_reason(struct cluster *c, struct job *j, struct reason r, const char *detail)
{
    const struct reason *o = &j->reason;
    if (o->code == r.code && o->node.v == r.node.v && o->a == r.a && o->b == r.b && o->c == r.c &&
        same_text(j->detail, detail))
        return;
    j->reason = r;
    set_text(&j->detail, detail);
    job_mark(c, j);
}

void job_set_verdict(struct job *j, struct reason r, const char *detail)
{
    j->verdict = r;
    set_text(&j->verdict_detail, detail);
}

static bool attempt_prepares(const struct job *j)
{
    int parts = 0;
    const struct placement *p;
    TAILQ_FOREACH(p, &j->parts, job_link)
    parts += p->attempt == j->attempt;
    return j->req.pmix || parts > 1;
}

static int64_t margin_ms(int64_t lease_ms)
{
    return lease_ms / 10 + 5000;
}

// How long a grant or order lasts for this part now; 0: for ever.
static int64_t part_lease_ms(const struct job *j, const struct placement *p)
{
    bool before_go = p->state == PLACEMENT_PLACED || p->state == PLACEMENT_PREPARED;
    if (before_go && attempt_prepares(j))
        return PREPARE_LEASE_MS > j->req.lease_ms ? PREPARE_LEASE_MS : j->req.lease_ms;
    return j->req.lease_ms;
}

void part_lease_from(struct cluster *c, struct placement *p, int64_t from_ms)
{
    const struct job *j = job_find(c, p->job);
    int64_t lease = j ? part_lease_ms(j, p) : 0;
    if (PLANTED(REQUEUE_EARLY))
        lease /= 2;
    p->lease_end_ms = lease ? from_ms + lease + margin_ms(lease) : INT64_MAX;
    wake_by(c, p->lease_end_ms);
}

// The parts of the newest attempt, by index, copied into the turn's arena.
static const struct placement *parts_copy(struct cluster *c, const struct job *j, size_t *ret_count)
{
    size_t count = 0, i = 0;
    const struct placement *p;
    TAILQ_FOREACH(p, &j->parts, job_link)
    count += p->attempt == j->attempt;
    struct placement *copy = arena_alloc(&c->arena, count * sizeof *copy);
    TAILQ_FOREACH(p, &j->parts, job_link)
    if (p->attempt == j->attempt)
        copy[i++] = *p;
    *ret_count = count;
    return copy;
}

static struct attempt_id attempt_of(const struct cluster *c, const struct placement *p)
{
    return (struct attempt_id){c->meta.id, p->uid, p->attempt};
}

// What the orders of an attempt share.
struct orders {
    const struct placement *parts;
    size_t count;
    const struct job *of;
    bool prepare;
};

static struct orders orders_of(struct cluster *c, const struct job *j)
{
    struct orders o = {.of = arena_copy(&c->arena, j, sizeof *j), .prepare = attempt_prepares(j)};
    o.parts = parts_copy(c, j, &o.count);
    return o;
}

static void launch(struct cluster *c, struct job *j, struct placement *p, const struct orders *o)
{
    struct effect *e = effect_to(c, node_find(c, p->node), EFFECT_LAUNCH);
    if (!e)
        return;
    e->attempt = attempt_of(c, p);
    e->launch.job = j->id;
    e->launch.lease_ms = j->req.lease_ms;
    e->launch.prepare_lease_ms = PREPARE_LEASE_MS;
    e->launch.prepare = o->prepare;
    e->launch.parts = o->parts;
    e->launch.parts_count = o->count;
    while (o->parts[e->launch.part].id != p->id)
        e->launch.part++;
    e->launch.of = o->of;
    part_lease_from(c, p, c->now.boot_ms);
}

void attempt_launch_part(struct cluster *c, struct job *j, struct placement *p)
{
    struct orders o = orders_of(c, j);
    launch(c, j, p, &o);
}

static struct placement *part_make(struct cluster *c, struct job *j, const struct fit_node *f,
                                   int32_t index, int32_t first_rank, int32_t port)
{
    struct placement row = {
        .id = c->meta.next_placement++,
        .job = j->id,
        .uid = j->uid,
        .attempt = j->attempt,
        .node = f->node->id,
        .index = index,
        .first_rank = first_rank,
        .port = port,
        .lease_end_ms = INT64_MAX,
    };
    grant(c, &j->req, f, &row);
    return part_add(c, &row);
}

static void narrate_part(struct cluster *c, const struct job *j, const struct placement *p)
{
    const struct node *n = node_find(c, p->node);
    AUTO(text) struct text cores = {0};
    text_add_coreset(&cores, &p->cores);
    if (p->cpu_milli) {
        text_addf(&cores, "%s", cores.len ? ", " : "");
        text_add_milli(&cores, p->cpu_milli);
        text_add(&cores, " of shared ");
        text_add_coreset(&cores, &p->pool);
    }
    for (int g = 0; g < NODE_GPUS_MAX; g++)
        if (p->shares.milli[g]) {
            text_add(&cores, ", ");
            text_add_milli(&cores, p->shares.milli[g]);
            text_addf(&cores, " of GPU %d", g);
        }
    if (p->port)
        text_addf(&cores, ", port %d", p->port);
    struct event *e = emit(c, EVENT_JOB_PLACED, j, n, "job %s placed on %s: attempt %u, cores %s",
                           job_label(c, j), n->name, j->attempt, text_str(&cores));
    e->cores = p->cores;
    e->gpus = p->gpus;
    e->memory_mib = p->memory_mib;
}

void attempt_place(struct cluster *c, struct job *j, const struct fit_node *nodes, size_t count,
                   int32_t port)
{
    j->attempt += !PLANTED(REUSE_ATTEMPT) || !j->never_started;
    j->started_at_ms = 0;
    j->verdict = (struct reason){0};
    set_text(&j->verdict_detail, NULL);
    job_move(c, j, JOB_STARTING);
    las_placed(c, j);
    job_set_reason(c, j, (struct reason){0}, NULL);
    c->meta.next_port = (uint32_t)(port - c->limits.port_first + 1);
    meta_mark(c);
    int32_t rank = 0;
    for (size_t i = 0; i < count; i++) {
        struct placement *p = part_make(c, j, &nodes[i], (int32_t)i, rank, i ? 0 : port);
        rank += p->tasks;
        part_mark(c, p);
        windows_note_member(c, p);
        narrate_part(c, j, p);
    }
    CHECK(rank == j->req.tasks);
    struct orders o = orders_of(c, j);
    struct placement *p;
    TAILQ_FOREACH(p, &j->parts, job_link)
    if (p->attempt == j->attempt)
        launch(c, j, p, &o);
}

void attempt_started(struct cluster *c, struct job *j, struct placement *p)
{
    if (!p->started) {
        p->started = true;
        part_mark(c, p);
    }
    if (j->started_at_ms)
        return;
    j->started_at_ms = c->now.wall_ms;
    j->attempts_used++;
    j->never_started = j->ports_taken = 0;
    job_mark(c, j);
    TAILQ_FOREACH(p, &j->parts, job_link)
    if (p->attempt == j->attempt && !p->kill)
        ends_reckon(c, p);
    if (!j->begun) {
        j->begun = true;
        depend_tell(c, j);
        if (j->array.v)
            array_element_begun(c, job_find(c, j->array));
    }
    las_watch(c, j);
    preempt_started(c, j);
    if (j->array.v)
        array_element_started(c, j);
}

static void go(struct cluster *c, struct job *j)
{
    struct placement *p;
    emit(c, EVENT_JOB_PREPARED, j, NULL, "job %s prepared everywhere: go", job_label(c, j));
    TAILQ_FOREACH(p, &j->parts, job_link)
    {
        if (!part_current(j, p))
            continue;
        p->state = PLACEMENT_GOING;
        part_mark(c, p);
        part_lease_from(c, p, c->now.boot_ms);
        struct effect *e = effect_to(c, node_find(c, p->node), EFFECT_GO);
        if (e) {
            e->attempt = attempt_of(c, p);
            e->go.lease_ms = j->req.lease_ms;
        }
    }
}

void attempt_progress(struct cluster *c, struct job *j)
{
    if (j->state != JOB_STARTING || j->verdict.code)
        return;
    size_t parts = 0, prepared = 0, running = 0;
    const struct placement *p;
    TAILQ_FOREACH(p, &j->parts, job_link)
    if (part_current(j, p)) {
        parts++;
        prepared += p->state == PLACEMENT_PREPARED;
        running += p->state == PLACEMENT_RUNNING;
    }
    if (parts && prepared + PLANTED(GO_EARLY) >= parts && prepared) {
        go(c, j);
    } else if (parts && running == parts) {
        job_move(c, j, JOB_RUNNING);
        emit(c, EVENT_JOB_STARTED, j, NULL, "job %s runs", job_label(c, j));
    }
}

void part_kill(struct cluster *c, struct placement *p)
{
    const struct job *j = job_find(c, p->job);
    if (!p->kill) {
        p->kill = true;
        part_mark(c, p);
        ends_within(c, p, j ? j->req.grace_ms : 0);
    }
    struct effect *e = effect_to(c, node_find(c, p->node), EFFECT_KILL);
    if (!e)
        return;
    e->attempt = attempt_of(c, p);
    e->kill.grace_ms = j ? j->req.grace_ms : 0;
    e->kill.reason =
        j && j->verdict.code ? j->verdict : (struct reason){.code = REASON_PARTNER_ENDED};
}

static int32_t exit_code_of(const struct reason *r)
{
    switch ((int)r->code) {
    case REASON_EXITED:
    case REASON_TASK_FAILED:
        return (int32_t)r->a;
    case REASON_MPI_ABORTED: // what a shell could show of it, and never success
        return r->a & 255 ? (int32_t)(r->a & 255) : 1;
    case REASON_SIGNALLED:
        return 128 + (int32_t)r->a;
    case REASON_OUT_OF_MEMORY:
        return 137;
    default:
        return 1;
    }
}

// A rank that writes to one that is gone dies of it: it is not the cause.
static bool is_consequence(const struct job *j, const struct reason *r)
{
    return j->req.pmix && r->code == REASON_SIGNALLED && r->a == SIGPIPE;
}

static bool is_of_program(enum reason_code code)
{
    return code == REASON_SIGNALLED || code == REASON_TASK_FAILED || code == REASON_MPI_ABORTED ||
           code == REASON_OUT_OF_MEMORY || code == REASON_MPI_NOT_FINALISED ||
           code == REASON_MPI_NOT_INITIALISED || code == REASON_MPI_SPAWN;
}

// A program may have ended by itself before the word came that it is preempted. The parts of a gang
// may as well have failed because others had been stopped.
static bool beats_preemption(const struct job *j, const struct reason *r)
{
    return r->code == REASON_CANCELLED ||
           (j->req.tasks == 1 && (is_of_program(r->code) || r->code == REASON_TIME_LIMIT));
}

// Nodes race to tell their ends: the cause may come after its consequence.
static bool is_verdict(const struct job *j, const struct reason *r)
{
    if (j->verdict.code == REASON_PREEMPTED)
        return beats_preemption(j, r);
    return !j->verdict.code ||
           (is_consequence(j, &j->verdict) && is_of_program(r->code) && !is_consequence(j, r));
}

void attempt_condemn(struct cluster *c, struct job *j, struct reason r, const char *detail)
{
    if (!is_verdict(j, &r)) {
        if (j->verdict.code == REASON_PREEMPTED)
            preempt_stopped(c, j);
        return;
    }
    job_set_verdict(j, r, detail);
    j->exit_code = exit_code_of(&r);
    job_mark(c, j);
    if (j->state != JOB_STOPPING)
        job_move(c, j, JOB_STOPPING);
    emit(c, EVENT_JOB_STOPPING, j, node_find(c, r.node), "job %s attempt %u must end: %s",
         job_label(c, j), j->attempt, reason_say(c, &r, detail));
    struct placement *p;
    TAILQ_FOREACH(p, &j->parts, job_link)
    if (p->attempt == j->attempt && !p->kill)
        part_kill(c, p);
}
