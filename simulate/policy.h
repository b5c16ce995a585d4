// The policies that can be asked for by name, alone or joined: "easy+fgd". A word sets its part of
// the scheduler's configuration and leaves the rest as in production.
#pragma once

#include "common/err.h"
#include "common/text.h"
#include "scheduler/core/cluster.h"

struct sim_policy {
    char name[64]; // as asked for
    struct cluster_limits limits;
};

struct policy_word {
    const char *word, *summary;
    void (*apply)(struct sim_policy *p);
};
// Ends with a NULL word.
extern const struct policy_word policy_words[];

// As in production.
struct sim_policy policy_default(void);
// E_INVALID: it names the words there are.
int policy_parse(const char *name, struct sim_policy *ret, struct err *err);
