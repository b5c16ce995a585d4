// What the policies know and keep. Private to the core.
//
// A score says how bad it would be to place the tasks on the node, 64-bit fixed point; the least
// wins. Of equals the fullest: a node in use, with the least free of its GPUs, then of its cores,
// then the lower id. A shape's scores are kept by policy and node until the node's room changes
// (rooms are numbered as they change).
#pragma once

#include "scheduler/core/policy.h"
#include "scheduler/core/room.h"

#include <stdint.h>

struct cluster;
struct question;

enum {
    TYPICAL_MAX = 256,       // shapes that fragmentation is measured with
    TYPICAL_PERCENT = 95,    // the most frequent shapes that make up so much of what is asked for
    COUNTED_MAX = 1024,      // shapes that are counted
    SCORES_MAX = 4 << 20,    // kept scores: shapes x nodes
    SCORES_SHAPES_MAX = 512, // shapes with kept scores
};

#define SCORE_NONE INT64_MAX // it does not fit

// A usual task as the fragmentation sees it.
struct usual {
    int64_t cpu_milli;
    int32_t gpus, gpu_milli;
    struct selector_id need;
    int64_t count;
    const struct selector *holds; // of need, while the task is usual
};

// Shapes that were submitted, each as of one task, with how often.
struct counted {
    struct usual task;
    bool used;
};

struct score {
    int64_t score;
    int64_t empty; // how empty the node is: decides between equals
    uint32_t room; // number of the room that it was made for
    int16_t gpu;   // 1 + the GPU for one share; 0: any
};

struct scores {
    struct request shape; // as bytes
    enum policy policy;
    struct score *of; // by node id - 1
    size_t count;
    uint64_t used_at; // when it was asked last, in questions
    uint64_t usual;   // of which usual tasks
};

struct placing {
    enum policy policy; // of queues that name none
    bool counts;        // some queue needs the usual tasks
    uint64_t seed;
    struct usual usual[TYPICAL_MAX];
    size_t usual_count;
    int64_t usual_total;     // of their counts
    uint64_t usual_number;   // rises with each other set of usual tasks
    bool given;              // the set was given: nothing is counted
    struct counted *counted; // COUNTED_MAX, by hash
    int64_t counted_total, count_again_at;
    struct scores *scores; // SCORES_SHAPES_MAX
    uint64_t questions;
    uint32_t *room_numbers; // by node id - 1
    size_t room_numbers_count;
};

// One node for all tasks of the request by the policy, into c->fit_scratch: 1, or 0 if none holds
// them.
size_t choose_by_policy(struct cluster *c, const struct question *q);
// The node's room is another one.
void placing_changed(struct cluster *c, uint32_t node);
// A job of this request was submitted, so many times.
void placing_count(struct cluster *c, const struct request *r, int64_t times);
// Jobs are placed by this policy from now on: if it needs the usual tasks, these are counted, first
// the pending and running jobs.
void placing_count_for(struct cluster *c, enum policy policy);
void placing_fini(struct cluster *c);

// ---- fgd.c ----
// How good a rise by that much is, 0 (much) to 99: a step is about 40 thousandths of a GPU where
// little rises, as usual tasks expect it, and wider where much does.
int32_t fgd_grade(const struct cluster *c, int64_t rise);
// By how much it rises; *ret_gpu is 1 + the GPU for the one share that is asked for, else 0.
int64_t fgd_score(const struct cluster *c, const struct node *n, const struct request *r,
                  int16_t *ret_gpu);
