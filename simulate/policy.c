#include "simulate/policy.h"

#include "common/alloc.h"

#include <stdio.h>
#include <string.h>

enum { SIM_ALL = 10000 }; // the most that may be kept

const struct queue_word queue_words[] = {
    {"fcfs", "strict order: the first job that does not fit holds back all that follow", 0},
    {"easy", "backfill that never delays the first job that waits", 1},
    {"conservative", "backfill that never delays any job that waits", SIM_ALL},
    {NULL, NULL, 0},
};

struct sim_policy policy_default(void)
{
    struct sim_policy p = {.name = "default", .limits = CLUSTER_LIMITS_DEFAULT};
    rule_init(&p.settings, RULE_SETTINGS);
    return p;
}

// False: it is none.
static bool apply(const char *word, struct sim_policy *p)
{
    if (strcmp(word, "default") == 0)
        return true;
    for (const struct queue_word *w = queue_words; w->word; w++)
        if (strcmp(w->word, word) == 0) {
            p->settings.settings.backfill_reservations = w->reservations;
            return true;
        }
    enum policy placing = policy_of_word(word);
    if (placing != POLICY_COUNT)
        p->limits.policy = placing;
    return placing != POLICY_COUNT;
}

static int unknown(const char *word, struct err *err)
{
    AUTO(text) struct text t = {0};
    for (const struct queue_word *w = queue_words; w->word; w++)
        text_addf(&t, ", %s", w->word);
    for (enum policy p = 0; p < POLICY_COUNT; p++)
        text_addf(&t, ", %s", policy_word(p));
    return fail(err, E_INVALID,
                "the policy \"%s\" is unknown. There are: default%s, and several joined by \"+\".",
                word, text_str(&t));
}

int policy_parse(const char *name, struct sim_policy *ret, struct err *err)
{
    struct sim_policy p = policy_default();
    if (strlen(name) >= sizeof p.name)
        return fail(err, E_INVALID, "the policy \"%.70s\" is unknown: its name is too long.", name);
    snprintf(p.name, sizeof p.name, "%s", name);
    for (const char *at = name;;) {
        size_t len = strcspn(at, "+");
        AUTO_FREE char *word = xstrndup(at, len);
        if (!apply(word, &p))
            return unknown(word, err);
        at += len;
        if (!*at)
            break;
        at++;
    }
    *ret = p;
    return 0;
}
