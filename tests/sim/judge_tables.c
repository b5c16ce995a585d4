// What a commit brings: the tables against the events, and against the processes that live.
#include "tests/sim/judge.h"

// The events alone tell what is given out.
static void recount(struct sim *s, const struct store_batch *b)
{
    struct tables *t = &s->disk.now;
    for (size_t i = 0; i < b->events_count; i++) {
        const struct event *e = &b->events[i];
        struct coreset *given = e->node.v ? &t->given[e->node.v - 1] : NULL;
        if (e->kind == EVENT_JOB_PLACED || e->kind == EVENT_QUARANTINED) {
            if (coreset_intersects(given, &e->cores))
                broken(s, "the events give cores of node %u twice: %s", e->node.v, e->text);
            coreset_union(given, &e->cores);
        } else if (e->kind == EVENT_PART_ENDED) {
            if (!coreset_contains(given, &e->cores))
                broken(s, "the events return what was not given: %s", e->text);
            coreset_subtract(given, &e->cores);
        }
    }
    struct coreset held[KEEPERS_MAX * 2] = {0};
    for (size_t i = 0; i < t->parts_count; i++) {
        struct coreset *of = &held[t->parts[i].node.v - 1];
        if (coreset_intersects(of, &t->parts[i].cores))
            broken(s, "the tables give cores of node %u twice", t->parts[i].node.v);
        coreset_union(of, &t->parts[i].cores);
    }
    for (size_t i = 0; i < t->nodes_count; i++)
        if (!coreset_equal(&held[i], &t->given[i]))
            broken(s, "node %zu: the events and the placements disagree on what is given out",
                   i + 1);
}

static const struct group *live_group(struct sim *s, struct job_uid uid, struct keeper **ret)
{
    for (int i = 0; i < s->keepers_count; i++) {
        const struct group *g;
        TAILQ_FOREACH(g, &s->keepers[i].groups, link)
        if (g->alive && g->id.job.v == uid.v) {
            *ret = &s->keepers[i];
            return g;
        }
    }
    return NULL;
}

void judge_committed(struct sim *s, const struct store_batch *b)
{
    recount(s, b);
    for (const struct store_slot *slot = b->jobs; slot; slot = slot->hh.next) {
        const struct job *j = slot->row;
        judge_preempted(s, j);
        struct keeper *k;
        judge_attained(s, b, j);
        bool over = job_state_ended(j->state) || j->state == JOB_PENDING;
        if (!over || !j->attempt || truth_of(s, j->uid)->forgiven)
            continue;
        const struct group *g = live_group(s, j->uid, &k);
        if (g)
            broken(s, "job %" PRIu64 " is %s while attempt %u has live tasks on %s", j->id.v,
                   job_state_word(j->state), g->id.number, k->name);
    }
}
