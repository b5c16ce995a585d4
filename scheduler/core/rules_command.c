// What operators ask of rules: a row is set as a whole, or removed. It is validated before it
// takes effect; a refused change leaves the old row.
#include "scheduler/core/state.h"

#include <string.h>

// Which members name other rules.
static const struct reference {
    enum rule_kind of;
    const char *field;
    enum rule_kind to;
} references[] = {
    {RULE_ACCOUNT, "parent", RULE_ACCOUNT},
    {RULE_ACCOUNT, "default_qos", RULE_QOS},
    {RULE_ACCOUNT, "qos", RULE_QOS},
    {RULE_USER, "account", RULE_ACCOUNT},
    {RULE_QUEUE, "default_qos", RULE_QOS},
    {RULE_QUEUE, "accounts", RULE_ACCOUNT},
    {RULE_QUEUE, "qos", RULE_QOS},
    {RULE_QOS, "preempts", RULE_QOS},
    {RULE_RESERVATION, "accounts", RULE_ACCOUNT},
};
enum { REFERENCES = sizeof references / sizeof *references };

static void add_kind(struct text *t, enum rule_kind k)
{
    text_add(t, k == RULE_QOS ? "QoS" : rule_kind_word(k));
}

void rule_add_title(const struct rule *r, struct text *ret)
{
    if (r->kind == RULE_USER) {
        text_addf(ret, "user \"%s\" in account \"%s\"", r->user.name, r->user.account);
        return;
    }
    add_kind(ret, r->kind);
    if (r->kind == RULE_SETTINGS)
        return;
    text_add(ret, " \"");
    rule_name(r, ret);
    text_addc(ret, '"');
}

void rule_add_names(const struct cluster *c, enum rule_kind k, struct text *ret)
{
    enum { SHOWN = 10 };
    int n = 0;
    for (size_t i = 0; i < c->rules.count; i++) {
        const struct rule_entry *p = c->rules.by_id[i];
        if (!p || p->row->kind != k)
            continue;
        if (n++ == SHOWN) {
            text_add(ret, ", ...");
            return;
        }
        text_addf(ret, "%s%s", n > 1 ? ", " : "", p->key);
    }
}

// ---- validation ----

static void check_references(const struct cluster *c, const struct rule *row, struct text *wrong)
{
    char name[RULE_NAME_SIZE];
    for (size_t i = 0; i < REFERENCES && !wrong->len; i++) {
        size_t at = 0;
        if (references[i].of != row->kind)
            continue;
        const struct rule_field *f = rule_field(row->kind, references[i].field);
        while (!wrong->len && rule_list_next(rule_text(row, f), &at, name)) {
            bool itself = row->kind == references[i].to &&
                          strcmp(name, rule_text(row, rule_field(row->kind, "name"))) == 0;
            if (itself || rule_find(c, references[i].to, name))
                continue;
            text_addf(wrong, "%s names %s \"%s\", which does not exist; known: ", f->name,
                      references[i].to == RULE_QOS ? "QoS" : "account", name);
            rule_add_names(c, references[i].to, wrong);
        }
    }
}

// Numbers out of the bounds of their table.
static void check_numbers(const struct rule *row, struct text *wrong)
{
    struct err err;
    struct rule scratch;
    size_t count;
    const struct rule_field *f = rule_fields(row->kind, &count);
    rule_init(&scratch, row->kind);
    for (size_t i = 0; i < count && !wrong->len; i++)
        if (f[i].type != RULE_TYPE_HIDDEN && !rule_field_is_text(&f[i]) &&
            rule_set_number(&scratch, &f[i], rule_number_of(row, &f[i]), &err))
            text_add(wrong, err.message);
}

static void settings_check(const struct rule *row, struct text *wrong)
{
    static const int64_t least_ms = 10000, most_ms = INT64_C(100) * 86400000;
    const struct settings_rule *s = &row->settings;
    if (s->half_life_ms && (s->half_life_ms < least_ms || s->half_life_ms > most_ms))
        text_add(wrong, "half_life must be 10s to 100d, or none");
    else if (s->usage_period_ms && s->usage_period_ms < least_ms)
        text_add(wrong, "usage_period must be at least 10s, or none");
}

static void check(const struct cluster *c, const struct rule *row, const struct rule_entry *old,
                  struct text *wrong)
{
    const struct rule_field *name = rule_field(row->kind, "name");
    if (name && !rule_name_is_good(rule_text(row, name))) {
        text_addf(wrong, "\"%s\" is no name. Use letters, digits, \"-\", \"_\" and \".\"",
                  rule_text(row, name));
        return;
    }
    check_references(c, row, wrong);
    if (!wrong->len)
        check_numbers(row, wrong);
    if (wrong->len)
        return;
    switch (row->kind) {
    case RULE_SETTINGS:
        settings_check(row, wrong);
        break;
    case RULE_QOS:
        qos_check(c, row, old, wrong);
        break;
    case RULE_ACCOUNT:
        account_check(c, row, old, wrong);
        break;
    case RULE_USER:
        user_check(c, row, old, wrong);
        break;
    case RULE_RESERVATION:
        reservation_check(c, row, old, wrong);
        break;
    case RULE_QUEUE:
        queue_check(row, wrong);
        break;
    case RULE_KIND_COUNT:
        break;
    }
    if (!wrong->len && !old && rule_settings(c)->next_rule >= RULES_MAX)
        text_addf(wrong, "more than %d have been made", RULES_MAX);
}

// ---- set ----

static bool shown(const struct rule_field *f)
{
    return !rule_field_is_hidden(f) && strcmp(f->name, "name") != 0;
}

// "priority 0 -> 10, max_gpus none -> 8"; for a new row what differs from the initial values.
static void add_changes(const struct rule *from, const struct rule *to, bool is_new,
                        struct text *ret)
{
    size_t count, before = ret->len;
    const struct rule_field *f = rule_fields(to->kind, &count);
    for (size_t i = 0; i < count; i++) {
        if (!shown(&f[i]) || rule_field_equal(from, to, &f[i]))
            continue;
        text_add(ret, ret->len > before ? ", " : ": ");
        rule_field_key(&f[i], ret);
        if (is_new) {
            text_addc(ret, '=');
        } else {
            text_addc(ret, ' ');
            rule_add_value(from, &f[i], ret);
            text_add(ret, " -> ");
        }
        rule_add_value(to, &f[i], ret);
    }
}

static void tell(struct cluster *c, enum event_kind kind, const struct input *in,
                 const struct rule *row, const struct rule *from)
{
    static const char *const words[] = {"created", "changed", "removed"};
    AUTO(text) struct text t = {0};
    rule_add_title(row, &t);
    text_addf(&t, " %s by user %u", words[kind - EVENT_RULE_CREATED], in->caller.uid);
    if (from)
        add_changes(from, row, kind == EVENT_RULE_CREATED, &t);
    emit(c, kind, NULL, NULL, "%s", text_str(&t));
}

static void create(struct cluster *c, const struct input *in)
{
    struct rule initial;
    rule_init(&initial, in->rule.row->kind);
    struct rule_entry *p = rule_make(c, in->rule.row);
    if (p->row->kind == RULE_USER)
        user_set(c, p);
    if (p->row->kind == RULE_RESERVATION)
        windows_changed(c);
    tell(c, EVENT_RULE_CREATED, in, p->row, &initial);
}

// Is the queue ordered or filled in another way from now on?
static bool reorders(const struct rule *from, const struct rule *to)
{
    static const char *const fields[] = {
        "weight_priority",       "weight_age",    "weight_size",       "weight_nice",
        "weight_queue",          "weight_qos",    "weight_fair_share", "age_full",
        "backfill_reservations", "backfill_depth"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!rule_field_equal(from, to, rule_field(RULE_SETTINGS, fields[i])))
            return true;
    return false;
}

static void change(struct cluster *c, const struct input *in, struct rule_entry *p)
{
    struct rule from, to = *in->rule.row;
    memcpy(&from, p->row, rule_size(p->row->kind));
    to.id = from.id;
    if (to.kind == RULE_SETTINGS) {
        to.settings.next_rule = from.settings.next_rule;
        to.settings.usage_offset_ms = from.settings.usage_offset_ms;
        if (to.settings.half_life_ms != from.settings.half_life_ms ||
            to.settings.usage_period_ms != from.settings.usage_period_ms)
            usage_rebase(c, usage_clock(c), false);
        to.settings.usage_epoch_ms = p->row->settings.usage_epoch_ms;
        if (reorders(&from, &to))
            backfill_clear(c);
        c->rules.span_known = false;
    }
    memcpy(p->row, &to, rule_size(to.kind));
    rule_mark(c, p);
    rule_resolve(c, p);
    if (to.kind == RULE_USER)
        user_set(c, p);
    if (to.kind == RULE_QUEUE)
        las_queue_changed(c, to.id);
    if (to.kind == RULE_ACCOUNT)
        members_relevel(c);
    if (to.kind == RULE_RESERVATION)
        windows_changed(c);
    if (to.kind == RULE_ACCOUNT || to.kind == RULE_QOS)
        tally_recount(c);
    AUTO(text) struct text changes = {0};
    add_changes(&from, &to, false, &changes);
    if (changes.len)
        tell(c, EVENT_RULE_CHANGED, in, p->row, &from);
}

static bool may(struct cluster *c, const struct caller *who)
{
    enum reason_code no = c->meta.recovery_hold ? REASON_IN_RECOVERY
                          : !who->admin         ? REASON_NOT_OPERATOR
                                                : REASON_NONE;
    if (no != REASON_NONE)
        reply_refuse(c, who, (struct reason){.code = no}, NULL);
    return no == REASON_NONE;
}

void rule_set(struct cluster *c, const struct input *in)
{
    struct rule row = *in->rule.row;
    struct input set = *in;
    set.rule.row = &row;
    AUTO(text) struct text key = {0}, title = {0}, wrong = {0};
    rule_name(&row, &key);
    rule_add_title(&row, &title);
    struct rule_entry *old = rule_find(c, row.kind, text_str(&key));
    if (!may(c, &in->caller))
        return;
    if (old ? in->rule.mode == RULE_CREATE : in->rule.mode == RULE_CHANGE) {
        struct reason r = {.code = old ? REASON_RULE_EXISTS : REASON_NO_SUCH_RULE};
        reply_refuse(c, &in->caller, r, text_str(&title));
        return;
    }
    check(c, &row, old, &wrong);
    if (!wrong.len && row.kind == RULE_RESERVATION)
        reservation_take_nodes(c, &row, old, &wrong);
    if (wrong.len) {
        reply_refuse(c, &in->caller, (struct reason){.code = REASON_RULE_INVALID},
                     text_str(&wrong));
        return;
    }
    if (old)
        change(c, &set, old);
    else
        create(c, &set);
    ranks_stale(c);
    c->preempt.changes++;
    reply_ok(c, &in->caller, (struct job_id){0});
}

// ---- remove ----

static void named_by(const struct cluster *c, const struct rule_entry *p, struct text *by)
{
    for (size_t i = 0; i < c->rules.count && !by->len; i++) {
        const struct rule_entry *o = c->rules.by_id[i];
        for (size_t k = 0; o && o != p && !by->len && k < REFERENCES; k++) {
            const struct reference *r = &references[k];
            if (r->of != o->row->kind || r->to != p->row->kind ||
                !rule_list_has(rule_text(o->row, rule_field(r->of, r->field)), p->key))
                continue;
            rule_add_title(o->row, by);
            text_addf(by, " names it (%s)", r->field);
        }
    }
}

static void used_by_jobs(const struct cluster *c, const struct rule_entry *p, struct text *by)
{
    int64_t id = p->row->id, count = 0;
    const struct job *j, *first = NULL;
    TAILQ_FOREACH(j, &c->jobs, live_link)
    if (tally_counts_job(j) && (j->queue.v == id || j->account.v == id || j->user.v == id ||
                                j->qos.v == id || j->req.reservation.v == id)) {
        first = first ? first : j;
        count++;
    }
    if (count)
        text_addf(by, "%" PRId64 " job%s that live%s, as job %" PRIu64, count,
                  count == 1 ? "" : "s", count == 1 ? "s" : "", first->id.v);
}

static bool stays(const struct rule_entry *p)
{
    static const struct {
        enum rule_kind kind;
        const char *name;
    } always[] = {{RULE_ACCOUNT, ACCOUNT_ROOT},
                  {RULE_ACCOUNT, ACCOUNT_DEFAULT},
                  {RULE_QOS, QOS_DEFAULT},
                  {RULE_QUEUE, QUEUE_DEFAULT},
                  {RULE_SETTINGS, ""}};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (p->row->kind == always[i].kind && strcmp(p->key, always[i].name) == 0)
            return true;
    return false;
}

void rule_remove(struct cluster *c, const struct input *in)
{
    struct rule_entry *p = rule_find(c, in->rule_name.kind, in->rule_name.name);
    AUTO(text) struct text title = {0}, by = {0};
    if (!may(c, &in->caller))
        return;
    if (!p) {
        add_kind(&title, in->rule_name.kind);
        text_addf(&title, " \"%s\"", in->rule_name.name);
        reply_refuse(c, &in->caller, (struct reason){.code = REASON_NO_SUCH_RULE},
                     text_str(&title));
        return;
    }
    rule_add_title(p->row, &title);
    if (stays(p))
        text_add(&by, "it is always there");
    if (!by.len)
        named_by(c, p, &by);
    if (!by.len && p->row->kind == RULE_USER)
        user_in_use(c, p, &by);
    if (!by.len)
        used_by_jobs(c, p, &by);
    if (by.len) {
        text_addf(&title, ": %s", text_str(&by));
        reply_refuse(c, &in->caller, (struct reason){.code = REASON_RULE_IN_USE}, text_str(&title));
        return;
    }
    bool reserves = p->row->kind == RULE_RESERVATION;
    tell(c, EVENT_RULE_REMOVED, in, p->row, NULL);
    rule_drop(c, p);
    if (reserves)
        windows_changed(c);
    c->pass_wanted = true;
    reply_ok(c, &in->caller, (struct job_id){0});
}
