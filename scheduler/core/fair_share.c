// Fair share by the Fair Tree (Cox and Morrison, as in Slurm): users are ranked by a walk down the
// tree. Beside its siblings each user or account stands by
//     level share = (shares / siblings' shares) / (usage / siblings' usage)
// the highest first, and all users below an account that stands before another rank before all
// below that other. The factor is rank / users. Siblings that stand equal rank together: their
// users get the same rank, their accounts are walked as if they were one.
#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

// One that is ranked, with what it is beside its siblings.
struct ranked {
    struct rule_entry *p;
    uint64_t level; // 2^-32; UINT64_MAX: has used nothing
};

struct ranking {
    struct cluster *c;
    struct ranked *items; // a stack: the children of the accounts that are walked
    size_t count, cap;
    struct rule_entry **children; // users and accounts by parent, then id
    size_t children_count;
    size_t left, users; // ranks not given yet
};

static int child_order(const void *a, const void *b)
{
    const struct rule_entry *x = *(struct rule_entry *const *)a,
                            *y = *(struct rule_entry *const *)b;
    int64_t px = x->parent->row->id, py = y->parent->row->id;
    if (px != py)
        return px < py ? -1 : 1;
    return x->row->id < y->row->id ? -1 : x->row->id > y->row->id;
}

static int64_t shares_of(const struct rule_entry *p)
{
    return p->row->kind == RULE_USER ? p->row->user.shares : p->row->account.shares;
}

static int ranked_order(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->level != y->level)
        return x->level > y->level ? -1 : 1;
    if ((x->p->row->kind == RULE_USER) != (y->p->row->kind == RULE_USER))
        return x->p->row->kind == RULE_USER ? -1 : 1;
    return x->p->row->id < y->p->row->id ? -1 : x->p->row->id > y->p->row->id;
}

static uint64_t level_of(int64_t shares, __int128 all_shares, int64_t used, __int128 all_used)
{
    if (!used)
        return UINT64_MAX;
    if (!shares)
        return 0;
    // (shares / all_shares) / (used / all_used), each part in 2^-31.
    uint64_t s = (uint64_t)(((__int128)shares << 31) / all_shares);
    uint64_t u = (uint64_t)(((__int128)used << 31) / all_used);
    return (s << 32) / (u ? u : 1);
}

// The first child of the account in ranking.children.
static size_t first_child(const struct ranking *r, const struct rule_entry *account)
{
    size_t low = 0, high = r->children_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->children[middle]->parent->row->id < account->row->id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void push_children(struct ranking *r, const struct rule_entry *account)
{
    __int128 shares = 0, used = 0;
    size_t first = first_child(r, account);
    for (size_t i = first; i < r->children_count && r->children[i]->parent == account; i++) {
        shares += shares_of(r->children[i]);
        used += usage_cost(r->c, r->children[i]->tally);
    }
    for (size_t i = first; i < r->children_count && r->children[i]->parent == account; i++) {
        struct rule_entry *p = r->children[i];
        VEC_RESERVE(r->items, r->count, r->cap);
        r->items[r->count++] =
            (struct ranked){p, level_of(shares_of(p), shares, usage_cost(r->c, p->tally), used)};
    }
}

// Ranks what stands from `from` on, and takes it off the stack.
static void rank(struct ranking *r, size_t from)
{
    size_t to = r->count;
    if (to > from)
        qsort(r->items + from, to - from, sizeof *r->items, ranked_order);
    for (size_t i = from, end; i < to; i = end) {
        size_t given = 0, accounts = r->count;
        for (end = i; end < to && r->items[end].level == r->items[i].level; end++) {
            struct rule_entry *p = r->items[end].p;
            if (p->row->kind == RULE_USER) {
                p->fair_share = (uint32_t)(r->left * FAIR_SHARE_ONE / r->users);
                given++;
            } else {
                push_children(r, p);
            }
        }
        r->left -= given;
        if (r->count > accounts)
            rank(r, accounts);
    }
    r->count = from;
}

bool fair_share_refresh(struct cluster *c)
{
    struct rules *ps = &c->rules;
    int64_t now_ms = usage_clock(c);
    if (!ps->rank_wanted && now_ms - ps->ranked_at_ms < FAIR_SHARE_MS)
        return false;
    struct ranking r = {.c = c};
    r.children = xcalloc(ps->count + 1, sizeof *r.children);
    for (size_t i = 0; i < ps->count; i++) {
        struct rule_entry *p = ps->by_id[i];
        if (!p || !p->parent || (p->row->kind != RULE_USER && p->row->kind != RULE_ACCOUNT))
            continue;
        r.children[r.children_count++] = p;
        r.users += p->row->kind == RULE_USER;
    }
    if (r.children_count)
        qsort(r.children, r.children_count, sizeof *r.children, child_order);
    r.left = r.users;
    push_children(&r, rule_find(c, RULE_ACCOUNT, ACCOUNT_ROOT));
    rank(&r, 0);
    free(r.items);
    free(r.children);
    ps->rank_wanted = false;
    ps->ranked_at_ms = now_ms;
    return true;
}

uint32_t fair_share(const struct cluster *c, struct user_id u)
{
    const struct rule_entry *p = rule_by_id(c, u.v);
    return p ? p->fair_share : 0;
}
