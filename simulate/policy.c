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

const struct order_word order_words[] = {
    {"fifo", "the job that was submitted first goes first"},
    {"las", "the job that has had least so far goes first, and stops those that have had more"},
    {NULL, NULL},
};

struct sim_policy policy_default(void)
{
    struct sim_policy p = {.name = "default", .limits = CLUSTER_LIMITS_DEFAULT};
    rule_init(&p.settings, RULE_SETTINGS);
    rule_init(&p.queue, RULE_QUEUE);
    snprintf(p.queue.queue.name, sizeof p.queue.queue.name, "%s", QUEUE_DEFAULT);
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
    for (const struct order_word *w = order_words; w->word; w++)
        if (strcmp(w->word, word) == 0) {
            snprintf(p->queue.queue.order, sizeof p->queue.queue.order, "%s", word);
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
    for (const struct order_word *w = order_words; w->word; w++)
        text_addf(&t, ", %s", w->word);
    for (enum policy p = 0; p < POLICY_COUNT; p++)
        text_addf(&t, ", %s", policy_word(p));
    return fail(err, E_INVALID,
                "the policy \"%s\" is unknown. There are: default%s, and several joined by \"+\".",
                word, text_str(&t));
}

// The core itself says if the row makes sense.
static int try_queue(const struct sim_policy *p, struct err *err)
{
    struct cluster *c = cluster_new(&p->limits);
    struct input in = {.kind = INPUT_RULE_SET, .caller = {.reply_to = 1, .admin = true}};
    int rc = 0;
    cluster_start(c, (struct now){.boot_ms = 1, .wall_ms = 1}, 1, 1, false, false, 0);
    cluster_turn_begin(c);
    in.rule.row = &p->queue;
    in.rule.mode = RULE_PUT;
    cluster_step(c, (struct now){.boot_ms = 1, .wall_ms = 1}, &in);
    const struct outcome *o = cluster_outcome(c);
    for (size_t i = 0; i < o->effects_count; i++)
        if (o->effects[i].kind == EFFECT_REPLY && !o->effects[i].reply.ok)
            rc = fail(err, E_INVALID, "option --queue: %s.", o->effects[i].reply.detail);
    cluster_free(c);
    return rc;
}

int policy_set_queue(struct sim_policy *p, const char *settings, struct err *err)
{
    while (*settings) {
        size_t len = strcspn(settings, " "), key_len = strcspn(settings, "=");
        AUTO_FREE char *word = xstrndup(settings, len);
        if (key_len < len) {
            word[key_len] = 0;
            const struct rule_field *f = rule_field(RULE_QUEUE, word);
            if (!f || f->type == RULE_TYPE_HIDDEN || strcmp(f->name, "name") == 0)
                return fail(err, E_INVALID,
                            "option --queue: a queue has no setting \"%.40s\". `schedctl queue set "
                            "--help` lists them.",
                            word);
            if (rule_set_text(&p->queue, f, word + key_len + 1, err))
                return E_INVALID;
        } else if (len) {
            return fail(err, E_INVALID,
                        "option --queue: \"%.40s\" is no setting. Say for example \"order=las "
                        "las_first=1h\".",
                        word);
        }
        settings += len + strspn(settings + len, " ");
    }
    return try_queue(p, err);
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
