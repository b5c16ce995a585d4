// What the judge's files share: judge.c (what leaves the scheduler, and what was promised),
// judge_tables.c and judge_limits.c (commits), judge_attained.c (what jobs have had), judge_tasks.c
// (the kernel's processes), judge_preempt.c (who is stopped for whom), judge_reserve.c
// (reservations), judge_end.c (what must not last, and what must be so when all is over). A rule of
// a new noun gets a file, called from one of these.
#pragma once

#include "tests/sim/sim.h"

// What is known of a job from the orders that left the scheduler.
struct truth {
    struct job_uid uid;
    struct job_id job;
    uint32_t attempt;   // the newest that was sent out
    uint64_t placement; // of its first part
    uint32_t prepared;  // its parts by index
    uint32_t started;   // likewise
    uint32_t arrived;   // likewise, in MPI_Init
    bool cancelled;     // acknowledged
    uint32_t cancelled_at;
    uint32_t succeeded; // likewise: its END is an exit of 0, and the shepherd was let go
    uint32_t parts;     // all of them
    bool waits;         // only END, a reboot or a fence ends it
    bool forgiven;      // a restored backup knows less of it
    // Its row as it was: when the attempt started (0: it does not run), and what it has had.
    int64_t started_at_ms, attained_ms;
    uint32_t row_attempt;
    uint32_t preempted;   // the newest attempt that must end for another job, and has started
    uint32_t preemptions; // such attempts that have ended
    UT_hash_handle hh;
};

struct promise {
    struct request_id request;
    struct job_id job;
};

struct cancelled {
    struct job_id job;
};

struct judge {
    struct truth *truths;
    struct promise *promises;
    size_t promises_count, promises_cap;
    struct cancelled *cancelled;
    size_t cancelled_count, cancelled_cap;
    int64_t wall_most_ms; // the latest that the scheduler's wall clock has shown
    struct stuck *stuck;  // judge_terms.c
    struct stops *stops;  // jobs that have others stopped
    size_t stops_count, stops_cap;
};

// judge_attained.c: a row of a job is committed.
void judge_attained(struct sim *s, const struct store_batch *b, const struct job *j);

// judge_terms.c
void judge_terms_committed(struct sim *s, const struct store_batch *b);
void judge_terms_look(struct sim *s);
void judge_terms_fini(struct sim *s);
// A row that is durable from now on: what became of a job that was preempted.
void judge_preempted(struct sim *s, const struct job *j);
// A commit against limits: judge_limits.c.
void judge_limits(struct sim *s, const struct store_batch *b);
struct truth *truth_of(struct sim *s, struct job_uid uid);
