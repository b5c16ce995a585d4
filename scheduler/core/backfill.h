// Backfill: jobs that find too little room get room kept for them in the future, and others fill in
// around it. Private to the core.
//
// The future is a time-line of expected ends: a placement ends at its start + time limit + grace at
// the latest; without a limit, or when it has overstayed it by OVERDUE_MS, that is not known. A
// reservation is the earliest time at which the job fits when all that has ended by then is free
// and the other reservations hold, and the nodes found there. Where it cannot be computed, because
// what is in the way has no limit, the nodes that come free first if the oldest end first are kept
// for it from now on: what is placed later finds there only what the job leaves over.
//
// What is kept is written as promises (struct kept, room.h), which fit() respects.
//
// A reservation is only replaced by an earlier one, or when it cannot be held any more (a node
// went, a job overstayed), and binds all but jobs that were submitted later and have a higher rank.
// So a job starts no later than it was first told, unless such jobs come, nodes go, or jobs
// overstay.
#pragma once

#include "scheduler/core/room.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cluster;
struct fit_node;
struct job;
struct node;
struct placement;
struct request;
struct reservation;

// Reservations in order of rank; the pass has come to the first `visited`.
struct backfill {
    struct reservation **items;
    size_t count, cap, visited;
    size_t shown;       // whose promises stand
    int64_t wake_ms;    // when time alone asks for another pass
    int64_t overdue_ms; // when the next placement will have overstayed, as of the last pass
    int64_t spent;      // of this pass, on looking for earlier starts
    uint64_t changes;   // rises when promises may have become weaker
    uint64_t made;      // reservations so far
    struct rooms rooms; // scratch: the cluster at a time
    struct left *left;  // scratch: nodes with promises
    size_t left_count, left_cap;
    struct rooms saved; // scratch
};

// Expected ends: ends.c. A placement is there, is gone, or its end has to be reckoned anew.
void ends_add(struct cluster *c, struct placement *p);
void ends_remove(struct cluster *c, struct placement *p);
void ends_reckon(struct cluster *c, struct placement *p);
// The placement is being killed, with so much grace.
void ends_within(struct cluster *c, struct placement *p, int64_t grace_ms);
// Is it expected to have ended by then?
bool ends_by(const struct cluster *c, const struct placement *p, int64_t at_ms);

// Of a job that waits; NULL: it has none.
struct reservation *reservation_of(const struct cluster *c, const struct job *j);
// The first job that has one; there is one.
const struct job *backfill_first(const struct cluster *c);
// Boot clock; INT64_MAX: not known.
int64_t reservation_start_ms(const struct reservation *r);
// Plans for a job that has none. False: no room will be there for it. *cost grows by what was
// looked at, nodes and placements.
bool backfill_add(struct cluster *c, struct job *j, int64_t *cost);
// The pass has come to a job with a reservation: looks for an earlier one, or one at all if it does
// not hold any more.
void backfill_visit(struct cluster *c, struct job *j, int64_t *cost);
// The first of a class takes over what is kept for a younger one like it: it would wait for room
// that is its own.
void backfill_inherit(struct cluster *c, struct job *j);
// The job outranks those that the pass has not come to. Of these, the ones that were promised
// before it was submitted do not bind it, nor those of jobs at a higher level of its queue, nor
// does any if others were stopped for it and its time has come: they begin where it was to have
// ended. They are dropped, but for jobs that would preempt it. False: there was none, or it has one
// itself and is not owed it.
bool backfill_outrank(struct cluster *c, const struct job *j);
// Those that are stopped for a job may take a little longer than their grace: what is kept for it
// is for so long after its time has come, and so much longer than it runs.
void backfill_lengthen(struct request *r);
// At the begin and at the end of a pass.
void backfill_begin(struct cluster *c);
void backfill_end(struct cluster *c);
// Of all that is promised, as it binds jobs now: equal after a pass that changed nothing.
uint64_t backfill_hash(const struct cluster *c);
// Has the time of a promise come since then? Not of one that waits for what should have ended.
bool backfill_due_since(const struct cluster *c, int64_t ms);
void backfill_drop(struct cluster *c, struct job *j);
void backfill_clear(struct cluster *c);
void backfill_free(struct cluster *c);
// While its own promise is hidden, fit() shows what the job itself may take.
void backfill_hide(struct cluster *c, struct job *j);
void backfill_show(struct cluster *c, struct job *j);
// All of them at once: fit() shows what is free, kept or not.
void backfill_hide_all(struct cluster *c);
void backfill_show_all(struct cluster *c);
// Something was placed there, has ended, or is to end at another time.
void backfill_touch(struct cluster *c, size_t node);
// Would the request fit from that time on, if what is expected to have ended by then had, and
// besides it these placements, all with `supposed_gone`? Promises that are shown are kept. f as
// fit_in() answers it.
bool backfill_fits(struct cluster *c, const struct request *r, int64_t at_ms,
                   struct placement *const *gone, size_t gone_count, const struct fit_node **ret,
                   size_t *ret_count, int64_t *cost);
// Tasks of it that one node holds then.
int32_t backfill_capacity(struct cluster *c, const struct request *r, int64_t at_ms, size_t node,
                          int64_t *cost);
void backfill_check(const struct cluster *c);
