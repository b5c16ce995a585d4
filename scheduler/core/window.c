#include "scheduler/core/window.h"

#include "common/hostlist.h"
#include "scheduler/core/state.h"

#include <stdlib.h>

enum {
    CLOCK_SET_MS = 1000, // the wall clock was set if it is off by so much
    TRIES_MAX = 64,      // windows in a row that a job may have to pass by
};

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int64_t wall_of(const struct cluster *c, int64_t boot_ms)
{
    return add(boot_ms, c->windows.offset_ms);
}

static int64_t boot_of(const struct cluster *c, int64_t wall_ms)
{
    return wall_ms - c->windows.offset_ms;
}

const struct window *windows_on(const struct cluster *c, const struct node *n)
{
    size_t at = n->id.v - 1;
    return at < c->windows.nodes ? c->windows.by_node[at] : NULL;
}

// ---- may a job be there ----

static int64_t end_of(const struct request *r, int64_t from_ms)
{
    if (!r->time_limit_ms)
        return INT64_MAX;
    return add(from_ms, PLANTED(WINDOW_WITHOUT_GRACE) ? r->time_limit_ms
                                                      : add(r->time_limit_ms, r->grace_ms));
}

// What stands in the way of a job that begins at from_ms (wall clock): a window of another one, or
// (*ret NULL) that it is not inside one of its own. False: nothing.
static bool in_the_way(const struct window *first, const struct request *r, int64_t from_ms,
                       const struct window **ret, int64_t *ret_start, int64_t *ret_end)
{
    int64_t until_ms = end_of(r, from_ms), start, end;
    const struct window *w;
    *ret = NULL;
    if (r->reservation.v) {
        for (w = first; w && w->of != r->reservation.v;)
            w = w->next;
        *ret_start = *ret_end = INT64_MAX;
        if (!w || !span_next(&w->span, from_ms, &start, &end))
            return true;
        *ret_start = start;
        *ret_end = end;
        if (start > from_ms ||
            (r->time_limit_ms ? until_ms > end : add(from_ms, r->grace_ms) >= end))
            return true;
        until_ms = r->time_limit_ms ? until_ms : end;
    }
    for (w = first; w; w = w->next) {
        if (w->of == r->reservation.v || !span_next(&w->span, from_ms, &start, &end) ||
            start >= until_ms || (PLANTED(WINDOW_ONCE) && start > w->span.start_ms))
            continue;
        *ret = w;
        *ret_start = start;
        *ret_end = end;
        return true;
    }
    return false;
}

// Will it ever be open for the request?
static bool ever_open(const struct window *first, const struct request *r, int64_t from_ms)
{
    const struct window *w;
    int64_t start, end;
    for (int i = 0; i < TRIES_MAX; i++) {
        if (!in_the_way(first, r, from_ms, &w, &start, &end))
            return true;
        if (start == INT64_MAX)
            return false;
        from_ms = !w && start > from_ms ? start : end;
    }
    return false;
}

bool window_open(const struct cluster *c, const struct node *n, const struct request *r,
                 int64_t from_ms)
{
    const struct window *first = windows_on(c, n), *w;
    int64_t start, end;
    if (!first)
        return !r->reservation.v;
    if (c->windows.hidden && !r->reservation.v)
        return true;
    if (from_ms == INT64_MAX)
        return ever_open(first, r, wall_of(c, c->now.boot_ms));
    return !in_the_way(first, r, wall_of(c, from_ms), &w, &start, &end);
}

int64_t windows_next_end_ms(const struct cluster *c, int64_t at_ms)
{
    int64_t least = INT64_MAX, start, end;
    if (!c->windows.count || at_ms == INT64_MAX)
        return least;
    for (const struct rule_entry *p = c->rules.by_name[RULE_RESERVATION]; p; p = p->by_name.next) {
        struct span s = reservation_span(&p->row->reservation);
        if (span_next(&s, wall_of(c, at_ms), &start, &end) && boot_of(c, end) < least)
            least = boot_of(c, end);
    }
    return least;
}

int64_t latest_end_from_ms(const struct cluster *c, const struct request *r, int64_t from_ms)
{
    if (r->time_limit_ms)
        return add(from_ms, add(r->time_limit_ms, r->grace_ms));
    const struct rule_entry *p = r->reservation.v ? rule_by_id(c, r->reservation.v) : NULL;
    int64_t start, end, from = wall_of(c, from_ms);
    if (!p || p->row->kind != RULE_RESERVATION || from_ms == INT64_MAX)
        return INT64_MAX;
    struct span s = reservation_span(&p->row->reservation);
    return span_next(&s, from, &start, &end) && start <= from ? boot_of(c, end) : INT64_MAX;
}

int64_t window_end_ms(const struct cluster *c, const struct placement *p, const struct request *r)
{
    const struct node *n = node_find(c, p->node);
    int64_t start, end, now = wall_of(c, c->now.boot_ms);
    for (const struct window *w = n ? windows_on(c, n) : NULL; w; w = w->next)
        if (w->of == r->reservation.v && span_next(&w->span, now, &start, &end) && start <= now)
            return boot_of(c, end);
    return INT64_MAX;
}

// ---- the table ----

static void add_windows(struct cluster *c, const struct rule_entry *p, const char *nodes)
{
    struct err err;
    AUTO(names) struct names names = {0};
    const struct reservation_rule *r = &p->row->reservation;
    if (hostlist_expand(nodes, &names, &err))
        return; // a damaged row
    for (size_t i = 0; i < names.count; i++) {
        const struct node *n = node_find_name(c, names.items[i]);
        if (!n || n->id.v > c->windows.nodes)
            continue;
        struct window *w = xcalloc(1, sizeof *w);
        *w = (struct window){.span = reservation_span(r),
                             .of = p->row->id,
                             .maintenance = r->maintenance,
                             .next = c->windows.by_node[n->id.v - 1]};
        c->windows.by_node[n->id.v - 1] = w;
    }
}

static void clear(struct windows *ws)
{
    for (size_t i = 0; i < ws->nodes; i++)
        while (ws->by_node[i]) {
            struct window *w = ws->by_node[i];
            ws->by_node[i] = w->next;
            free(w);
        }
    free(ws->by_node);
    ws->by_node = NULL;
    ws->nodes = ws->count = 0;
}

void windows_fini(struct cluster *c)
{
    clear(&c->windows);
}

// Those that have not ended, on their nodes; and the next boundary of any.
static void make(struct cluster *c)
{
    struct windows *ws = &c->windows;
    int64_t now = wall_of(c, c->now.boot_ms), start, end;
    clear(ws);
    ws->wake_ms = INT64_MAX;
    for (const struct rule_entry *p = c->rules.by_name[RULE_RESERVATION]; p; p = p->by_name.next) {
        const struct reservation_rule *r = &p->row->reservation;
        struct span s = reservation_span(r);
        if (r->start_ms <= 0 || r->duration_ms <= 0 || !span_next(&s, now, &start, &end))
            continue;
        if (!ws->by_node) {
            ws->by_node = xcalloc(c->nodes_count + 1, sizeof *ws->by_node);
            ws->nodes = c->nodes_count;
        }
        ws->count++;
        add_windows(c, p, reservation_nodes(r));
        int64_t next = boot_of(c, start > now ? start : end);
        ws->wake_ms = next < ws->wake_ms ? next : ws->wake_ms;
    }
}

static void grow(struct cluster *c)
{
    for (size_t i = 0; i < c->windows.nodes; i++)
        if (c->windows.by_node[i])
            node_grew(c, c->nodes[i]);
}

// A member without a limit, of an attempt that goes on.
static const struct job *unlimited_member(const struct cluster *c, const struct placement *p)
{
    const struct job *j = p->job.v ? job_find(c, p->job) : NULL;
    bool is = j && j->req.reservation.v && !j->req.time_limit_ms && !j->verdict.code;
    return is && part_current(j, p) ? j : NULL;
}

// Stops members whose window ends within their grace, or that are in none any more; and finds when
// the next one has to stop.
static void stop_members(struct cluster *c)
{
    int64_t now = c->now.boot_ms;
    c->windows.stop_ms = INT64_MAX;
    for (size_t i = 0; i < c->nodes_count; i++) {
        struct placement *p, *next;
        TAILQ_FOREACH_SAFE(p, &c->nodes[i]->parts, node_link, next)
        {
            const struct job *j = unlimited_member(c, p);
            if (!j)
                continue;
            int64_t end = window_end_ms(c, p, &j->req);
            int64_t stop = end == INT64_MAX ? now : end - j->req.grace_ms;
            ends_reckon(c, p);
            if (stop <= now)
                attempt_condemn(
                    c, job_find(c, p->job),
                    (struct reason){.code = REASON_RESERVATION_ENDED, .a = j->req.reservation.v},
                    NULL);
            else if (stop < c->windows.stop_ms)
                c->windows.stop_ms = stop;
        }
    }
}

static void remake(struct cluster *c)
{
    grow(c);
    make(c);
    bool mended = false;
    for (struct rule_entry *p = c->rules.by_name[RULE_RESERVATION]; p; p = p->by_name.next)
        mended |= reservation_mend(c, p);
    if (mended) {
        backfill_clear(c);
        make(c);
    }
    grow(c);
    c->usable_gen++;
    c->hardware_gen++;
    c->pass_wanted = true;
    stop_members(c);
}

void windows_changed(struct cluster *c)
{
    c->windows.offset_ms = c->now.wall_ms - c->now.boot_ms;
    backfill_clear(c);
    remake(c);
}

void windows_start(struct cluster *c)
{
    c->windows.wake_ms = c->windows.stop_ms = INT64_MAX;
    if (c->rules.by_name[RULE_RESERVATION])
        windows_changed(c);
}

void windows_note_member(struct cluster *c, const struct placement *p)
{
    const struct job *j = unlimited_member(c, p);
    if (!j)
        return;
    int64_t end = window_end_ms(c, p, &j->req);
    int64_t stop = end == INT64_MAX ? c->now.boot_ms : end - j->req.grace_ms;
    if (stop < c->windows.stop_ms)
        c->windows.stop_ms = stop;
    wake_by(c, c->windows.stop_ms);
}

int64_t windows_wake_ms(const struct cluster *c)
{
    if (!c->rules.by_name[RULE_RESERVATION])
        return INT64_MAX;
    return c->windows.wake_ms < c->windows.stop_ms ? c->windows.wake_ms : c->windows.stop_ms;
}

void windows_due(struct cluster *c)
{
    if (!c->rules.by_name[RULE_RESERVATION] || c->meta.recovery_hold)
        return;
    int64_t off = c->now.wall_ms - c->now.boot_ms - c->windows.offset_ms;
    if (off >= CLOCK_SET_MS || off <= -CLOCK_SET_MS) {
        windows_changed(c);
    } else if (c->now.boot_ms >= c->windows.wake_ms) {
        remake(c);
    } else if (c->now.boot_ms >= c->windows.stop_ms) {
        stop_members(c);
    }
    wake_by(c, windows_wake_ms(c));
}

// ---- why a job waits ----

static struct reason reason_of(enum reason_code code, int64_t rule, int64_t start, int64_t end)
{
    return (struct reason){.code = code, .a = rule, .b = start, .c = end};
}

bool window_admits(const struct cluster *c, const struct job *j, struct reason *ret)
{
    const struct rule_entry *p = rule_by_id(c, j->req.reservation.v);
    int64_t now = wall_of(c, c->now.boot_ms), start, end;
    *ret = reason_of(REASON_RESERVATION_OVER, j->req.reservation.v, 0, 0);
    if (!p || p->row->kind != RULE_RESERVATION || p->row->reservation.maintenance)
        return false;
    struct window own = {.span = reservation_span(&p->row->reservation), .of = p->row->id};
    const struct window *w;
    if (!in_the_way(&own, &j->req, now, &w, &start, &end))
        return true;
    if (!ever_open(&own, &j->req, now))
        return false;
    if (start <= now) // it is open, but not for long enough
        span_next(&own.span, end, &start, &end);
    *ret = reason_of(REASON_RESERVATION_BEGINS, p->row->id, start, end);
    return false;
}

bool window_keeps(struct cluster *c, const struct request *r, struct reason *ret)
{
    const struct fit_node *f;
    size_t count;
    if (!c->windows.count || r->reservation.v)
        return false;
    c->windows.hidden = true;
    bool fits = fit(c, r, FIT_FREE, &f, &count);
    c->windows.hidden = false;
    if (!fits)
        return false;
    int64_t start, end, now = wall_of(c, c->now.boot_ms);
    const struct window *w;
    *ret = reason_of(REASON_RESERVED, 0, INT64_MAX, 0);
    for (size_t i = 0; i < count; i++)
        if (in_the_way(windows_on(c, f[i].node), r, now, &w, &start, &end) && start < ret->b)
            *ret = reason_of(REASON_RESERVED, w->of, start, end);
    return ret->a != 0;
}

bool window_keeps_always(struct cluster *c, const struct request *r)
{
    const struct fit_node *f;
    size_t count;
    if (!c->windows.count || r->reservation.v)
        return false;
    c->windows.hidden = true;
    bool fits = fit(c, r, FIT_ALL, &f, &count);
    c->windows.hidden = false;
    return fits;
}

static void add_time(struct text *ret, int64_t wall_ms)
{
    struct rule r = {.kind = RULE_RESERVATION, .reservation.start_ms = wall_ms};
    rule_add_value(&r, rule_field(RULE_RESERVATION, "start"), ret);
}

void window_add_text(const struct cluster *c, const struct reason *r, struct text *ret)
{
    const struct rule_entry *p = rule_by_id(c, r->a);
    if (!p || p->row->kind != RULE_RESERVATION)
        return;
    text_addf(ret, "\"%s\"", p->key);
    if (r->code != REASON_RESERVED && r->code != REASON_RESERVATION_BEGINS)
        return;
    text_add(ret, p->row->reservation.maintenance ? " (maintenance) from " : " from ");
    add_time(ret, r->b);
    text_add(ret, " to ");
    add_time(ret, r->c);
}
