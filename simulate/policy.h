// The policies that can be asked for by name, alone or joined: "easy+fgd". A word sets its part of
// the scheduler's configuration and leaves the rest as in production.
#pragma once

#include "common/err.h"
#include "common/rule.h"
#include "common/text.h"
#include "scheduler/core/cluster.h"

struct sim_policy {
    char name[64]; // as asked for
    struct cluster_limits limits;
    struct rule settings; // of kind RULE_SETTINGS, without an id
    struct rule queue;    // of kind RULE_QUEUE: that of all jobs
};

// The order of the queue, of which there is one row for each, in policy.c; where a job goes is the
// core's own table (scheduler/core/policy.h).
struct queue_word {
    const char *word, *summary;
    int64_t reservations; // backfill_reservations
};
// How the queue goes by jobs' attained service, submission or priority (docs/scheduling.md).
struct order_word {
    const char *word, *summary;
};
extern const struct order_word order_words[];
// Ends with a NULL word.
extern const struct queue_word queue_words[];

// As in production.
struct sim_policy policy_default(void);
// E_INVALID: it names the words there are.
// Settings of the queue, "key=value key=value", over those of the policy, as `schedctl queue set`
// takes them. E_INVALID.
int policy_set_queue(struct sim_policy *p, const char *settings, struct err *err);
int policy_parse(const char *name, struct sim_policy *ret, struct err *err);
