// What jobs wait for beside room: chains and diamonds of dependencies, names, times, limits.
#include "tests/sim/client.h"

#include <stdlib.h>

enum { DEPENDING = 150, NAMES = 8 }; // per mille of the jobs; of all of them

int64_t wish_wall_ms(const struct sim *s)
{
    return clock_wall(&s->world, &s->scheduler.machine.clock);
}

// A job that was acknowledged, or an element of it.
bool wish_any_other(struct sim *s, struct depend_asked *ret)
{
    struct world *w = &s->world;
    struct client *c = s->client;
    const struct wish *x = &c->wishes[between(w, 0, c->wishes_count - 1)];
    if (!x->answered)
        return false;
    static const enum depend_kind kinds[] = {DEPEND_AFTER, DEPEND_AFTEROK, DEPEND_AFTEROK,
                                             DEPEND_AFTERNOTOK, DEPEND_AFTERANY};
    *ret = (struct depend_asked){
        .kind = kinds[between(w, 0, 4)], .job = x->job, .element = ELEMENT_NONE};
    if (x->in.array_count && chance(w, 500))
        ret->element = x->in.array_first + between(w, 0, x->in.array_count - 1);
    return true;
}

static void depend(struct sim *s, struct wish *x)
{
    struct world *w = &s->world;
    int count = (int)between(w, 1, WISH_DEPENDS_MAX);
    for (int i = 0; i < count; i++)
        x->in.depends_count += wish_any_other(s, &x->depends[x->in.depends_count]);
    if (chance(w, 200) && x->in.depends_count < WISH_DEPENDS_MAX)
        x->depends[x->in.depends_count++] =
            (struct depend_asked){.kind = DEPEND_SINGLETON, .element = ELEMENT_NONE};
    x->in.depends = x->depends;
    x->in.cancel_if_never = chance(w, 500);
    x->in.allow_unsatisfiable |= chance(w, 700);
}

void wish_terms(struct sim *s, struct wish *x)
{
    struct world *w = &s->world;
    struct input_submit *in = &x->in;
    in->name_key = (uint64_t)between(w, 1, NAMES);
    if (chance(w, DEPENDING))
        depend(s, x);
    if (chance(w, 80))
        in->begin_ms = wish_wall_ms(s) + spread(w, 1, 60000);
    if (chance(w, 80))
        in->deadline_ms = wish_wall_ms(s) + in->req.time_limit_ms + spread(w, 1, 120000);
    if (in->array_count && chance(w, 500))
        in->array_limit = (int32_t)between(w, 1, 3);
}

bool is_of_terms(const struct sim *s, enum reason_code why)
{
    // A target that a restored database does not know was acknowledged once.
    return why == REASON_DEPENDENCY_IMPOSSIBLE || why == REASON_DEADLINE_MISSED ||
           (why == REASON_NO_SUCH_DEPENDENCY && s->counts.faults[FAULT_BACKUP_RESTORED]);
}
