#include "scheduler/core/promise.h"

#include <stdlib.h>

enum {
    COST_A_PASS = 20000, // so much is spent on looking for earlier starts in one pass
    LATE_MS = 1000,      // a job that should have started is planned anew so often
};

static void reservation_free(struct reservation *r)
{
    free(r->shares);
    free(r);
}

static size_t place_of(const struct cluster *c, const struct reservation *r)
{
    size_t i = 0;
    while (c->backfill.items[i] != r)
        i++;
    return i;
}

struct reservation *reservation_of(const struct cluster *c, const struct job *j)
{
    for (size_t i = 0; j->reserved && i < c->backfill.count; i++)
        if (c->backfill.items[i]->job == j)
            return c->backfill.items[i];
    return NULL;
}

const struct job *backfill_first(const struct cluster *c)
{
    CHECK(c->backfill.count);
    return c->backfill.items[0]->job;
}

int64_t reservation_start_ms(const struct reservation *r)
{
    return r->from_ms;
}

static void say_start(struct cluster *c, struct job *j, int64_t starts_ms)
{
    if (j->in_class && j->in_class->first == j)
        class_say_start(c, j->in_class, starts_ms);
}

static void set_reserved(struct job *j, bool reserved)
{
    CHECK(j->reserved != reserved && j->in_class);
    j->reserved = reserved;
    j->in_class->reserved += reserved ? 1 : (size_t)-1;
    if (reserved)
        class_wake(j->in_class);
}

static void drop_at(struct cluster *c, size_t i)
{
    struct backfill *plan = &c->backfill;
    struct reservation *r = plan->items[i];
    if (!r->hidden)
        promise_hide(c, r);
    set_reserved(r->job, false);
    say_start(c, r->job, 0);
    for (size_t k = i + 1; k < plan->count; k++)
        plan->items[k - 1] = plan->items[k];
    plan->count--;
    plan->visited -= i < plan->visited;
    plan->changes++;
    reservation_free(r);
}

void backfill_drop(struct cluster *c, struct job *j)
{
    if (j->reserved)
        drop_at(c, place_of(c, reservation_of(c, j)));
}

void backfill_inherit(struct cluster *c, struct job *j)
{
    struct reservation *best = NULL;
    if (!j->in_class->reserved)
        return;
    for (size_t i = 0; i < c->backfill.count; i++) {
        struct reservation *r = c->backfill.items[i];
        if (r->job->in_class == j->in_class && (!best || r->from_ms < best->from_ms))
            best = r;
    }
    if (!best)
        return;
    set_reserved(best->job, false);
    best->job = j;
    set_reserved(j, true);
    say_start(c, j, best->starts_wall_ms);
    c->backfill.changes++; // who was refused for it was not asked about it as its own
}

bool backfill_outrank(struct cluster *c, const struct job *j)
{
    bool any = false;
    struct reservation *own = reservation_of(c, j);
    if (own && !(own->owed && own->from_ms <= c->now.boot_ms))
        return false;
    if (own && own->outranked_at == grown_end(c) + c->usable_gen)
        return false; // it did not help: its victims have not ended yet
    if (own)
        own->outranked_at = grown_end(c) + c->usable_gen;
    for (size_t i = c->backfill.count; i-- > c->backfill.visited;) {
        const struct job *other = c->backfill.items[i]->job;
        if (other == j || may_preempt(c, other, j) ||
            (!own && other->id.v > j->id.v && !las_may_preempt(c, j, other)))
            continue;
        drop_at(c, i);
        any = true;
    }
    return any;
}

void backfill_clear(struct cluster *c)
{
    while (c->backfill.count)
        drop_at(c, c->backfill.count - 1);
}

void backfill_free(struct cluster *c)
{
    for (size_t i = 0; i < c->backfill.count; i++)
        reservation_free(c->backfill.items[i]);
    free(c->backfill.items);
    rooms_fini(&c->backfill.rooms);
    rooms_fini(&c->backfill.saved);
    free(c->backfill.left);
}

// Inside a class the oldest starts first: its jobs are alike, so they change places. Nobody's start
// becomes later by it.
static void sort_class(struct cluster *c, size_t at)
{
    struct reservation **items = c->backfill.items;
    for (size_t i = at; i-- > 0;) {
        struct reservation *older = items[i], *r = items[at];
        if (older->job->in_class != r->job->in_class)
            continue;
        if (older->from_ms <= r->from_ms)
            break;
        struct job *j = older->job;
        older->job = r->job;
        r->job = j;
        items[i] = r;
        items[at] = older;
        say_start(c, r->job, r->starts_wall_ms);
        at = i;
    }
}

bool backfill_add(struct cluster *c, struct job *j, int64_t *cost)
{
    struct backfill *plan = &c->backfill;
    CHECK(!j->reserved);
    struct reservation *r = promise_search(c, j, cost);
    if (!r)
        return false;
    VEC_RESERVE(plan->items, plan->count, plan->cap);
    for (size_t i = plan->count++; i > plan->visited; i--)
        plan->items[i] = plan->items[i - 1];
    plan->items[plan->visited++] = r;
    set_reserved(j, true);
    promise_show(c, r);
    say_start(c, j, r->starts_wall_ms);
    sort_class(c, plan->visited - 1);
    return true;
}

static bool holds(const struct cluster *c, const struct reservation *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (!node_usable(c->nodes[r->shares[i].node]) || !r->shares[i].enough)
            return false;
    return true;
}

// The reservation takes the place of the old one of its job.
static void replace(struct cluster *c, size_t at, struct reservation *r)
{
    struct reservation *old = c->backfill.items[at];
    c->backfill.items[at] = r;
    c->backfill.changes++;
    r->owed |= old->owed;
    r->outranked_at = old->outranked_at;
    promise_show(c, r);
    say_start(c, r->job, r->starts_wall_ms);
    reservation_free(old);
    sort_class(c, at);
}

void backfill_visit(struct cluster *c, struct job *j, int64_t *cost)
{
    struct backfill *plan = &c->backfill;
    struct reservation *r = reservation_of(c, j);
    size_t at = place_of(c, r);
    CHECK(at >= plan->visited);
    for (; at > plan->visited; at--)
        plan->items[at] = plan->items[at - 1];
    plan->items[at] = r;
    *cost += (int64_t)r->count;
    bool good = !r->late && holds(c, r);
    if (good && (r->planned_at == grown_end(c) || c->now.boot_ms < r->again_at_ms ||
                 plan->spent >= COST_A_PASS)) {
        plan->visited++;
        say_start(c, j, r->starts_wall_ms);
        return;
    }
    int64_t before = *cost;
    uint64_t changes = plan->changes;
    if (!r->hidden)
        promise_hide(c, r);
    struct reservation *again = promise_search(c, j, cost);
    plan->spent += *cost - before;
    if (again && (!good || again->from_ms < r->from_ms)) {
        replace(c, at, again);
    } else if (good) {
        r->planned_at = grown_end(c);
        r->again_at_ms = again ? again->again_at_ms : c->now.boot_ms;
        if (again)
            reservation_free(again);
        promise_show(c, r);
        plan->changes = changes;
    } else {
        drop_at(c, at);
        return;
    }
    plan->visited++;
}

void backfill_begin(struct cluster *c)
{
    c->backfill.visited = 0;
    c->backfill.spent = 0;
    // Promises of the past would bind each other for ever.
    for (size_t i = 0; i < c->backfill.count; i++) {
        struct reservation *r = c->backfill.items[i];
        int64_t since_ms = c->now.boot_ms - (r->owed ? OVERDUE_MS : 0);
        r->late = r->from_ms < since_ms;
        if (r->late && !r->hidden)
            promise_hide(c, r);
    }
    if (c->backfill.overdue_ms > c->now.boot_ms)
        return;
    for (size_t i = 0; i < c->nodes_count; i++)
        backfill_touch(c, i);
}

void backfill_end(struct cluster *c)
{
    struct backfill *plan = &c->backfill;
    while (plan->count > plan->visited) // jobs behind what the pass looks at
        drop_at(c, plan->count - 1);
    const struct placement *p = RB_MIN(placement_ends, &c->ends);
    while (p && p->ends_ms < c->now.boot_ms - OVERDUE_MS)
        p = RB_NEXT(placement_ends, &c->ends, (struct placement *)p);
    plan->overdue_ms = p && p->ends_ms < INT64_MAX ? p->ends_ms + OVERDUE_MS + 1 : INT64_MAX;
    plan->wake_ms = plan->overdue_ms;
    for (size_t i = 0; i < plan->count; i++) {
        int64_t from_ms = plan->items[i]->from_ms;
        if (from_ms <= c->now.boot_ms)
            from_ms = c->now.boot_ms + LATE_MS;
        plan->wake_ms = from_ms < plan->wake_ms ? from_ms : plan->wake_ms;
    }
}

bool backfill_due_since(const struct cluster *c, int64_t ms)
{
    for (size_t i = 0; i < c->backfill.count; i++) {
        const struct reservation *r = c->backfill.items[i];
        bool ahead = r->from_ms >= ms && r->from_ms > r->planned_ms;
        if (ahead && r->from_ms <= c->now.boot_ms && c->now.boot_ms > ms)
            return true;
    }
    return false;
}

static uint64_t hash_share(const struct share *s)
{
    const struct share *next = s->of->hidden ? NULL : promise_next(s);
    uint64_t behind = next ? next->of->job->id.v : 0;
    return index_mix(s->node << 33 ^ (uint64_t)s->tasks << 1 ^ s->enough) ^ behind;
}

uint64_t backfill_hash(const struct cluster *c)
{
    uint64_t h = c->backfill.count;
    for (size_t i = 0; i < c->backfill.count; i++) {
        const struct reservation *r = c->backfill.items[i];
        bool due = r->from_ms <= c->now.boot_ms;
        h = index_mix(h ^ r->job->id.v);
        h = index_mix(h ^ (uint64_t)(due ? 0 : r->from_ms));
        h = index_mix(h ^ (promise_unknown(r) ? r->mark : r->owed));
        for (size_t k = 0; k < r->count; k++)
            h = index_mix(h ^ hash_share(&r->shares[k]));
    }
    return h;
}

void backfill_hide(struct cluster *c, struct job *j)
{
    struct reservation *r = reservation_of(c, j);
    if (r && !r->late)
        promise_hide(c, r);
}

void backfill_show(struct cluster *c, struct job *j)
{
    struct reservation *r = reservation_of(c, j);
    if (r && !r->late)
        promise_show(c, r);
}

void backfill_hide_all(struct cluster *c)
{
    for (size_t i = 0; i < c->backfill.count; i++)
        if (!c->backfill.items[i]->late)
            promise_hide(c, c->backfill.items[i]);
}

void backfill_show_all(struct cluster *c)
{
    for (size_t i = 0; i < c->backfill.count; i++)
        if (!c->backfill.items[i]->late)
            promise_show(c, c->backfill.items[i]);
}

void backfill_check(const struct cluster *c)
{
    size_t shares = 0, listed = 0;
    for (size_t i = 0; i < c->backfill.count; i++) {
        const struct reservation *r = c->backfill.items[i];
        CHECK(r->job->reserved && r->job->queued && r->hidden == r->late);
        shares += r->hidden ? 0 : r->count;
    }
    for (size_t i = 0; i < c->nodes_count; i++)
        for (const struct share *s = promise_first(c, i); s; s = promise_next(s)) {
            CHECK(s->node == i && (!s->kept.next || s->kept.from_ms <= s->kept.next->from_ms));
            listed++;
        }
    CHECK(shares == listed);
}
