// Least attained service: queues of unknown run times whose jobs give way as they get more (Gu et
// al., "Tiresias", NSDI 2019: discretised two-dimensional LAS). Private to the core but for what
// the shell shows.
//
// What a job has attained is its devices x the time that it has held them, in ms, over all its
// attempts: GPUs, or cores if it has none. A queue's levels divide it: level 0 up to las_first,
// level 1 up to las_first x las_factor, and so on. A lower level goes first, inside a level whoever
// was submitted first; and a waiting job may preempt running ones of a higher level in its queue.
// They wait again, with what they have attained.
//
// Two jobs cannot stop each other for ever: whoever is stopped by the other has come to a higher
// level since, and levels end.
//
// A job that has waited las_promote times as long as it had run goes back to level 0 and begins
// anew there, so that none starves.
//
//     attained 0        las_first          x factor          x factor^2
//              | level 0     |     level 1      |     level 2      | level 3 ...
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cluster;
struct job;
struct placement;
struct queue_rule;

enum { LAS_LEVELS_MAX = 16 };

// When a job is to be looked at: a running one that reaches the next level, or a waiting one whose
// patience ends. A min-heap; entries whose attempt is another one by now are dropped as they come
// up.
struct las_due {
    int64_t at_ms; // boot clock
    uint64_t job;
    uint32_t attempt;
    int8_t level; // as it was
    bool waits;
};
// What running jobs of a queue hold, by level.
struct las_held {
    int64_t jobs, gpus_milli, cores_milli;
};
struct las {
    struct las_due *due;
    size_t count, cap;
};

// Thousandths of GPUs, or of cores, of all its tasks.
int64_t job_devices_milli(const struct job *j);
// Device-ms up to wall_ms, with the attempt that runs.
int64_t job_attained_ms(const struct job *j, int64_t wall_ms);
// 0 .. las_levels - 1.
int32_t las_level(const struct queue_rule *q, const struct job *j, int64_t wall_ms);
// What a job attains before it leaves the level; INT64_MAX: it is the last one.
int64_t las_level_end_ms(const struct queue_rule *q, int32_t level);

// ---- inside the core ----

// The level as of now; 0 in a queue of another order.
int32_t las_level_now(const struct cluster *c, const struct job *j);
// The attempt is over: what it has had is added.
void las_attempt_over(struct cluster *c, struct job *j);
// From now on it is looked at when its level changes: it has entered the queue, or has started.
void las_watch(struct cluster *c, struct job *j);
// Those whose time has come; wakes for the next.
void las_look(struct cluster *c);
// The queue's row is another one.
void las_queue_changed(struct cluster *c, int64_t queue);
// Every job is watched and counted again: at the start.
void las_watch_all(struct cluster *c);
// The job is placed.
void las_placed(struct cluster *c, struct job *j);
// Is it of the same queue, and stands higher there? Then j may have it stopped.
bool las_may_preempt(const struct cluster *c, const struct job *j, const struct job *victim);
// Is it worth the search? There are those whom it may stop, and together they hold what it lacks.
bool las_may_preempt_any(const struct cluster *c, const struct job *j);
