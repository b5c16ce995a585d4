#include "kernels/idx.h"

#include "common/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { MAGIC_IMAGES = 0x803, MAGIC_LABELS = 0x801 };

static int read_u32(gzFile f, uint32_t *ret)
{
    uint8_t b[4];
    if (gzread(f, b, 4) != 4)
        return -1;
    *ret = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return 0;
}

// The dimensions and bytes of one file.
static int read_idx(const char *path, uint32_t magic, size_t dims, uint32_t *shape, uint8_t **ret,
                    struct err *err)
{
    errno = 0;
    gzFile f = gzopen(path, "rb");
    if (!f)
        return fail(err, E_NOT_FOUND,
                    "cannot open \"%s\": %m. See --data in muster-ml train --help.", path);
    uint32_t got = 0;
    size_t size = 1;
    int rc = 0;
    uint8_t *bytes = NULL;
    if (read_u32(f, &got) || got != magic)
        rc = fail(err, E_CORRUPT, "\"%s\" is no IDX file of %s: it begins with 0x%08x, not 0x%08x",
                  path, dims == 3 ? "images" : "labels", got, magic);
    for (size_t i = 0; rc == 0 && i < dims; i++) {
        if (read_u32(f, &shape[i]))
            rc = fail(err, E_CORRUPT, "\"%s\" is cut off in its header", path);
        else if (shape[i] == 0)
            rc = fail(err, E_CORRUPT, "\"%s\" is empty: dimension %zu is 0", path, i);
        else if (__builtin_mul_overflow(size, shape[i], &size) || size > (size_t)1 << 31)
            rc = fail(err, E_TOO_LARGE, "\"%s\" says that it holds more than 2 GiB", path);
    }
    if (rc == 0) {
        bytes = xmalloc(size);
        int n = gzread(f, bytes, (unsigned)size);
        if (n < 0 || (size_t)n != size)
            rc = fail(
                err, E_CORRUPT,
                "\"%s\" is cut off: %zu bytes were announced and %d are there. Fetch it again.",
                path, size, n < 0 ? 0 : n);
    }
    gzclose(f);
    if (rc) {
        free(bytes);
        return rc;
    }
    *ret = bytes;
    return 0;
}

int dataset_read(const char *images, const char *labels, struct dataset *ret, struct err *err)
{
    struct dataset d = {0};
    uint32_t shape[3], count;
    int rc = read_idx(images, MAGIC_IMAGES, 3, shape, &d.pixels, err);
    if (rc == 0)
        rc = read_idx(labels, MAGIC_LABELS, 1, &count, &d.labels, err);
    if (rc == 0 && count != shape[0])
        rc = fail(err, E_CORRUPT,
                  "\"%s\" holds %u images and \"%s\" %u labels: they do not belong "
                  "together",
                  images, shape[0], labels, count);
    if (rc) {
        dataset_free(&d);
        return rc;
    }
    d.count = count;
    d.features = (size_t)shape[1] * shape[2];
    for (size_t i = 0; i < d.count; i++)
        if (d.labels[i] >= d.classes)
            d.classes = (size_t)d.labels[i] + 1;
    *ret = d;
    return 0;
}

void dataset_free(struct dataset *d)
{
    free(d->pixels);
    free(d->labels);
    *d = (struct dataset){0};
}
