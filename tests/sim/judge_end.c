// What must not last, and what must be so when all is over.
#include "tests/sim/judge.h"

#include <stdio.h>
#include <string.h>

enum { QUIET_DUMP_BYTES = 4000, LOOKS_MAX = 5 };

// ---- what must not last ----

// The link is whole, also for the scheduler, nothing lies in it for long, both ends are awake, and
// no disk is slow.
static bool in_touch(const struct sim *s, const struct keeper *k)
{
    const struct process *p = &s->scheduler.process;
    int64_t soon_ms = s->world.now_ms + 10;
    if (k->wire && (k->wire->up_ms > soon_ms || k->wire->down_ms > soon_ms))
        return false;
    return k->process.alive && !k->process.stopped && agent_session(k->core) && k->wire &&
           k->wire->scheduler_up && s->world.now_ms >= k->wire->slow_until_ms &&
           s->world.now_ms >= k->cut_until_ms && s->world.now_ms >= s->disk.slow_until_ms &&
           p->alive && !p->stopped;
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
            (!j ||
             (j->state != JOB_COMPLETED && !j->cancelled &&
              j->reason.code != REASON_RESERVATION_ENDED))) // decided before its end was heard
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
