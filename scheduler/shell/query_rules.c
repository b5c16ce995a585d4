// Questions about queues, accounts, users, QoS, reservations and limits: the rows and tallies are
// loaded into a core of their own, which knows what follows from them.
#include "scheduler/core/cluster.h"
#include "scheduler/shell/query_internal.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void tell_damage(void *arg, const char *what, uint64_t id, const char *why)
{
    (void)arg;
    log_warning("store", "damaged record", "record=%s id=%" PRIu64 " why=\"%s\"", what, id, why);
}

int query_rules_view(struct store_reader *r, struct cluster **ret, struct err *err)
{
    if (!r->rules) {
        struct cluster *c = cluster_new(&CLUSTER_LIMITS_DEFAULT);
        int rc = store_load_rules(&r->db, c, tell_damage, NULL, err);
        if (rc) {
            cluster_free(c);
            return rc;
        }
        cluster_view(c, (struct now){clock_boot_ms(), clock_wall_ms()});
        r->rules = c;
    }
    *ret = r->rules;
    return 0;
}

// ---- a row ----

static void put_list(const char *key, const char *list, struct text *t)
{
    char name[RULE_NAME_SIZE];
    size_t at = 0;
    put_open(t, key, '[');
    while (rule_list_next(list, &at, name))
        put_str(t, NULL, name);
    text_addc(t, ']');
}

static void put_flag(const char *key, bool v, struct text *t)
{
    put_key(t, key);
    text_add(t, v ? "true" : "false");
}

static void put_field(const struct rule *r, const struct rule_field *f, struct text *t)
{
    const char *text = rule_text(r, f);
    int64_t v = text ? 0 : rule_number_of(r, f);
    switch (f->type) {
    case RULE_TYPE_NAME:
        put_str(t, f->name, *text ? text : NULL);
        break;
    case RULE_TYPE_LIST:
        put_list(f->name, text, t);
        break;
    case RULE_TYPE_TEXT:
    case RULE_TYPE_WORD:
        put_str(t, f->name, text);
        break;
    case RULE_TYPE_INT:
        put_int(t, f->name, v);
        break;
    case RULE_TYPE_FLAG:
        put_flag(f->name, v, t);
        break;
    case RULE_TYPE_DURATION:
    case RULE_TYPE_AT:
        put_int_or_null(t, f->name, v);
        break;
    case RULE_TYPE_LIMIT:
    case RULE_TYPE_LIMIT_MS:
    case RULE_TYPE_LIMIT_MIB:
        if (v == RULE_NONE)
            put_null(t, f->name);
        else
            put_int(t, f->name, v);
        break;
    case RULE_TYPE_HIDDEN:
    case RULE_TYPE_HIDDEN_LIST:
        break;
    }
}

static void put_hours(const char *key, int64_t ms, struct text *t)
{
    put_key(t, key);
    text_addf(t, "%.3f", (double)ms / 3600000);
}

static void put_use(struct cluster *c, const struct tally *y, struct text *t)
{
    put_open(t, "use", '{');
    put_int(t, "running_jobs", y->running_jobs);
    put_int(t, "submitted_jobs", y->submitted_jobs);
    put_milli(t, "cores", y->cores_milli);
    put_milli(t, "gpus", y->gpus_milli);
    put_int(t, "memory_mib", y->memory_mib);
    put_hours("core_hours", usage_of(c, y, USE_CORES), t);
    put_hours("gpu_hours", usage_of(c, y, USE_GPUS), t);
    put_hours("memory_gib_hours", usage_of(c, y, USE_MEMORY), t);
    text_addc(t, '}');
}

static void put_next_time(const struct reservation_rule *r, struct text *t)
{
    int64_t start = 0, end = 0;
    reservation_next(r, clock_wall_ms(), &start, &end);
    put_int_or_null(t, "next_start_ms", start);
    put_int_or_null(t, "next_end_ms", end);
    put_key(t, "active");
    text_add(t, start && start <= clock_wall_ms() ? "true" : "false");
    put_str(t, "has_nodes", reservation_nodes(r));
}

static void put_rule(struct cluster *c, const struct rule_entry *p, struct text *t)
{
    size_t count;
    const struct rule_field *f = rule_fields(p->row->kind, &count);
    put_open(t, NULL, '{');
    for (size_t i = 0; i < count; i++)
        put_field(p->row, &f[i], t);
    if (p->tally)
        put_use(c, p->tally, t);
    if (p->row->kind == RULE_USER) {
        put_key(t, "fair_share");
        text_addf(t, "%.6f", (double)p->fair_share / FAIR_SHARE_ONE);
    }
    if (p->row->kind == RULE_QUEUE)
        put_str(t, "placement_in_effect", policy_word(p->policy));
    if (p->row->kind == RULE_RESERVATION)
        put_next_time(&p->row->reservation, t);
    text_addc(t, '}');
}

// ---- lists, and one ----

static int no_such(enum rule_kind k, const char *name, struct err *err)
{
    return fail(err, E_NOT_FOUND, "there is no %s \"%.64s\". `schedctl %s list` lists them.",
                k == RULE_QOS ? "QoS" : rule_kind_word(k), name, rule_kind_word(k));
}

static const struct rule_entry *next_of(const struct cluster *c, enum rule_kind k, int64_t *id)
{
    int64_t end = rule_settings(c)->next_rule;
    while (++*id < end) {
        const struct rule_entry *p = rule_by_id(c, *id);
        if (p && p->row->kind == k)
            return p;
    }
    return NULL;
}

static bool is_of_user(const struct rule_entry *p, const char *name)
{
    size_t len = strlen(name);
    return p->row->kind == RULE_USER && strncmp(p->key, name, len) == 0 && p->key[len] == '/';
}

// A user's name stands for all its accounts.
static int put_named(struct cluster *c, enum rule_kind k, const char *name, struct text *t,
                     struct err *err)
{
    const struct rule_entry *p = rule_find(c, k, name);
    bool found = p;
    if (p) {
        put_rule(c, p, t);
    } else if (k == RULE_USER) {
        text_add(t, "{\"users\":[");
        for (int64_t id = 0; (p = next_of(c, k, &id));)
            if (is_of_user(p, name)) {
                put_rule(c, p, t);
                found = true;
            }
        text_add(t, "]}");
    }
    return found ? 0 : no_such(k, name, err);
}

static void put_all(struct cluster *c, enum rule_kind k, struct text *t)
{
    const struct rule_entry *p;
    text_addc(t, '{');
    put_open(t, rule_kind_plural(k), '[');
    for (int64_t id = 0; (p = next_of(c, k, &id));)
        put_rule(c, p, t);
    text_add(t, "]}");
}

int query_rules(struct store_reader *r, enum rule_kind k, const char *name, struct text *ret,
                struct err *err)
{
    size_t before = ret->len;
    struct cluster *c = NULL;
    int rc = query_begin(r, err);
    if (rc)
        return rc;
    if (!(rc = query_rules_view(r, &c, err))) {
        if (k == RULE_SETTINGS)
            rc = put_named(c, k, "", ret, err);
        else if (name)
            rc = put_named(c, k, name, ret, err);
        else
            put_all(c, k, ret);
    }
    return query_end(r, rc, ret, before);
}

// ---- limits ----

static void put_limit(struct cluster *c, const struct limit_row *l, struct text *t)
{
    AUTO(text) struct text level = {0}, top = {0};
    put_open(t, NULL, '{');
    limit_add_level(c, l->of, l->uid, &level);
    put_str(t, "level", text_str(&level));
    put_str(t, "kind", rule_kind_word(l->of->row->kind));
    put_str(t, "name", l->of->key);
    if (l->uid >= 0) {
        AUTO(text) struct text user = {0};
        limit_add_user(c, l->uid, &user);
        put_str(t, "user", text_str(&user));
    } else {
        put_null(t, "user");
    }
    put_str(t, "limit", l->limit);
    put_int(t, "most", l->most);
    if (l->kind >= LIMIT_JOB_CORES)
        put_null(t, "used");
    else
        put_milli(t, "used", l->used_milli);
    if (l->uid < 0 && l->of->row->kind != RULE_USER && l->kind < LIMIT_JOB_CORES)
        limit_add_top(c, l->of, l->kind, &top);
    put_str(t, "top", text_str(&top));
    text_addc(t, '}');
}

static void put_limits(struct cluster *c, struct limit_row *rows, size_t count, struct text *t)
{
    put_open(t, "limits", '[');
    for (size_t i = 0; i < count; i++)
        put_limit(c, &rows[i], t);
    text_addc(t, ']');
    free(rows);
}

static const struct rule_entry *named_or(const struct cluster *c, enum rule_kind k,
                                         const char *name, const char *otherwise, struct err *err)
{
    const struct rule_entry *p = rule_find(c, k, name ? name : otherwise);
    if (!p)
        fail(err, E_NOT_FOUND, "there is no %s \"%.64s\"", rule_kind_word(k),
             name ? name : otherwise);
    return p;
}

static int put_user_limits(struct cluster *c, const struct limits_question *q, struct text *t,
                           struct err *err)
{
    const struct rule_entry *queue = named_or(c, RULE_QUEUE, q->queue, QUEUE_DEFAULT, err);
    const struct rule_entry *qos, *p;
    bool found = false;
    if (!queue)
        return E_NOT_FOUND;
    text_add(t, "{\"users\":[");
    for (int64_t id = 0; (p = next_of(c, RULE_USER, &id));) {
        if (!is_of_user(p, q->user) && strcmp(p->key, q->user))
            continue;
        struct limit_row *rows;
        size_t count;
        if (!(qos = named_or(c, RULE_QOS, q->qos, qos_of_jobs(queue, p), err)))
            return E_NOT_FOUND;
        found = true;
        put_open(t, NULL, '{');
        put_str(t, "user", p->row->user.name);
        put_str(t, "account", p->parent->key);
        put_str(t, "queue", queue->key);
        put_str(t, "qos", qos->key);
        limits_of_user(c, p, queue, qos, &rows, &count);
        put_limits(c, rows, count, t);
        text_addc(t, '}');
    }
    text_add(t, "]}");
    return found ? 0
                 : fail(err, E_NOT_FOUND,
                        "user \"%.64s\" is in no account yet: it has had no job. `schedctl user "
                        "list` lists those that are.",
                        q->user);
}

int query_limits(struct store_reader *r, const struct limits_question *q, struct text *ret,
                 struct err *err)
{
    size_t before = ret->len, count;
    struct limit_row *rows;
    struct cluster *c = NULL;
    int rc = query_begin(r, err);
    if (rc)
        return rc;
    if (!(rc = query_rules_view(r, &c, err))) {
        if (q->user) {
            rc = put_user_limits(c, q, ret, err);
        } else {
            limits_of_all(c, &rows, &count);
            text_addc(ret, '{');
            put_limits(c, rows, count, ret);
            text_addc(ret, '}');
        }
    }
    return query_end(r, rc, ret, before);
}
