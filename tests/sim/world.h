// A world in which everything that happens is seeded: time, a heap of happenings, processes that
// may be stopped or die, clocks of machines, and the narration with its hash.
//
// It knows nothing of Muster. A happening belongs to a process (NULL: to the world): what was meant
// for a dead life of it is dropped, what was meant for a stopped one waits until it goes on. `arg`
// is malloc'ed or NULL and belongs to the happening. Times are ms of the world; the order of
// happenings is (time, number), so one seed is one story on every compiler.
//
//     after(w, 5, &agent->process, heartbeat, NULL, 0);
//     while (world_next(w)) ...
#pragma once

#include "common/rng.h"
#include "common/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;
typedef void (*happening_act)(struct world *w, void *arg, uint64_t n);

struct happening {
    int64_t at_ms;
    uint64_t number;
    struct process *owner;
    uint32_t life;
    happening_act act;
    void *arg;
    uint64_t n;
};

struct process {
    bool alive, stopped;
    uint32_t life; // rises with each start
    struct happening *deferred;
    size_t deferred_count, deferred_cap;
};

enum { TAIL_LINES = 64, LINE_MAX_BYTES = 224 };

struct world {
    uint64_t seed;
    struct rng rng;
    int64_t now_ms;
    uint64_t number, steps; // happenings made, happened
    struct happening *heap;
    size_t heap_count, heap_cap;
    uint64_t hash; // FNV-1a of every line told
    uint64_t lines;
    char tail[TAIL_LINES][LINE_MAX_BYTES];
    bool verbose;
};

// A machine's clocks: CLOCK_BOOTTIME begins at its boot and runs a little fast or slow; the wall
// clock jumps.
struct clock {
    int64_t booted_ms;
    int32_t drift_ppm;
    int64_t wall_offset_ms;
};

void world_init(struct world *w, uint64_t seed, bool verbose);
void world_fini(struct world *w);
// The next happening; false if there is none.
bool world_next(struct world *w);
void after(struct world *w, int64_t delay_ms, struct process *owner, happening_act act, void *arg,
           uint64_t n);

void process_start(struct process *p);
void process_die(struct process *p);
void process_stop(struct process *p);
void process_continue(struct world *w, struct process *p);
void process_fini(struct process *p);

int64_t clock_boot(const struct world *w, const struct clock *c);
int64_t clock_wall(const struct world *w, const struct clock *c);
// How long until its boot clock shows at_ms; 0 if it does already.
int64_t clock_until(const struct world *w, const struct clock *c, int64_t at_ms);

// Uniform in [least, most].
int64_t between(struct world *w, int64_t least, int64_t most);
// Small values are as likely as large ones: the number of bits is uniform.
int64_t spread(struct world *w, int64_t least, int64_t most);
bool chance(struct world *w, unsigned per_mille);

void tell(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// The last lines that were told.
void world_tail(const struct world *w, struct text *ret);
