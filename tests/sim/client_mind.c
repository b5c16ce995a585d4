// Users change their minds.
#include "tests/sim/client.h"

// What it waits for, perhaps in a circle; times and limits.
static void change_job(struct sim *s, int i)
{
    struct world *w = &s->world;
    struct wish *x = &s->client->wishes[i];
    struct ask ask = {.in = {.kind = INPUT_JOB_SET, .caller = {.uid = 7}}};
    struct input_job_set *set = &ask.in.set;
    *set = (struct input_job_set){.job = x->job, .what = (unsigned)between(w, 1, 63)};
    set->depends = x->change;
    for (int k = 0; k < WISH_DEPENDS_MAX; k++)
        set->depends_count += wish_any_other(s, &x->change[set->depends_count]);
    set->begin_ms = chance(w, 500) ? 0 : wish_wall_ms(s) + spread(w, 1, 60000);
    set->deadline_ms = chance(w, 500) ? 0 : wish_wall_ms(s) + spread(w, 1, 200000);
    set->time_limit_ms = chance(w, 500) ? 0 : spread(w, 100, 20000);
    set->array_limit = x->in.array_count ? (int32_t)between(w, 0, 3) : 0;
    set->nice = (int32_t)between(w, -2000, 2000);
    x->changed = true;
    send_ask(s, (struct asked){.of = ASK_JOB, .wish = i, .kind = INPUT_JOB_SET}, ask);
}

static void change_mind(struct world *w, void *arg, uint64_t n)
{
    struct sim *s = sim_of(w);
    struct client *c = s->client;
    static const enum input_kind kinds[] = {INPUT_CANCEL, INPUT_HOLD, INPUT_RELEASE};
    int i = (int)between(w, 0, c->wishes_count - 1);
    enum input_kind kind = kinds[between(w, 0, 2)];
    (void)arg;
    (void)n;
    if (s->calm)
        return;
    after(w, spread(w, 500, 20000), NULL, change_mind, NULL, 0);
    if (!c->wishes[i].answered)
        return;
    if (chance(w, 250)) {
        change_job(s, i);
        return;
    }
    struct ask ask = {.in = {.kind = kind,
                             .caller = {.uid = c->wishes[i].in.owner_uid},
                             .job = c->wishes[i].job}};
    send_ask(s, (struct asked){.of = ASK_JOB, .wish = i, .kind = kind}, ask);
}

void minds_start(struct sim *s)
{
    after(&s->world, spread(&s->world, 1000, 60000), NULL, change_mind, NULL, 0);
}
