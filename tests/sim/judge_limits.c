// Limits, from the rows of jobs, placements and rules alone: whoever starts or is submitted finds
// room under every limit of every level that it belongs to, and each tally is what the rows make
// it.
//
// A commit may hold several turns. What counts only rises by starts (or submissions), so after a
// commit with a start no count that the start adds to is above its limit. Levels whose rows changed
// in the same commit are left out: the limit may have been another one then.
#include "tests/sim/judge.h"

#include <string.h>

enum { LEVELS_MOST = 8 + RULES_DEPTH_MAX, TALLIES_EVERY = 16 /* commits */ };

struct judged_level {
    const struct rule *of;
    int64_t uid; // -1: of all
    const int64_t *limits;
    int count;
};

static const struct rule *rule_row(const struct tables *t, uint32_t id)
{
    return id && id <= t->rules_count && t->rules[id - 1].id ? &t->rules[id - 1] : NULL;
}

static const struct rule *account_row(const struct tables *t, const char *name)
{
    for (size_t i = 0; i < t->rules_count; i++) {
        const struct rule *r = &t->rules[i];
        if (r->id && !r->removed && r->kind == RULE_ACCOUNT && strcmp(r->account.name, name) == 0)
            return r;
    }
    return NULL;
}

static int levels_of(const struct tables *t, const struct job *j, struct judged_level *ret)
{
    const struct rule *queue = rule_row(t, j->queue.v), *user = rule_row(t, j->user.v);
    const struct rule *qos = rule_row(t, j->qos.v);
    int n = 0;
    if (!queue || !user || !qos)
        return 0;
    ret[n++] = (struct judged_level){queue, -1, queue->queue.limits, LIMIT_COUNT};
    ret[n++] =
        (struct judged_level){queue, j->owner_uid, queue->queue.user_limits, LIMIT_USER_COUNT};
    ret[n++] = (struct judged_level){qos, -1, qos->qos.limits, LIMIT_COUNT};
    ret[n++] = (struct judged_level){qos, j->owner_uid, qos->qos.user_limits, LIMIT_USER_COUNT};
    ret[n++] = (struct judged_level){user, -1, user->user.limits, LIMIT_COUNT};
    for (const struct rule *a = account_row(t, user->user.account); a && n < LEVELS_MOST;
         a = account_row(t, a->account.parent))
        ret[n++] = (struct judged_level){a, -1, a->account.limits, LIMIT_COUNT};
    return n;
}

// ---- what counts ----

static int64_t gpu_milli(const struct placement *p)
{
    int64_t milli = 0;
    for (uint64_t left = p->gpus; left; left &= left - 1)
        milli += placement_gpu_milli(p, __builtin_ctzll(left));
    return milli;
}

static bool is_running(const struct job *j)
{
    return !j->array_count &&
           (j->state == JOB_STARTING || j->state == JOB_RUNNING || j->state == JOB_STOPPING);
}

static int64_t submitted(const struct job *j)
{
    if (job_state_ended(j->state) || (j->array_count && j->cancelled))
        return 0;
    return j->array_count ? j->array_count - j->array_next : 1;
}

struct sums {
    int64_t counts[TALLY_COUNTS];
};

// Of one job: attempts that are over count as long as they hold something.
static struct sums sums_of(const struct tables *t, const struct job *j)
{
    struct sums s = {{is_running(j), submitted(j)}};
    for (size_t i = 0; i < t->parts_count; i++) {
        const struct placement *p = &t->parts[i];
        if (p->job.v != j->id.v)
            continue;
        s.counts[LIMIT_CORES] += (int64_t)coreset_count(&p->cores) * 1000 + p->cpu_milli;
        s.counts[LIMIT_GPUS] += gpu_milli(p);
        s.counts[LIMIT_MEMORY] += p->memory_mib;
    }
    return s;
}

static bool is_below(const struct tables *t, const struct rule *user, const struct rule *account)
{
    const struct rule *a = user ? account_row(t, user->user.account) : NULL;
    for (int i = 0; a && a != account && i < RULES_DEPTH_MAX; i++)
        a = account_row(t, a->account.parent);
    return a && a == account;
}

static bool counts_at(const struct tables *t, const struct job *j, const struct judged_level *l)
{
    uint32_t id = (uint32_t)l->of->id;
    if (l->uid >= 0 && l->uid != j->owner_uid)
        return false;
    switch (l->of->kind) {
    case RULE_QUEUE:
        return j->queue.v == id;
    case RULE_QOS:
        return j->qos.v == id;
    case RULE_USER:
        return j->user.v == id;
    case RULE_ACCOUNT:
        return is_below(t, rule_row(t, j->user.v), l->of);
    case RULE_SETTINGS:
    case RULE_RESERVATION:
    case RULE_KIND_COUNT:
        break;
    }
    return false;
}

static bool holds_something(const struct tables *t, const struct job *j)
{
    bool found = !job_state_ended(j->state);
    for (size_t i = 0; !found && i < t->parts_count; i++)
        found = t->parts[i].job.v == j->id.v;
    return found;
}

static struct sums sums_at(const struct tables *t, const struct judged_level *l)
{
    struct sums all = {0};
    for (size_t i = 0; i < t->jobs_count; i++) {
        const struct job *j = &t->jobs[i];
        if (!holds_something(t, j) || !counts_at(t, j, l))
            continue;
        struct sums s = sums_of(t, j);
        for (int k = 0; k < TALLY_COUNTS; k++)
            all.counts[k] += s.counts[k];
    }
    return all;
}

// ---- the rules ----

static bool changed_in(const struct store_batch *b, const struct judged_level *l)
{
    for (const struct store_slot *slot = b->rules; slot; slot = slot->hh.next) {
        const struct rule *r = slot->row;
        // An account may have got another parent: whoever is below has other levels.
        if (r && (r->id == l->of->id || (r->kind == RULE_ACCOUNT && l->of->kind == RULE_ACCOUNT)))
            return true;
    }
    return false;
}

static int64_t most_of(const struct judged_level *l, enum limit_kind k)
{
    bool milli = k == LIMIT_CORES || k == LIMIT_GPUS || k == LIMIT_JOB_CORES || k == LIMIT_JOB_GPUS;
    return l->limits[k] == RULE_NONE ? INT64_MAX : l->limits[k] * (milli ? 1000 : 1);
}

static _Noreturn void over(struct sim *s, const struct job *j, const struct judged_level *l,
                           enum limit_kind k, int64_t count)
{
    AUTO(text) struct text name = {0};
    rule_name(l->of, &name);
    broken(s,
           "job %" PRIu64 " is over a limit: %s of %s \"%s\"%s is %" PRId64 ", and is now %" PRId64,
           j->id.v, limit_word(k), rule_kind_word(l->of->kind), text_str(&name),
           l->uid < 0 ? "" : " for each user", most_of(l, k), count);
}

static void look_at_counts(struct sim *s, const struct job *j, const struct judged_level *l,
                           const struct sums *own, enum limit_kind from, enum limit_kind to)
{
    struct sums all = {0};
    bool counted = false;
    for (enum limit_kind k = from; k <= to; k++) {
        if (k == LIMIT_SUBMITTED_JOBS && from != LIMIT_SUBMITTED_JOBS)
            continue;
        if (!own->counts[k] || most_of(l, k) == INT64_MAX)
            continue;
        if (!counted)
            all = sums_at(&s->disk.now, l);
        counted = true;
        if (all.counts[k] > most_of(l, k))
            over(s, j, l, k, all.counts[k]);
    }
}

// What bounds one job; what an earlier attempt still holds is not its own any more.
static void look_at_one(struct sim *s, const struct job *j, const struct judged_level *l)
{
    const struct tables *t = &s->disk.now;
    int64_t nodes = 0, cores = 0, gpus = 0;
    for (size_t i = 0; i < t->parts_count; i++) {
        const struct placement *p = &t->parts[i];
        if (p->job.v != j->id.v || p->attempt != j->attempt)
            continue;
        nodes++;
        cores += (int64_t)coreset_count(&p->cores) * 1000 + p->cpu_milli;
        gpus += gpu_milli(p);
    }
    if (l->count < LIMIT_COUNT)
        return;
    if (nodes > most_of(l, LIMIT_JOB_NODES))
        over(s, j, l, LIMIT_JOB_NODES, nodes);
    if (cores > most_of(l, LIMIT_JOB_CORES))
        over(s, j, l, LIMIT_JOB_CORES, cores);
    if (gpus > most_of(l, LIMIT_JOB_GPUS))
        over(s, j, l, LIMIT_JOB_GPUS, gpus);
    if (l->limits[LIMIT_JOB_TIME] != RULE_NONE &&
        (!j->req.time_limit_ms || j->req.time_limit_ms > most_of(l, LIMIT_JOB_TIME)))
        over(s, j, l, LIMIT_JOB_TIME, j->req.time_limit_ms);
}

static void look_at_start(struct sim *s, const struct store_batch *b, const struct job *j)
{
    struct judged_level of[LEVELS_MOST];
    struct sums own = sums_of(&s->disk.now, j);
    int n = levels_of(&s->disk.now, j, of);
    for (int i = 0; i < n; i++) {
        const struct judged_level *l = &of[i];
        if (changed_in(b, l))
            continue;
        if (l->of->kind == RULE_QUEUE && strcmp(l->of->queue.state, "draining") == 0)
            broken(s, "job %" PRIu64 " starts in a queue that is draining", j->id.v);
        look_at_counts(s, j, l, &own, LIMIT_RUNNING_JOBS, LIMIT_MEMORY);
        look_at_one(s, j, l);
    }
}

static void look_at_submission(struct sim *s, const struct store_batch *b, const struct job *j)
{
    struct judged_level of[LEVELS_MOST];
    struct sums own = sums_of(&s->disk.now, j);
    int n = levels_of(&s->disk.now, j, of);
    for (int i = 0; i < n; i++)
        if (!changed_in(b, &of[i]))
            look_at_counts(s, j, &of[i], &own, LIMIT_SUBMITTED_JOBS, LIMIT_SUBMITTED_JOBS);
}

// ---- tallies ----

static void look_at_tally(struct sim *s, const struct tally *y)
{
    const struct rule *of = rule_row(&s->disk.now, (uint32_t)y->rule);
    if (!of || of->removed)
        return;
    struct judged_level l = {.of = of, .uid = y->uid};
    struct sums all = sums_at(&s->disk.now, &l);
    for (int k = 0; k < TALLY_COUNTS; k++)
        if (all.counts[k] != y->counts[k])
            broken(s,
                   "the tally of rule %" PRId64 ", user %" PRId64 ": %s is %" PRId64
                   ", and the rows make it %" PRId64,
                   y->rule, y->uid, limit_word((enum limit_kind)k), y->counts[k], all.counts[k]);
}

void judge_limits(struct sim *s, const struct store_batch *b)
{
    for (size_t i = 0; i < b->events_count; i++) {
        const struct event *e = &b->events[i];
        const struct job *j = disk_job(s, e->job);
        // Placed and over again in one commit: another attempt may stand there.
        if (j && e->kind == EVENT_JOB_PLACED && j->attempt == e->attempt && is_running(j))
            look_at_start(s, b, j);
        if (j && e->kind == EVENT_JOB_SUBMITTED)
            look_at_submission(s, b, j);
    }
    if (s->counts.commits % TALLIES_EVERY)
        return;
    for (const struct store_slot *slot = b->tallies; slot; slot = slot->hh.next)
        if (slot->row)
            look_at_tally(s, slot->row);
}
