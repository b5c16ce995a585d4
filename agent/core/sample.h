// What a task says on its report channel, pure: a line becomes values, and lines become
// samples.
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
    SAMPLE_LINE_MAX = 4095, // with its newline PIPE_BUF: what is written at once arrives whole
    SAMPLE_METRICS_MAX = 64,
    SAMPLE_NAME_MAX = 63, // bytes
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
// The newest of both; where they have too many names together, those of `from`.
void sample_merge(struct sample *to, const struct sample *from);
