// plan reserve, limit: what a change of the operators' settings would do to the jobs.
#include "common/alloc.h"
#include "schedctl/plan.h"
#include "schedctl/rule_json.h"
#include "schedctl/rule_order.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// "start=+2h" means another time when it is asked for again: the row's own value, to the second.
static void settle_time(struct args *a, size_t i, struct rule *r, json_t *set)
{
    const char *text = a->operands[i];
    AUTO_FREE char *key = xstrndup(text, strcspn(text, "="));
    const struct rule_field *f = rule_field(r->kind, key);
    char at[32];
    struct tm tm;
    if (strcmp(key, "end") == 0) {
        f = rule_field(r->kind, "duration");
        int64_t *ms = rule_number(r, f);
        *ms = (*ms + 999) / 1000 * 1000;
        a->operands[i] = xasprintf("duration=%" PRId64 "s", *ms / 1000);
    } else if (f && f->type == RULE_TYPE_AT && rule_number_of(r, f)) {
        int64_t *ms = rule_number(r, f);
        time_t s = (time_t)(*ms / 1000);
        if (!localtime_r(&s, &tm) || !strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", &tm))
            return;
        *ms = (int64_t)s * 1000;
        a->operands[i] = xasprintf("%s=%s", key, at);
    } else {
        return;
    }
    json_object_set_new(set, f->name, rule_field_json(r, f));
}

static int plan_rule(struct ctl *ctl, const char *verb, struct rule *r, const char *name,
                     size_t from)
{
    struct err err;
    json_t *set = json_object();
    if (rule_take_settings(&ctl->args, from, r, set, &err)) {
        json_decref(set);
        return report(&err);
    }
    struct args *a = &ctl->args;
    AUTO_FREE char **asked = xmemdup(a->operands, a->operands_count * sizeof *asked);
    for (size_t i = from; i < a->operands_count; i++)
        settle_time(a, i, r, set);
    json_t *change = json_pack("{s:{s:s,s:s,s:s,s:o}}", "rule", "do", verb, "kind",
                               rule_kind_word(r->kind), "name", name, "set", set);
    int code = plan_run(ctl, json_pack("[o]", change), true);
    for (size_t i = from; i < a->operands_count; i++)
        if (a->operands[i] != asked[i]) {
            free(a->operands[i]);
            a->operands[i] = asked[i];
        }
    return code;
}

static int run_reserve(struct ctl *ctl)
{
    struct rule r;
    rule_init(&r, RULE_RESERVATION);
    return plan_rule(ctl, "create", &r, ctl->args.operands[0], 1);
}

static int run_limit(struct ctl *ctl)
{
    const struct args *a = &ctl->args;
    const char *noun = a->operands[0];
    bool cluster = strcmp(noun, "cluster") == 0;
    enum rule_kind k = cluster ? RULE_SETTINGS : rule_kind_parse(noun);
    struct rule r;
    if (k == RULE_KIND_COUNT || (k == RULE_SETTINGS && !cluster))
        return complain(CTL_USAGE,
                        "\"%.64s\" has no limits. Name one of queue, account, user, qos, "
                        "reservation and cluster.",
                        noun);
    if (!cluster && a->operands_count < 3)
        return complain(CTL_USAGE, "plan limit %s needs a name and KEY=VALUE", noun);
    rule_init(&r, k);
    return plan_rule(ctl, "change", &r, cluster ? "" : a->operands[1], cluster ? 1 : 2);
}

const struct verb verb_plan_reserve = {
    .name = "plan reserve",
    .usage = "NAME KEY=VALUE...",
    .operands_min = 2,
    .operands_max = -1,
    .summary = "what a reservation would do to the jobs",
    .text = "The keys are those of `schedctl reservation create --help`. Nothing is reserved.",
    .options = {{plan_options, PLAN_OPTIONS_COUNT}},
    .examples = {{"plan reserve fix start=+2h duration=4h nodes=n1 maintenance=true",
                  "Who would have to wait? Then --apply."}},
    .run = run_reserve,
};

const struct verb verb_plan_limit = {
    .name = "plan limit",
    .usage = "queue|account|user|qos|reservation NAME KEY=VALUE...\ncluster KEY=VALUE...",
    .operands_min = 2,
    .operands_max = -1,
    .summary = "what another limit or setting would do to the jobs",
    .text = "The keys are those of `schedctl queue create --help` and so on, and of `schedctl "
            "cluster set --help`: limits, and all that can be set beside them. Tells the jobs that "
            "start earlier or later, and what would be over a limit.",
    .options = {{plan_options, PLAN_OPTIONS_COUNT}},
    .examples = {{"plan limit account physics max_gpus=8", "Whom would it keep?"},
                 {"plan limit queue night state=draining", "All that can be set can be planned."},
                 {"plan limit cluster backfill_reservations=20", "Of the cluster's own settings."}},
    .run = run_limit,
};
