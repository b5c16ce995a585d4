// Labelled texts: a line "TEXT<TAB>LABEL" each, UTF-8, plain or gzip'ed; the label is a number from
// 0 or a name from the list of classes. A line that cannot be used (no tab, unknown label, invalid
// UTF-8, no text) is skipped and counted; the first is described.
#pragma once

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

enum { TEXTFILE_MAX = 1 << 30, CLASS_NAME_MAX = 63 };

struct class_names {
    char (*names)[CLASS_NAME_MAX + 1];
    size_t count; // 0: classes are numbers
};

struct textfile {
    char *bytes;
    struct textline {
        size_t at, len; // of the text in bytes
        int32_t label;
    } * lines;
    size_t count, skipped;
    char first_skipped[160]; // "line 7: no tab"
};

// A name a line. E_NOT_FOUND, E_CORRUPT (too long, too many).
int class_names_read(const char *path, struct class_names *ret, struct err *err);
void class_names_free(struct class_names *c);

// E_NOT_FOUND, E_CORRUPT (damaged gzip; no usable line; more than one line in twenty skipped),
// E_TOO_LARGE.
int textfile_read(const char *path, const struct class_names *classes, struct textfile *ret,
                  struct err *err);
void textfile_free(struct textfile *f);
