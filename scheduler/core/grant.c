// Which cores, GPUs and shares of them a part gets on its node: near each other, the lowest of
// equals.
#include "scheduler/core/state.h"

#include <stdlib.h>
#include <string.h>

// ---- NUMA domains ----

void node_learn_numa(struct node *n)
{
    n->numa_count = 0;
    n->numa_end[0] = 0;
    int32_t end = 0;
    for (const char *at = n->numa_cores; *at && n->numa_count < NODE_NUMA_MAX;) {
        char *next;
        long cores = strtol(at, &next, 10);
        if (next == at || cores < 0 || cores > CORESET_MAX || (*next && *next != ','))
            break;
        end += (int32_t)cores;
        n->numa_end[n->numa_count++] = (uint16_t)(end < n->cores ? end : n->cores);
        at = *next ? next + 1 : next;
    }
    // Cores of which nothing is known are in the last domain.
    if (n->numa_count)
        n->numa_end[n->numa_count - 1] = (uint16_t)n->cores;
}

static int32_t numa_of_gpu(const struct node *n, int32_t g)
{
    const char *digits = "0123456789abcdef", *found;
    if ((size_t)g >= strnlen(n->gpu_numa, sizeof n->gpu_numa))
        return -1;
    found = strchr(digits, n->gpu_numa[g]);
    return found ? (int32_t)(found - digits) : -1;
}

struct domain {
    int32_t first, end;  // its cores
    uint64_t gpus;       // its free GPUs
    int32_t free, count; // free cores, free GPUs
};

static uint64_t word_mask(int32_t word, int32_t first, int32_t end)
{
    uint64_t mask = ~UINT64_C(0);
    if (first > word * 64)
        mask &= ~UINT64_C(0) << (first - word * 64);
    if (end < word * 64 + 64)
        mask &= (UINT64_C(1) << (end - word * 64)) - 1;
    return mask;
}

static int32_t free_between(const struct node *n, int32_t first, int32_t end)
{
    int32_t count = 0;
    for (int32_t w = first / 64; w * 64 < end; w++)
        count += __builtin_popcountll(~n->used_cores.w[w] & word_mask(w, first, end));
    return count;
}

static uint64_t free_gpus(const struct node *n)
{
    uint64_t all = n->gpus < 64 ? (UINT64_C(1) << n->gpus) - 1 : ~UINT64_C(0);
    return all & ~n->used_gpus;
}

// The domains that are told, or one of all.
static int32_t domains(const struct node *n, struct domain *d)
{
    uint64_t gpus = free_gpus(n);
    if (n->numa_count < 2) {
        d[0] = (struct domain){.end = n->cores, .gpus = gpus};
        return 1;
    }
    for (int32_t i = 0; i < n->numa_count; i++) {
        d[i] = (struct domain){.first = i ? n->numa_end[i - 1] : 0, .end = n->numa_end[i]};
        d[i].free = free_between(n, d[i].first, d[i].end);
    }
    for (; gpus; gpus &= gpus - 1) {
        int32_t g = __builtin_ctzll(gpus), at = numa_of_gpu(n, g);
        if (at < 0 || at >= n->numa_count)
            at = 0;
        d[at].gpus |= UINT64_C(1) << g;
        d[at].count++;
    }
    return n->numa_count;
}

static void swap(struct domain *a, struct domain *b)
{
    struct domain x = *a;
    *a = *b;
    *b = x;
}

static bool tighter(const struct domain *a, const struct domain *b, int32_t gpus)
{
    if (gpus && a->count != b->count)
        return a->count < b->count;
    return a->free < b->free;
}

// The tightest domain that holds all to the front; else the roomiest first.
static void order(struct domain *d, int32_t count, int32_t cores, int32_t gpus)
{
    int32_t best = -1;
    for (int32_t i = 0; i < count; i++)
        if (d[i].free >= cores && d[i].count >= gpus &&
            (best < 0 || tighter(&d[i], &d[best], gpus)))
            best = i;
    if (best >= 0) {
        swap(&d[0], &d[best]);
        return;
    }
    for (int32_t i = 1; i < count; i++)
        for (int32_t k = i; k && tighter(&d[k - 1], &d[k], gpus); k--)
            swap(&d[k - 1], &d[k]);
}

// ---- taking ----

static void take_cores(const struct node *n, const struct domain *d, int32_t count, int32_t want,
                       struct coreset *ret)
{
    for (int32_t i = 0; i < count && want; i++)
        for (int32_t w = d[i].first / 64; w * 64 < d[i].end && want; w++) {
            uint64_t open = ~n->used_cores.w[w] & ~ret->w[w] & word_mask(w, d[i].first, d[i].end);
            for (; open && want; open &= open - 1, want--)
                ret->w[w] |= open & -open;
        }
    CHECK(!want);
}

// Parts of cores: from those that are shared already, and the lowest free ones that are missing.
static void take_pool(const struct node *n, struct placement *p)
{
    struct domain all = {.end = n->cores};
    int32_t room = n->pool_used_milli ? -n->pool_used_milli : 0;
    struct coreset held = {0}, more = p->cores;
    for (int32_t w = 0; n->pool_used_milli && w * 64 < n->cores; w++)
        held.w[w] = n->pool_cores.w[w] & word_mask(w, 0, n->cores);
    room += (int32_t)coreset_count(&held) * 1000;
    int32_t want = p->cpu_milli > room ? (p->cpu_milli - room + 999) / 1000 : 0;
    take_cores(n, &all, 1, want, &more);
    coreset_subtract(&more, &p->cores);
    p->pool = n->pool_cores;
    coreset_union(&p->pool, &more);
}

static void take_shares(const struct cluster *c, const struct node *n, const struct request *r,
                        const struct fit_node *f, struct placement *p)
{
    uint16_t milli[NODE_GPUS_MAX], store[NODE_GPUS_MAX];
    struct room_view v = fit_room(c, n, r, store);
    memcpy(milli, v.gpu_milli, (size_t)v.gpus * sizeof *milli);
    for (int32_t k = 0; k < f->tasks; k++) {
        int32_t g = f->gpu ? f->gpu - 1 : room_share_gpu(milli, v.gpus, r->gpu_milli);
        CHECK(g >= 0 && milli[g] >= r->gpu_milli);
        milli[g] = (uint16_t)(milli[g] - r->gpu_milli);
        p->shares.milli[g] = (uint16_t)(p->shares.milli[g] + r->gpu_milli);
        p->gpus |= UINT64_C(1) << g;
    }
}

void grant(const struct cluster *c, const struct request *r, const struct fit_node *f,
           struct placement *p)
{
    const struct node *n = f->node;
    p->tasks = f->tasks;
    if (r->exclusive) {
        p->cores = coreset_first((unsigned)n->cores);
        p->gpus = free_gpus(n);
        p->memory_mib = n->memory_mib;
        return;
    }
    struct domain d[NODE_NUMA_MAX];
    int32_t cores = f->tasks * r->cpus, gpus = f->tasks * r->gpus, count = domains(n, d);
    if (count > 1)
        order(d, count, cores, gpus);
    take_cores(n, d, count, cores, &p->cores);
    for (int32_t i = 0; i < count; i++)
        for (uint64_t open = d[i].gpus; open && gpus; open &= open - 1, gpus--)
            p->gpus |= open & -open;
    CHECK(!gpus);
    p->memory_mib = f->tasks * r->memory_mib;
    p->cpu_milli = f->tasks * r->cpu_milli;
    if (p->cpu_milli)
        take_pool(n, p);
    if (r->gpu_milli)
        take_shares(c, n, r, f, p);
}
