// Classes: pending jobs that the scheduler cannot tell apart but by their age. They ask for the
// same, for the same owner, with the same priority. If the first of a class does not fit, none of
// it does, so a pass walks over classes and not over jobs. Private to the core.
//
// A class exists while a job is in it. Inside, the oldest comes first, and an array's requeued
// elements before its next one. The classes lie in a tree by the rank of their first jobs.
#pragma once

#include "scheduler/core/job.h"
#include "scheduler/core/room.h"
#include "scheduler/core/wait.h"

struct cluster;

// Everything that tells jobs apart.
#define CLASS_KEY(X)      \
    X(req.tasks)          \
    X(req.nodes)          \
    X(req.cpus)           \
    X(req.cpu_milli)      \
    X(req.gpus)           \
    X(req.gpu_milli)      \
    X(req.memory_mib)     \
    X(req.tasks_per_node) \
    X(req.exclusive)      \
    X(req.spread)         \
    X(req.need.v)         \
    X(req.prefer.v)       \
    X(req.reservation.v)  \
    X(req.time_limit_ms)  \
    X(req.grace_ms)       \
    X(req.lease_ms)       \
    X(req.pmix)           \
    X(owner_uid)          \
    X(owner_gid)          \
    X(queue.v)            \
    X(user.v)             \
    X(qos.v)              \
    X(priority)           \
    X(nice)               \
    X(level)
// Whoever adds to a request adds to the key.
_Static_assert(sizeof(struct request) == 80, "CLASS_KEY names every member of a request");

#define CLASS_KEY_ONE(member) +1
enum { CLASS_KEY_COUNT = 0 CLASS_KEY(CLASS_KEY_ONE) };

RB_HEAD(job_queue, job);
RB_PROTOTYPE(job_queue, job, queue_link, job_age_order)

// The least that must be free, lest its first job surely cannot start: altogether, and on one node,
// there in the classes of room_index.h. All 0: it has to be looked at.
struct class_need {
    int64_t cores, gpus;
    int32_t node_cores, node_gpus;
};

struct job_class {
    struct wait wait; // its id, and why it waits
    bool stored;      // the row exists in the tables
    size_t dirty_at;  // 1 + its place among the dirty; 0: it is not
    int64_t key[CLASS_KEY_COUNT];
    struct job_queue jobs;
    struct job *first;
    size_t count;
    int64_t rank; // the first job's priority, as of the moment of all ranks; higher first
    TAILQ_ENTRY(job_class) all_link;
    RB_ENTRY(job_class) order_link;
    int64_t first_ms; // wall clock: when its first job was submitted
    RB_ENTRY(job_class) age_link;
    struct class_need need, below;    // its own, and the least of those below it in the tree
    size_t size;                      // classes below it in the tree, with itself
    size_t reserved;                  // jobs of it that have a reservation
    TAILQ_ENTRY(job_class) told_link; // of those that wait for something else than their turn

    // What passes found out, so that the next one need not.
    uint64_t pass;       // the last one that came to it
    uint64_t seen;       // growth counted in `bound` (grown.c); 0: it was never counted
    int64_t bound;       // the room for it, not underestimated, in the unit of request_needs()
    uint64_t refused_at; // stamp of the last time that there was room and it did not fit
    uint64_t usable_at;  // generation of nodes that `usable` is of; 0: none
    uint64_t fits_at;    // generation of nodes on all of which it would fit; 0: not known
    // Of its jobs' search for others to preempt (preempt.h): the stamp of the last one that found
    // none, when time alone may have changed that, and the rest that it takes after its cost.
    uint64_t preempt_at;
    int64_t preempt_again_ms, preempt_rests_ms;
    bool usable;   // would it fit on the usable nodes if they were empty?
    bool windowed; // when it was refused last, windows of others were all that kept it (window.h)
};

RB_HEAD(class_order, job_class);
TAILQ_HEAD(class_list, job_class);
int class_order_compare(const struct job_class *a, const struct job_class *b);
RB_PROTOTYPE(class_order, job_class, order_link, class_order_compare)
RB_HEAD(class_ages, job_class);
int class_age_compare(const struct job_class *a, const struct job_class *b);
RB_PROTOTYPE(class_ages, job_class, age_link, class_age_compare)

// The job enters its class, which is made if need be, or leaves it. Marks the job.
void class_join(struct cluster *c, struct job *j);
void class_leave(struct cluster *c, struct job *j);
// At loading: the job's row names its class; false: the number makes no sense for it.
bool class_rejoin(struct cluster *c, struct job *j);
// Is it known that jobs like this one fit on the nodes as they are, were they empty? Saves the
// submission of one of many a look at every node. And: it is known now.
bool class_known_to_fit(struct cluster *c, const struct job *like);
void class_fits(struct cluster *c, const struct job *j);
// From now on the class waits for this reason. A fact, unless only what is free changed.
void class_say(struct cluster *c, struct job_class *k, struct reason r);
void class_say_start(struct cluster *c, struct job_class *k, int64_t starts_ms);
// The same for the whole queue.
void queue_say(struct cluster *c, struct reason r);
// Its row is to be deleted.
void wait_gone(struct cluster *c, struct class_id id);
struct job_class *class_find(const struct cluster *c, struct class_id id);
// Room is counted in tasks, or in nodes for a request of so many nodes: how much the request needs,
// and how much of it this room has.
int64_t request_needs(const struct request *r);
int64_t request_use(const struct room_view *v, const struct request *r);
// Does the free room, kept or not, perhaps hold its first job? False is certain. *cost grows by the
// nodes looked at.
bool class_may_fit(struct cluster *c, struct job_class *k, int64_t *cost);
// Its place by the present weights and moment.
void class_rank(struct cluster *c, struct job_class *k);
// The tree: class_order.c. A class rests when a pass has found too little room for it and nothing
// but more room can change what the pass makes of it; it wakes when the usable nodes or the limits
// change, or by class_wake().
void class_order_add(struct cluster *c, struct job_class *k);
void class_order_remove(struct cluster *c, struct job_class *k);
void class_rest(struct job_class *k);
void class_wake(struct job_class *k);
// From k (NULL: the end) on the first that does not rest or has, by what is free, perhaps room;
// *passed grows by the classes before it.
struct job_class *class_awake(struct cluster *c, struct job_class *k, int64_t *passed);
void class_check(const struct job_class *k);
// Is the job like those of the class?
bool class_holds(const struct job_class *k, const struct job *j);
void classes_free(struct cluster *c);
