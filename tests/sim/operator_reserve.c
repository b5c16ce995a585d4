// Operators reserve nodes: for maintenance or the users' account, once or again and again, some
// named or so many of any; and think better of it.
#include "tests/sim/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES = 3 };
static const char *const names[NAMES] = {"r0", "r1", "r2"};

const char *any_reservation(struct world *w)
{
    return names[between(w, 0, NAMES - 1)];
}

// From a little before now to a while ahead; what is repeated began days ago.
static void choose_time(struct sim *s, struct reservation_rule *r)
{
    struct world *w = &s->world;
    static const struct {
        const char *word;
        int64_t period_ms;
    } repeats[] = {{"never", 0}, {"daily", 86400000}, {"weekly", INT64_C(7) * 86400000}};
    int i = chance(w, 500) ? 0 : (int)between(w, 1, 2);
    int64_t now_ms = clock_wall(w, &s->scheduler.machine.clock);
    snprintf(r->repeat, sizeof r->repeat, "%s", repeats[i].word);
    r->start_ms = now_ms - 3000 + spread(w, 1, 40000) - between(w, 0, 3) * repeats[i].period_ms;
    r->duration_ms = spread(w, 1000, 30000);
}

static void choose_nodes(struct sim *s, struct reservation_rule *r)
{
    struct world *w = &s->world;
    if (chance(w, 400)) {
        r->node_count = between(w, 1, 2);
        return;
    }
    const struct keeper *a = &s->keepers[between(w, 0, s->keepers_count - 1)];
    const struct keeper *b = &s->keepers[between(w, 0, s->keepers_count - 1)];
    if (a == b || chance(w, 400))
        snprintf(r->nodes, sizeof r->nodes, "%s", a->name);
    else
        snprintf(r->nodes, sizeof r->nodes, "%s,%s", a->name, b->name);
}

static void set_one(struct sim *s, const char *name)
{
    struct world *w = &s->world;
    struct rule *row = client_row(s->client, RULE_RESERVATION);
    struct reservation_rule *r = &row->reservation;
    snprintf(r->name, sizeof r->name, "%s", name);
    choose_time(s, r);
    choose_nodes(s, r);
    r->maintenance = chance(w, 400);
    if (!r->maintenance)
        snprintf(r->accounts, sizeof r->accounts, "default");
    r->ignore_jobs = chance(w, 600);
    struct ask ask = {.in = {.kind = INPUT_RULE_SET, .caller = {.admin = true}}};
    ask.in.rule.row = row;
    ask.in.rule.mode = RULE_PUT;
    send_ask(s, (struct asked){.of = ASK_OPERATOR}, ask);
}

static void remove_one(struct sim *s, const char *name)
{
    struct ask ask = {.in = {.kind = INPUT_RULE_REMOVE, .caller = {.admin = true}}};
    ask.in.rule_name.kind = RULE_RESERVATION;
    ask.in.rule_name.name = name;
    send_ask(s, (struct asked){.of = ASK_OPERATOR}, ask);
}

static void reserve_some(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    (void)arg;
    (void)n;
    if (s->calm)
        return;
    after(w, spread(w, 1000, 40000), NULL, reserve_some, NULL, 0);
    if (chance(w, 250))
        remove_one(s, any_reservation(w));
    else
        set_one(s, any_reservation(w));
}

// When faults are over nothing stays reserved: members that wait go first.
void reservations_clear(struct sim *s)
{
    bool any = false;
    for (size_t i = 0; i < s->disk.now.jobs_count; i++) {
        const struct job *j = &s->disk.now.jobs[i];
        bool waits = j->array_count ? j->array_next < j->array_count : j->state == JOB_PENDING;
        if (!j->req.reservation.v || !waits || job_state_ended(j->state))
            continue;
        any = true;
        struct ask ask = {.in = {.kind = INPUT_CANCEL, .caller = {.admin = true}, .job = j->id}};
        send_ask(s, (struct asked){.of = ASK_OPERATOR}, ask);
    }
    for (size_t i = 0; i < s->disk.now.rules_count && !any; i++) {
        const struct rule *r = &s->disk.now.rules[i];
        for (int k = 0; r->id && !r->removed && r->kind == RULE_RESERVATION && k < NAMES; k++)
            if (strcmp(r->reservation.name, names[k]) == 0)
                remove_one(s, names[k]);
    }
}

void reservations_start(struct sim *s)
{
    if (s->reserved)
        after(&s->world, spread(&s->world, 1000, 60000), NULL, reserve_some, NULL, 0);
}
