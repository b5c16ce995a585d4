#include "simulate/policy.h"

#include "common/alloc.h"

#include <stdio.h>
#include <string.h>

static void strict_order(struct sim_policy *p)
{
    (void)p;
}

#define X(name, word, summary)                     \
    static void place_##name(struct sim_policy *p) \
    {                                              \
        p->limits.policy = POLICY_##name;          \
    }
POLICY_TABLE(X)
#undef X

const struct policy_word policy_words[] = {
    {"fcfs", "strict order: the first job that does not fit holds back all that follow",
     strict_order},
#define X(name, word, summary) {word, "a node: " summary, place_##name},
    POLICY_TABLE(X)
#undef X
        {NULL, NULL, NULL},
};

struct sim_policy policy_default(void)
{
    return (struct sim_policy){.name = "default", .limits = CLUSTER_LIMITS_DEFAULT};
}

static const struct policy_word *find(const char *word, size_t len)
{
    for (const struct policy_word *w = policy_words; w->word; w++)
        if (strlen(w->word) == len && strncmp(w->word, word, len) == 0)
            return w;
    return NULL;
}

int policy_parse(const char *name, struct sim_policy *ret, struct err *err)
{
    struct sim_policy p = policy_default();
    if (strlen(name) >= sizeof p.name)
        return fail(err, E_INVALID, "the policy \"%.70s\" is unknown: its name is too long.", name);
    snprintf(p.name, sizeof p.name, "%s", name);
    for (const char *word = name;;) {
        size_t len = strcspn(word, "+");
        const struct policy_word *w = find(word, len);
        if (!w && !(len == strlen("default") && strncmp(word, "default", len) == 0)) {
            AUTO(text) struct text t = {0};
            for (w = policy_words; w->word; w++)
                text_addf(&t, ", %s", w->word);
            return fail(err, E_INVALID,
                        "the policy \"%.*s\" is unknown. There are: default%s, and several joined "
                        "by \"+\".",
                        (int)len, word, text_str(&t));
        }
        if (w)
            w->apply(&p);
        word += len;
        if (!*word)
            break;
        word++;
    }
    *ret = p;
    return 0;
}
