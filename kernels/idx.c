#include "common/alloc.h"
#include "common/gzfile.h"
#include "kernels/dataset.h"

#include <limits.h>
#include <stdlib.h>

enum { MAGIC_IMAGES = 0x803, MAGIC_LABELS = 0x801, DIMS_MAX = 3 };

static uint32_t big_endian(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int take_header(const uint8_t *header, size_t len, const char *path, uint32_t magic,
                       size_t dims, uint32_t *shape, size_t *ret_size, struct err *err)
{
    size_t size = 1;
    if (len == 0)
        return fail(err, E_CORRUPT, "\"%s\" is empty. Fetch it again.", path);
    if (len >= 4 && big_endian(header) != magic)
        return fail(err, E_CORRUPT,
                    "\"%s\" is no IDX file of %s: it begins with 0x%08x, not 0x%08x", path,
                    dims == 3 ? "images" : "labels", big_endian(header), magic);
    if (len < 4 * (1 + dims))
        return fail(err, E_CORRUPT, "\"%s\" is cut off in its header. Fetch it again.", path);
    for (size_t i = 0; i < dims; i++) {
        shape[i] = big_endian(header + 4 * (1 + i));
        if (shape[i] == 0)
            return fail(err, E_CORRUPT, "\"%s\" is empty: dimension %zu is 0", path, i);
        if (__builtin_mul_overflow(size, shape[i], &size) || size > INT_MAX)
            return fail(err, E_TOO_LARGE, "\"%s\" says that it holds more than 2 GiB", path);
    }
    *ret_size = size;
    return 0;
}

static int read_bytes(struct gzfile *f, size_t size, uint8_t **ret, struct err *err)
{
    AUTO_FREE uint8_t *bytes = xmalloc(size);
    uint8_t more;
    size_t len, left = 0;
    int rc = gzfile_read(f, bytes, size, &len, err);
    if (rc == 0 && len == size)
        rc = gzfile_read(f, &more, 1, &left, err);
    if (rc)
        return rc;
    if (len < size)
        return fail(err, E_CORRUPT,
                    "\"%s\" is cut off: %zu bytes were announced and %zu are there. Fetch it "
                    "again.",
                    f->path, size, len);
    if (left)
        return fail(err, E_CORRUPT,
                    "\"%s\" goes on after the %zu bytes that were announced. Fetch it again.",
                    f->path, size);
    *ret = TAKE(bytes);
    return 0;
}

// The dimensions and bytes of one file.
static int read_file(const char *path, uint32_t magic, size_t dims, uint32_t *shape, uint8_t **ret,
                     struct err *err)
{
    struct gzfile f;
    uint8_t header[4 * (1 + DIMS_MAX)];
    size_t len, size = 0;
    int rc = gzfile_open(path, DATA_HINT, &f, err);
    if (rc)
        return rc;
    rc = gzfile_read(&f, header, 4 * (1 + dims), &len, err);
    if (rc == 0)
        rc = take_header(header, len, path, magic, dims, shape, &size, err);
    if (rc == 0)
        rc = read_bytes(&f, size, ret, err);
    gzfile_close(&f);
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
    uint32_t shape[DIMS_MAX] = {0}, count = 0;
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
