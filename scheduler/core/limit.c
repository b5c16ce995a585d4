// Limits: is a job over one of those that bound it, and how that is said.
//
// A submission is measured against what bounds one job and the jobs submitted; a start against all.
// A job that waits at a limit closes it in this pass for what follows and needs of the same: so
// jobs at a limit start in the queue's order, and none that others may start is held up.
#include "common/units.h"
#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

// In the units of tallies: thousandths of cores and GPUs.
struct need {
    int64_t counts[TALLY_COUNTS];
    int64_t nodes, time_ms; // nodes 0: not known yet
};

static struct need need_of(const struct request *r, int64_t jobs)
{
    struct need n = {.nodes = r->nodes, .time_ms = r->time_limit_ms};
    n.counts[LIMIT_RUNNING_JOBS] = 1;
    n.counts[LIMIT_SUBMITTED_JOBS] = jobs;
    n.counts[LIMIT_CORES] = r->tasks * ((int64_t)r->cpus * 1000 + r->cpu_milli);
    n.counts[LIMIT_GPUS] = r->tasks * ((int64_t)r->gpus * 1000 + r->gpu_milli);
    n.counts[LIMIT_MEMORY] = r->tasks * r->memory_mib;
    return n;
}

// On these nodes; a job that has nodes to itself holds them whole.
static struct need need_on(const struct request *r, const struct fit_node *f, size_t count)
{
    struct need n = need_of(r, 0);
    n.nodes = count ? (int64_t)count : n.nodes;
    if (!r->exclusive || !count)
        return n;
    n.counts[LIMIT_CORES] = n.counts[LIMIT_GPUS] = n.counts[LIMIT_MEMORY] = 0;
    for (size_t i = 0; i < count; i++) {
        n.counts[LIMIT_CORES] += (int64_t)f[i].node->cores * 1000;
        n.counts[LIMIT_GPUS] += (int64_t)f[i].node->gpus * 1000;
        n.counts[LIMIT_MEMORY] += f[i].node->memory_mib;
    }
    return n;
}

static int64_t gpu_hours(struct cluster *c, const struct tally *t)
{
    return usage_of(c, t, USE_GPUS) / 3600000;
}

static int64_t used_of(struct cluster *c, const struct tally *t, enum limit_kind k)
{
    return (int)k < TALLY_COUNTS ? t->counts[k] : k == LIMIT_GPU_HOURS ? gpu_hours(c, t) : 0;
}

static bool is_milli(enum limit_kind k)
{
    return k == LIMIT_CORES || k == LIMIT_GPUS || k == LIMIT_JOB_CORES || k == LIMIT_JOB_GPUS;
}

// The limit in the units of tallies; RULE_NONE: there is none.
static int64_t most_at(const struct level *l, enum limit_kind k)
{
    int64_t v = l->limits[k];
    return v != RULE_NONE && is_milli(k) ? v * 1000 : v;
}

static int64_t asked(const struct need *n, enum limit_kind k)
{
    switch (k) {
    case LIMIT_RUNNING_JOBS:
    case LIMIT_SUBMITTED_JOBS:
    case LIMIT_CORES:
    case LIMIT_GPUS:
    case LIMIT_MEMORY:
        return n->counts[k];
    case LIMIT_JOB_CORES:
        return n->counts[LIMIT_CORES];
    case LIMIT_JOB_GPUS:
        return n->counts[LIMIT_GPUS];
    case LIMIT_JOB_NODES:
        return n->nodes;
    case LIMIT_JOB_TIME:
        return n->time_ms ? n->time_ms : INT64_MAX;
    case LIMIT_GPU_HOURS:
    case LIMIT_COUNT:
        break;
    }
    return 0;
}

// ---- words ----

void limit_add_user(const struct cluster *c, int64_t uid, struct text *ret)
{
    const struct rule_entry *p = rule_of_uid(c, uid);
    if (p)
        text_add(ret, p->row->user.name);
    else
        text_addf(ret, "%" PRId64, uid);
}

void limit_add_level(const struct cluster *c, const struct rule_entry *of, int64_t uid,
                     struct text *ret)
{
    if (uid >= 0) {
        text_add(ret, "user \"");
        limit_add_user(c, uid, ret);
        text_add(ret, of->row->kind == RULE_QOS ? "\" under " : "\" in ");
    }
    rule_add_title(of->row, ret);
}

// In the units of tallies.
static void add_amount(enum limit_kind k, int64_t v, struct text *ret)
{
    if (k == LIMIT_MEMORY)
        text_add_size_mib(ret, v);
    else if (k == LIMIT_JOB_TIME)
        text_add_duration_ms(ret, v);
    else if (!is_milli(k) || v % 1000 == 0)
        text_addf(ret, "%" PRId64, is_milli(k) ? v / 1000 : v);
    else
        text_addf(ret, "%" PRId64 ".%03" PRId64, v / 1000, v % 1000);
}

struct top {
    int64_t uid, used;
};

static int top_order(const void *a, const void *b)
{
    const struct top *x = a, *y = b;
    return x->used != y->used ? (x->used > y->used ? -1 : 1)
           : x->uid < y->uid  ? -1
                              : x->uid > y->uid;
}

// What each user uses of it, unordered; a uid may come several times, one after the other.
static struct top *users_of(struct cluster *c, const struct rule_entry *of, enum limit_kind k,
                            size_t *ret_count)
{
    struct top *all = NULL;
    size_t count = 0, cap = 0;
    for (const struct tally *t = of->users; t; t = t->next) {
        VEC_RESERVE(all, count, cap);
        all[count++] = (struct top){t->uid, used_of(c, t, k)};
    }
    for (size_t i = 0; of->row->kind == RULE_ACCOUNT && i < c->rules.uids_count; i++)
        for (const struct rule_entry *u = c->rules.by_uid[i]; u; u = u->next_of_uid) {
            int64_t used = account_below(u->parent, of) ? used_of(c, u->tally, k) : 0;
            if (!used)
                continue;
            if (count && all[count - 1].uid == u->row->user.uid) {
                all[count - 1].used += used;
                continue;
            }
            VEC_RESERVE(all, count, cap);
            all[count++] = (struct top){u->row->user.uid, used};
        }
    *ret_count = count;
    return all;
}

void limit_add_top(struct cluster *c, const struct rule_entry *of, enum limit_kind k,
                   struct text *ret)
{
    enum { SHOWN = 3 };
    size_t count;
    struct top *all = users_of(c, of, k, &count);
    if (count)
        qsort(all, count, sizeof *all, top_order);
    for (size_t i = 0; i < count && i < SHOWN && all[i].used; i++) {
        text_add(ret, i ? ", " : "");
        limit_add_user(c, all[i].uid, ret);
        text_addc(ret, ' ');
        add_amount(k, all[i].used, ret);
    }
    free(all);
}

static const char *word_of(const struct level *l, enum limit_kind k)
{
    return l->count == LIMIT_USER_COUNT ? limit_user_word(k) : limit_word(k);
}

static int64_t uid_of(const struct level *l)
{
    return l->tally->uid;
}

static void add_limit(struct cluster *c, const struct level *l, enum limit_kind k, struct text *ret)
{
    text_addf(ret, "%s of ", word_of(l, k));
    limit_add_level(c, l->of, uid_of(l), ret);
}

// "max_gpus of account "physics" is 8: 6 are used (ann 5, ben 1) and it needs 4"
static void say(struct cluster *c, const struct level *l, enum limit_kind k, int64_t need,
                struct text *ret)
{
    AUTO(text) struct text top = {0};
    int64_t used = used_of(c, l->tally, k);
    add_limit(c, l, k, ret);
    text_add(ret, " is ");
    add_amount(k, most_at(l, k), ret);
    if (k >= LIMIT_JOB_CORES) {
        text_add(ret, " and it asks for ");
        if (k == LIMIT_JOB_TIME && need == INT64_MAX)
            text_add(ret, "more: it has no time limit");
        else
            add_amount(k, need, ret);
        return;
    }
    text_add(ret, ": ");
    add_amount(k, used, ret);
    text_add(ret, k == LIMIT_MEMORY || used == (is_milli(k) ? 1000 : 1) ? " is used" : " are used");
    if (uid_of(l) < 0 && l->of->row->kind != RULE_USER)
        limit_add_top(c, l->of, k, &top);
    if (top.len)
        text_addf(ret, " (%s)", text_str(&top));
    if (k == LIMIT_GPU_HOURS)
        return;
    text_add(ret, " and it needs ");
    add_amount(k, need, ret);
}

// A reason names a limit: the level and which one (a), whose (b), and how much is needed (c).
static struct reason reason_of(enum reason_code code, const struct level *l, enum limit_kind k,
                               int64_t need)
{
    return (struct reason){.code = code, .a = l->of->row->id << 8 | k, .b = uid_of(l), .c = need};
}

static const int64_t *limits_at(const struct rule *r, bool of_user)
{
    return r->kind == RULE_QUEUE     ? (of_user ? r->queue.user_limits : r->queue.limits)
           : r->kind == RULE_ACCOUNT ? r->account.limits
           : r->kind == RULE_USER    ? r->user.limits
                                     : (of_user ? r->qos.user_limits : r->qos.limits);
}

void cluster_limit_text(struct cluster *c, const struct reason *r, struct text *ret)
{
    if (reason_is_reservation(r->code)) {
        window_add_text(c, r, ret);
        return;
    }
    struct rule_entry *of = rule_by_id(c, r->a >> 8);
    enum limit_kind k = (enum limit_kind)(r->a & 255);
    if (!of || !of->tally || k >= LIMIT_COUNT)
        return; // it has been removed since
    bool of_user = r->b >= 0;
    if (r->code == REASON_QUEUE_DRAINING) {
        text_add(ret, of->key);
        return;
    }
    if (of_user && (int)k >= LIMIT_USER_COUNT)
        return;
    struct level l = {of, of_user ? tally_get(c, of->row->id, r->b) : of->tally,
                      limits_at(of->row, of_user), of_user ? LIMIT_USER_COUNT : LIMIT_COUNT};
    if (r->code == REASON_LIMIT_TURN || l.limits[k] == RULE_NONE)
        add_limit(c, &l, k, ret);
    else
        say(c, &l, k, r->c, ret);
}

// ---- checks ----

static bool over_job_limit(const struct level *l, const struct need *n, enum limit_kind *ret)
{
    for (enum limit_kind k = LIMIT_JOB_CORES; k < (enum limit_kind)l->count; k++)
        if (l->limits[k] != RULE_NONE && asked(n, k) > most_at(l, k)) {
            *ret = k;
            return true;
        }
    return false;
}

// Alone over a limit of what is held at once.
static bool over_alone(const struct level *l, const struct need *n, enum limit_kind *ret)
{
    for (enum limit_kind k = LIMIT_RUNNING_JOBS; k <= LIMIT_MEMORY; k++)
        if (k != LIMIT_SUBMITTED_JOBS && l->limits[k] != RULE_NONE && asked(n, k) > most_at(l, k)) {
            *ret = k;
            return true;
        }
    return false;
}

bool limit_submit(struct cluster *c, const struct member *m, const struct request *r, int64_t jobs,
                  struct text *wrong)
{
    struct need n = need_of(r, jobs);
    bool deny = m->qos->row->qos.deny_on_limit;
    for (int i = 0; i < m->levels.count; i++) {
        const struct level *l = &m->levels.items[i];
        int64_t most = l->limits[LIMIT_SUBMITTED_JOBS];
        enum limit_kind k = LIMIT_SUBMITTED_JOBS;
        bool over = most != RULE_NONE && l->tally->submitted_jobs + jobs > most;
        if (!over && !over_job_limit(l, &n, &k) && !(deny && over_alone(l, &n, &k)))
            continue;
        say(c, l, k, asked(&n, k), wrong);
        return false;
    }
    return true;
}

int64_t limit_time_ms(const struct member *m)
{
    int64_t least = 0;
    for (int i = 0; i < m->levels.count; i++) {
        const struct level *l = &m->levels.items[i];
        int64_t most = l->count == LIMIT_COUNT ? l->limits[LIMIT_JOB_TIME] : RULE_NONE;
        if (most > 0 && (!least || most < least))
            least = most;
    }
    return least;
}

void limit_pass_begin(struct cluster *c)
{
    if (!++c->rules.pass)
        c->rules.pass = 1;
}

static bool over_now(struct cluster *c, const struct level *l, const struct need *n,
                     enum limit_kind *ret)
{
    for (enum limit_kind k = LIMIT_RUNNING_JOBS; k <= LIMIT_MEMORY; k++)
        if (k != LIMIT_SUBMITTED_JOBS && l->limits[k] != RULE_NONE && asked(n, k) &&
            l->tally->counts[k] + asked(n, k) > most_at(l, k)) {
            *ret = k;
            return true;
        }
    *ret = LIMIT_GPU_HOURS;
    if (n->counts[LIMIT_GPUS] && l->limits[LIMIT_GPU_HOURS] != RULE_NONE &&
        gpu_hours(c, l->tally) >= l->limits[LIMIT_GPU_HOURS])
        return true;
    return over_job_limit(l, n, ret);
}

static bool closed(struct cluster *c, const struct level *l, const struct need *n,
                   enum limit_kind *ret)
{
    for (enum limit_kind k = LIMIT_RUNNING_JOBS; k <= LIMIT_MEMORY; k++)
        if (l->limits[k] != RULE_NONE && asked(n, k) && l->tally->closed[k] == c->rules.pass) {
            *ret = k;
            return true;
        }
    return false;
}

void limit_hold(struct cluster *c, struct job *j)
{
    const struct levels *ls = &member_of(c, j)->levels;
    const struct need n = need_of(&j->req, 0);
    for (int i = 0; i < ls->count; i++) {
        struct tally *t = ls->items[i].tally;
        if (t->held_in != c->rules.pass)
            memset(t->held, 0, sizeof t->held);
        t->held_in = c->rules.pass;
        for (int k = 0; k < TALLY_COUNTS; k++)
            t->held[k] += n.counts[k];
    }
}

// Over it with what is kept for others.
static bool kept_for_others(const struct cluster *c, const struct level *l, const struct need *n,
                            enum limit_kind *ret)
{
    for (enum limit_kind k = LIMIT_RUNNING_JOBS; k <= LIMIT_MEMORY; k++)
        if (k != LIMIT_SUBMITTED_JOBS && l->limits[k] != RULE_NONE && asked(n, k) &&
            l->tally->held_in == c->rules.pass &&
            l->tally->counts[k] + l->tally->held[k] + asked(n, k) > most_at(l, k)) {
            *ret = k;
            return true;
        }
    return false;
}

static bool is_draining(const struct member *m, struct reason *ret)
{
    *ret = (struct reason){.code = REASON_QUEUE_DRAINING, .a = m->queue->row->id << 8, .b = -1};
    return strcmp(m->queue->row->queue.state, "draining") == 0;
}

static bool none_set(const struct levels *ls)
{
    for (int i = 0; i < ls->count; i++)
        for (int k = 0; k < ls->items[i].count; k++)
            if (ls->items[i].limits[k] != RULE_NONE)
                return false;
    return true;
}

bool limit_none(struct cluster *c, struct job *j)
{
    struct member *m = member_of(c, j);
    struct reason why;
    if (m->free_at != c->rules.changed) {
        m->free = none_set(&m->levels) && !is_draining(m, &why);
        m->free_at = c->rules.changed;
    }
    return m->free;
}

bool limit_start(struct cluster *c, struct job *j, const struct fit_node *f, size_t count,
                 struct reason *ret)
{
    enum { LOOK_AGAIN_MS = 60000 };
    if (limit_none(c, j))
        return true;
    const struct member *m = member_of(c, j);
    const struct levels *ls = &m->levels;
    struct need n = need_on(&j->req, f, count);
    enum limit_kind k = LIMIT_RUNNING_JOBS;
    if (is_draining(m, ret))
        return false;
    for (int i = 0; i < ls->count; i++)
        if (closed(c, &ls->items[i], &n, &k)) {
            *ret = reason_of(REASON_LIMIT_TURN, &ls->items[i], k, 0);
            return false;
        }
    for (int i = 0; i < ls->count; i++) {
        const struct level *l = &ls->items[i];
        if (!over_now(c, l, &n, &k))
            continue;
        if ((int)k < TALLY_COUNTS)
            l->tally->closed[k] = c->rules.pass;
        if (k == LIMIT_GPU_HOURS)
            wake_by(c, c->now.boot_ms + LOOK_AGAIN_MS);
        *ret = reason_of(REASON_LIMIT_WAIT, l, k, asked(&n, k));
        return false;
    }
    for (int i = 0; i < ls->count; i++)
        if (kept_for_others(c, &ls->items[i], &n, &k)) {
            *ret = reason_of(REASON_LIMIT_TURN, &ls->items[i], k, 0);
            return false;
        }
    return true;
}

// ---- what would let a job go ----

bool limit_never(struct cluster *c, struct job *j, struct reason *ret)
{
    const struct member *m = member_of(c, j);
    struct need n = need_of(&j->req, 1);
    enum limit_kind k = LIMIT_RUNNING_JOBS;
    if (is_draining(m, ret))
        return true;
    for (int i = 0; i < m->levels.count; i++) {
        const struct level *l = &m->levels.items[i];
        if (!over_alone(l, &n, &k) && !over_job_limit(l, &n, &k))
            continue;
        *ret = reason_of(REASON_LIMIT_WAIT, l, k, asked(&n, k));
        return true;
    }
    return false;
}

bool limit_lift(struct cluster *c, const struct reason *r, struct rule *ret,
                const struct rule_field **ret_field)
{
    const struct rule_entry *of = rule_by_id(c, r->a >> 8);
    enum limit_kind k = (enum limit_kind)(r->a & 255);
    bool of_user = r->b >= 0;
    if ((r->code != REASON_LIMIT_WAIT && r->code != REASON_QUEUE_DRAINING) || !of || !of->tally)
        return false;
    memcpy(ret, of->row, rule_size(of->row->kind));
    if (r->code == REASON_QUEUE_DRAINING) {
        struct err err;
        *ret_field = rule_field(RULE_QUEUE, "state");
        return rule_set_text(ret, *ret_field, "open", &err) == 0;
    }
    if (k >= LIMIT_COUNT || (of_user && (int)k >= LIMIT_USER_COUNT) ||
        (k == LIMIT_JOB_TIME && r->c == INT64_MAX))
        return false;
    const struct tally *t = of_user ? tally_find(c, of->row->id, r->b) : of->tally;
    int64_t most = r->c + (k < LIMIT_JOB_CORES && t ? used_of(c, t, k) : 0);
    if (is_milli(k))
        most = (most + 999) / 1000;
    else if (k == LIMIT_GPU_HOURS)
        most++;
    *ret_field = rule_field(ret->kind, of_user ? limit_user_word(k) : limit_word(k));
    *rule_number(ret, *ret_field) = most;
    return true;
}

// ---- for `limit show` ----

struct limit_rows {
    struct limit_row *items;
    size_t count, cap;
};

static void add_rows(struct cluster *c, const struct level *l, struct limit_rows *ret)
{
    for (enum limit_kind k = LIMIT_RUNNING_JOBS; k < (enum limit_kind)l->count; k++) {
        if (l->limits[k] == RULE_NONE)
            continue;
        VEC_RESERVE(ret->items, ret->count, ret->cap);
        int64_t used = used_of(c, l->tally, k) * (is_milli(k) ? 1 : 1000);
        ret->items[ret->count++] =
            (struct limit_row){l->of, uid_of(l), k, word_of(l, k), l->limits[k], used};
    }
}

void limits_of_user(struct cluster *c, const struct rule_entry *user,
                    const struct rule_entry *queue, const struct rule_entry *qos,
                    struct limit_row **ret, size_t *ret_count)
{
    const struct member *m = member_get(c, (struct rule_entry *)queue, (struct rule_entry *)user,
                                        (struct rule_entry *)qos);
    struct limit_rows rows = {0};
    for (int i = 0; i < m->levels.count; i++)
        add_rows(c, &m->levels.items[i], &rows);
    *ret = rows.items;
    *ret_count = rows.count;
}

static int uid_order(const void *a, const void *b)
{
    const struct tally *x = *(const struct tally *const *)a, *y = *(const struct tally *const *)b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

// Those who use nothing are left out: anybody may come.
static void add_user_rows(struct cluster *c, struct rule_entry *p, struct limit_rows *ret)
{
    const int64_t *limits = limits_at(p->row, true);
    struct pointers users = {0};
    for (struct tally *t = p->users; t; t = t->next)
        if (t->submitted_jobs || gpu_hours(c, t))
            pointers_push(&users, t);
    if (users.count)
        qsort(users.items, users.count, sizeof(void *), uid_order);
    for (size_t i = 0; i < users.count; i++)
        add_rows(c, &(struct level){p, users.items[i], limits, LIMIT_USER_COUNT}, ret);
    free(users.items);
}

void limits_of_all(struct cluster *c, struct limit_row **ret, size_t *ret_count)
{
    struct limit_rows rows = {0};
    for (size_t i = 0; i < c->rules.count; i++) {
        struct rule_entry *p = c->rules.by_id[i];
        if (!p || !p->tally)
            continue;
        add_rows(c, &(struct level){p, p->tally, limits_at(p->row, false), LIMIT_COUNT}, &rows);
        if (p->row->kind == RULE_QUEUE || p->row->kind == RULE_QOS)
            add_user_rows(c, p, &rows);
    }
    *ret = rows.items;
    *ret_count = rows.count;
}
