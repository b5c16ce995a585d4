// Images and labels in the IDX format (LeCun), plain or gzip'ed; unsigned bytes only.
//
// Big-endian: magic 0x00000803 (images: count, rows, columns) or 0x00000801 (labels: count), then
// the bytes. Bounds: 2^31 bytes a file, 256 classes.
#pragma once

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

struct dataset {
    uint8_t *pixels;                 // [count][features]
    uint8_t *labels;                 // [count]
    size_t count, features, classes; // classes: largest label + 1
};

// E_NOT_FOUND, E_CORRUPT (wrong magic, truncated, counts that differ, empty): named with what to
// do.
int dataset_read(const char *images, const char *labels, struct dataset *ret, struct err *err);
void dataset_free(struct dataset *d);
