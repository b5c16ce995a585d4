// Samples as CSV (RFC 4180): at_ms, attempt, task and a column a name, in order of appearance.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct metrics_csv {
    char **names;
    size_t count, cap;
    bool begun, told; // told: that a name came too late for the header
};

// Prints the header for these samples; only once.
void metrics_csv_header(struct metrics_csv *c, const json_t *samples);
void metrics_csv_rows(struct metrics_csv *c, int64_t attempt, const json_t *samples);
void metrics_csv_free(struct metrics_csv *c);
