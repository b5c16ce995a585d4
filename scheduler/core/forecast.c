#include "scheduler/core/forecast.h"

#include "scheduler/core/state.h"

#include <stdlib.h>

enum { WAKES_MAX = 16 };
static const int64_t HORIZON_MS = INT64_C(10) * 365 * 86400000;

// An attempt that will have reached its time limit.
struct expiry {
    int64_t at_ms;
    uint64_t order; // of one instant: as they were placed
    struct job_id job;
    uint32_t attempt;
};

struct run {
    struct cluster *c;
    struct now now;
    struct expiry *heap;
    size_t count, cap;
    uint64_t pushed;
    size_t obeyed; // effects of this turn
    size_t ended;  // attempts that reached their limit
    bool leases;   // some node is not heard of: its leases run out
    size_t placements_max;
    struct forecast *ret;
};

static bool sooner(const struct expiry *a, const struct expiry *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct expiry *a, struct expiry *b)
{
    struct expiry t = *a;
    *a = *b;
    *b = t;
}

static void push(struct run *r, struct expiry e)
{
    VEC_RESERVE(r->heap, r->count, r->cap);
    e.order = r->pushed++;
    size_t i = r->count++;
    r->heap[i] = e;
    for (; i && sooner(&r->heap[i], &r->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&r->heap[i], &r->heap[(i - 1) / 2]);
}

static struct expiry pop(struct run *r)
{
    struct expiry least = r->heap[0];
    r->heap[0] = r->heap[--r->count];
    for (size_t i = 0, child; (child = 2 * i + 1) < r->count; i = child) {
        if (child + 1 < r->count && sooner(&r->heap[child + 1], &r->heap[child]))
            child++;
        if (!sooner(&r->heap[child], &r->heap[i]))
            break;
        swap(&r->heap[child], &r->heap[i]);
    }
    return least;
}

static void expect_end(struct run *r, const struct job *j, int64_t start_ms)
{
    if (j->req.time_limit_ms)
        push(r, (struct expiry){
                    .at_ms = start_ms + j->req.time_limit_ms, .job = j->id, .attempt = j->attempt});
}

// Leases don't end, and nodes that are there stay.
static void keep_alive(struct run *r)
{
    static const int64_t always = INT64_MAX / 4;
    for (size_t i = 0; i < r->c->nodes_count; i++) {
        struct node *n = r->c->nodes[i];
        struct placement *p;
        if (!n->ready || n->unreachable_since_ms) {
            r->leases |= !TAILQ_EMPTY(&n->parts);
            continue;
        }
        n->heard_ms = always;
        TAILQ_FOREACH(p, &n->parts, node_link)
        p->lease_end_ms = INT64_MAX;
    }
}

static void expect_ends(struct run *r)
{
    for (size_t i = 0; i < r->c->nodes_count; i++) {
        const struct placement *p;
        TAILQ_FOREACH(p, &r->c->nodes[i]->parts, node_link)
        {
            const struct job *j = job_find(r->c, p->job);
            if (!j || p->index || !part_current(j, p))
                continue;
            int64_t ran_ms = j->started_at_ms ? r->now.wall_ms - j->started_at_ms : 0;
            expect_end(r, j, r->now.boot_ms - (ran_ms > 0 ? ran_ms : 0));
        }
    }
}

static void step(struct run *r, const struct input *in)
{
    cluster_step(r->c, r->now, in);
}

static void answer(struct run *r, struct node_id node, const struct attempt_id *id,
                   enum agent_state state)
{
    struct node *n = node_find(r->c, node);
    struct placement *p = part_find(r->c, n, id->job, id->number);
    struct input in = {.kind = INPUT_REPORT};
    if (p)
        p->lease_end_ms = INT64_MAX;
    in.report.node = node;
    in.report.session = n->session;
    in.report.attempt.id = *id;
    in.report.attempt.state = state;
    in.report.attempt.started = state == AGENT_RUNNING;
    step(r, &in);
}

static struct forecast_row *row_of(struct forecast *f, struct job_id job)
{
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (f->rows[middle].job.v < job.v)
            low = middle + 1;
        else
            high = middle;
    }
    return low < f->count && f->rows[low].job.v == job.v ? &f->rows[low] : NULL;
}

const struct forecast_row *forecast_find(const struct forecast *f, struct job_id job)
{
    return row_of((struct forecast *)f, job);
}

static void list_jobs(struct run *r)
{
    struct forecast *f = r->ret;
    const struct job *j;
    TAILQ_FOREACH(j, &r->c->jobs, live_link)
    {
        if (job_state_ended(j->state))
            continue;
        VEC_RESERVE(f->rows, f->count, f->cap);
        f->rows[f->count++] = (struct forecast_row){
            .job = j->id,
            .state = j->state,
            .first_ms = INT64_MAX,
            .last_ms = INT64_MAX,
            .left = j->array_count - j->array_next,
        };
    }
}

static void note_start(struct run *r, const struct job *j)
{
    struct forecast_row *row = row_of(r->ret, j->id);
    if (!row && j->array.v) { // an element that became a job meanwhile
        row = row_of(r->ret, j->array);
        row->left--;
    }
    r->ret->placements++;
    if (row) {
        if (row->first_ms == INT64_MAX)
            row->first_ms = r->now.boot_ms;
        row->last_ms = r->now.boot_ms;
        row->placed++;
    }
    expect_end(r, j, r->now.boot_ms);
}

static void note_kill(struct run *r, const struct effect *e)
{
    const struct job *j = job_find_uid(r->c, e->attempt.job);
    struct forecast_row *row = j ? row_of(r->ret, j->id) : NULL;
    const struct placement *p =
        j ? part_find(r->c, node_find(r->c, e->node), j->uid, j->attempt) : NULL;
    if (row && p && !p->index && e->kill.reason.code == REASON_PREEMPTED)
        row->preempted++;
}

static void end_part(struct run *r, struct node_id node, const struct attempt_id *id,
                     struct reason why)
{
    struct input in = {.kind = INPUT_END};
    in.end.node = node;
    in.end.session = node_find(r->c, node)->session;
    in.end.attempt = *id;
    in.end.started = true;
    in.end.reason = why;
    step(r, &in);
}

// What agents would do at once. Effects may follow from the answers: they are appended.
static void obey(struct run *r)
{
    for (; r->obeyed < r->c->out.effects_count; r->obeyed++) {
        struct effect e = r->c->effects[r->obeyed];
        if (e.kind == EFFECT_LAUNCH && e.launch.part == 0)
            note_start(r, job_find(r->c, e.launch.job));
        if (e.kind == EFFECT_LAUNCH)
            answer(r, e.node, &e.attempt, e.launch.prepare ? AGENT_PREPARED : AGENT_RUNNING);
        else if (e.kind == EFFECT_GO)
            answer(r, e.node, &e.attempt, AGENT_RUNNING);
        else if (e.kind == EFFECT_KILL) {
            note_kill(r, &e);
            end_part(r, e.node, &e.attempt, e.kill.reason);
        }
    }
}

// Passes until nothing more is placed.
static void settle(struct run *r)
{
    const struct input go_on = {.kind = INPUT_CONTINUE};
    do {
        step(r, &go_on);
        obey(r);
        r->ret->cut = r->ret->placements >= r->placements_max;
    } while ((r->c->pass_wanted || r->c->pass.running) && !r->ret->cut);
}

static void expire(struct run *r, const struct expiry *e)
{
    struct job *j = job_find(r->c, e->job);
    struct placement *p, *next;
    if (!j || j->attempt != e->attempt || job_state_ended(j->state) || j->state == JOB_PENDING)
        return;
    r->ended++;
    TAILQ_FOREACH_SAFE(p, &j->parts, job_link, next)
    if (p->attempt == e->attempt)
        end_part(r, p->node, &(struct attempt_id){r->c->meta.id, p->uid, p->attempt},
                 (struct reason){.code = REASON_EXITED});
}

static void turn_begin(struct run *r, int64_t at_ms)
{
    if (at_ms > r->now.boot_ms) {
        r->now.wall_ms += at_ms - r->now.boot_ms;
        r->now.boot_ms = at_ms;
    }
    cluster_turn_begin(r->c);
    r->obeyed = 0;
}

static void end_what_is_due(struct run *r)
{
    while (r->count && r->heap[0].at_ms <= r->now.boot_ms) {
        struct expiry e = pop(r);
        expire(r, &e);
    }
}

// When a lease ends on a node that is not heard of.
static int64_t lease_end_ms(const struct cluster *c, int64_t after_ms)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < c->nodes_count; i++) {
        const struct placement *p;
        TAILQ_FOREACH(p, &c->nodes[i]->parts, node_link)
        if (!p->over && p->lease_end_ms > after_ms && p->lease_end_ms < least)
            least = p->lease_end_ms;
    }
    return least;
}

// The next time at which something other than the order of the queue changes. The queue's own
// promises ask for a pass at their times, and for ever while somebody overstays: `wakes` of that.
static int64_t next_event_ms(struct run *r, bool wakes)
{
    struct cluster *c = r->c;
    const struct job *delayed = RB_MIN(job_delayed, &c->delayed);
    const int64_t times[] = {
        r->count ? r->heap[0].at_ms : INT64_MAX,
        delayed ? delayed->not_before_ms : INT64_MAX,
        wakes && !RB_EMPTY(&c->queue) ? windows_wake_ms(c) : INT64_MAX,
        wakes && c->backfill.count ? c->backfill.wake_ms : INT64_MAX,
        r->leases ? lease_end_ms(c, r->now.boot_ms) : INT64_MAX,
    };
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (times[i] < least)
            least = times[i];
    return least;
}

void cluster_forecast(struct cluster *c, struct now now, size_t placements_max,
                      struct forecast *ret)
{
    struct run r = {.c = c, .now = now, .placements_max = placements_max, .ret = ret};
    *ret = (struct forecast){.end_ms = now.boot_ms};
    cluster_turn_begin(c);
    list_jobs(&r);
    keep_alive(&r);
    expect_ends(&r);
    c->pass_wanted = true;
    settle(&r);
    for (int idle = 0; !ret->cut;) {
        int64_t next_ms = next_event_ms(&r, idle < WAKES_MAX);
        size_t before = ret->placements + r.ended;
        if (next_ms > now.boot_ms + HORIZON_MS)
            break;
        turn_begin(&r, next_ms);
        step(&r, &(struct input){.kind = INPUT_TICK});
        end_what_is_due(&r);
        settle(&r);
        idle = ret->placements + r.ended > before ? 0 : idle + 1;
        ret->end_ms = r.now.boot_ms;
    }
    free(r.heap);
}

void forecast_free(struct forecast *f)
{
    free(f->rows);
    *f = (struct forecast){0};
}
