#include "tests/sim/world.h"

#include "common/alloc.h"
#include "common/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- the heap ----

static bool before(const struct happening *a, const struct happening *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number < b->number;
}

static void heap_push(struct world *w, struct happening h)
{
    VEC_RESERVE(w->heap, w->heap_count, w->heap_cap);
    size_t i = w->heap_count++;
    for (; i && before(&h, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = h;
}

static struct happening heap_pop(struct world *w)
{
    struct happening first = w->heap[0], last = w->heap[--w->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->heap_count)
            break;
        if (child + 1 < w->heap_count && before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (before(&last, &w->heap[child]))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return first;
}

// ---- time ----

void world_init(struct world *w, uint64_t seed, bool verbose)
{
    *w = (struct world){.seed = seed, .rng = {seed}, .verbose = verbose};
    w->hash = UINT64_C(0xcbf29ce484222325);
}

void world_fini(struct world *w)
{
    for (size_t i = 0; i < w->heap_count; i++)
        free(w->heap[i].arg);
    free(w->heap);
}

void after(struct world *w, int64_t delay_ms, struct process *owner, happening_act act, void *arg,
           uint64_t n)
{
    CHECK(delay_ms >= 0);
    heap_push(w, (struct happening){.at_ms = w->now_ms + delay_ms,
                                    .number = ++w->number,
                                    .owner = owner,
                                    .life = owner ? owner->life : 0,
                                    .act = act,
                                    .arg = arg,
                                    .n = n});
}

bool world_next(struct world *w)
{
    if (!w->heap_count)
        return false;
    struct happening h = heap_pop(w);
    struct process *p = h.owner;
    w->now_ms = h.at_ms;
    if (p && p->life == h.life && p->alive && p->stopped) {
        VEC_RESERVE(p->deferred, p->deferred_count, p->deferred_cap);
        p->deferred[p->deferred_count++] = h;
        return true;
    }
    w->steps++;
    if (!p || (p->alive && p->life == h.life))
        h.act(w, h.arg, h.n);
    free(h.arg);
    return true;
}

// ---- processes ----

void process_start(struct process *p)
{
    CHECK(!p->alive);
    p->alive = true;
    p->stopped = false;
    p->life++;
}

static void forget_deferred(struct process *p)
{
    for (size_t i = 0; i < p->deferred_count; i++)
        free(p->deferred[i].arg);
    p->deferred_count = 0;
}

void process_die(struct process *p)
{
    p->alive = p->stopped = false;
    forget_deferred(p);
}

void process_stop(struct process *p)
{
    p->stopped = p->alive;
}

void process_continue(struct world *w, struct process *p)
{
    if (!p->stopped)
        return;
    p->stopped = false;
    for (size_t i = 0; i < p->deferred_count; i++) {
        struct happening h = p->deferred[i];
        h.at_ms = w->now_ms;
        h.number = ++w->number;
        heap_push(w, h);
    }
    p->deferred_count = 0;
}

void process_fini(struct process *p)
{
    forget_deferred(p);
    free(p->deferred);
}

// ---- clocks ----

enum { CLOCK_BEGINS_MS = 1000, MILLION = 1000000 };
static const int64_t wall_begins_ms = INT64_C(1700000000000);

int64_t clock_boot(const struct world *w, const struct clock *c)
{
    return CLOCK_BEGINS_MS + (w->now_ms - c->booted_ms) * (MILLION + c->drift_ppm) / MILLION;
}

int64_t clock_wall(const struct world *w, const struct clock *c)
{
    return wall_begins_ms + w->now_ms + c->wall_offset_ms;
}

int64_t clock_until(const struct world *w, const struct clock *c, int64_t at_ms)
{
    int64_t left = at_ms - clock_boot(w, c);
    if (left <= 0)
        return 0;
    int64_t delay = left * MILLION / (MILLION + c->drift_ppm);
    struct world then = {.now_ms = w->now_ms + delay};
    while (clock_boot(&then, c) < at_ms) {
        then.now_ms++;
        delay++;
    }
    return delay;
}

// ---- chance ----

int64_t between(struct world *w, int64_t least, int64_t most)
{
    return least + (int64_t)rng_below(&w->rng, (uint64_t)(most - least + 1));
}

int64_t spread(struct world *w, int64_t least, int64_t most)
{
    uint64_t span = (uint64_t)(most - least + 1);
    unsigned bits = 64 - (unsigned)__builtin_clzll(span);
    uint64_t below = UINT64_C(1) << rng_below(&w->rng, bits + 1);
    return least + (int64_t)rng_below(&w->rng, below < span ? below : span);
}

bool chance(struct world *w, unsigned per_mille)
{
    return rng_below(&w->rng, 1000) < per_mille;
}

// ---- narration ----

void tell(struct world *w, const char *fmt, ...)
{
    char *line = w->tail[w->lines++ % TAIL_LINES];
    va_list ap;
    int len = snprintf(line, LINE_MAX_BYTES, "%9" PRId64 " ", w->now_ms);
    va_start(ap, fmt);
    vsnprintf(line + len, LINE_MAX_BYTES - (size_t)len, fmt, ap);
    va_end(ap);
    for (const char *p = line; *p; p++)
        w->hash = (w->hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    if (w->verbose)
        puts(line);
}

void world_tail(const struct world *w, struct text *ret)
{
    uint64_t from = w->lines > TAIL_LINES ? w->lines - TAIL_LINES : 0;
    for (uint64_t i = from; i < w->lines; i++)
        text_addf(ret, "%s\n", w->tail[i % TAIL_LINES]);
}
