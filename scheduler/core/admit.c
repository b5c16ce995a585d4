// To which queue, account and QoS a submission belongs, and whether it may.
#include "scheduler/core/state.h"

#include <string.h>

struct admission {
    struct cluster *c;
    const struct input_submit *in;
    const struct caller *who;
    struct rule_entry *queue, *user, *qos;
    struct member *m;
    struct reason no;
    struct text detail;
};

static bool refuse(struct admission *a, enum reason_code code)
{
    a->no.code = code;
    return false;
}

static bool unknown(struct admission *a, enum rule_kind k, const char *name)
{
    text_addf(&a->detail, "%s \"%.64s\"; known: ", k == RULE_QOS ? "QoS" : rule_kind_word(k), name);
    rule_add_names(a->c, k, &a->detail);
    return refuse(a, REASON_NO_SUCH_RULE);
}

static bool take_queue(struct admission *a)
{
    const char *name = a->in->queue ? a->in->queue : QUEUE_DEFAULT;
    a->queue = rule_find(a->c, RULE_QUEUE, name);
    if (!a->queue)
        return unknown(a, RULE_QUEUE, name);
    if (strcmp(a->queue->row->queue.state, "closed") == 0) {
        text_add(&a->detail, name);
        return refuse(a, REASON_QUEUE_CLOSED);
    }
    return true;
}

static const char *owner_name(const struct admission *a)
{
    const struct rule_entry *p = rule_of_uid(a->c, a->in->owner_uid);
    if (p)
        return p->row->user.name;
    return a->in->owner_name ? a->in->owner_name
                             : arena_printf(&a->c->arena, "%u", a->in->owner_uid);
}

static void add_own_accounts(struct admission *a)
{
    const struct rule_entry *u = rule_of_uid(a->c, a->in->owner_uid);
    text_add(&a->detail, u ? ". Its accounts are " : ". It is in none");
    for (int n = 0; u; u = u->next_of_uid, n++)
        text_addf(&a->detail, "%s%s", n ? ", " : "", u->parent->key);
}

static bool take_account(struct admission *a)
{
    struct cluster *c = a->c;
    const char *name = a->in->account;
    struct rule_entry *u = rule_of_uid(c, a->in->owner_uid);
    bool falls = !rule_settings(c)->enforce_accounts;
    if (name && !rule_find(c, RULE_ACCOUNT, name))
        return unknown(a, RULE_ACCOUNT, name);
    while (name && u && strcmp(u->parent->key, name))
        u = u->next_of_uid;
    if (!name)
        u = user_default(c, a->in->owner_uid);
    if (!u && falls && (!name || strcmp(name, ACCOUNT_DEFAULT) == 0))
        u = user_join_default(c, a->in->owner_uid, a->in->owner_name);
    a->user = u;
    if (u)
        return true;
    text_addf(&a->detail, "user \"%s\" is not in %s%s%s", owner_name(a),
              name ? "account \"" : "any account", name ? name : "", name ? "\"" : "");
    if (name)
        add_own_accounts(a);
    return refuse(a, REASON_NOT_ALLOWED);
}

const char *qos_of_jobs(const struct rule_entry *queue, const struct rule_entry *user)
{
    const char *name = queue->row->queue.default_qos;
    for (const struct rule_entry *p = user->parent; p && !*name; p = p->parent)
        name = p->row->account.default_qos;
    return *name ? name : QOS_DEFAULT;
}

static bool take_qos(struct admission *a)
{
    const char *name = a->in->qos ? a->in->qos : qos_of_jobs(a->queue, a->user);
    a->qos = rule_find(a->c, RULE_QOS, name);
    if (!a->qos)
        return unknown(a, RULE_QOS, name);
    const char *allowed = a->queue->row->queue.qos;
    if (*allowed && !rule_list_has(allowed, name)) {
        text_addf(&a->detail, "queue \"%s\" takes QoS %s, not \"%s\"", a->queue->key, allowed,
                  name);
        return refuse(a, REASON_NOT_ALLOWED);
    }
    const struct rule_entry *p = a->user->parent;
    while (p && !*p->row->account.qos)
        p = p->parent;
    if (!p || !a->in->qos || rule_list_has(p->row->account.qos, name))
        return true;
    text_addf(&a->detail, "account \"%s\" may use QoS %s, not \"%s\"", p->key, p->row->account.qos,
              name);
    return refuse(a, REASON_NOT_ALLOWED);
}

static bool queue_takes_account(struct admission *a)
{
    const char *list = a->queue->row->queue.accounts;
    for (const struct rule_entry *p = a->user->parent; *list && p; p = p->parent)
        if (rule_list_has(list, p->key))
            return true;
    if (!*list)
        return true;
    text_addf(&a->detail, "queue \"%s\" is for accounts %s, not \"%s\"", a->queue->key, list,
              a->user->parent->key);
    return refuse(a, REASON_NOT_ALLOWED);
}

static bool take_reservation(struct admission *a, struct request *req)
{
    const char *name = a->in->reservation;
    req->reservation.v = 0;
    if (!name)
        return true;
    const struct rule_entry *p = rule_find(a->c, RULE_RESERVATION, name);
    if (!p)
        return unknown(a, RULE_RESERVATION, name);
    req->reservation.v = (uint32_t)p->row->id;
    const struct reservation_rule *r = &p->row->reservation;
    if (reservation_is_for(r, a->user))
        return true;
    if (r->maintenance)
        text_addf(&a->detail, "nothing runs in reservation \"%s\": it is for maintenance", name);
    else
        text_addf(&a->detail,
                  "reservation \"%s\" is for%s%s%s%s, not for user \"%s\" in account \"%s\"", name,
                  *r->accounts ? " accounts " : "", r->accounts, *r->users ? " users " : "",
                  r->users, a->user->row->user.name, a->user->parent->key);
    return refuse(a, REASON_NOT_ALLOWED);
}

static bool within_limits(struct admission *a, struct request *req)
{
    int64_t jobs = a->in->array_count ? a->in->array_count : 1;
    a->m = member_get(a->c, a->queue, a->user, a->qos);
    if (!req->time_limit_ms)
        req->time_limit_ms = a->queue->row->queue.default_time_ms;
    if (!req->time_limit_ms)
        req->time_limit_ms = limit_time_ms(a->m);
    return limit_submit(a->c, a->m, req, jobs, &a->detail) || refuse(a, REASON_LIMIT);
}

bool admit(struct cluster *c, const struct caller *who, const struct input_submit *in,
           struct request *req, struct member **ret)
{
    struct admission a = {.c = c, .in = in, .who = who};
    *req = in->req;
    bool good = take_queue(&a) && take_account(&a) && take_qos(&a) && queue_takes_account(&a) &&
                take_reservation(&a, req) && within_limits(&a, req);
    if (good) {
        *ret = a.m;
    } else {
        emit(c, EVENT_NOTE, NULL, NULL, "submission refused: %s",
             reason_say(c, &a.no, text_str(&a.detail)));
        reply_refuse(c, who, a.no, text_str(&a.detail));
    }
    text_free(&a.detail);
    return good;
}
