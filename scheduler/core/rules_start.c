// Rules from their tables, and those that are always there.
#include "scheduler/core/state.h"

#include <stdio.h>
#include <string.h>

int cluster_load_rule(struct cluster *c, const struct rule *row, struct err *err)
{
    AUTO(text) struct text key = {0};
    rule_name(row, &key);
    bool settings = row->kind == RULE_SETTINGS;
    if (row->id < 1 || row->id > RULES_MAX || rule_by_id(c, row->id) ||
        rule_find(c, row->kind, text_str(&key)) || (settings && c->rules.settings) ||
        (!settings && !rule_name_is_good(text_str(&key)) && row->kind != RULE_USER))
        return fail(err, E_CORRUPT, "%s \"%s\" has an id or name that is taken or none",
                    rule_kind_word(row->kind), text_str(&key));
    rule_add(c, row);
    return 0;
}

int cluster_load_tally(struct cluster *c, const struct tally *row, struct err *err)
{
    struct rule_entry *p = rule_by_id(c, row->rule);
    if (!p || !rule_is_level(p->row->kind) || row->id != tally_id(row->rule, row->uid) ||
        tally_find(c, row->rule, row->uid))
        return fail(err, E_CORRUPT, "tally %" PRId64 " is of nothing, or twice there", row->id);
    tally_add(c, row);
    return 0;
}

struct rule_entry *rule_make(struct cluster *c, const struct rule *row)
{
    struct rule r = *row;
    struct rules *ps = &c->rules;
    r.id = ps->settings ? ps->settings->row->settings.next_rule : 1;
    if (r.kind == RULE_SETTINGS)
        r.settings.next_rule = r.id;
    struct rule_entry *p = rule_add(c, &r);
    ps->settings->row->settings.next_rule = r.id + 1;
    rule_mark(c, ps->settings);
    rule_mark(c, p);
    rule_resolve(c, p);
    if (rule_is_level(r.kind))
        tally_get(c, r.id, -1);
    return p;
}

static struct rule_entry *always_there(struct cluster *c, enum rule_kind k, const char *name)
{
    struct rule r;
    struct rule_entry *p = rule_find(c, k, name);
    if (p)
        return p;
    rule_init(&r, k);
    if (k == RULE_ACCOUNT) {
        snprintf(r.account.name, sizeof r.account.name, "%s", name);
        if (strcmp(name, ACCOUNT_ROOT) == 0)
            r.account.parent[0] = 0;
    } else if (k == RULE_QOS) {
        snprintf(r.qos.name, sizeof r.qos.name, "%s", name);
    } else if (k == RULE_QUEUE) {
        snprintf(r.queue.name, sizeof r.queue.name, "%s", name);
    }
    return rule_make(c, &r);
}

static void start_clock(struct cluster *c, bool same_boot, bool first)
{
    struct settings_rule *s = &c->rules.settings->row->settings;
    int64_t offset = c->now.wall_ms - c->now.boot_ms;
    if (same_boot && !first)
        return;
    if (first)
        s->usage_epoch_ms = c->now.wall_ms;
    else if (offset + c->now.boot_ms < s->usage_epoch_ms)
        offset = s->usage_epoch_ms - c->now.boot_ms;
    s->usage_offset_ms = offset;
    rule_mark(c, c->rules.settings);
}

struct rule_entry *user_join_default(struct cluster *c, uint32_t uid, const char *name)
{
    struct rule r;
    char digits[16];
    AUTO(text) struct text key = {0};
    snprintf(digits, sizeof digits, "%" PRIu32, uid);
    rule_init(&r, RULE_USER);
    if (!name || !rule_name_is_good(name))
        name = digits;
    text_addf(&key, "%s/%s", name, ACCOUNT_DEFAULT);
    if (rule_find(c, RULE_USER, text_str(&key)))
        name = digits; // that name is another one's
    snprintf(r.user.name, sizeof r.user.name, "%s", name);
    r.user.uid = uid;
    text_clear(&key);
    rule_name(&r, &key);
    struct rule_entry *same = rule_find(c, RULE_USER, text_str(&key));
    return same ? same : rule_make(c, &r);
}

// Jobs of an older database, or of a row that was damaged.
static void adopt(struct cluster *c, struct job *j)
{
    struct rule_entry *user = rule_by_id(c, j->user.v);
    struct rule_entry *queue = rule_by_id(c, j->queue.v), *qos = rule_by_id(c, j->qos.v);
    if (user && user->row->kind == RULE_USER && queue && queue->row->kind == RULE_QUEUE && qos &&
        qos->row->kind == RULE_QOS && user->parent->row->id == j->account.v)
        return;
    if (j->queued)
        queue_remove(c, j); // the start puts it back
    user = rule_of_uid(c, j->owner_uid);
    if (!user)
        user = user_join_default(c, j->owner_uid, NULL);
    j->user.v = (uint32_t)user->row->id;
    j->account.v = (uint32_t)user->parent->row->id;
    j->queue.v = (uint32_t)rule_find(c, RULE_QUEUE, QUEUE_DEFAULT)->row->id;
    j->qos.v = (uint32_t)rule_find(c, RULE_QOS, QOS_DEFAULT)->row->id;
    j->member = NULL;
    job_mark(c, j);
}

static void complete(struct cluster *c)
{
    struct rules *ps = &c->rules;
    struct settings_rule *s = &always_there(c, RULE_SETTINGS, "")->row->settings;
    if (s->next_rule <= (int64_t)ps->count) { // its own record was damaged
        s->next_rule = (int64_t)ps->count + 1;
        rule_mark(c, ps->settings);
    }
    struct rule_entry *root = always_there(c, RULE_ACCOUNT, ACCOUNT_ROOT);
    always_there(c, RULE_ACCOUNT, ACCOUNT_DEFAULT);
    always_there(c, RULE_QOS, QOS_DEFAULT);
    always_there(c, RULE_QUEUE, QUEUE_DEFAULT);
    for (size_t i = 0; i < ps->count; i++) {
        struct rule_entry *p = ps->by_id[i];
        if (!p)
            continue;
        rule_resolve(c, p);
        if (rule_is_level(p->row->kind))
            tally_get(c, p->row->id, -1);
        // A parent whose record was damaged.
        bool child = (p->row->kind == RULE_ACCOUNT && p != root) || p->row->kind == RULE_USER;
        if (child && !p->parent)
            p->parent = root;
    }
    account_break_cycles(c);
}

void rules_start(struct cluster *c, bool same_boot)
{
    bool first = !c->rules.settings;
    struct job *j;
    complete(c);
    start_clock(c, same_boot, first);
    TAILQ_FOREACH(j, &c->jobs, live_link)
    if (tally_counts_job(j))
        adopt(c, j);
    tally_recount(c);
    fair_share_refresh(c);
    ranks_stale(c);
    windows_start(c);
}

void cluster_view(struct cluster *c, struct now now)
{
    cluster_turn_begin(c);
    c->now = now;
    complete(c);
    fair_share_refresh(c);
}
