// Users change their minds.
#include "tests/sim/client.h"

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
    struct ask ask = {.in = {.kind = kind,
                             .caller = {.uid = c->wishes[i].in.owner_uid},
                             .job = c->wishes[i].job}};
    send_ask(s, (struct asked){.of = ASK_JOB, .wish = i, .kind = kind}, ask);
}

void minds_start(struct sim *s)
{
    after(&s->world, spread(&s->world, 1000, 60000), NULL, change_mind, NULL, 0);
}
