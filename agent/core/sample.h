// What a task says on its report channel, pure: a line becomes values, lines become samples, and
// samples are sent at a pace.
//
//     {"phase":"train","step":120,"steps":500,"progress":0.24,"loss":0.41}
//
// A line is a JSON object of at most SAMPLE_LINE_MAX bytes. "phase" is a string, "progress" a
// number from 0 to 1; every other number is a metric under its name; true and false are 1 and 0;
// other strings, arrays and objects are left out. null, NaN and Infinity (which programs write and
// JSON does not know) are NaN. A line that is none of this changes nothing.
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SAMPLE_LINE_MAX = 4096, // PIPE_BUF: what is written at once and arrives whole
    SAMPLE_METRICS_MAX = 64,
    SAMPLE_NAME_MAX = 63, // bytes
    SAMPLE_BURST = 16,
};

struct metric {
    char name[SAMPLE_NAME_MAX + 1];
    double value;
};

// The newest value of each name since it was sent.
struct sample {
    int64_t at_ms; // wall clock of the newest line; 0: nothing to send
    char phase[SAMPLE_NAME_MAX + 1];
    struct metric metrics[SAMPLE_METRICS_MAX];
    size_t count;
};

// Merges a line (without its newline). E_INVALID with what is wrong; E_TOO_LARGE when it would
// make more than SAMPLE_METRICS_MAX names: send, then add it again.
int sample_add(struct sample *s, int64_t at_ms, const char *line, size_t len, struct err *err);
void sample_clear(struct sample *s);

// A bucket of `most` units that fills with so many thousandths of a unit a second.
struct pace {
    int64_t most, milli_per_s; // both at most 2^33
    int64_t micro;             // what is there, in millionths
    int64_t at_ms;             // 0: never looked at: full
};
// What a task of a job of so many may send: two samples a second and a burst at first, at most
// 1,000 samples a second for the whole job.
struct pace pace_samples(int64_t tasks);
// Takes `units` if there is at least one; the bucket may fall below zero.
bool pace_take(struct pace *p, int64_t now_ms, int64_t units);
