// Fragmentation gradient descent: Weng et al., "Beware of Fragmentation" (USENIX ATC 2023).
#include "scheduler/core/placing.h"

#include "scheduler/core/state.h"

#include <string.h>

// A node's GPUs as the usual tasks see them.
struct gpus {
    int64_t cpu_milli;
    int64_t total, partial; // free thousandths; of those in use alone
    int32_t whole, most;    // idle ones; the most free of one
    int32_t count;
    const uint16_t *milli;
};

static struct gpus gpus_of(int64_t cpu_milli, const uint16_t *milli, int32_t count)
{
    struct gpus g = {.cpu_milli = cpu_milli, .count = count, .milli = milli};
    for (int32_t i = 0; i < count; i++) {
        g.total += milli[i];
        g.whole += milli[i] == 1000;
        if (milli[i] > g.most)
            g.most = milli[i];
    }
    g.partial = g.total - 1000 * (int64_t)g.whole;
    return g;
}

// What the task cannot use of what is free.
static int64_t unusable(const struct gpus *g, const struct usual *u)
{
    if (u->cpu_milli > g->cpu_milli)
        return g->total;
    if (u->gpus)
        return g->whole >= u->gpus ? g->partial : g->total;
    if (!u->gpu_milli || u->gpu_milli > g->most)
        return g->total;
    int64_t small = 0;
    for (int32_t i = 0; i < g->count; i++)
        small += g->milli[i] < u->gpu_milli ? g->milli[i] : 0;
    return small;
}

// `can`: bit i: the node meets the constraint of usual task i.
static int64_t expected(const struct placing *p, const uint64_t *can, const struct gpus *g)
{
    int64_t sum = 0;
    if (!g->total)
        return 0;
    for (size_t i = 0; i < p->usual_count; i++) {
        const struct usual *u = &p->usual[i];
        sum += u->count * (can[i / 64] >> i % 64 & 1 ? unusable(g, u) : g->total);
    }
    return sum;
}

static void constraints(const struct cluster *c, const struct node *n, uint64_t *can)
{
    const struct placing *p = &c->placing;
    memset(can, 0, TYPICAL_MAX / 8);
    for (size_t i = 0; i < p->usual_count; i++)
        if (selector_has(p->usual[i].holds, n))
            can[i / 64] |= UINT64_C(1) << i % 64;
}

static int64_t cpu_milli(const struct room *m)
{
    return m->cores * INT64_C(1000) + m->pool_milli;
}

// The GPU for one share with the least fragmentation then; of equals the fullest.
static int64_t best_share(const struct placing *p, const uint64_t *can, int64_t cpus,
                          uint16_t *milli, int32_t gpus, int32_t share, int16_t *ret_gpu)
{
    int64_t best = INT64_MAX;
    int32_t best_free = 0;
    uint64_t seen[16] = {0}; // free amounts that were tried: equal GPUs are alike
    for (int32_t i = 0; i < gpus; i++) {
        uint16_t had = milli[i];
        if (had < share || seen[had / 64] >> had % 64 & 1)
            continue;
        seen[had / 64] |= UINT64_C(1) << had % 64;
        milli[i] = (uint16_t)(had - share);
        struct gpus g = gpus_of(cpus, milli, gpus);
        int64_t f = expected(p, can, &g);
        milli[i] = had;
        if (f < best || (f == best && had < best_free)) {
            best = f;
            best_free = had;
            *ret_gpu = (int16_t)(i + 1);
        }
    }
    return best;
}

int32_t fgd_grade(const struct cluster *c, int64_t rise)
{
    // 10^6 ln((100 - k) / k), k = 1 .. 49: where 100 / (1 + e^x) falls below k; x in millionths.
    static const int32_t steps[] = {
        4595120, 3891820, 3476099, 3178054, 2944439, 2751535, 2586689, 2442347, 2313635, 2197225,
        2090741, 1992430, 1900959, 1815290, 1734601, 1658228, 1585627, 1516347, 1450010, 1386294,
        1324925, 1265666, 1208311, 1152680, 1098612, 1045969, 994623,  944462,  895384,  847298,
        800119,  753772,  708185,  663294,  619039,  575364,  532217,  489548,  447312,  405465,
        363965,  322773,  281851,  241162,  200671,  160343,  120144,  80043,   40005};
    enum { STEPS = sizeof steps / sizeof *steps };
    int64_t all = c->placing.usual_total ? c->placing.usual_total : 1;
    int64_t x = rise * 1000; // times `all` already: a GPU is 10^6 for each task
    int32_t grade = rise > 0 ? 0 : 50;
    for (int32_t k = 0; k < STEPS; k++)
        grade += rise > 0 ? steps[k] * all >= x : steps[k] * all <= -x;
    return grade;
}

int64_t fgd_score(const struct cluster *c, const struct node *n, const struct request *r,
                  int16_t *ret_gpu)
{
    uint64_t can[TYPICAL_MAX / 64];
    uint16_t milli[NODE_GPUS_MAX];
    struct room_view v = rooms_view(&c->rooms, n);
    const struct placing *p = &c->placing;
    int64_t cpus = cpu_milli(&v.room);
    int64_t left = r->exclusive ? 0 : cpus - r->tasks * (r->cpus * INT64_C(1000) + r->cpu_milli);
    *ret_gpu = 0;
    constraints(c, n, can);
    struct gpus before = gpus_of(cpus, v.gpu_milli, v.gpus);
    int64_t was = expected(p, can, &before);
    memcpy(milli, v.gpu_milli, (size_t)v.gpus * sizeof *milli);
    if (r->exclusive)
        return -was;
    if (r->gpu_milli && r->tasks == 1)
        return best_share(p, can, left, milli, v.gpus, r->gpu_milli, ret_gpu) - was;
    for (int32_t k = r->tasks * r->gpus, g = 0; k > 0 && g < v.gpus; g++)
        if (milli[g] == 1000) {
            milli[g] = 0;
            k--;
        }
    for (int32_t k = 0; r->gpu_milli && k < r->tasks; k++) {
        int32_t g = room_share_gpu(milli, v.gpus, r->gpu_milli);
        milli[g] = (uint16_t)(milli[g] - r->gpu_milli);
    }
    struct gpus after = gpus_of(left, milli, v.gpus);
    return expected(p, can, &after) - was;
}
