// The fields of a line, split in place, and the numbers and times that they hold.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FIELDS_MAX = 256 };

struct field {
    char *text; // NUL-terminated, in the line
    size_t len;
    int column; // where it begins in the line, from 1
};

struct fields {
    struct field items[FIELDS_MAX];
    size_t count;
};

// Splits at the delimiter. A field in double quotes may hold it, and "" for a quote (RFC 4180,
// within one line). Returns NULL, or what is wrong, with the column in *ret_column.
const char *fields_split(char *line, size_t len, char delimiter, struct fields *ret,
                         int *ret_column);

// "12", "-1", "66.05" in thousandths (what is beyond is cut off); |value| <= 10^15. False: not
// that.
bool parse_milli(const char *s, size_t len, int64_t *ret);
// "2017-10-09 07:01:55" or with "T": seconds since 1970, read as UTC; the year from 1970 to 9999.
bool parse_timestamp(const char *s, int64_t *ret_s);
// Slurm's "[D-]HH:MM:SS[.mmm]", "MM:SS": milliseconds.
bool parse_elapsed(const char *s, int64_t *ret_ms);
