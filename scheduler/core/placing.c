// The policies: scores of nodes, kept by shape, and the choice of the least.
#include "scheduler/core/placing.h"

#include "scheduler/core/choose.h"

#include <stdlib.h>
#include <string.h>

static const char *const words[POLICY_COUNT] = {
#define X(name, word, summary) [POLICY_##name] = (word),
    POLICY_TABLE(X)
#undef X
};

const char *policy_word(enum policy p)
{
    CHECK(p < POLICY_COUNT);
    return words[p];
}

enum policy policy_of_word(const char *word)
{
    int p = 0;
    while (p < POLICY_COUNT && strcmp(words[p], word) != 0)
        p++;
    return (enum policy)p;
}

// ---- scores ----

// A bijection of 64 bits that leaves no pattern (SplitMix64's finaliser).
static uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int64_t random_score(const struct cluster *c, const struct node *n)
{
    uint64_t z = mixed(c->placing.seed + c->meta.next_placement * UINT64_C(0x9e3779b97f4a7c15));
    return (int64_t)(mixed(z ^ n->id.v) >> 1);
}

static int64_t gpu_sum(const struct room_view *v)
{
    int64_t sum = 0;
    for (int32_t g = 0; g < v->gpus; g++)
        sum += v->gpu_milli[g];
    return sum;
}

// Thousandths of cores and of GPUs, each as a part of 2^20 of what the largest node has.
static int64_t dot_score(const struct room_view *v, const struct request *r)
{
    int64_t cpus = (v->room.cores * INT64_C(1000) + v->room.pool_milli) / CORESET_MAX;
    int64_t gpus = gpu_sum(v) / 8;
    int64_t want_cpus = r->tasks * (r->cpus * INT64_C(1000) + r->cpu_milli) / CORESET_MAX;
    int64_t want_gpus = r->tasks * (r->gpus * INT64_C(1000) + r->gpu_milli) / 8;
    return cpus * want_cpus + gpus * want_gpus;
}

// A GPU in use that holds the share; a node in use; an idle node.
static int64_t packing_score(const struct room_view *v, const struct request *r)
{
    int32_t used = 0;
    bool fits_used = false;
    for (int32_t g = 0; g < v->gpus; g++) {
        used += v->gpu_milli[g] && v->gpu_milli[g] < 1000;
        fits_used |= v->gpu_milli[g] < 1000 && v->gpu_milli[g] >= r->gpu_milli;
    }
    int64_t rank = r->gpu_milli && fits_used ? 0 : used || v->room.parts ? 1 : 2;
    return rank * 1000000 + (rank == 2 ? v->room.gpus : gpu_sum(v) / 10);
}

// Shares, one GPU, several.
static int gpu_kind(int32_t gpus, bool share)
{
    return share ? 1 : gpus > 1 ? 3 : gpus == 1 ? 2 : 0;
}

// Nodes with tasks of the same kind; with none that have GPUs; with others alone. Tasks without
// GPUs go where they take none away.
static int64_t clustering_score(const struct node *n, const struct request *r)
{
    bool like = false, unlike = false;
    const struct placement *p;
    int kind = gpu_kind(r->gpus, r->gpu_milli);
    TAILQ_FOREACH(p, &n->parts, node_link)
    {
        bool share = p->gpus && p->shares.milli[__builtin_ctzll(p->gpus)];
        int other = gpu_kind(p->tasks ? __builtin_popcountll(p->gpus) / p->tasks : 0, share);
        like |= other == kind;
        unlike |= other && other != kind;
    }
    return !kind || like ? 0 : !unlike ? 1 : 2;
}

// Idle nodes last, then by what is free of GPUs, then of cores.
static int64_t emptiness(const struct room_view *v)
{
    int64_t cpus = v->room.cores * INT64_C(1000) + v->room.pool_milli;
    return (v->room.parts ? 0 : INT64_C(1) << 60) + gpu_sum(v) * (INT64_C(1) << 24) + cpus;
}

static struct score score_of(struct cluster *c, const struct question *q, const struct node *n)
{
    struct score s = {.score = SCORE_NONE};
    const struct request *r = q->r;
    struct room_view v = rooms_view(&c->rooms, n);
    c->looked++;
    if (room_capacity(&v, r) < r->tasks)
        return s;
    s.empty = emptiness(&v);
    switch (q->policy) {
    case POLICY_FGD:
        s.score = -fgd_grade(c, fgd_score(c, n, r, &s.gpu));
        break;
    case POLICY_DOT_PRODUCT:
        s.score = dot_score(&v, r);
        break;
    case POLICY_GPU_PACKING:
        s.score = packing_score(&v, r);
        break;
    case POLICY_GPU_CLUSTERING:
        s.score = clustering_score(n, r);
        break;
    case POLICY_RANDOM:
        s.score = random_score(c, n);
        break;
    case POLICY_BEST_FIT:
    case POLICY_COUNT:
        CHECK(false);
    }
    return s;
}

// ---- kept by shape ----

void placing_changed(struct cluster *c, uint32_t node)
{
    struct placing *p = &c->placing;
    if (node > p->room_numbers_count) {
        p->room_numbers = xreallocarray(p->room_numbers, c->nodes_cap, sizeof *p->room_numbers);
        memset(p->room_numbers + p->room_numbers_count, 0,
               (c->nodes_cap - p->room_numbers_count) * sizeof *p->room_numbers);
        p->room_numbers_count = c->nodes_cap;
    }
    p->room_numbers[node - 1]++;
}

// The shape's place: the one it has, a free one, or the one that was not asked for longest.
static struct scores *scores_for(struct cluster *c, const struct question *q)
{
    struct placing *p = &c->placing;
    struct request shape = request_shape(q->r);
    size_t most = SCORES_MAX / (c->nodes_count + 1);
    most = most < 16 ? 16 : most > SCORES_SHAPES_MAX ? SCORES_SHAPES_MAX : most;
    if (!p->scores)
        p->scores = xcalloc(SCORES_SHAPES_MAX, sizeof *p->scores);
    struct scores *oldest = &p->scores[0];
    for (size_t i = 0; i < most; i++) {
        struct scores *s = &p->scores[i];
        if (s->used_at && s->policy == q->policy && memcmp(&s->shape, &shape, sizeof shape) == 0) {
            oldest = s;
            break;
        }
        if (s->used_at < oldest->used_at)
            oldest = s;
    }
    bool same = oldest->used_at && oldest->usual == p->usual_number &&
                oldest->policy == q->policy && memcmp(&oldest->shape, &shape, sizeof shape) == 0;
    if (oldest->count < c->nodes_count) {
        oldest->of = xreallocarray(oldest->of, c->nodes_cap, sizeof *oldest->of);
        oldest->count = c->nodes_cap;
        same = false;
    }
    if (!same)
        memset(oldest->of, 0, oldest->count * sizeof *oldest->of); // no room has number 0
    memcpy(&oldest->shape, &shape, sizeof shape);
    oldest->policy = q->policy;
    oldest->usual = p->usual_number;
    oldest->used_at = ++p->questions;
    return oldest;
}

static bool better(const struct score *a, const struct score *b)
{
    return a->score != b->score ? a->score < b->score : a->empty < b->empty;
}

size_t choose_by_policy(struct cluster *c, const struct question *q)
{
    struct placing *p = &c->placing;
    const struct request *r = q->r;
    struct scores *kept = scores_for(c, q);
    struct score best = {.score = SCORE_NONE};
    uint32_t best_id = 0;
    bool keep = q->policy != POLICY_RANDOM;
    for (uint32_t id = 1; id <= c->nodes_count; id++) {
        struct score *s = &kept->of[id - 1];
        if (c->index.keys[id - 1] == INDEX_NONE)
            continue;
        if (!keep || s->room != p->room_numbers[id - 1]) {
            *s = score_of(c, q, c->nodes[id - 1]);
            s->room = p->room_numbers[id - 1];
        }
        if (s->score == SCORE_NONE || (best_id && !better(s, &best)))
            continue;
        struct node *n = c->nodes[id - 1];
        if (!selector_has(q->need, n) || !selector_has(q->prefer, n) ||
            ((c->kept[id - 1] || q->r->reservation.v || windows_on(c, n)) &&
             question_capacity(c, q, n) < r->tasks))
            continue;
        best = *s;
        best_id = id;
    }
    if (!best_id)
        return 0;
    c->fit_scratch[0] = (struct fit_node){.node = c->nodes[best_id - 1],
                                          .capacity = r->tasks,
                                          .tasks = r->tasks,
                                          .gpu = c->kept[best_id - 1] ? 0 : best.gpu};
    return 1;
}

void placing_fini(struct cluster *c)
{
    struct placing *p = &c->placing;
    for (size_t i = 0; p->scores && i < SCORES_SHAPES_MAX; i++)
        free(p->scores[i].of);
    free(p->scores);
    free(p->counted);
    free(p->room_numbers);
}
