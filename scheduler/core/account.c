// The tree of accounts.
#include "scheduler/core/state.h"

#include <string.h>

bool account_below(const struct rule_entry *account, const struct rule_entry *above)
{
    while (account && account != above)
        account = account->parent;
    return account;
}

static int height(const struct rule_entry *a)
{
    int n = 0;
    for (; a; a = a->parent)
        n++;
    return n;
}

// The longest way down from a, itself counted.
static int depth_below(const struct cluster *c, const struct rule_entry *a)
{
    int most = 1;
    for (const struct rule_entry *p = c->rules.by_name[RULE_ACCOUNT]; p; p = p->by_name.next)
        if (account_below(p, a) && height(p) - height(a) + 1 > most)
            most = height(p) - height(a) + 1;
    return most;
}

void account_check(const struct cluster *c, const struct rule *row, const struct rule_entry *old,
                   struct text *wrong)
{
    bool root = strcmp(row->account.name, ACCOUNT_ROOT) == 0;
    const struct rule_entry *parent = rule_find(c, RULE_ACCOUNT, row->account.parent);
    if (root && *row->account.parent)
        text_add(wrong, "account \"root\" is part of no other");
    else if (!root && !parent)
        text_addf(wrong, "account \"%s\" needs a parent; \"root\" is above all", row->account.name);
    else if (old && parent == old)
        text_addf(wrong, "account \"%s\" would be part of itself", old->key);
    else if (old && account_below(parent, old))
        text_addf(wrong, "account \"%s\" would be part of itself: \"%s\" is below it", old->key,
                  parent->key);
    else if (height(parent) + (old ? depth_below(c, old) : 1) > RULES_DEPTH_MAX)
        text_addf(wrong, "accounts would be more than %d above each other", RULES_DEPTH_MAX);
}

// Rows that were damaged may name each other.
void account_break_cycles(struct cluster *c)
{
    struct rule_entry *root = rule_find(c, RULE_ACCOUNT, ACCOUNT_ROOT);
    for (struct rule_entry *p = c->rules.by_name[RULE_ACCOUNT]; p; p = p->by_name.next) {
        int n = 0;
        const struct rule_entry *a = p;
        while (a && n++ < RULES_DEPTH_MAX)
            a = a->parent;
        if (a && p != root)
            p->parent = root;
    }
    root->parent = NULL;
}
