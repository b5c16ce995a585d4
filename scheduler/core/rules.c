// The table of rules: found by kind and name, by id, and users by uid.
#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

struct rule_entry *rule_find(const struct cluster *c, enum rule_kind k, const char *name)
{
    struct rule_entry *p;
    HASH_FIND(by_name, c->rules.by_name[k], name, strlen(name), p);
    return p;
}

struct rule_entry *rule_by_id(const struct cluster *c, int64_t id)
{
    return id > 0 && (uint64_t)id <= c->rules.count ? c->rules.by_id[id - 1] : NULL;
}

const struct settings_rule *rule_settings(const struct cluster *c)
{
    return &c->rules.settings->row->settings;
}

const struct queue_rule *job_queue(const struct cluster *c, const struct job *j)
{
    return &rule_by_id(c, j->queue.v)->row->queue;
}

const struct account_rule *job_account(const struct cluster *c, const struct job *j)
{
    return &rule_by_id(c, j->account.v)->row->account;
}

const struct qos_rule *job_qos(const struct cluster *c, const struct job *j)
{
    return &rule_by_id(c, j->qos.v)->row->qos;
}

// ---- users by uid ----

// Where the uid stands, or would.
static size_t uid_place(const struct rules *ps, int64_t uid)
{
    size_t low = 0, high = ps->uids_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ps->by_uid[middle]->row->user.uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct rule_entry *rule_of_uid(const struct cluster *c, int64_t uid)
{
    const struct rules *ps = &c->rules;
    size_t at = uid_place(ps, uid);
    return at < ps->uids_count && ps->by_uid[at]->row->user.uid == uid ? ps->by_uid[at] : NULL;
}

static void uid_add(struct cluster *c, struct rule_entry *p)
{
    struct rules *ps = &c->rules;
    struct rule_entry *first = rule_of_uid(c, p->row->user.uid);
    size_t at = uid_place(ps, p->row->user.uid);
    if (!first) {
        VEC_RESERVE(ps->by_uid, ps->uids_count, ps->uids_cap);
        memmove(ps->by_uid + at + 1, ps->by_uid + at, (ps->uids_count - at) * sizeof(void *));
        ps->by_uid[at] = p;
        ps->uids_count++;
        return;
    }
    struct rule_entry **link = &ps->by_uid[at];
    while (*link && (*link)->row->id < p->row->id)
        link = &(*link)->next_of_uid;
    p->next_of_uid = *link;
    *link = p;
}

static void uid_remove(struct cluster *c, struct rule_entry *p)
{
    struct rules *ps = &c->rules;
    size_t at = uid_place(ps, p->row->user.uid);
    struct rule_entry **link = &ps->by_uid[at];
    while (*link != p)
        link = &(*link)->next_of_uid;
    *link = p->next_of_uid;
    if (ps->by_uid[at])
        return;
    ps->uids_count--;
    memmove(ps->by_uid + at, ps->by_uid + at + 1, (ps->uids_count - at) * sizeof(void *));
}

// ---- what follows from a row ----

static void rank_qos(struct cluster *c)
{
    struct rules *ps = &c->rules;
    for (int i = 0; i < RULES_QOS_MAX; i++) {
        struct rule_entry *a = ps->qos[i];
        if (!a)
            continue;
        a->preempts = 0;
        for (int k = 0; k < RULES_QOS_MAX; k++)
            if (ps->qos[k] && rule_list_has(a->row->qos.preempts, ps->qos[k]->key))
                a->preempts |= UINT64_C(1) << k;
    }
}

void rule_resolve(struct cluster *c, struct rule_entry *p)
{
    switch (p->row->kind) {
    case RULE_ACCOUNT:
        p->parent = rule_find(c, RULE_ACCOUNT, p->row->account.parent);
        break;
    case RULE_USER:
        p->parent = rule_find(c, RULE_ACCOUNT, p->row->user.account);
        break;
    case RULE_QOS:
        rank_qos(c);
        break;
    case RULE_QUEUE:
        queue_resolve(c, p);
        break;
    case RULE_SETTINGS:
    case RULE_RESERVATION:
    case RULE_KIND_COUNT:
        break;
    }
    c->rules.rank_wanted = true;
}

bool rule_is_level(enum rule_kind k)
{
    return k == RULE_QUEUE || k == RULE_ACCOUNT || k == RULE_USER || k == RULE_QOS;
}

struct rule_entry *rule_add(struct cluster *c, const struct rule *row)
{
    struct rules *ps = &c->rules;
    struct rule_entry *p = xcalloc(1, sizeof *p);
    AUTO(text) struct text key = {0};
    rule_name(row, &key);
    p->row = xmemdup(row, rule_size(row->kind));
    ps->changed++;
    p->key = text_take(&key);
    while (ps->count < (uint64_t)row->id) {
        VEC_RESERVE(ps->by_id, ps->count, ps->cap);
        ps->by_id[ps->count++] = NULL;
    }
    ps->by_id[row->id - 1] = p;
    HASH_ADD_KEYPTR(by_name, ps->by_name[row->kind], p->key, strlen(p->key), p);
    if (row->kind == RULE_SETTINGS)
        ps->settings = p;
    if (row->kind == RULE_USER)
        uid_add(c, p);
    if (row->kind == RULE_QUEUE)
        queue_resolve(c, p); // jobs that are loaded stand in its order
    for (int i = 0; row->kind == RULE_QOS && i < RULES_QOS_MAX; i++)
        if (!ps->qos[i]) {
            ps->qos[i] = p;
            p->index = i;
            break;
        }
    return p;
}

static void entry_free(struct rule_entry *p)
{
    free(p->row);
    free(p->held);
    free(p->key);
    free(p);
}

void rule_mark(struct cluster *c, struct rule_entry *p)
{
    c->rules.changed++;
    if (!p->dirty)
        pointers_push(&c->dirty_rules, p);
    p->dirty = true;
}

void rule_drop(struct cluster *c, struct rule_entry *p)
{
    struct rules *ps = &c->rules;
    struct rule *r = p->row;
    HASH_DELETE(by_name, ps->by_name[r->kind], p);
    ps->by_id[r->id - 1] = NULL;
    members_drop(c, p);
    if (r->kind == RULE_USER)
        uid_remove(c, p);
    if (r->kind == RULE_QOS)
        ps->qos[p->index] = NULL;
    while (p->users) {
        struct tally *t = p->users;
        p->users = t->next;
        tally_drop(c, t);
    }
    if (p->tally)
        tally_drop(c, p->tally);
    r->removed = true;
    rule_mark(c, p);
    ps->rank_wanted = true;
}

void rules_turn_begin(struct cluster *c)
{
    for (size_t i = 0; i < c->dirty_rules.count; i++) {
        struct rule_entry *p = c->dirty_rules.items[i];
        p->dirty = false;
        if (p->row->removed)
            entry_free(p);
    }
    for (size_t i = 0; i < c->dirty_tallies.count; i++)
        if (c->dirty_tallies.items[i])
            ((struct tally *)c->dirty_tallies.items[i])->dirty_at = 0;
    c->dirty_rules.count = c->dirty_tallies.count = 0;
}

void rules_fini(struct cluster *c)
{
    struct rules *ps = &c->rules;
    struct tally *t, *next;
    members_drop(c, NULL);
    for (int k = 0; k < RULE_KIND_COUNT; k++)
        HASH_CLEAR(by_name, ps->by_name[k]);
    for (size_t i = 0; i < ps->count; i++)
        if (ps->by_id[i])
            entry_free(ps->by_id[i]);
    HASH_ITER(by_id, ps->tallies, t, next)
    {
        HASH_DELETE(by_id, ps->tallies, t);
        free(t);
    }
    free(ps->by_id);
    free(ps->by_uid);
    free(c->dirty_rules.items);
    free(c->dirty_tallies.items);
    free(c->tallies_gone);
}
