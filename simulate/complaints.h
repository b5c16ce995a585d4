// What was wrong with the lines of a file: counted, the first few kept word for word.
//
//     complain_at(&c, "jobs.csv", 12, 8, "the duration \"abc\" is no number");
//     // jobs.csv:12:8: the duration "abc" is no number
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { COMPLAINTS_KEPT = 5 };

struct complaints {
    char *first[COMPLAINTS_KEPT]; // owned
    size_t count;
};

// column 0: the line as a whole.
void complain_at(struct complaints *c, const char *file, int64_t line, int64_t column,
                 const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void complaints_free(struct complaints *c);
