// Users in accounts.
#include "scheduler/core/state.h"

#include <string.h>

static void check_identity(const struct rule_entry *other, const struct user_rule *u,
                           struct text *wrong)
{
    const struct user_rule *o = &other->row->user;
    bool same_name = strcmp(o->name, u->name) == 0;
    if (wrong->len || same_name == (o->uid == u->uid))
        return;
    if (same_name)
        text_addf(wrong, "user \"%s\" has the uid %" PRId64 ", in account \"%s\"", o->name, o->uid,
                  o->account);
    else
        text_addf(wrong, "uid %" PRId64 " is user \"%s\", in account \"%s\"", o->uid, o->name,
                  o->account);
}

void user_check(const struct cluster *c, const struct rule *row, const struct rule_entry *old,
                struct text *wrong)
{
    const struct user_rule *u = &row->user;
    if (u->uid < 0)
        text_addf(wrong, "the machine of the scheduler knows no user \"%s\". Give uid=N", u->name);
    else if (old && old->row->user.uid != u->uid)
        text_addf(wrong, "the uid of user \"%s\" is %" PRId64 " and stays so", u->name,
                  old->row->user.uid);
    for (const struct rule_entry *p = c->rules.by_name[RULE_USER]; p; p = p->by_name.next)
        check_identity(p, u, wrong);
}

// At most one account of a user is the default one.
void user_set(struct cluster *c, struct rule_entry *p)
{
    struct rule_entry *o = p->row->user.is_default ? rule_of_uid(c, p->row->user.uid) : NULL;
    for (; o; o = o->next_of_uid)
        if (o != p && o->row->user.is_default) {
            o->row->user.is_default = false;
            rule_mark(c, o);
        }
}

struct rule_entry *user_default(const struct cluster *c, int64_t uid)
{
    struct rule_entry *first = rule_of_uid(c, uid), *p = first;
    while (p && !p->row->user.is_default)
        p = p->next_of_uid;
    return p ? p : first;
}

void user_in_use(const struct cluster *c, const struct rule_entry *p, struct text *by)
{
    const struct rule_entry *first = rule_of_uid(c, p->row->user.uid);
    if (p->row->user.is_default && (first != p || p->next_of_uid))
        text_addf(by,
                  "user \"%s\" has it as the default account. Make another one the default first",
                  p->row->user.name);
}
