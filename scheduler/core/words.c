#include "common/check.h"
#include "scheduler/core/cluster.h"

#include <stdlib.h>

static const struct {
    const char *word;
    bool ended;
} job_states[JOB_STATE_COUNT] = {
#define X(name, word, ended) [JOB_##name] = {word, ended},
    JOB_STATE_TABLE(X)
#undef X
};

static const char *const node_states[NODE_STATE_COUNT] = {
#define X(name, word) [NODE_##name] = word,
    NODE_STATE_TABLE(X)
#undef X
};

static const char *const placement_states[PLACEMENT_STATE_COUNT] = {
#define X(name, word) [PLACEMENT_##name] = word,
    PLACEMENT_STATE_TABLE(X)
#undef X
};

static const char *const event_kinds[EVENT_KIND_COUNT] = {
#define X(name, word) [EVENT_##name] = word,
    EVENT_TABLE(X)
#undef X
};

const char *job_state_word(enum job_state s)
{
    CHECK(s < JOB_STATE_COUNT);
    return job_states[s].word;
}

bool job_state_ended(enum job_state s)
{
    CHECK(s < JOB_STATE_COUNT);
    return job_states[s].ended;
}

const char *node_state_word(enum node_state s)
{
    CHECK(s < NODE_STATE_COUNT);
    return node_states[s];
}

enum node_state node_state(const struct node *n)
{
    if (n->fenced)
        return NODE_DOWN;
    if (n->drain)
        return TAILQ_EMPTY(&n->parts) ? NODE_DRAINED : NODE_DRAINING;
    if (n->unreachable_since_ms || !n->ready)
        return NODE_UNREACHABLE;
    return NODE_UP;
}

void text_add_shares(struct text *t, const struct gpu_shares *s)
{
    const char *comma = "";
    for (int g = 0; g < NODE_GPUS_MAX; g++)
        if (s->milli[g]) {
            text_addf(t, "%s%d:%d", comma, g, s->milli[g]);
            comma = ",";
        }
}

bool shares_parse(const char *list, struct gpu_shares *ret)
{
    struct gpu_shares out = {{0}};
    while (*list) {
        char *end;
        unsigned long g = strtoul(list, &end, 10);
        if (end == list || *end != ':' || g >= NODE_GPUS_MAX)
            return false;
        list = end + 1;
        unsigned long milli = strtoul(list, &end, 10);
        if (end == list || milli < 1 || milli > 1000 || (*end && *end != ','))
            return false;
        out.milli[g] = (uint16_t)milli;
        list = *end ? end + 1 : end;
    }
    *ret = out;
    return true;
}

const char *placement_state_word(enum placement_state s)
{
    CHECK(s < PLACEMENT_STATE_COUNT);
    return placement_states[s];
}

const char *event_kind_word(enum event_kind k)
{
    CHECK(k < EVENT_KIND_COUNT);
    return event_kinds[k];
}
