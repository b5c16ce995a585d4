// Reservations: when they hold, and of what.
#include "common/hostlist.h"
#include "scheduler/core/state.h"

#include <string.h>

bool reservation_next(const struct reservation_rule *r, int64_t from_ms, int64_t *ret_start,
                      int64_t *ret_end)
{
    struct span s = reservation_span(r);
    return span_next(&s, from_ms, ret_start, ret_end);
}

static const int64_t TIME_MAX_MS = INT64_C(31557600000) * 100;

static void check_nodes(const struct cluster *c, const struct reservation_rule *r,
                        struct text *wrong)
{
    struct err err;
    AUTO(names) struct names names = {0};
    if (hostlist_expand(r->nodes, &names, &err)) {
        text_add(wrong, err.message);
        return;
    }
    for (size_t i = 0; i < names.count; i++)
        if (!node_find_name(c, names.items[i])) {
            text_addf(wrong, "there is no node \"%s\"", names.items[i]);
            return;
        }
}

const char *reservation_nodes(const struct reservation_rule *r)
{
    return r->node_count ? r->chosen : r->nodes;
}

bool reservation_is_for(const struct reservation_rule *r, const struct rule_entry *user)
{
    for (const struct rule_entry *p = user->parent; p; p = p->parent)
        if (rule_list_has(r->accounts, p->key))
            return true;
    return rule_list_has(r->users, user->row->user.name);
}

static bool has_user(const struct cluster *c, const char *name)
{
    for (const struct rule_entry *p = c->rules.by_name[RULE_USER]; p; p = p->by_name.next)
        if (strcmp(p->row->user.name, name) == 0)
            return true;
    return false;
}

void reservation_check(const struct cluster *c, const struct rule *row,
                       const struct rule_entry *old, struct text *wrong)
{
    const struct reservation_rule *r = &row->reservation;
    char name[RULE_NAME_SIZE];
    size_t at = 0;
    int64_t period = reservation_span(r).period_ms;
    (void)old;
    if (r->start_ms <= 0 || r->duration_ms <= 0) {
        text_add(wrong, "a reservation needs start and duration (or end)");
    } else if (r->duration_ms > TIME_MAX_MS || r->start_ms > 100 * TIME_MAX_MS) {
        text_add(wrong, "a reservation lasts a hundred years at most");
    } else if (period && r->duration_ms >= period) {
        text_addf(wrong, "a reservation that is repeated %s must be shorter than that", r->repeat);
    } else if ((*r->nodes != 0) == (r->node_count > 0)) {
        text_add(wrong, "a reservation needs nodes or node_count, one of both");
    } else if (r->maintenance && (*r->accounts || *r->users)) {
        text_add(wrong, "nothing runs in maintenance: it is for no accounts or users");
    } else if (!r->maintenance && !*r->accounts && !*r->users) {
        text_add(wrong, "a reservation is for accounts or users, or maintenance");
    } else {
        if (*r->nodes)
            check_nodes(c, r, wrong);
        while (!wrong->len && rule_list_next(r->users, &at, name))
            if (!has_user(c, name))
                text_addf(wrong, "there is no user \"%s\" in any account", name);
    }
}
