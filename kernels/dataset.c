#include "kernels/dataset.h"

#include "common/alloc.h"
#include "common/check.h"
#include "kernels/wide.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

void dataset_free(struct dataset *d)
{
    free(d->labels);
    free(d->pixels);
    free(d->ids);
    free(d->starts);
    *d = (struct dataset){0};
}

static uint32_t add_bytes(uint32_t sum, const void *data, size_t bytes)
{
    return data ? (uint32_t)crc32_z(sum, data, bytes) : sum;
}

void dataset_sum(struct dataset *d)
{
    size_t ids = d->starts ? d->starts[d->count] : 0;
    uint32_t sum = add_bytes(0, d->labels, d->count * sizeof *d->labels);
    sum = add_bytes(sum, d->pixels, d->count * d->height * d->width);
    sum = add_bytes(sum, d->starts, d->starts ? (d->count + 1) * sizeof *d->starts : 0);
    d->sum = add_bytes(sum, d->ids, ids * sizeof *d->ids);
}

void feeder_init(struct feeder *f, struct shape input, size_t rows, size_t time_max)
{
    f->rows = rows;
    f->time_max = time_max;
    f->lengths = xcalloc(rows, sizeof *f->lengths);
    f->labels = xcalloc(rows, sizeof *f->labels);
    if (input.sequence)
        f->ids = xcalloc(rows * time_max, sizeof *f->ids);
    else
        f->x = xcalloc(rows * shape_elements(input), sizeof *f->x);
}

void feeder_fini(struct feeder *f)
{
    free(f->x);
    free(f->ids);
    free(f->lengths);
    free(f->labels);
    *f = (struct feeder){0};
}

WIDE static void scale_pixels(float *restrict x, const uint8_t *restrict p, size_t count,
                              float mean, float deviation)
{
    for (size_t i = 0; i < count; i++)
        x[i] = ((float)p[i] - mean) / deviation;
}

static void take_image(struct feeder *f, const struct dataset *d, size_t from, size_t to)
{
    size_t pixels = d->height * d->width;
    scale_pixels(f->x + to * pixels, d->pixels + from * pixels, pixels, f->mean, f->deviation);
}

// What is longer than time_max is cut at its end.
static size_t take_text(struct feeder *f, const struct dataset *d, size_t from, size_t to)
{
    size_t len = d->starts[from + 1] - d->starts[from];
    if (len > f->time_max)
        len = f->time_max;
    int32_t *ids = f->ids + to * f->time_max;
    memcpy(ids, d->ids + d->starts[from], len * sizeof *ids);
    memset(ids + len, 0, (f->time_max - len) * sizeof *ids);
    f->lengths[to] = (int32_t)len;
    return len;
}

struct batch feeder_take(struct feeder *f, const struct dataset *d, const uint32_t *order,
                         size_t first, size_t n)
{
    size_t longest = 1;
    CHECK(n <= f->rows);
    for (size_t i = 0; i < n; i++) {
        size_t from = order ? order[i] : first + i, len = 0;
        if (d->pixels)
            take_image(f, d, from, i);
        else
            len = take_text(f, d, from, i);
        longest = len > longest ? len : longest;
        f->labels[i] = d->labels[from];
    }
    return (struct batch){
        .n = n,
        .rows = f->rows,
        .x = f->x,
        .ids = f->ids,
        .lengths = f->lengths,
        .time = (longest + BATCH_STEPS - 1) / BATCH_STEPS * BATCH_STEPS,
        .time_max = f->time_max,
    };
}
