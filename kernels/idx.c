#include "common/alloc.h"
#include "kernels/dataset.h"

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

static int read_header(gzFile f, const char *path, uint32_t magic, size_t dims, uint32_t *shape,
                       size_t *ret_size, struct err *err)
{
    uint32_t got = 0;
    size_t size = 1;
    if (read_u32(f, &got) || got != magic)
        return fail(err, E_CORRUPT,
                    "\"%s\" is no IDX file of %s: it begins with 0x%08x, not 0x%08x", path,
                    dims == 3 ? "images" : "labels", got, magic);
    for (size_t i = 0; i < dims; i++) {
        if (read_u32(f, &shape[i]))
            return fail(err, E_CORRUPT, "\"%s\" is cut off in its header", path);
        if (shape[i] == 0)
            return fail(err, E_CORRUPT, "\"%s\" is empty: dimension %zu is 0", path, i);
        if (__builtin_mul_overflow(size, shape[i], &size) || size > (size_t)1 << 31)
            return fail(err, E_TOO_LARGE, "\"%s\" says that it holds more than 2 GiB", path);
    }
    *ret_size = size;
    return 0;
}

static int read_bytes(gzFile f, const char *path, size_t size, uint8_t **ret, struct err *err)
{
    uint8_t *bytes = xmalloc(size);
    int n = gzread(f, bytes, (unsigned)size);
    if (n >= 0 && (size_t)n == size) {
        *ret = bytes;
        return 0;
    }
    free(bytes);
    return fail(err, E_CORRUPT,
                "\"%s\" is cut off: %zu bytes were announced and %d are there. Fetch it again.",
                path, size, n < 0 ? 0 : n);
}

// The dimensions and bytes of one file.
static int read_file(const char *path, uint32_t magic, size_t dims, uint32_t *shape, uint8_t **ret,
                     struct err *err)
{
    errno = 0;
    gzFile f = gzopen(path, "rb");
    if (!f)
        return fail(err, E_NOT_FOUND,
                    "cannot open \"%s\": %m. See --data in muster-ml train --help.", path);
    size_t size = 0;
    int rc = read_header(f, path, magic, dims, shape, &size, err);
    if (rc == 0)
        rc = read_bytes(f, path, size, ret, err);
    gzclose(f);
    return rc;
}

static void take_labels(struct dataset *d, const uint8_t *labels)
{
    d->labels = xcalloc(d->count, sizeof *d->labels);
    for (size_t i = 0; i < d->count; i++) {
        d->labels[i] = labels[i];
        if (labels[i] >= d->classes)
            d->classes = (size_t)labels[i] + 1;
    }
}

int idx_read(const char *images, const char *labels, struct dataset *ret, struct err *err)
{
    struct dataset d = {0};
    AUTO_FREE uint8_t *bytes = NULL;
    uint32_t shape[3] = {0}, count = 0;
    int rc = read_file(images, MAGIC_IMAGES, 3, shape, &d.pixels, err);
    if (rc == 0)
        rc = read_file(labels, MAGIC_LABELS, 1, &count, &bytes, err);
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
    d.height = shape[1];
    d.width = shape[2];
    take_labels(&d, bytes);
    *ret = d;
    return 0;
}
