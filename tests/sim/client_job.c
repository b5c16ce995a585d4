// What jobs ask for.
#include "tests/sim/client.h"

// Parts of cores and GPUs, nodes of their own, and where tasks go.
static void share(struct world *w, struct request *r)
{
    if (chance(w, 250)) {
        r->cpu_milli =
            chance(w, 500) ? 250 * (int32_t)between(w, 1, 3) : (int32_t)between(w, 1, 999);
        r->cpus = chance(w, 600) ? 0 : r->cpus;
    }
    if (!r->gpus && chance(w, 150))
        r->gpu_milli =
            chance(w, 500) ? 250 * (int32_t)between(w, 1, 3) : (int32_t)between(w, 1, 999);
    r->exclusive = chance(w, 40);
    if (r->nodes && chance(w, 150)) // at least what so many nodes must take
        r->tasks_per_node = (r->tasks + r->nodes - 1) / r->nodes + (int32_t)between(w, 0, 1);
    else if (!r->nodes && chance(w, 150))
        r->tasks_per_node = (int32_t)between(w, 1, 3);
    r->spread = !r->nodes && chance(w, 150);
}

static const char *any_selector(struct world *w, unsigned per_mille)
{
    static const char *const texts[] = {
        "zone=a",     "zone=a|b",  "!spot",   "zone=b & !spot", "gpu.model=X1", "gpu.memory>=40GiB",
        "node=n1|n2", "switch=s1", "!zone=b", "!node=n1"};
    enum { COUNT = sizeof texts / sizeof *texts };
    return chance(w, per_mille) ? texts[between(w, 0, COUNT - 1)] : NULL;
}

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
        .nice = chance(w, 100) ? (int32_t)between(w, -2000, 2000) : 0,
        .held = chance(w, 40),
        .allow_unsatisfiable = chance(w, 300),
        .array_count = chance(w, 60) ? between(w, 1, 8) : 0,
        .max_attempts = (int32_t)between(w, 0, 6),
        .queue = any_queue(s),
    };
    if (s->ruled)
        wish_names(s, &in);
    if (chance(w, s->shared))
        share(w, &in.req);
    const char *preempting = preempt_any_qos(s);
    in.qos = preempting ? preempting : in.qos;
    if (s->reserved && chance(w, 600))
        in.req.time_limit_ms = spread(w, 1000, 20000);
    if (s->reserved && chance(w, s->reserved))
        in.reservation = any_reservation(w);
    in.need = any_selector(w, 80);
    in.prefer = any_selector(w, 80);
    return in;
}
