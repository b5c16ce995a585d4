#include "scheduler/shell/plan.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "scheduler/core/forecast.h"
#include "scheduler/shell/copy.h"
#include "scheduler/shell/plan_breach.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANGES_MAX = 1000, ADD_MAX = 10000, FORECAST_MAX = 200000, LISTED_MAX = 10000 };

enum change_kind {
    CHANGE_SUBMIT,
    CHANGE_DRAIN,
    CHANGE_RESUME,
    CHANGE_REMOVE,
    CHANGE_ADD,
    CHANGE_RULE
};

struct change {
    enum change_kind kind;
    struct submission submission;
    char *node, *reason;
    int64_t count, cores, memory_mib, gpus;
    struct rule_order rule; // owns its body; its name is in it
};

struct plan {
    struct change *changes;
    size_t count;
    struct caller caller;
    char *text; // canonical, for the token
    char token[17];
};

static void plan_release(void *p)
{
    plan_free(p);
}

void plan_free(struct plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->changes[i].kind == CHANGE_SUBMIT)
            submission_free(&p->changes[i].submission);
        json_decref((json_t *)p->changes[i].rule.body);
        free(p->changes[i].node);
        free(p->changes[i].reason);
    }
    free(p->changes);
    free(p->text);
    free(p);
}

// ---- reading ----

static int read_name(const json_t *o, const char *key, char **ret, struct err *err)
{
    const char *name = json_string_value(json_object_get(o, key));
    if (!name)
        return fail(err, E_INVALID, "\"%s\" must be the name of a node", key);
    *ret = xstrdup(name);
    return 0;
}

static int read_amount(const json_t *o, const char *key, int64_t most, int64_t *ret,
                       struct err *err)
{
    const json_t *v = json_object_get(o, key);
    if (!v)
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > most)
        return fail(err, E_INVALID, "\"%s\" must be a whole number, at most %" PRId64, key, most);
    *ret = json_integer_value(v);
    return 0;
}

static int read_add(const json_t *o, struct change *c, struct err *err)
{
    c->kind = CHANGE_ADD;
    int rc = read_amount(o, "add", ADD_MAX, &c->count, err);
    if (!rc)
        rc = read_amount(o, "cores", CORESET_MAX, &c->cores, err);
    if (!rc)
        rc = read_amount(o, "memory_mib", INT64_C(1) << 40, &c->memory_mib, err);
    if (!rc)
        rc = read_amount(o, "gpus", NODE_GPUS_MAX, &c->gpus, err);
    if (!rc && (!c->count || !c->cores))
        rc = fail(err, E_INVALID, "nodes that are added need \"cores\", and there must be some");
    return rc;
}

// A new user's number is found now: copies must not ask the machine.
static void keep_uid(const struct cluster *cluster, struct change *c, const struct input *in)
{
    const struct rule *row = in->rule.row;
    json_t *body = (json_t *)c->rule.body;
    (void)cluster;
    if (in->kind == INPUT_RULE_SET && row->kind == RULE_USER && row->user.uid >= 0)
        json_object_set_new(body, "uid", json_integer(row->user.uid));
}

static int read_rule(const struct cluster *cluster, const json_t *o, struct change *c,
                     struct err *err)
{
    static const char *const verbs[] = {"create", "change", "put", "remove"};
    const char *verb = json_string_value(json_object_get(o, "do"));
    const char *kind = json_string_value(json_object_get(o, "kind"));
    const json_t *name = json_object_get(o, "name"), *body = json_object_get(o, "set");
    unsigned v = 0;
    while (v < sizeof verbs / sizeof *verbs && (!verb || strcmp(verb, verbs[v])))
        v++;
    c->kind = CHANGE_RULE;
    c->rule.kind = kind ? rule_kind_parse(kind) : RULE_KIND_COUNT;
    c->rule.verb = (enum rule_order_verb)v;
    if (v == sizeof verbs / sizeof *verbs || c->rule.kind == RULE_KIND_COUNT ||
        (name && !json_is_string(name)) || (body && !json_is_object(body)))
        return fail(
            err, E_INVALID,
            "a \"rule\" has \"do\": create, change, put or remove, \"kind\": queue, account, "
            "user, qos, reservation or settings, \"name\", and \"set\", an object");
    c->node = xstrdup(name ? json_string_value(name) : "");
    c->rule.name = c->node;
    c->rule.body = body ? json_deep_copy(body) : json_object();
    struct rule row;
    struct input in;
    int rc = rule_order_input(cluster, &c->rule, &row, &in, err);
    if (!rc)
        keep_uid(cluster, c, &in);
    return rc;
}

static int read_change(const struct cluster *cluster, const json_t *o, const struct http_req *r,
                       struct change *c, struct err *err)
{
    static const struct {
        const char *key;
        enum change_kind kind;
    } of_nodes[] = {{"drain", CHANGE_DRAIN}, {"resume", CHANGE_RESUME}, {"remove", CHANGE_REMOVE}};
    const json_t *job = json_object_get(o, "submit");
    if (job) {
        c->kind = CHANGE_ADD; // nothing to free
        int rc = translate_submission(job, r->uid, r->gid, &c->submission, err);
        c->kind = rc ? CHANGE_ADD : CHANGE_SUBMIT;
        return rc;
    }
    if (json_is_object(json_object_get(o, "rule")))
        return read_rule(cluster, json_object_get(o, "rule"), c, err);
    if (json_object_get(o, "add"))
        return read_add(o, c, err);
    for (size_t i = 0; i < sizeof of_nodes / sizeof *of_nodes; i++)
        if (json_object_get(o, of_nodes[i].key)) {
            const char *reason = json_string_value(json_object_get(o, "reason"));
            c->kind = of_nodes[i].kind;
            c->reason = xstrdup(reason ? reason : "");
            return read_name(o, of_nodes[i].key, &c->node, err);
        }
    return fail(err, E_INVALID, "a change is one of submit, drain, resume, remove, add, rule");
}

// The changes without what differs between two equal requests.
static char *canonical(const json_t *changes)
{
    json_t *copy = json_deep_copy(changes), *o;
    size_t i;
    json_array_foreach(copy, i, o) json_object_del(json_object_get(o, "submit"), "request_id");
    char *text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(copy);
    return text ? text : xstrdup("");
}

int plan_read(const struct cluster *c, const json_t *body, const struct http_req *r,
              struct plan **ret, struct err *err)
{
    const json_t *changes = json_object_get(body, "changes");
    size_t i, count = json_array_size(changes);
    json_t *o;
    if (!count || count > CHANGES_MAX)
        return fail(err, E_INVALID, "\"changes\" must be a list of 1 to %d changes", CHANGES_MAX);
    struct plan *p = xcalloc(1, sizeof *p);
    p->changes = xcalloc(count, sizeof *p->changes);
    p->caller = (struct caller){.uid = r->uid, .admin = api_is_admin(r)};
    p->text = canonical(changes);
    int rc = 0;
    json_array_foreach(changes, i, o)
    {
        rc = json_is_object(o) ? read_change(c, o, r, &p->changes[i], err)
                               : fail(err, E_INVALID, "a change must be an object");
        p->count = i + 1;
        if (rc)
            break;
        if (p->changes[i].kind == CHANGE_SUBMIT)
            p->changes[i].submission.submit.uid.v = UINT64_MAX - i;
    }
    if (rc)
        plan_free(p);
    else
        *ret = p;
    return rc;
}

// ---- making the changes ----

struct maker {
    struct cluster *c;
    struct now now;
    struct caller caller;
    int added;
};

static void step(struct maker *m, struct input *in)
{
    in->caller = m->caller;
    cluster_step(m->c, m->now, in);
}

static void make_remove(struct maker *m, const struct change *change)
{
    const struct node *n = cluster_node_by_name(m->c, change->node);
    struct input down = {.kind = INPUT_LINK_DOWN, .link_down = n ? n->link : 0};
    struct input fence = {.kind = INPUT_NODE_FENCE};
    if (n && n->link && m->caller.admin)
        step(m, &down);
    fence.node.name = change->node;
    fence.node.reason = change->reason;
    step(m, &fence);
}

static void make_add(struct maker *m, const struct change *change)
{
    for (int64_t i = 0; i < change->count; i++) {
        char name[32], id[40];
        struct input up = {.kind = INPUT_LINK_UP}, hello = {.kind = INPUT_HELLO};
        do
            snprintf(name, sizeof name, "new-%d", ++m->added);
        while (cluster_node_by_name(m->c, name));
        snprintf(id, sizeof id, "planned %d", m->added);
        up.link_up.name = name;
        up.link_up.link = UINT64_MAX - (uint64_t)m->added;
        step(m, &up);
        const struct node *n = cluster_node_by_name(m->c, name);
        if (!n)
            return;
        struct input_hello *h = &hello.hello;
        h->node = n->id;
        h->session = n->new_session;
        h->inc.state_id = UINT64_MAX - (uint64_t)m->added;
        memcpy(h->inc.machine_id, id, sizeof id);
        h->journal_intact = true;
        h->request = 1;
        h->cores = (int32_t)change->cores;
        h->memory_mib = change->memory_mib;
        h->gpus = (int32_t)change->gpus;
        step(m, &hello);
    }
}

static void make_rule(struct maker *m, const struct change *change)
{
    struct rule row;
    struct input in;
    struct err err;
    if (rule_order_input(m->c, &change->rule, &row, &in, &err) == 0)
        step(m, &in);
}

static void make_change(struct maker *m, const struct change *change)
{
    struct input in = {.kind = change->kind == CHANGE_DRAIN ? INPUT_NODE_DRAIN : INPUT_NODE_RESUME};
    switch (change->kind) {
    case CHANGE_SUBMIT:
        in.kind = INPUT_SUBMIT;
        in.submit = change->submission.submit;
        step(m, &in);
        break;
    case CHANGE_DRAIN:
    case CHANGE_RESUME:
        in.node.name = change->node;
        in.node.reason = change->reason;
        step(m, &in);
        break;
    case CHANGE_REMOVE:
        make_remove(m, change);
        break;
    case CHANGE_ADD:
        if (m->caller.admin)
            make_add(m, change);
        break;
    case CHANGE_RULE:
        make_rule(m, change);
        break;
    }
}

// ---- the effects ----

static void foretell(struct cluster *c, const void *arg, struct text *ret)
{
    struct forecast f;
    cluster_forecast(c, *(const struct now *)arg, FORECAST_MAX, &f);
    text_add_bytes(ret, &f, sizeof f);
    text_add_bytes(ret, f.rows, f.count * sizeof *f.rows);
}

static bool is_waiting(const struct forecast_row *row)
{
    return row->state == JOB_PENDING || row->left > 0;
}

// Less than a second's difference is nobody's plan.
static bool same_time(int64_t a, int64_t b)
{
    return a == b || (a != INT64_MAX && b != INT64_MAX && (a < b ? b - a : a - b) < 1000);
}

// What becomes of the job: NULL if nothing changes. `before` or `after` may be NULL.
static const char *effect_of(const struct forecast_row *before, const struct forecast_row *after,
                             int64_t now_ms)
{
    if (!before)
        return after->first_ms == INT64_MAX ? "never_starts"
               : after->first_ms <= now_ms  ? "starts_now"
                                            : "starts";
    if (!after)
        return "ends";
    if (after->preempted > before->preempted)
        return "preempted";
    if (!is_waiting(before))
        return is_waiting(after) ? "requeued" : after->placed > before->placed ? "preempted" : NULL;
    int64_t b = before->first_ms, a = after->first_ms;
    if (same_time(a, b)) {
        b = before->last_ms;
        a = after->last_ms;
    }
    if (same_time(a, b) && before->left == after->left)
        return NULL;
    if (a == INT64_MAX || after->left > before->left)
        return "never_starts";
    return a < b || b == INT64_MAX || after->left < before->left ? "earlier" : "later";
}

struct comparison {
    struct cluster *c; // run ahead with the changes
    struct text *list;
    uint64_t hash;
    int64_t now_ms, wall_offset_ms; // wall clock - boot clock
    size_t changed, same, listed;
};

static void put_when(struct comparison *q, const char *key, const struct forecast_row *row)
{
    bool known = row && row->first_ms != INT64_MAX;
    put_int_or_null(q->list, key, known ? row->first_ms + q->wall_offset_ms : 0);
}

// Of a job that never starts: what it waits for in the end.
static void put_waits_for(struct comparison *q, const struct forecast_row *row, const char *effect)
{
    AUTO(text) struct text t = {0};
    const struct job *j = strcmp(effect, "never_starts") == 0 ? cluster_job(q->c, row->job) : NULL;
    if (j)
        cluster_reason_text(q->c, cluster_reason(q->c, j), &t);
    put_str(q->list, "waits_for", t.len ? text_str(&t) : NULL);
}

static void compare(struct comparison *q, const struct forecast_row *before,
                    const struct forecast_row *after)
{
    uint64_t id = before ? before->job.v : after->job.v;
    const char *effect = effect_of(before, after, q->now_ms);
    if (!effect) {
        q->same++;
        return;
    }
    q->changed++;
    if (before)
        plan_mix(&q->hash, &id, sizeof id);
    plan_mix(&q->hash, effect, strlen(effect));
    if (++q->listed > LISTED_MAX)
        return;
    put_open(q->list, NULL, '{');
    if (before)
        put_int(q->list, "id", (int64_t)id);
    else
        put_null(q->list, "id"); // it would be made
    put_str(q->list, "effect", effect);
    put_when(q, "before", before);
    put_when(q, "after", after);
    put_waits_for(q, before ? before : after, effect);
    text_addc(q->list, '}');
}

static void compare_all(struct comparison *q, const struct forecast *before,
                        const struct forecast_row *rows, const struct forecast *after)
{
    size_t i = 0, k = 0;
    while (i < before->count || k < after->count) {
        const struct forecast_row *b = i < before->count ? &rows[i] : NULL;
        const struct forecast_row *a = k < after->count ? &after->rows[k] : NULL;
        if (b && a && b->job.v != a->job.v) {
            if (b->job.v < a->job.v)
                a = NULL;
            else
                b = NULL;
        }
        compare(q, b, a);
        i += b != NULL;
        k += a != NULL;
    }
}

// The first refusal of the changes; NULL: all were taken.
static const struct effect *refusal(const struct outcome *o)
{
    for (size_t i = 0; i < o->effects_count; i++)
        if (o->effects[i].kind == EFFECT_REPLY && !o->effects[i].reply.ok)
            return &o->effects[i];
    return NULL;
}

// Makes the plan's changes on this copy; 0, or the status of the refusal in *ret.
static int make_all(struct cluster *c, struct now now, const struct plan *p, struct text *ret)
{
    struct maker m = {.c = c, .now = now, .caller = p->caller};
    m.caller.reply_to = 1;
    cluster_turn_begin(c);
    for (size_t i = 0; i < p->count; i++)
        make_change(&m, &p->changes[i]);
    const struct effect *no = refusal(cluster_outcome(c));
    return no ? api_refusal(c, no, ret) : 0;
}

static int answer_plan(struct server *s, const void *arg, struct text *ret)
{
    const struct plan *p = arg;
    struct cluster *c = s->cluster;
    struct now now = {clock_boot_ms(), clock_wall_ms()};
    AUTO(text) struct text said = {0};
    struct forecast before, after;
    struct breaches old = {0}, now_there = {0};
    breaches_find(c, &old);
    if (!copy_try(c, foretell, &now, &said) || said.len < sizeof before)
        return 0;
    memcpy(&before, text_str(&said), sizeof before);
    AUTO_FREE struct forecast_row *rows =
        xmemdup(text_str(&said) + sizeof before, said.len - sizeof before + 1);
    int status = make_all(c, now, p, ret);
    if (status)
        return status;
    breaches_find(c, &now_there);
    cluster_forecast(c, now, FORECAST_MAX, &after);
    AUTO(text) struct text list = {0}, broken = {0};
    struct comparison q = {.c = c,
                           .list = &list,
                           .hash = UINT64_C(0xcbf29ce484222325),
                           .now_ms = now.boot_ms,
                           .wall_offset_ms = now.wall_ms - now.boot_ms};
    plan_mix(&q.hash, p->text, strlen(p->text));
    compare_all(&q, &before, rows, &after);
    breaches_tell(&now_there, &old, &q.hash, &broken);
    text_addf(ret, "{\"token\":\"%016" PRIx64 "\"", q.hash);
    put_int(ret, "changed", (int64_t)q.changed);
    put_int(ret, "unchanged", (int64_t)q.same);
    put_key(ret, "complete");
    text_add(ret, before.cut || after.cut ? "false" : "true");
    put_open(ret, "jobs", '[');
    text_add(ret, text_str(&list));
    text_addc(ret, ']');
    put_open(ret, "breaches", '[');
    text_add(ret, text_str(&broken));
    text_add(ret, "]}");
    return 200;
}

void plan_ask(struct server *s, uint64_t handle, struct plan *p)
{
    copy_ask_then(s, handle, answer_plan, p, plan_release, NULL);
}

// ---- applying ----

static void apply_rule(struct server *s, struct caller caller, const struct change *change)
{
    struct rule row;
    struct input in;
    struct err err;
    if (rule_order_input(s->cluster, &change->rule, &row, &in, &err)) {
        if (caller.reply_to)
            api_error(s, caller.reply_to, 400, errcode_word(err.code), err.message, "");
        return;
    }
    in.caller = caller;
    turn_input(s, &in);
}

static void apply_change(struct server *s, uint64_t reply_to, const struct plan *p,
                         const struct change *change)
{
    if (change->kind == CHANGE_RULE) {
        struct caller caller = p->caller;
        caller.reply_to = reply_to;
        apply_rule(s, caller, change);
        return;
    }
    struct input in = {.kind = change->kind == CHANGE_DRAIN ? INPUT_NODE_DRAIN : INPUT_NODE_RESUME,
                       .caller = p->caller};
    in.caller.reply_to = reply_to;
    in.node.name = change->node;
    in.node.reason = change->reason;
    turn_input(s, &in);
}

static void apply_checked(struct server *s, uint64_t handle, void *arg, const char *answer)
{
    struct plan *p = arg;
    json_t *now = json_loads(answer, 0, NULL);
    const char *token = json_string_value(json_object_get(now, "token"));
    struct http_req *r = http_request(s, handle);
    if (r && (!token || strcmp(token, p->token) != 0)) {
        api_error(
            s, handle, 409, "moved",
            "the cluster has changed since the plan was made: its effects would be others now",
            "Make the plan again and look at it.");
    } else if (r && p->changes[0].kind == CHANGE_SUBMIT) {
        api_admit(s, r, &p->changes[0].submission);
    } else if (r) {
        for (size_t i = 0; i < p->count; i++)
            apply_change(s, i + 1 == p->count ? handle : 0, p, &p->changes[i]);
    }
    json_decref(now);
    plan_free(p);
}

static const char *not_to_apply(const struct plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->changes[i].kind == CHANGE_SUBMIT && p->count > 1)
            return "a submission is applied alone";
        if (p->changes[i].kind == CHANGE_ADD)
            return "nodes are added by starting their agents";
        if (p->changes[i].kind == CHANGE_REMOVE)
            return "a node is removed by draining it and stopping its agent";
    }
    return NULL;
}

void plan_apply(struct server *s, uint64_t handle, struct plan *p, const char *token)
{
    const char *no = not_to_apply(p);
    if (no || strlen(token) >= sizeof p->token) {
        api_error(s, handle, 400, "invalid", no ? no : "the token is not one of a plan", "");
        plan_free(p);
        return;
    }
    memcpy(p->token, token, strlen(token) + 1);
    copy_ask_then(s, handle, answer_plan, p, plan_release, apply_checked);
}
