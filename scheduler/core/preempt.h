// Preemption: a job that finds too little room has others stopped, those whose QoS its own may
// preempt, and those of its queue that stand at a higher level of attained service (las.h); it
// starts when they have ended. Private to the core.
//
// Victims are running or starting jobs that have run for the min_run_time of their QoS. Of these
// they come from the lowest QoS (by priority) that suffice; of these the fewest that were found, of
// equally many the ones that started last. None is stopped that is not needed, nobody is if the job
// would not start with it, starts as soon by itself, or is kept by a limit. What others were
// promised is kept. A gang is a victim as a whole.
//
// They are stopped as by a cancel (SIGTERM, their grace, SIGKILL). The room is kept for the job by
// a reservation (backfill.h), beyond the number that the queue gives out if need be, and while one
// of its victims is being stopped it chooses no others. Then preempt_mode of the victim's QoS says
// what becomes of it: it waits again, without an attempt used up, or it has been cancelled. By its
// queue's order it always waits again.
//
//     switch (preempt(c, j, &c->pass.cost)) ... // it found no room and may wait for it
#pragma once

#include "common/ids.h"
#include "scheduler/core/room.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cluster;
struct fit_node;
struct job;
struct placement;
struct reason;

// A job that may be stopped, in order of preference while none is chosen: of the lowest QoS, and
// the last that started.
struct victim {
    struct job *job;
    int64_t priority; // of its QoS, and less for each level (las.h)
    uint64_t order;   // of its placement: the higher, the younger
    int64_t size;     // scratch: how much of a node's share of the request it holds
    bool ranked;      // scratch
    bool chosen;
};

struct preempting {
    // Jobs that are being stopped, and for whom. What is no longer true of it is dropped when it is
    // looked at.
    struct stop {
        struct job_id by, victim;
    } * stops;
    size_t stops_count, stops_cap;
    uint64_t changes;   // rises when more jobs may be preempted than before
    int64_t wake_ms;    // when time alone asks for another pass
    bool start_awaited; // a start that comes to be known makes somebody a victim later
    // Scratch.
    struct victim *victims;
    size_t victims_count, victims_cap;
    struct placement **gone; // supposed to be
    size_t gone_count, gone_cap;
    struct rooms rooms;
};

enum preemption {
    PREEMPT_NONE,  // there is nobody whom it may preempt
    PREEMPT_NOT,   // nor would it start by it
    PREEMPT_SOON,  // nor need it: there will be room as soon as it could have any
    PREEMPT_WAITS, // jobs are being stopped for it
    PREEMPT_STOPS, // they are from now on
};

// May job j have this running one stopped, when the time for which it is safe has passed? A
// relation without circles, else two jobs stop each other for ever.
bool may_preempt(const struct cluster *c, const struct job *j, const struct job *victim);
// Do its QoS and its queue let it preempt at all, whoever runs?
bool may_ever_preempt(struct cluster *c, struct job *j);
// Is there perhaps anybody that job j may preempt? Cheap: asked of every class that finds no room.
bool may_preempt_any(struct cluster *c, struct job *j);

// The job found no room: stops who must make some. *cost grows by what was looked at, nodes and
// placements.
enum preemption preempt(struct cluster *c, struct job *j, int64_t *cost);
// Is anybody being stopped for it? The first of them and how many.
bool preempt_waits(struct cluster *c, const struct job *j, struct job_id *ret_first,
                   int64_t *ret_count);
// The job's start has become known.
void preempt_started(struct cluster *c, const struct job *j);
// A preempted attempt has lost a part by it, or otherwise than by success: it counts as stopped.
void preempt_stopped(struct cluster *c, struct job *j);
// All its parts had ended well by themselves.
bool preempt_came_late(const struct job *j);
// Does the QoS of this preempted job say that it waits for its next attempt?
bool preempt_requeues(const struct cluster *c, const struct job *j);
// At the start: those that are being stopped are known by their verdicts.
void preempt_load(struct cluster *c);
void preempt_free(struct cluster *c);

// ---- the choice: preempt_choose.c ----

// Marks those of c->preempt.victims that must be stopped for the job to start. PREEMPT_NOT, SOON or
// STOPS; with the last, *ret are the nodes on which it will start, in the turn's arena.
enum preemption preempt_choose(struct cluster *c, const struct job *j, const struct fit_node **ret,
                               size_t *ret_count, int64_t *cost);
// The parts of its newest attempt that are there.
#define FOREACH_PART_OF(p, j)                 \
    TAILQ_FOREACH((p), &(j)->parts, job_link) \
    if ((p)->attempt == (j)->attempt && !(p)->over)
