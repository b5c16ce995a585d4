// What tasks report, in a database of its own: DIR/metrics.db.
//
// It is telemetry, not the truth about jobs: written by a thread of its own without waiting for the
// disk, limited in size (the series that were quiet longest go first), made anew when damaged. A
// full disk, a file that cannot be opened or a flood costs samples, never a job: the file is tried
// again with each batch.
//
// A series is what one task of one attempt reported. It is thinned as it grows: it keeps every
// stride-th sample, and the newest; when it reaches its bound the stride doubles. A job keeps at
// most about 65,536 samples, a task from 64 to 1,024.
#pragma once

#include "common/err.h"
#include "common/ids.h"
#include "common/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct metrics;

// Starts the thread, which opens or makes the file. limit_bytes 0: 512 MiB.
struct metrics *metrics_open(const char *dir, int64_t limit_bytes);
// Writes what is there, ends the thread. Others may go on waiting in metrics_flush().
void metrics_stop(struct metrics *m);
// Stops and frees.
void metrics_close(struct metrics *m);

struct metrics_sample {
    struct job_uid job;
    uint32_t attempt, rank;
    int32_t tasks;       // of the job
    int64_t at_ms;       // wall clock
    const char *values;  // a JSON object; NULL: none, only `refused` is news
    double progress;     // NaN: not told
    uint64_t refused;    // lines refused so far
    const char *refusal; // why the last one was
    bool repeated;       // said before, perhaps: of interest only where it tells something new
};
// Copies; never waits. What comes while too much waits is lost and counted in the log.
void metrics_add(struct metrics *m, const struct metrics_sample *sample);

// Waits until what was added before is written, at most two seconds. From any thread.
void metrics_flush(struct metrics *m);

// A reader found the file damaged: it is put aside, and made anew with the next samples. From any
// thread.
void metrics_damaged(struct metrics *m);

// ---- reading: a connection of its own; one a thread ----

struct metrics_reader;
// E_NOT_FOUND: there are none yet.
int metrics_reader_open(const char *dir, struct metrics_reader **ret, struct err *err);
void metrics_reader_close(struct metrics_reader *r);
// The file has been made anew since: open again.
bool metrics_reader_stale(const struct metrics_reader *r);

// Appends `"metrics":{"at","tasks","progress","values"}`, or null: the mean of the tasks' progress,
// and the newest values of the first task that reports. r may be NULL.
int metrics_query_newest(struct metrics_reader *r, struct job_uid job, uint32_t attempt,
                         struct text *ret, struct err *err);

struct metrics_question {
    struct job_uid job;
    uint32_t attempt;
    int64_t task;   // -1: all
    uint64_t after; // samples with a greater id
    int64_t limit;
};
// Appends `"series":[...],"samples":[...],"next":ID,"more":BOOL` (proto/openapi.yaml). r may be
// NULL. An answer ends after the limit or some 8 MiB of samples, whatever comes first.
int metrics_query(struct metrics_reader *r, const struct metrics_question *q, struct text *ret,
                  struct err *err);
