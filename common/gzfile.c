#include "common/gzfile.h"

#include "common/check.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <zlib.h>

int gzfile_open(const char *path, const char *hint, struct gzfile *ret, struct err *err)
{
    errno = 0;
    gzFile f = gzopen(path, "rb");
    if (!f)
        return fail(err, E_NOT_FOUND, "cannot open \"%s\": %m. %s", path, hint);
    *ret = (struct gzfile){f, path};
    return 0;
}

void gzfile_close(struct gzfile *f)
{
    if (f->handle)
        gzclose(f->handle);
    *f = (struct gzfile){0};
}

int gzfile_read(struct gzfile *f, void *to, size_t len, size_t *ret_len, struct err *err)
{
    CHECK(len <= INT_MAX);
    int status, n = gzread(f->handle, to, (unsigned)len);
    const char *why = gzerror(f->handle, &status);
    size_t path = strlen(f->path); // zlib puts "PATH: " before what it says
    if (strncmp(why, f->path, path) == 0 && why[path] == ':')
        why += path + 2;
    if (status == Z_ERRNO)
        return fail(err, E_CORRUPT, "cannot read \"%s\": %s", f->path, why);
    if (n < 0 || status == Z_BUF_ERROR)
        return fail(err, E_CORRUPT, "\"%s\" is damaged or cut off: %s. Fetch it again.", f->path,
                    why);
    *ret_len = (size_t)n;
    return 0;
}
