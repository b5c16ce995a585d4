// What jobs hold and have used, counted at one level: a queue, an account with its parts, a user in
// an account, a QoS; and each user of a queue or QoS.
//
// Counts follow the jobs (jobs) and the placements (cores, GPUs, memory). Usage is resource x time
// that fades by half-life: with t since the epoch that all tallies share, and
//     S(t) = H / ln 2 x (2^(t/H) - 1)      ms; without half-life S(t) = t
// what is used up to t is (base + rate x S(t)) x 2^(-t/H), exactly, while the rate stands; a change
// of the rate by d at t takes d x S(t) from the base. So nothing is rounded, and nothing need be
// done, while jobs run. Units of the rate: thousandths of cores and GPUs, 16 MiB of memory (times
// the QoS's percent); of the base: these x ms. At a half-life of 100 days 500,000 cores fit.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

enum { TALLY_COUNTS = 5, TALLY_USES = 3 }; // counts: the first of enum limit_kind
enum tally_use { USE_CORES, USE_GPUS, USE_MEMORY };

static inline int64_t tally_units(enum tally_use use)
{
    return use == USE_MEMORY ? 64 : 1000;
}

// What the counts and rates must be: recounted from jobs and placements.
struct tally_sum {
    int64_t counts[TALLY_COUNTS], rate[TALLY_USES];
};

struct tally {
    int64_t id;   // tally_id()
    int64_t rule; // the queue, account, user or QoS
    int64_t uid;  // of whom; -1: of all
    union {
        struct {
            int64_t running_jobs, submitted_jobs, cores_milli, gpus_milli, memory_mib;
        };
        int64_t counts[TALLY_COUNTS];
    };
    int64_t rate[TALLY_USES], base[TALLY_USES];

    // Not stored.
    uint32_t closed[TALLY_COUNTS]; // number of the pass in which a job waits at this count's limit
    int64_t held[TALLY_COUNTS];    // kept in that pass for jobs that have others stopped
    uint32_t held_in;              //
    struct tally_sum sum;
    struct tally *next; // another user of the same queue or QoS
    size_t dirty_at;    // 1 + its place among the dirty; 0: it is not
    UT_hash_handle by_id;
};

// name, kind, member
#define TALLY_COLUMNS(X)                   \
    X(id, I64, id)                         \
    X(rule, I64, rule)                     \
    X(uid, I64, uid)                       \
    X(running_jobs, I64, running_jobs)     \
    X(submitted_jobs, I64, submitted_jobs) \
    X(cores_milli, I64, cores_milli)       \
    X(gpus_milli, I64, gpus_milli)         \
    X(memory_mib, I64, memory_mib)         \
    X(core_rate, I64, rate[USE_CORES])     \
    X(gpu_rate, I64, rate[USE_GPUS])       \
    X(memory_rate, I64, rate[USE_MEMORY])  \
    X(core_base, I64, base[USE_CORES])     \
    X(gpu_base, I64, base[USE_GPUS])       \
    X(memory_base, I64, base[USE_MEMORY])

static inline int64_t tally_id(int64_t rule, int64_t uid)
{
    return rule << 33 | (uid + 1);
}
