// Could the cluster hold it if it were empty? Answers are kept by the shape of the request until a
// node comes, changes, or (of usable nodes alone) becomes usable or stops being it.
#include "scheduler/core/choose.h"

#include <string.h>

struct request request_shape(const struct request *r)
{
    struct request s;
    memset(&s, 0, sizeof s); // padding too: shapes are compared as bytes
    s.tasks = r->tasks;
    s.nodes = r->nodes;
    s.cpus = r->cpus;
    s.cpu_milli = r->cpu_milli;
    s.gpus = r->gpus;
    s.gpu_milli = r->gpu_milli;
    s.memory_mib = r->memory_mib;
    s.tasks_per_node = r->tasks_per_node;
    s.exclusive = r->exclusive;
    s.spread = r->spread;
    s.need = r->need;
    s.reservation = r->reservation;
    return s;
}

static uint64_t hash(const void *bytes, size_t size)
{
    uint64_t h = 0, w;
    for (size_t i = 0; i + sizeof w <= size; i += sizeof w) {
        memcpy(&w, (const char *)bytes + i, sizeof w);
        h = (h ^ w) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 32;
    }
    return h;
}

static uint64_t generation(const struct cluster *c, enum fit_view view)
{
    return view == FIT_ALL ? c->hardware_gen : c->usable_gen;
}

size_t whole_kept(struct cluster *c, const struct question *q,
                  size_t (*look)(struct cluster *c, const struct question *q))
{
    _Static_assert(sizeof(struct request) % 8 == 0, "the hash reads words");
    struct request shape = request_shape(q->r);
    if (c->windows.hidden)
        return look(c, q);
    if (c->windows.count) { // then it matters how long it is there
        shape.time_limit_ms = q->r->time_limit_ms;
        shape.grace_ms = q->r->grace_ms;
    }
    uint64_t h = hash(&shape, sizeof shape) + (uint64_t)q->view;
    struct whole *kept = &c->whole[h % WHOLE_MAX];
    uint64_t now = generation(c, q->view);
    if (kept->known && kept->view == q->view && kept->generation == now &&
        memcmp(&kept->shape, &shape, sizeof shape) == 0)
        return kept->count;
    size_t count = look(c, q);
    memcpy(&kept->shape, &shape, sizeof shape);
    kept->view = q->view;
    kept->generation = now;
    kept->known = true;
    kept->count = count;
    return count;
}
