// Samples with labels: images (bytes) or texts (token ids), and how a pass is fed with them.
//
// Every task of a job reads the same files whole; which samples it takes is shard.h's matter.
#pragma once

#include "common/err.h"
#include "kernels/shape.h"

enum { CLASSES_MAX = 1024 };
// What to do when a file of a data set can't be opened.
#define DATA_HINT "See --data in muster-ml train --help."

struct dataset {
    size_t count, classes; // classes: largest label + 1
    int32_t *labels;       // [count]
    // Images: height x width of one byte each.
    size_t height, width;
    uint8_t *pixels; // [count][height][width]; NULL: texts
    // Texts: ids[starts[i] .. starts[i + 1]), at least one each.
    int32_t *ids;
    size_t *starts; // [count + 1]
    uint32_t sum;   // of labels, pixels and ids: dataset_sum()
    size_t skipped; // lines that could not be used
    char first_skipped[160];
};

void dataset_free(struct dataset *d);
// Fills sum in: equal sums, equal samples.
void dataset_sum(struct dataset *d);

// idx.c: images and labels in the IDX format (LeCun), plain or gzip'ed; unsigned bytes only.
// Big-endian: magic 0x00000803 (images: count, rows, columns) or 0x00000801 (labels: count), then
// the bytes. Bounds: less than 2^31 bytes a file, 256 classes. E_NOT_FOUND, E_CORRUPT (wrong magic,
// damaged, truncated, longer than announced, counts that differ, empty), E_TOO_LARGE.
int idx_read(const char *images, const char *labels, struct dataset *ret, struct err *err);

// What a pass over a data set needs beside it: buffers, and what was learnt from the training data.
struct feeder {
    size_t rows, time_max;
    float mean, deviation;     // of the training pixels
    float *x;                  // [rows][height][width]
    int32_t *ids;              // [rows][time_max]
    int32_t *lengths, *labels; // [rows]
};
void feeder_init(struct feeder *f, struct shape input, size_t rows, size_t time_max);
void feeder_fini(struct feeder *f);
// The samples order[0 .. n) of d, or first .. first + n where order is NULL; n at most rows. The
// batch borrows the feeder's buffers until the next call; their labels are f->labels.
struct batch feeder_take(struct feeder *f, const struct dataset *d, const uint32_t *order,
                         size_t first, size_t n);
