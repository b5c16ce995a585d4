// What jobs ask for.
#include "tests/sim/client.h"

struct input_submit any_job(struct sim *s)
{
    struct world *w = &s->world;
    int32_t tasks = chance(w, 450) ? 1 : (int32_t)between(w, 1, TASKS_MAX);
    struct input_submit in = {
        .request_id = {rng_next(&w->rng), rng_next(&w->rng)},
        .owner_uid = 7,
        .req = {.tasks = tasks,
                .nodes = chance(w, 500) ? 0 : (int32_t)between(w, 1, tasks < 4 ? tasks : 4),
                .cpus = (int32_t)between(w, 1, 3),
                .gpus = chance(w, 200),
                .memory_mib = chance(w, 500) ? between(w, 1, 300) : 0,
                .time_limit_ms = chance(w, 300) ? spread(w, 100, 20000) : 0,
                .grace_ms = chance(w, 500) ? 0 : spread(w, 1, 5000),
                .lease_ms = chance(w, 400) ? 0 : spread(w, 10000, 40000),
                .pmix = tasks > 1 && chance(w, 700)},
        .priority = (int32_t)between(w, 0, 2),
        .held = chance(w, 40),
        .allow_unsatisfiable = chance(w, 300),
        .array_count = chance(w, 60) ? between(w, 1, 8) : 0,
        .max_attempts = (int32_t)between(w, 0, 6),
    };
    return in;
}
