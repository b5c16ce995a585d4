#include "scheduler/core/promise.h"

#include <stdlib.h>
#include <string.h>

enum {
    COST_A_MS = 2000,  // a plan that cost so much is made again a millisecond later at most
    COST_KEPT = 8,     // of a node with promises
    OPENINGS_MAX = 64, // ends of windows that a search comes to
};

// Does it hold its nodes at that time? At the time that is not known all do. One whose own start is
// not known takes nothing at a known time: it claims what is left when all that is there now has
// ended, so what is placed or reserved on its nodes must fit beside it, into its spare.
static bool active(const struct reservation *r, int64_t at_ms)
{
    if (at_ms == INT64_MAX)
        return true;
    return !promise_unknown(r) && r->from_ms <= at_ms && at_ms < r->until_ms;
}

// A node's room, taken out of some rooms and put into others.
struct node_room {
    struct room room;
    uint16_t gpu_milli[NODE_GPUS_MAX];
};

// What a search finds of a node with promises.
struct left {
    size_t node;
    bool less; // than all of it
    struct node_room room;
};

static void get(const struct rooms *rs, size_t node, struct node_room *ret)
{
    ret->room = rs->of[node];
    memcpy(ret->gpu_milli, rs->gpu_milli + node * rs->stride, rs->stride * sizeof *ret->gpu_milli);
}

static void put(struct rooms *rs, size_t node, const struct node_room *from)
{
    rs->of[node] = from->room;
    memcpy(rs->gpu_milli + node * rs->stride, from->gpu_milli,
           rs->stride * sizeof *from->gpu_milli);
}

// Takes the share from the node's room at a time. False: there is not enough, and now nothing.
static bool take_share(struct cluster *c, const struct share *s)
{
    struct fit_node f = {.node = c->nodes[s->node], .tasks = s->tasks};
    struct room_view v = rooms_view(&c->backfill.rooms, f.node);
    if (room_capacity(&v, &s->of->job->req) < s->tasks) {
        put(&c->backfill.rooms, s->node, &(struct node_room){0});
        return false;
    }
    rooms_take(&c->backfill.rooms, c, &s->of->job->req, &f, 1);
    return true;
}

// c->backfill.rooms gets the node's room when what ends by then has ended (or, for an unknown
// start, all that was there when it was planned).
static void give_ended(struct cluster *c, size_t node, int64_t at_ms, const struct reservation *of)
{
    struct rooms *rs = &c->backfill.rooms;
    struct node_room now = {0};
    const struct placement *p;
    get(&c->rooms, node, &now);
    put(rs, node, &now);
    TAILQ_FOREACH(p, &c->nodes[node]->parts, node_link)
    if (of && promise_unknown(of) ? p->id < of->mark : ends_by(c, p, at_ms))
        rooms_give(rs, c, p);
}

// The same, and the others' promises that are active then are kept; its own too, in the order in
// which they were made: each was made around those before it. False: there is not enough for its
// own.
static bool room_then(struct cluster *c, size_t node, int64_t at_ms, const struct reservation *of,
                      const struct share *own)
{
    bool enough = true;
    give_ended(c, node, at_ms, of);
    for (const struct share *s = promise_first(c, node); s; s = promise_next(s))
        if (s == own)
            enough = take_share(c, s);
        else if (s->of != of && active(s->of, at_ms))
            take_share(c, s);
    return enough;
}

// Is there more of something?
static bool exceeds(const struct node_room *a, const struct share *s)
{
    const struct room *x = &a->room, *y = &s->kept.spare;
    bool more = x->cores > y->cores || x->pool_milli > y->pool_milli || x->gpus > y->gpus ||
                x->memory_mib > y->memory_mib || x->parts < y->parts;
    for (size_t g = 0; !more && s->kept.gpu_milli && g < NODE_GPUS_MAX; g++)
        more = a->gpu_milli[g] > s->gpu_milli[g];
    return more;
}

// Scratch as wide as the cluster is.
static void widen(struct cluster *c)
{
    if (c->backfill.rooms.count != c->rooms.count || c->backfill.rooms.stride != c->rooms.stride)
        rooms_copy(&c->backfill.rooms, &c->rooms);
}

static void reckon(struct cluster *c, struct share *s)
{
    struct node_room spare = {0};
    // If not it must be planned anew, and binds nobody until then.
    s->enough = room_then(c, s->node, s->of->from_ms, s->of, s);
    get(&c->backfill.rooms, s->node, &spare);
    c->backfill.changes += exceeds(&spare, s);
    s->kept.spare = spare.room;
    memcpy(s->gpu_milli, spare.gpu_milli, sizeof s->gpu_milli);
    s->kept.gpu_milli = c->backfill.rooms.stride ? s->gpu_milli : NULL;
}

void backfill_touch(struct cluster *c, size_t node)
{
    if (!c->kept[node])
        return;
    widen(c);
    for (struct share *s = promise_first(c, node); s; s = promise_next(s))
        reckon(c, s);
}

// r has come to the node, or has gone from it: those that begin while it is there are affected.
static void touch_by(struct cluster *c, size_t node, const struct reservation *r)
{
    widen(c);
    for (struct share *s = promise_first(c, node); s; s = promise_next(s))
        if (s->of == r || active(r, s->of->from_ms))
            reckon(c, s);
}

static bool comes_before(const struct share *a, const struct share *b)
{
    return a->kept.from_ms != b->kept.from_ms ? a->kept.from_ms < b->kept.from_ms
                                              : a->of->number < b->of->number;
}

static void link_share(struct cluster *c, struct share *s)
{
    const struct kept **at = &c->kept[s->node];
    while (*at && comes_before((const struct share *)*at, s))
        at = (const struct kept **)&((struct kept *)*at)->next;
    s->kept.next = *at;
    *at = &s->kept;
}

static void unlink_share(struct cluster *c, struct share *s)
{
    const struct kept **at = &c->kept[s->node];
    while (*at != &s->kept)
        at = (const struct kept **)&((struct kept *)*at)->next;
    *at = s->kept.next;
}

void promise_show(struct cluster *c, struct reservation *r)
{
    CHECK(r->hidden);
    r->hidden = false;
    c->backfill.shown++;
    for (size_t i = 0; i < r->count; i++) {
        link_share(c, &r->shares[i]);
        touch_by(c, r->shares[i].node, r);
    }
}

void promise_hide(struct cluster *c, struct reservation *r)
{
    CHECK(!r->hidden);
    r->hidden = true;
    c->backfill.shown--;
    for (size_t i = 0; i < r->count; i++) {
        unlink_share(c, &r->shares[i]);
        touch_by(c, r->shares[i].node, r);
    }
}

// ---- the search ----

// A search through time: the rooms (c->backfill.rooms) as they are at `at_ms`.
struct search {
    struct cluster *c;
    const struct request *req;
    const struct selector *need;
    int64_t at_ms;
    int64_t bound; // room for the request, not underestimated
    bool grown;    // since the last try
    int openings;  // ends of windows that it came to
    int64_t cost;
};

static int64_t use_of(const struct search *s, const struct node *n)
{
    struct room_view v = rooms_view(&s->c->backfill.rooms, n);
    return request_use(&v, s->req);
}

static void give_back(struct search *s, const struct placement *p)
{
    struct cluster *c = s->c;
    const struct node *n = node_find(c, p->node);
    s->cost++;
    if (!node_usable(n) || !selector_has(s->need, n))
        return;
    int64_t before = use_of(s, n);
    rooms_give(&c->backfill.rooms, c, p);
    int64_t after = use_of(s, n);
    s->bound += after - before;
    s->grown |= after > before;
}

static void lessen(struct node_room *m, size_t stride, const struct kept *by)
{
    struct node_room was = *m;
    struct room_view v = {.room = was.room, .gpu_milli = was.gpu_milli, .gpus = (int32_t)stride};
    m->room = room_least(&v, by, m->gpu_milli).room;
}

// The least room of the node while the job would run, others' promises kept.
static void room_during(struct search *s, size_t node, int64_t until_ms, struct node_room *ret)
{
    struct cluster *c = s->c;
    struct rooms *rs = &c->backfill.rooms;
    struct node_room at_start = {0};
    get(rs, node, &at_start);
    int64_t shares = 0;
    for (const struct share *o = promise_first(c, node); o; o = promise_next(o), shares++)
        if (active(o->of, s->at_ms))
            take_share(c, o);
    get(rs, node, ret);
    s->cost += shares;
    for (const struct share *o = promise_first(c, node); o; o = promise_next(o)) {
        if (active(o->of, s->at_ms) ||
            (!promise_unknown(o->of) && (o->of->from_ms < s->at_ms || o->of->from_ms >= until_ms)))
            continue;
        struct node_room then = {0};
        struct kept least = o->kept;
        if (!promise_unknown(o->of)) {
            room_then(c, node, o->of->from_ms, NULL, NULL);
            get(rs, node, &then);
            least = (struct kept){.spare = then.room, .gpu_milli = then.gpu_milli};
        }
        lessen(ret, rs->stride, &least);
        s->cost += shares;
    }
    put(rs, node, &at_start);
}

// The nodes with promises on which the request may be: which they are does not change in a search.
static void list_kept(struct search *s)
{
    struct cluster *c = s->c;
    c->backfill.left_count = 0;
    for (size_t i = 0; i < c->nodes_count; i++) {
        if (!c->kept[i] || !node_usable(c->nodes[i]) || !selector_has(s->need, c->nodes[i]))
            continue;
        VEC_RESERVE(c->backfill.left, c->backfill.left_count, c->backfill.left_cap);
        c->backfill.left[c->backfill.left_count++] = (struct left){.node = i};
    }
}

// Finds what is left of them while the job would run. Where nothing of the request would fit
// without the promises there is no need to look. Returns by how much less the request finds there.
static int64_t lessen_kept(struct search *s)
{
    struct cluster *c = s->c;
    int64_t until_ms = latest_end_from_ms(c, s->req, s->at_ms), less = 0;
    s->cost += (int64_t)c->backfill.left_count;
    for (size_t i = 0; i < c->backfill.left_count; i++) {
        struct left *l = &c->backfill.left[i];
        struct room_view all = rooms_view(&c->backfill.rooms, c->nodes[l->node]);
        l->less = room_capacity(&all, s->req) > 0;
        if (!l->less)
            continue;
        int64_t use = request_use(&all, s->req);
        room_during(s, l->node, until_ms, &l->room);
        struct room_view v = {.room = l->room.room,
                              .gpu_milli = l->room.gpu_milli,
                              .gpus = (int32_t)c->backfill.rooms.stride};
        less += use - request_use(&v, s->req);
        s->cost += COST_KEPT;
    }
    return less;
}

// Does the job fit at the search's time?
static bool try(struct search *s, const struct fit_node **ret, size_t *ret_count)
{
    struct cluster *c = s->c;
    if (!s->grown || s->bound < request_needs(s->req))
        return false;
    s->grown = false;
    if (!c->backfill.shown) {
        s->cost += (int64_t)c->nodes_count;
        return fit_at(c, s->req, &c->backfill.rooms, s->at_ms, ret, ret_count);
    }
    if (s->bound - lessen_kept(s) < request_needs(s->req))
        return false;
    s->cost += 2 * (int64_t)c->nodes_count;
    rooms_copy(&c->backfill.saved, &c->backfill.rooms);
    for (size_t i = 0; i < c->backfill.left_count; i++)
        if (c->backfill.left[i].less)
            put(&c->backfill.saved, c->backfill.left[i].node, &c->backfill.left[i].room);
    return fit_at(c, s->req, &c->backfill.saved, s->at_ms, ret, ret_count);
}

// The next time at which a window ends (window.h), so that nodes may open for the job.
static int64_t next_opening(const struct search *s)
{
    return s->openings < OPENINGS_MAX ? windows_next_end_ms(s->c, s->at_ms) : INT64_MAX;
}

// The next time after `at_ms` at which a reservation's room comes free again.
static int64_t next_release(const struct cluster *c, int64_t at_ms)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < c->backfill.count; i++) {
        const struct reservation *r = c->backfill.items[i];
        if (!r->hidden && !promise_unknown(r) && r->until_ms > at_ms && r->until_ms < next)
            next = r->until_ms;
    }
    return next;
}

static bool search_known(struct search *s, const struct fit_node **ret, size_t *ret_count)
{
    struct cluster *c = s->c;
    struct placement *p = RB_MIN(placement_ends, &c->ends);
    while (p && p->ends_ms < c->now.boot_ms - OVERDUE_MS)
        p = RB_NEXT(placement_ends, &c->ends, p);
    if (c->backfill.shown && try(s, ret, ret_count))
        return true;
    for (;;) {
        int64_t end = p ? p->ends_ms : INT64_MAX, release = next_release(c, s->at_ms);
        int64_t next = end < release ? end : release, opening = next_opening(s);
        next = next < opening ? next : opening;
        if (next == INT64_MAX)
            return false;
        if (next > s->at_ms)
            s->at_ms = next;
        for (; p && p->ends_ms <= s->at_ms; p = RB_NEXT(placement_ends, &c->ends, p))
            give_back(s, p);
        s->grown |= release <= s->at_ms || opening <= s->at_ms;
        s->openings += opening <= s->at_ms;
        if (try(s, ret, ret_count))
            return true;
    }
}

// The oldest of those whose end is not known are taken to end first.
static bool search_unknown(struct search *s, const struct fit_node **ret, size_t *ret_count)
{
    struct cluster *c = s->c;
    struct placement *p;
    s->at_ms = INT64_MAX;
    s->grown = true;
    if (try(s, ret, ret_count))
        return true;
    RB_FOREACH(p, placement_ends, &c->ends)
    {
        if (ends_by(c, p, INT64_MAX - 1))
            continue;
        give_back(s, p);
        if (try(s, ret, ret_count))
            return true;
    }
    return false;
}

// What the request finds free now: on nodes that the index has as free enough for one of its nodes.
static void count_room(struct search *s)
{
    const struct request *r = s->req;
    int32_t tasks = r->nodes ? r->tasks / r->nodes : 1;
    int64_t gpus = (int64_t)tasks * r->gpus, cores = (int64_t)tasks * r->cpus;
    uint32_t id;
    if (gpus > NODE_GPUS_MAX || cores > CORESET_MAX)
        return;
    struct index_walk w = index_tightest(&s->c->index, (int32_t)gpus, (int32_t)cores);
    while ((id = index_next(&w)))
        if (selector_has(s->need, s->c->nodes[id - 1]))
            s->bound += use_of(s, s->c->nodes[id - 1]);
}

// From what is free now.
static struct search search_begin(struct cluster *c, const struct request *r)
{
    struct search s = {.c = c,
                       .req = r,
                       .need = selector_find(c, r->need),
                       .at_ms = c->now.boot_ms,
                       .grown = true};
    rooms_copy(&c->backfill.rooms, &c->rooms);
    count_room(&s);
    list_kept(&s);
    s.cost = (int64_t)c->nodes_count;
    return s;
}

bool backfill_fits(struct cluster *c, const struct request *r, int64_t at_ms,
                   struct placement *const *gone, size_t gone_count, const struct fit_node **ret,
                   size_t *ret_count, int64_t *cost)
{
    struct search s = search_begin(c, r);
    s.at_ms = at_ms;
    struct placement *p;
    for (p = RB_MIN(placement_ends, &c->ends); p && p->ends_ms <= at_ms;
         p = RB_NEXT(placement_ends, &c->ends, p))
        if (!p->supposed_gone && ends_by(c, p, at_ms))
            give_back(&s, p);
    for (size_t i = 0; i < gone_count; i++)
        give_back(&s, gone[i]);
    bool fits = try(&s, ret, ret_count);
    *cost += s.cost;
    return fits;
}

int32_t backfill_capacity(struct cluster *c, const struct request *r, int64_t at_ms, size_t node,
                          int64_t *cost)
{
    struct search s = {.c = c, .req = r, .at_ms = at_ms};
    struct node_room left = {0};
    widen(c);
    give_ended(c, node, at_ms, NULL);
    room_during(&s, node, latest_end_from_ms(c, r, at_ms), &left);
    *cost += s.cost + 1;
    struct room_view v = {
        .room = left.room, .gpu_milli = left.gpu_milli, .gpus = (int32_t)c->backfill.rooms.stride};
    return room_capacity(&v, r);
}

void backfill_lengthen(struct request *r)
{
    if (r->time_limit_ms && __builtin_add_overflow(r->time_limit_ms, OVERDUE_MS, &r->time_limit_ms))
        r->time_limit_ms = 0;
}

struct reservation *promise_search(struct cluster *c, struct job *j, int64_t *cost)
{
    struct job_id first;
    int64_t stops;
    struct request req = j->req;
    bool owed = preempt_waits(c, j, &first, &stops);
    if (owed)
        backfill_lengthen(&req);
    struct search s = search_begin(c, &req);
    const struct fit_node *f;
    size_t count;
    bool found = search_known(&s, &f, &count) || search_unknown(&s, &f, &count);
    *cost += s.cost;
    if (!found)
        return NULL;
    struct reservation *r = xcalloc(1, sizeof *r);
    *r = (struct reservation){.job = j,
                              .from_ms = s.at_ms,
                              .until_ms = latest_end_from_ms(c, &req, s.at_ms),
                              .owed = owed,
                              .mark = c->meta.next_placement,
                              .planned_at = grown_end(c),
                              .planned_ms = c->now.boot_ms,
                              .number = ++c->backfill.made,
                              .again_at_ms = c->now.boot_ms + s.cost / COST_A_MS,
                              .hidden = true,
                              .count = count};
    if (!promise_unknown(r))
        r->starts_wall_ms = c->now.wall_ms + (r->from_ms - c->now.boot_ms);
    r->shares = xcalloc(count, sizeof *r->shares);
    for (size_t i = 0; i < count; i++)
        r->shares[i] = (struct share){.kept.from_ms = promise_unknown(r) ? INT64_MIN : r->from_ms,
                                      .of = r,
                                      .node = f[i].node->id.v - 1,
                                      .tasks = f[i].tasks};
    return r;
}
