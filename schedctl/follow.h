// The output of a job's tasks, fetched piece by piece as it grows.
//
// stdout goes to stdout and stderr to stderr. Each stream is asked again after 20 to 250 ms,
// rarer while it is silent and rarer with many tasks.
//
//     struct follow f = {.client = c, .job = "17", .label = true};
//     follow_streams(&f, 0, 4, FOLLOW_BOTH);
//     follow_attempt(&f, 1);
//     while (!follow_ended(&f))
//         follow_pump(&f, &err), wait follow_due_ms(&f)
//     follow_free(&f);
#pragma once

#include "schedctl/client.h"
#include "schedctl/statusline.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum follow_which { FOLLOW_STDOUT = 1, FOLLOW_STDERR = 2, FOLLOW_BOTH = 3 };

struct follow_stream {
    int64_t task;
    bool is_stderr, ended, none, told_failure, told_dropped; // none: the task has not started
    int64_t offset, due_ms, delay_ms;
    struct text line; // labelled: an unfinished line
};

struct follow {
    struct client *client;
    const char *job;           // checked name, kept by reference
    bool label;                // "[task] " before each line
    bool final;                // the job has ended: what has not started never will
    int64_t tail;              // begin so many bytes before the end; -1: at the beginning
    int64_t attempt;           // 0: the newest
    struct statusline *status; // wiped before output; NULL: none
    bool mid_line;             // the last output did not end its line
    struct follow_stream *streams;
    size_t streams_count;
};

void follow_streams(struct follow *f, int64_t first_task, int64_t tasks, enum follow_which which);
// Begins again with another attempt.
void follow_attempt(struct follow *f, int64_t attempt);
// Asks the streams that are due. E_UNREACHABLE: the scheduler; E_NOT_FOUND: no such job; E_IO: the
// output cannot be written. A node that cannot be asked is told once on stderr.
int follow_pump(struct follow *f, struct err *err);
// Makes all streams due.
void follow_hurry(struct follow *f);
// Milliseconds until the next stream is due, at most `most`.
int follow_due_ms(const struct follow *f, int most);
bool follow_ended(const struct follow *f);
void follow_free(struct follow *f);
