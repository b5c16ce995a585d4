// Files that are read from the beginning to the end, plain or gzip'ed.
//
// A short read is the true end: what is damaged or cut off inside of gzip is a failure, also when
// only the checksum at the end is missing.
#pragma once

#include "common/err.h"

#include <stddef.h>

struct gzfile {
    void *handle;
    const char *path; // borrowed
};

// E_NOT_FOUND; the hint, a sentence, ends the message.
int gzfile_open(const char *path, const char *hint, struct gzfile *ret, struct err *err);
void gzfile_close(struct gzfile *f);
// At most len bytes, less than 2 GiB; *ret_len says how many. E_CORRUPT.
int gzfile_read(struct gzfile *f, void *to, size_t len, size_t *ret_len, struct err *err);
