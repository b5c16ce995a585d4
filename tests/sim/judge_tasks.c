// What starts, in the kernel: against all that lives, and against what is durable.
#include "tests/sim/judge.h"

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
