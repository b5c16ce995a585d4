#include "kernels/textfile.h"

#include "common/alloc.h"
#include "common/gzfile.h"
#include "common/text.h"
#include "common/units.h"
#include "kernels/dataset.h"
#include "kernels/vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 20, SKIPPED_ONE_IN = 20 };

// ---- bytes ----

static int read_all(struct gzfile *f, struct text *ret, struct err *err)
{
    AUTO_FREE char *chunk = xmalloc(CHUNK);
    size_t n;
    for (;;) {
        int rc = gzfile_read(f, chunk, CHUNK, &n, err);
        if (rc || n == 0)
            return rc;
        if (ret->len + n > TEXTFILE_MAX)
            return fail(err, E_TOO_LARGE, "\"%s\" holds more than 1 GiB", f->path);
        text_add_bytes(ret, chunk, n);
    }
}

static int read_path(const char *path, struct text *ret, struct err *err)
{
    struct gzfile f;
    int rc = gzfile_open(path, DATA_HINT, &f, err);
    if (rc)
        return rc;
    rc = read_all(&f, ret, err);
    gzfile_close(&f);
    return rc;
}

// ---- classes ----

int class_names_read(const char *path, struct class_names *ret, struct err *err)
{
    AUTO(text) struct text bytes = {0};
    struct class_names c = {0};
    int rc = read_path(path, &bytes, err);
    char *rest = bytes.p, *line;
    while (rc == 0 && rest && (line = strsep(&rest, "\n"))) {
        size_t len = strcspn(line, "\r");
        if (len == 0)
            continue;
        if (len > CLASS_NAME_MAX || c.count == CLASSES_MAX) {
            rc = fail(err, E_CORRUPT, "\"%s\" line %zu: %s", path, c.count + 1,
                      len > CLASS_NAME_MAX ? "a name of more than 63 bytes"
                                           : "more than 1024 names");
            break;
        }
        c.names = xreallocarray(c.names, c.count + 1, sizeof *c.names);
        memset(c.names[c.count], 0, sizeof *c.names);
        memcpy(c.names[c.count++], line, len);
    }
    if (rc) {
        class_names_free(&c);
        return rc;
    }
    *ret = c;
    return 0;
}

void class_names_free(struct class_names *c)
{
    free(c->names);
    *c = (struct class_names){0};
}

static int32_t label_of(const char *word, const struct class_names *classes)
{
    int64_t v;
    size_t max = classes->count ? classes->count : CLASSES_MAX;
    for (size_t i = 0; i < classes->count; i++)
        if (strcmp(classes->names[i], word) == 0)
            return (int32_t)i;
    return parse_int(word, "label", 0, (int64_t)max - 1, &v, NULL) ? -1 : (int32_t)v;
}

// ---- lines ----

static bool valid_utf8(const char *p, size_t len)
{
    for (size_t n; len; p += n, len -= n)
        if (!(n = utf8_length(p, len)))
            return false;
    return true;
}

// What is wrong with the line [p, p + len), or NULL; *ret is filled.
static const char *take_line(const char *p, size_t len, const struct class_names *classes,
                             struct textline *ret)
{
    char word[CLASS_NAME_MAX + 1];
    const char *tab = memrchr(p, '\t', len);
    if (!tab)
        return "there is no tab between text and label";
    ret->len = (size_t)(tab - p);
    size_t label_len = len - ret->len - 1;
    if (label_len >= sizeof word)
        return "the label is too long";
    snprintf(word, sizeof word, "%.*s", (int)label_len, tab + 1);
    ret->label = label_of(word, classes);
    if (ret->label < 0)
        return "the label is out of range";
    if (!valid_utf8(p, ret->len))
        return "invalid UTF-8";
    return strspn(p, " \t\r\v\f") >= ret->len ? "there is no text" : NULL;
}

static void split(struct textfile *f, size_t len, const struct class_names *classes)
{
    size_t cap = 0, number = 1;
    for (size_t at = 0; at < len; number++) {
        const char *p = f->bytes + at, *stop = memchr(p, '\n', len - at);
        size_t n = stop ? (size_t)(stop - p) : len - at;
        size_t used = n && p[n - 1] == '\r' ? n - 1 : n;
        struct textline line = {.at = at};
        const char *wrong = used ? take_line(p, used, classes, &line) : NULL;
        at += n + 1;
        if (!used)
            continue; // an empty line is none
        if (!wrong) {
            VEC_RESERVE(f->lines, f->count, cap);
            f->lines[f->count++] = line;
        } else if (f->skipped++ == 0) {
            snprintf(f->first_skipped, sizeof f->first_skipped, "line %zu: %s", number, wrong);
        }
    }
}

int textfile_read(const char *path, const struct class_names *classes, struct textfile *ret,
                  struct err *err)
{
    AUTO(text) struct text bytes = {0};
    int rc = read_path(path, &bytes, err);
    if (rc)
        return rc;
    size_t len = bytes.len;
    struct textfile f = {.bytes = text_take(&bytes)};
    split(&f, len, classes);
    if (f.skipped > (f.count + f.skipped) / SKIPPED_ONE_IN)
        rc = fail(err, E_CORRUPT,
                  "\"%s\": %zu of %zu lines cannot be used; %s. A line is TEXT<TAB>LABEL.", path,
                  f.skipped, f.count + f.skipped, f.first_skipped);
    else if (f.count == 0)
        rc = fail(err, E_CORRUPT, "\"%s\" is empty", path);
    if (rc) {
        textfile_free(&f);
        return rc;
    }
    *ret = f;
    return 0;
}

void textfile_free(struct textfile *f)
{
    free(f->bytes);
    free(f->lines);
    *f = (struct textfile){0};
}
