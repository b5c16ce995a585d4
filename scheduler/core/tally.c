// Counting: each job and each placement at every level that it belongs to, and nowhere else.
#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

struct tally *tally_find(const struct cluster *c, int64_t rule, int64_t uid)
{
    int64_t id = tally_id(rule, uid);
    struct tally *t;
    HASH_FIND(by_id, c->rules.tallies, &id, sizeof id, t);
    return t;
}

void tally_mark(struct cluster *c, struct tally *t)
{
    if (t->dirty_at)
        return;
    pointers_push(&c->dirty_tallies, t);
    t->dirty_at = c->dirty_tallies.count;
}

static void link_tally(struct cluster *c, struct tally *t)
{
    struct rule_entry *p = rule_by_id(c, t->rule);
    if (!p)
        return;
    if (t->uid < 0) {
        p->tally = t;
    } else {
        t->next = p->users;
        p->users = t;
    }
}

struct tally *tally_add(struct cluster *c, const struct tally *row)
{
    struct tally *t = xmemdup(row, sizeof *row);
    memset(t->closed, 0, sizeof t->closed);
    t->dirty_at = 0;
    t->next = NULL;
    HASH_ADD(by_id, c->rules.tallies, id, sizeof t->id, t);
    link_tally(c, t);
    return t;
}

struct tally *tally_get(struct cluster *c, int64_t rule, int64_t uid)
{
    struct tally *t = tally_find(c, rule, uid);
    if (t)
        return t;
    t = tally_add(c, &(struct tally){.id = tally_id(rule, uid), .rule = rule, .uid = uid});
    tally_mark(c, t);
    return t;
}

void tally_drop(struct cluster *c, struct tally *t)
{
    if (t->dirty_at)
        c->dirty_tallies.items[t->dirty_at - 1] = NULL;
    size_t count = c->out.tallies_gone_count;
    VEC_RESERVE(c->tallies_gone, count, c->cap.tallies_gone);
    c->tallies_gone[c->out.tallies_gone_count++] = (uint64_t)t->id;
    HASH_DELETE(by_id, c->rules.tallies, t);
    free(t);
}

// ---- jobs ----

static int64_t submitted(const struct job *j)
{
    if (job_state_ended(j->state))
        return 0;
    if (j->array_count)
        return j->cancelled ? 0 : j->array_count - j->array_next;
    return 1;
}

static bool running(const struct job *j)
{
    return !j->array_count &&
           (j->state == JOB_STARTING || j->state == JOB_RUNNING || j->state == JOB_STOPPING);
}

static void count_job(struct cluster *c, struct job *j, int64_t more_submitted,
                      int64_t more_running)
{
    const struct levels *ls = &member_of(c, j)->levels;
    for (int i = 0; i < ls->count; i++) {
        struct tally *t = ls->items[i].tally;
        t->submitted_jobs += more_submitted;
        t->running_jobs += more_running;
        tally_mark(c, t);
    }
}

void tally_job(struct cluster *c, struct job *j)
{
    int64_t s = submitted(j) - j->tallied_submitted, r = (int)running(j) - (int)j->tallied_running;
    if (!c->rules.started || (!s && !r))
        return;
    count_job(c, j, s, r);
    j->tallied_submitted += (int32_t)s;
    j->tallied_running = running(j);
}

// ---- placements ----

struct holding {
    int64_t cores_milli, gpus_milli, memory_mib;
};

static struct holding holding_of(const struct placement *p)
{
    struct holding h = {.cores_milli = (int64_t)coreset_count(&p->cores) * 1000 + p->cpu_milli,
                        .memory_mib = p->memory_mib};
    for (uint64_t left = p->gpus; left; left &= left - 1)
        h.gpus_milli += placement_gpu_milli(p, __builtin_ctzll(left));
    return h;
}

static int64_t rate_of(const struct holding *h, enum tally_use use, int64_t percent)
{
    return use == USE_CORES  ? h->cores_milli * percent / 100
           : use == USE_GPUS ? h->gpus_milli * percent / 100
                             : h->memory_mib * percent / 100 / 16;
}

static void charge(struct tally *t, enum tally_use use, int64_t rate, int64_t span)
{
    __int128 base = (__int128)t->base[use] - (__int128)rate * span;
    t->rate[use] += rate;
    t->base[use] = base > INT64_MAX ? INT64_MAX : base < INT64_MIN ? INT64_MIN : (int64_t)base;
}

static void count_part(struct cluster *c, struct job *j, const struct placement *p, int sign)
{
    const struct member *m = member_of(c, j);
    struct holding h = holding_of(p);
    int64_t percent = m->qos->row->qos.usage_percent, span = usage_span(c);
    for (int i = 0; i < m->levels.count; i++) {
        struct tally *t = m->levels.items[i].tally;
        t->cores_milli += sign * h.cores_milli;
        t->gpus_milli += sign * h.gpus_milli;
        t->memory_mib += sign * h.memory_mib;
        for (enum tally_use u = USE_CORES; u <= USE_MEMORY; u++)
            charge(t, u, sign * rate_of(&h, u, percent), span);
        tally_mark(c, t);
    }
}

void tally_part(struct cluster *c, struct job *j, const struct placement *p, int sign)
{
    if (c->rules.started && j)
        count_part(c, j, p, sign);
}

// ---- anew ----

bool tally_counts_job(const struct job *j)
{
    return !job_state_ended(j->state) || !TAILQ_EMPTY(&j->parts);
}

static void sum_part(const struct placement *p, int64_t percent, struct tally_sum *s)
{
    struct holding h = holding_of(p);
    s->counts[LIMIT_CORES] += h.cores_milli;
    s->counts[LIMIT_GPUS] += h.gpus_milli;
    s->counts[LIMIT_MEMORY] += h.memory_mib;
    for (enum tally_use u = USE_CORES; u <= USE_MEMORY; u++)
        s->rate[u] += rate_of(&h, u, percent);
}

void tally_sum(struct cluster *c)
{
    struct job *j;
    for (struct tally *t = c->rules.tallies; t; t = t->by_id.next)
        t->sum = (struct tally_sum){0};
    TAILQ_FOREACH(j, &c->jobs, live_link)
    {
        if (!tally_counts_job(j))
            continue;
        const struct member *m = member_of(c, j);
        struct tally_sum sum = {.counts = {running(j), submitted(j)}};
        const struct placement *p;
        TAILQ_FOREACH(p, &j->parts, job_link)
        sum_part(p, m->qos->row->qos.usage_percent, &sum);
        for (int i = 0; i < m->levels.count; i++) {
            struct tally_sum *to = &m->levels.items[i].tally->sum;
            for (int k = 0; k < TALLY_COUNTS; k++)
                to->counts[k] += sum.counts[k];
            for (int u = 0; u < TALLY_USES; u++)
                to->rate[u] += sum.rate[u];
        }
    }
}

bool tally_is_sum(const struct tally *t)
{
    return memcmp(t->counts, t->sum.counts, sizeof t->counts) == 0 &&
           memcmp(t->rate, t->sum.rate, sizeof t->rate) == 0;
}

void tally_recount(struct cluster *c)
{
    int64_t span = usage_span(c);
    struct job *j;
    c->rules.started = true;
    tally_sum(c);
    for (struct tally *t = c->rules.tallies; t; t = t->by_id.next) {
        if (tally_is_sum(t))
            continue;
        memcpy(t->counts, t->sum.counts, sizeof t->counts);
        for (enum tally_use u = USE_CORES; u <= USE_MEMORY; u++)
            charge(t, u, t->sum.rate[u] - t->rate[u], span);
        tally_mark(c, t);
    }
    TAILQ_FOREACH(j, &c->jobs, live_link)
    {
        j->tallied_submitted = (int32_t)submitted(j);
        j->tallied_running = running(j);
    }
}
