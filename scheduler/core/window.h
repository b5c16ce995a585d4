// When nodes are kept by reservations of the operators (common/rule.h). Private to the core.
//
// A reservation holds its nodes in windows [start, end) of the wall clock, once or every day or
// week. A job may be placed on a node from some time on if, until its limit and grace have passed,
// no window of another reservation begins there: so a job without a limit is never placed on a node
// that is reserved later. A member, a job that names the reservation, runs on the reservation's
// nodes alone and inside one of its windows; without a limit it is stopped where the window ends.
//
// Between two boundaries time only ever takes room away from what is not running. At a boundary the
// nodes count as grown, so that what was refused there is tried again.
//
//     if (window_open(c, n, &j->req, at_ms)) ...   // may it be on n from at_ms (boot clock) on?
#pragma once

#include "common/ids.h"
#include "common/reason.h"
#include "common/rule.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cluster;
struct job;
struct node;
struct placement;
struct request;
struct rule_entry;

// The windows of a reservation: the first, and how often. Wall clock.
struct span {
    int64_t start_ms, duration_ms;
    int64_t period_ms; // 0: once
};

struct span reservation_span(const struct reservation_rule *r);
// The first window that ends after from_ms. False: all have ended.
bool span_next(const struct span *s, int64_t from_ms, int64_t *ret_start, int64_t *ret_end);
// Do windows of both ever share a moment after from_ms?
bool spans_meet(const struct span *a, const struct span *b, int64_t from_ms);

// A reservation on one node.
struct window {
    struct span span;
    int64_t of; // the rule's id
    bool maintenance;
    struct window *next; // another one on the same node
};

struct windows {
    struct window **by_node; // by node id - 1
    size_t nodes;            // that by_node has
    size_t count;            // reservations with windows that have not ended
    int64_t offset_ms;       // what the wall clock is ahead of the boot clock
    int64_t wake_ms;         // the next boundary; boot clock, as is the next
    int64_t stop_ms;         // when the next member without a limit has to be stopped
    bool hidden;             // as if there were no other windows than a member's own
};

// At the start, and after a change of a reservation: all anew.
void windows_start(struct cluster *c);
void windows_changed(struct cluster *c);
// The member has been placed, or its end has been reckoned anew.
void windows_note_member(struct cluster *c, const struct placement *p);
// What time brings: boundaries, members to stop, a wall clock that was set.
void windows_due(struct cluster *c);
// The next time at which windows_due() has something to do; INT64_MAX: never.
int64_t windows_wake_ms(const struct cluster *c);
void windows_fini(struct cluster *c);

// The node's windows; NULL: there are none.
const struct window *windows_on(const struct cluster *c, const struct node *n);
// May tasks of r be on the node from from_ms (boot clock) until they end? INT64_MAX: from any time
// on, now or later.
bool window_open(const struct cluster *c, const struct node *n, const struct request *r,
                 int64_t from_ms);
// Boot clock: the first end of a window after at_ms; INT64_MAX: none.
int64_t windows_next_end_ms(const struct cluster *c, int64_t at_ms);
// When a job that begins at from_ms has ended at the latest, all in boot clock: by its limit and
// grace, else, of a member, with its window. INT64_MAX: not known.
int64_t latest_end_from_ms(const struct cluster *c, const struct request *r, int64_t from_ms);
// When a member's part has to have ended, by the window that it is in; INT64_MAX: it is in none.
int64_t window_end_ms(const struct cluster *c, const struct placement *p, const struct request *r);

// Is the member's window open now, for long enough? If not: why.
bool window_admits(const struct cluster *c, const struct job *j, struct reason *ret);
// Would it fit now, were it not for windows of others? Then *ret names the first of them.
bool window_keeps(struct cluster *c, const struct request *r, struct reason *ret);
// No node could ever hold it, but for windows of others.
bool window_keeps_always(struct cluster *c, const struct request *r);
// The detail of a reason that names a reservation (reason_is_reservation()).
void window_add_text(const struct cluster *c, const struct reason *r, struct text *ret);
