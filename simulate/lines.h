// The lines of a file, plain or gzip'ed, or of bytes in memory: one at a time, bounded.
//
// A line is lent until the next call; it is NUL-terminated, without its line end ("\n" or "\r\n"),
// and may be changed in place. A byte order mark at the file's beginning is left out.
#pragma once

#include "common/err.h"
#include "common/gzfile.h"

#include <stdint.h>

enum { LINE_BYTES_MAX = 65536 };

enum line_status {
    LINE_OK,
    LINE_LONG, // more than LINE_BYTES_MAX bytes: passed over
    LINE_END,
    LINE_FAILED, // the file cannot be read or is damaged: err is filled in
};

struct lines {
    const char *path; // borrowed: the file's name, or what the bytes are called
    int64_t number;   // of the line returned last, from 1
    struct gzfile file;
    const char *memory; // what is left of bytes in memory
    size_t memory_size;
    char *buffer;
    size_t at, have;
};

// E_NOT_FOUND.
int lines_open(const char *path, const char *hint, struct lines *ret, struct err *err);
// The bytes are borrowed.
void lines_of_memory(const char *name, const void *bytes, size_t size, struct lines *ret);
void lines_close(struct lines *l);
enum line_status lines_next(struct lines *l, char **ret, size_t *ret_len, struct err *err);
