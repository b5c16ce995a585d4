// What must be true, seen from outside the cores: in the kernel's processes, on the disk, in what
// was shown to users, agents and operators.
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUIET_DUMP_BYTES = 4000, LOOKS_MAX = 5 };

// What is known of a job from the orders that left the scheduler.
struct truth {
    struct job_uid uid;
    struct job_id job;
    uint32_t attempt;   // the newest that was sent out
    uint64_t placement; // of its first part
    uint32_t prepared;  // its parts by index
    uint32_t started;   // likewise
    uint32_t arrived;   // likewise, in MPI_Init
    bool cancelled;     // acknowledged
    uint32_t cancelled_at;
    uint32_t succeeded; // likewise: its END is an exit of 0, and the shepherd was let go
    uint32_t parts;     // all of them
    bool waits;         // only END, a reboot or a fence ends it
    bool forgiven;      // a restored backup knows less of it
    // Its row as it was: when the attempt started (0: it does not run), and what it has had.
    int64_t started_at_ms, attained_ms;
    uint32_t row_attempt;
    UT_hash_handle hh;
};

struct promise {
    struct request_id request;
    struct job_id job;
};

struct cancelled {
    struct job_id job;
};

struct judge {
    struct truth *truths;
    struct promise *promises;
    size_t promises_count, promises_cap;
    struct cancelled *cancelled;
    size_t cancelled_count, cancelled_cap;
};

void judge_new(struct sim *s)
{
    s->judge = xcalloc(1, sizeof *s->judge);
}

void judge_fini(struct sim *s)
{
    struct truth *t, *next;
    HASH_ITER(hh, s->judge->truths, t, next)
    {
        HASH_DEL(s->judge->truths, t);
        free(t);
    }
    free(s->judge->promises);
    free(s->judge->cancelled);
    free(s->judge);
}

void broken(struct sim *s, const char *fmt, ...)
{
    char message[400];
    va_list ap;
    (void)s;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    check_on_failure(message);
    abort();
}

static struct truth *truth_of(struct sim *s, struct job_uid uid)
{
    struct truth *t;
    HASH_FIND(hh, s->judge->truths, &uid, sizeof uid, t);
    if (t)
        return t;
    t = xcalloc(1, sizeof *t);
    t->uid = uid;
    HASH_ADD(hh, s->judge->truths, uid, sizeof uid, t);
    return t;
}

// ---- what leaves the scheduler must be durable ----

static void launch_leaves(struct sim *s, const struct effect *e)
{
    const struct job *j = disk_job(s, e->launch.job);
    struct truth *t = truth_of(s, e->attempt.job);
    uint32_t number = e->attempt.number;
    if (!j || j->uid.v != e->attempt.job.v || j->attempt < number)
        broken(s, "a launch of attempt %u of job %" PRIu64 " left before it was durable", number,
               e->launch.job.v);
    t->job = e->launch.job;
    if (!t->forgiven && number < t->attempt)
        broken(s, "job %" PRIu64 ": attempt %u after attempt %u", t->job.v, number, t->attempt);
    if (number != t->attempt) {
        t->prepared = t->started = t->arrived = t->succeeded = 0;
        t->placement = e->launch.parts[0].id;
    } else if (!t->forgiven && t->placement != e->launch.parts[0].id) {
        broken(s, "job %" PRIu64 ": attempt number %u was given twice", t->job.v, number);
    }
    t->attempt = number;
    t->parts = (UINT32_C(1) << e->launch.parts_count) - 1;
    t->waits = !e->launch.lease_ms;
    if (t->cancelled && !t->forgiven && number > t->cancelled_at)
        broken(s, "job %" PRIu64 " was cancelled in attempt %u, and attempt %u is launched",
               t->job.v, t->cancelled_at, number);
}

void judge_output(struct sim *s, const struct effect *e, uint64_t term)
{
    const struct tables *t = &s->disk.now;
    const struct placement *p = disk_part(s, e->attempt.job, e->attempt.number, e->node);
    const struct wire *l = e->kind == EFFECT_REPLY ? NULL : wire_find(s, e->link);
    if (l && e->request > l->heard_request)
        broken(s, "request %" PRIu64 " is answered, which did not come over this link", e->request);
    if (e->kind == EFFECT_GRANT)
        return;
    if (t->meta.term < term)
        broken(s, "an output of term %" PRIu64 " left before the term was durable", term);
    if (e->kind == EFFECT_LAUNCH)
        launch_leaves(s, e);
    if (e->kind == EFFECT_WELCOME && t->meta.next_session <= e->session)
        broken(s, "session %" PRIu64 " was shown before it was durable", e->session);
    if (e->kind == EFFECT_GO && p && p->state != PLACEMENT_GOING && p->state != PLACEMENT_RUNNING)
        broken(s, "a GO left before the decision was durable");
    if (e->kind == EFFECT_KILL && p && !p->kill)
        broken(s, "a KILL left before it was durable");
    if (e->kind == EFFECT_END_ACK && p && !truth_of(s, p->uid)->forgiven)
        broken(s, "the END of attempt %u of job %" PRIu64 " was acknowledged and is not durable",
               e->attempt.number, p->job.v);
}

void judge_event(struct sim *s, uint64_t event_id)
{
    if (event_id >= s->disk.now.meta.next_event)
        broken(s, "event %" PRIu64 " was shown before it was durable", event_id);
}

void judge_acknowledged(struct sim *s, struct request_id request, struct job_id job)
{
    struct judge *g = s->judge;
    const struct job *j = disk_job(s, job);
    if (!j || j->request_id.hi != request.hi || j->request_id.lo != request.lo)
        broken(s, "job %" PRIu64 " was acknowledged and is not durable", job.v);
    for (size_t i = 0; i < g->promises_count; i++)
        if (g->promises[i].request.lo == request.lo && g->promises[i].request.hi == request.hi) {
            if (g->promises[i].job.v != job.v)
                broken(s, "one request became jobs %" PRIu64 " and %" PRIu64, g->promises[i].job.v,
                       job.v);
            return;
        }
    VEC_RESERVE(g->promises, g->promises_count, g->promises_cap);
    g->promises[g->promises_count++] = (struct promise){request, job};
}

void judge_cancelled(struct sim *s, struct job_id job)
{
    struct judge *g = s->judge;
    const struct job *j = disk_job(s, job);
    if (!j || (!j->cancelled && !job_state_ended(j->state)))
        broken(s, "the cancelling of job %" PRIu64 " was acknowledged and is not durable", job.v);
    struct truth *t = truth_of(s, j->uid);
    if (t->cancelled)
        return;
    t->cancelled = true;
    t->cancelled_at = j->attempt;
    VEC_RESERVE(g->cancelled, g->cancelled_count, g->cancelled_cap);
    g->cancelled[g->cancelled_count++] = (struct cancelled){job};
}

// An END that was told to nobody yet is lost with it.
void judge_journal_lost(struct sim *s)
{
    for (struct truth *t = s->judge->truths; t; t = t->hh.next)
        t->waits = false;
}

// An older copy knows less: what was promised since is forgiven, by the operator's own act.
void judge_restored(struct sim *s)
{
    struct judge *g = s->judge;
    struct truth *t, *next;
    HASH_ITER(hh, g->truths, t, next)
    t->forgiven = true;
    size_t kept = 0;
    for (size_t i = 0; i < g->promises_count; i++) {
        const struct job *j = disk_job(s, g->promises[i].job);
        if (j && j->request_id.lo == g->promises[i].request.lo)
            g->promises[kept++] = g->promises[i];
    }
    g->promises_count = kept;
    g->cancelled_count = 0;
}

// ---- the tables ----

// The events alone tell what is given out.
static void recount(struct sim *s, const struct store_batch *b)
{
    struct tables *t = &s->disk.now;
    for (size_t i = 0; i < b->events_count; i++) {
        const struct event *e = &b->events[i];
        struct coreset *given = e->node.v ? &t->given[e->node.v - 1] : NULL;
        if (e->kind == EVENT_JOB_PLACED || e->kind == EVENT_QUARANTINED) {
            if (coreset_intersects(given, &e->cores))
                broken(s, "the events give cores of node %u twice: %s", e->node.v, e->text);
            coreset_union(given, &e->cores);
        } else if (e->kind == EVENT_PART_ENDED) {
            if (!coreset_contains(given, &e->cores))
                broken(s, "the events return what was not given: %s", e->text);
            coreset_subtract(given, &e->cores);
        }
    }
    struct coreset held[KEEPERS_MAX * 2] = {0};
    for (size_t i = 0; i < t->parts_count; i++) {
        struct coreset *of = &held[t->parts[i].node.v - 1];
        if (coreset_intersects(of, &t->parts[i].cores))
            broken(s, "the tables give cores of node %u twice", t->parts[i].node.v);
        coreset_union(of, &t->parts[i].cores);
    }
    for (size_t i = 0; i < t->nodes_count; i++)
        if (!coreset_equal(&held[i], &t->given[i]))
            broken(s, "node %zu: the events and the placements disagree on what is given out",
                   i + 1);
}

static const struct group *live_group(struct sim *s, struct job_uid uid, struct keeper **ret)
{
    for (int i = 0; i < s->keepers_count; i++) {
        const struct group *g;
        TAILQ_FOREACH(g, &s->keepers[i].groups, link)
        if (g->alive && g->id.job.v == uid.v) {
            *ret = &s->keepers[i];
            return g;
        }
    }
    return NULL;
}

// When its newest attempt was over, as the events tell; INT64_MIN: they do not.
static int64_t over_at_ms(const struct store_batch *b, const struct job *j)
{
    for (size_t i = 0; i < b->events_count; i++) {
        const struct event *e = &b->events[i];
        if ((e->kind == EVENT_JOB_REQUEUED || e->kind == EVENT_JOB_ENDED) && e->job.v == j->id.v &&
            e->attempt == j->attempt)
            return e->at_ms;
    }
    return INT64_MIN;
}

// What an attempt has had of the cluster is added to what its job has attained, exactly.
static void check_attained(struct sim *s, const struct store_batch *b, const struct job *j)
{
    struct truth *t = truth_of(s, j->uid);
    bool over = job_state_ended(j->state) || j->state == JOB_PENDING;
    int64_t at_ms = over_at_ms(b, j), had = 0, devices = j->req.gpus ? j->req.gpus : j->req.cpus;
    if (over && t->started_at_ms && t->row_attempt == j->attempt && at_ms != INT64_MIN &&
        !t->forgiven) {
        if (at_ms > t->started_at_ms)
            had = (at_ms - t->started_at_ms) * j->req.tasks * devices;
        if (j->attained_ms - t->attained_ms != had)
            broken(s,
                   "attempt %u of job %" PRIu64 " had %" PRId64 " device-ms, and %" PRId64
                   " are added",
                   j->attempt, j->id.v, had, j->attained_ms - t->attained_ms);
    }
    t->started_at_ms = over ? 0 : j->started_at_ms;
    t->attained_ms = j->attained_ms;
    t->row_attempt = j->attempt;
}

void judge_committed(struct sim *s, const struct store_batch *b)
{
    recount(s, b);
    for (const struct store_slot *slot = b->jobs; slot; slot = slot->hh.next)
        check_attained(s, b, slot->row);
    for (const struct store_slot *slot = b->jobs; slot; slot = slot->hh.next) {
        const struct job *j = slot->row;
        struct keeper *k;
        bool over = job_state_ended(j->state) || j->state == JOB_PENDING;
        if (!over || !j->attempt || truth_of(s, j->uid)->forgiven)
            continue;
        const struct group *g = live_group(s, j->uid, &k);
        if (g)
            broken(s, "job %" PRIu64 " is %s while attempt %u has live tasks on %s", j->id.v,
                   job_state_word(j->state), g->id.number, k->name);
    }
}

// ---- the kernel ----

void judge_prepared(struct sim *s, struct attempt_id id, int32_t index)
{
    struct truth *t = truth_of(s, id.job);
    if (t->attempt == id.number)
        t->prepared |= UINT32_C(1) << index;
}

void judge_arrived(struct sim *s, struct attempt_id id, int32_t index)
{
    struct truth *t = truth_of(s, id.job);
    if (t->attempt == id.number)
        t->arrived |= UINT32_C(1) << index;
}

static void against_neighbour(struct sim *s, struct keeper *k, const struct group *g,
                              const struct keeper *other, const struct group *o)
{
    const struct agent_held *a = &g->launch.order.held, *b = &o->launch.order.held;
    bool same_job = o->id.job.v == g->id.job.v && !truth_of(s, g->id.job)->forgiven;
    if (same_job && o->id.number != g->id.number)
        broken(s, "job %" PRIu64 ": attempt %u starts on %s while attempt %u runs on %s",
               g->launch.job.v, g->id.number, k->name, o->id.number, other->name);
    if (same_job && o->id.number == g->id.number && o->launch.index == g->launch.index)
        broken(s, "job %" PRIu64 ": part %d of attempt %u runs twice", g->launch.job.v,
               g->launch.index, g->id.number);
    if (k == other && agent_held_clash(a, b))
        broken(s, "%s: jobs %" PRIu64 " and %" PRIu64 " have the same cores or GPUs", k->name,
               g->launch.job.v, o->launch.job.v);
    // A restored database does not know the ports of what runs before its agent has told it.
    bool told = !truth_of(s, o->id.job)->forgiven;
    if (told && k->machine == other->machine && a->port && a->port == b->port)
        broken(s, "%s: jobs %" PRIu64 " and %" PRIu64 " have the same port", k->name,
               g->launch.job.v, o->launch.job.v);
}

static void against_tables(struct sim *s, const struct group *g)
{
    struct truth *t = truth_of(s, g->id.job);
    const struct job *j = disk_job(s, g->launch.job);
    if (t->forgiven)
        return;
    if (g->id.number < t->attempt)
        broken(s, "job %" PRIu64 ": attempt %u starts after attempt %u was launched", t->job.v,
               g->id.number, t->attempt);
    if (!j || j->uid.v != g->id.job.v || job_state_ended(j->state) || j->state == JOB_PENDING ||
        j->attempt != g->id.number)
        broken(s, "attempt %u of job %" PRIu64 " starts, which is %s in attempt %u", g->id.number,
               g->launch.job.v, j ? job_state_word(j->state) : "unknown", j ? j->attempt : 0);
    if (t->started >> g->launch.index & 1)
        broken(s, "job %" PRIu64 ": part %d of attempt %u starts a second time", t->job.v,
               g->launch.index, t->attempt);
    uint32_t all = (UINT32_C(1) << g->launch.nodes_count) - 1;
    if (g->launch.order.prepare && t->prepared != all)
        broken(s, "job %" PRIu64 " starts before all its parts are prepared", t->job.v);
    t->started |= UINT32_C(1) << g->launch.index;
}

// Of what tasks share there: no GPU over the whole of it, no pool over its cores.
static void against_shares(struct sim *s, const struct keeper *k, const struct group *g)
{
    struct agent_held_sum sum = {0};
    const struct coreset *pool = &g->launch.order.held.pool;
    int64_t parts = 0;
    const struct group *o;
    TAILQ_FOREACH(o, &k->groups, link)
    if (o->alive) {
        agent_held_add(&sum, &o->launch.order.held);
        parts += agent_held_of_pool(&o->launch.order.held, pool);
    }
    if (agent_held_over(&sum) || parts > 1000 * (int64_t)coreset_count(pool))
        broken(s, "%s: job %" PRIu64 " shares what is given out already", k->name, g->launch.job.v);
}

void judge_task_start(struct sim *s, struct keeper *k, const struct group *g)
{
    int64_t memory_mib = 0;
    against_shares(s, k, g);
    s->counts.starts++;
    tell(&s->world, "%s: job %" PRIu64 " attempt %u starts %d tasks", k->name, g->launch.job.v,
         g->id.number, g->launch.tasks);
    for (int i = 0; i < s->keepers_count; i++) {
        const struct group *o;
        TAILQ_FOREACH(o, &s->keepers[i].groups, link)
        {
            if (o->alive && &s->keepers[i] == k)
                memory_mib += o->launch.order.held.memory_mib;
            if (o != g && o->alive)
                against_neighbour(s, k, g, &s->keepers[i], o);
        }
    }
    if (memory_mib > k->memory_mib)
        broken(s, "%s: %" PRId64 " MiB given out of %" PRId64, k->name, memory_mib, k->memory_mib);
    struct coreset all = coreset_first((unsigned)k->cores);
    if (!coreset_contains(&all, &g->launch.order.held.cores) ||
        !coreset_contains(&all, &g->launch.order.held.pool))
        broken(s, "%s: cores that it has not", k->name);
    against_tables(s, g);
}

void judge_released(struct keeper *k, const struct held *h)
{
    bool durable = false;
    for (size_t i = k->synced; i-- > 0 && !durable;)
        durable = k->journal[i].kind == ENTRY_END && attempt_id_eq(k->journal[i].id, h->id);
    if (!durable)
        broken(k->sim, "%s lets a shepherd go before its END is on disk", k->name);
    struct truth *t = truth_of(k->sim, h->id.job);
    if (!h->has_launch || t->attempt != h->id.number)
        return;
    if (k->machine->was_fenced)
        t->waits = false;
    if (h->end.reason.code == REASON_EXITED && h->end.reason.a == 0)
        t->succeeded |= UINT32_C(1) << h->launch.index;
}

void judge_obeyed(struct keeper *k, const struct order_letter *m)
{
    const struct agent_attempt *t = agent_find(k->core, m->id);
    if (!t || t->phase == ATTEMPT_ENDED)
        return;
    for (size_t i = 0; i < k->synced; i++)
        if (k->journal[i].kind == ENTRY_TERM && k->journal[i].term > m->term)
            broken(k->sim, "%s obeys term %" PRIu64 ", and has seen %" PRIu64, k->name, m->term,
                   k->journal[i].term);
}

// ---- what must not last ----

// The link is whole and nothing lies in it for long, both ends are awake, and no disk is slow.
static bool in_touch(const struct sim *s, const struct keeper *k)
{
    const struct process *p = &s->scheduler.process;
    int64_t soon_ms = s->world.now_ms + 10;
    if (k->wire && (k->wire->up_ms > soon_ms || k->wire->down_ms > soon_ms))
        return false;
    return k->process.alive && !k->process.stopped && agent_session(k->core) && k->wire &&
           s->world.now_ms >= k->wire->slow_until_ms && s->world.now_ms >= k->cut_until_ms &&
           s->world.now_ms >= s->disk.slow_until_ms && p->alive && !p->stopped;
}

static void look_at_waiting(struct sim *s, struct keeper *k, struct held *h)
{
    const struct agent_attempt *t = agent_find(k->core, h->id);
    const struct truth *of = truth_of(s, h->id.job);
    const struct job *j = disk_job(s, of->job);
    bool decided = false;
    for (size_t i = 0; i < s->disk.now.parts_count; i++) {
        const struct placement *p = &s->disk.now.parts[i];
        decided |= p->uid.v == h->id.job.v && p->attempt == h->id.number &&
                   p->index == h->launch.index && p->state == PLACEMENT_GOING && !p->kill;
    }
    bool waits = decided && j && t && t->phase == ATTEMPT_PREPARED && in_touch(s, k);
    h->looks = waits ? h->looks + 1 : 0;
    if (h->looks > LOOKS_MAX)
        broken(s, "%s waits for the GO of job %" PRIu64 ", which was decided long ago", k->name,
               of->job.v);
}

// Every rank is in MPI_Init, and nobody lets this part's go on.
static void look_at_fence(struct sim *s, struct sheep *p)
{
    const struct truth *t = truth_of(s, p->id.job);
    bool waits = !p->gone_on && p->core.phase == SHEPHERD_RUNNING && t->attempt == p->id.number &&
                 t->arrived == t->parts;
    for (int32_t i = 0; i < p->launch.nodes_count; i++)
        waits &= in_touch(s, &s->keepers[p->launch.keepers[i]]);
    p->looks = waits ? p->looks + 1 : 0;
    if (p->looks > LOOKS_MAX)
        broken(s, "%s: ranks of job %" PRIu64 " wait in MPI_Init, though all have come",
               p->keeper->name, p->launch.job.v);
}

void judge_looks(struct sim *s)
{
    for (int i = 0; i < s->keepers_count; i++) {
        struct keeper *k = &s->keepers[i];
        struct held *h;
        struct sheep *p;
        if (k->process.alive)
            TAILQ_FOREACH(h, &k->held, link)
        look_at_waiting(s, k, h);
        TAILQ_FOREACH(p, &k->sheep, link)
        if (p->process.alive && !p->process.stopped && p->fences)
            look_at_fence(s, p);
    }
}

// ---- the end ----

static const char *unquiet_keeper(const struct keeper *k)
{
    const struct group *g;
    TAILQ_FOREACH(g, &k->groups, link)
    if (g->alive)
        return "tasks run";
    if (k->clone)
        return NULL;
    if (!k->process.alive)
        return "an agent is away";
    return agent_count(k->core) ? "an agent has attempts" : NULL;
}

// What still goes on; NULL: nothing.
static const char *unquiet(const struct sim *s)
{
    const struct scheduler *sc = &s->scheduler;
    if (!clients_done(s))
        return "a user was not answered";
    if (!sc->process.alive || sc->process.stopped)
        return "the scheduler is away";
    if (cluster_live(sc->cluster))
        return "jobs live";
    if (sc->batch || sc->stepped || sc->submitted > sc->durable || !TAILQ_EMPTY(&sc->held))
        return "the scheduler is at work";
    for (int i = 0; i < s->keepers_count; i++)
        if (unquiet_keeper(&s->keepers[i]))
            return unquiet_keeper(&s->keepers[i]);
    return NULL;
}

bool judge_quiet(struct sim *s)
{
    return !unquiet(s);
}

static _Noreturn void not_in_time(struct sim *s)
{
    AUTO(text) struct text t = {0};
    if (s->scheduler.cluster)
        cluster_dump(s->scheduler.cluster, &t);
    fprintf(stderr, "%.*s\n", QUIET_DUMP_BYTES, text_str(&t));
    for (int i = 0; i < s->keepers_count; i++) {
        const struct keeper *k = &s->keepers[i];
        for (size_t n = 0; k->process.alive && n < agent_count(k->core); n++) {
            const struct agent_attempt *a = agent_at(k->core, n);
            fprintf(stderr, "%s: %016" PRIx64 ".%u %s\n", k->name, a->order.id.job.v,
                    a->order.id.number, attempt_phase_word(a->phase));
        }
    }
    broken(s, "faults ended at %" PRId64 " ms, and at %" PRId64 " ms %s", s->faults_until_ms,
           s->bound_ms, unquiet(s));
}

static void compare_with_tables(struct sim *s)
{
    struct cluster *again = disk_load(s);
    AUTO(text) struct text live = {0};
    AUTO(text) struct text loaded = {0};
    cluster_dump(s->scheduler.cluster, &live);
    cluster_dump(again, &loaded);
    cluster_free(again);
    if (strcmp(text_str(&live), text_str(&loaded)) != 0) {
        fprintf(stderr, "live:\n%s\nreloaded:\n%s\n", text_str(&live), text_str(&loaded));
        broken(s, "the tables say something else than the live state");
    }
}

void judge_end(struct sim *s, bool in_time)
{
    const struct judge *g = s->judge;
    if (!in_time)
        not_in_time(s);
    compare_with_tables(s);
    if (s->disk.now.parts_count)
        broken(s, "%zu placements are left", s->disk.now.parts_count);
    for (size_t i = 0; i < g->promises_count; i++) {
        const struct job *j = disk_job(s, g->promises[i].job);
        if (!j || j->request_id.lo != g->promises[i].request.lo || !job_state_ended(j->state))
            broken(s, "job %" PRIu64 " was acknowledged and is lost", g->promises[i].job.v);
    }
    for (const struct truth *t = g->truths; t; t = t->hh.next) {
        const struct job *j = disk_job(s, t->job);
        if (t->waits && t->parts && t->succeeded == t->parts && !t->forgiven && !t->cancelled &&
            (!j || (j->state != JOB_COMPLETED && !j->cancelled)))
            broken(s, "every part of job %" PRIu64 " has succeeded, and it is %s", t->job.v,
                   j ? job_state_word(j->state) : "gone");
    }
    for (size_t i = 0; i < g->cancelled_count; i++) {
        const struct job *j = disk_job(s, g->cancelled[i].job);
        if (!j || j->state != JOB_CANCELLED)
            broken(s, "job %" PRIu64 " was cancelled, and is %s", g->cancelled[i].job.v,
                   j ? job_state_word(j->state) : "gone");
    }
}
