#include "kernels/safetensors.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

// A key of the metadata that is ours: the checksum of all tensors' bytes, in the file's order.
#define CHECKSUM "crc32"

static const struct {
    const char *word;
    size_t size;
} types[] = {[SAFETENSOR_F32] = {"F32", 4}, [SAFETENSOR_U8] = {"U8", 1}};
enum { TYPES = sizeof types / sizeof *types };
static const int64_t FILE_MAX = INT64_C(8) << 30;

void safetensors_free(struct safetensors *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->list[i].name);
    for (size_t i = 0; i < s->meta_count; i++) {
        free(s->meta[i].key);
        free(s->meta[i].value);
    }
    free(s->list);
    free(s->meta);
    free(s->owned);
    *s = (struct safetensors){0};
}

static void add_meta(struct safetensors *s, const char *key, char *value)
{
    VEC_RESERVE(s->meta, s->meta_count, s->meta_cap);
    s->meta[s->meta_count++] = (struct safetensors_meta){xstrdup(key), value};
}

void safetensors_meta(struct safetensors *s, const char *key, const char *fmt, ...)
{
    struct text t = {0};
    va_list ap;
    va_start(ap, fmt);
    text_vaddf(&t, fmt, ap);
    va_end(ap);
    add_meta(s, key, text_take(&t));
}

static struct safetensor *add(struct safetensors *s, const char *name)
{
    VEC_RESERVE(s->list, s->count, s->cap);
    struct safetensor *t = &s->list[s->count++];
    *t = (struct safetensor){.name = xstrdup(name)};
    return t;
}

void safetensors_add(struct safetensors *s, const char *name, enum safetensor_type type,
                     size_t dims, const size_t *shape, const void *data)
{
    CHECK(dims <= SAFETENSOR_DIMS_MAX);
    struct safetensor *t = add(s, name);
    t->type = type;
    t->dims = dims;
    t->bytes = types[type].size;
    t->data = data;
    for (size_t i = 0; i < dims; i++) {
        t->shape[i] = shape[i];
        t->bytes *= shape[i];
    }
}

const struct safetensor *safetensors_find(const struct safetensors *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->list[i].name, name) == 0)
            return &s->list[i];
    return NULL;
}

const char *safetensors_value(const struct safetensors *s, const char *key)
{
    for (size_t i = 0; i < s->meta_count; i++)
        if (strcmp(s->meta[i].key, key) == 0)
            return s->meta[i].value;
    return NULL;
}

// ---- writing ----

static json_t *describe(const struct safetensor *t, size_t at)
{
    json_t *shape = json_array();
    for (size_t i = 0; i < t->dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)t->shape[i]));
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", types[t->type].word, "shape", shape,
                     "data_offsets", (json_int_t)at, (json_int_t)(at + t->bytes));
}

static uLong checksum(const struct safetensors *s)
{
    uLong sum = 0;
    for (size_t i = 0; i < s->count; i++)
        sum = crc32_z(sum, s->list[i].data, s->list[i].bytes);
    return sum;
}

static char *make_header(const struct safetensors *s)
{
    json_t *all = json_object(), *meta = json_object();
    size_t at = 0;
    if (s->checked)
        json_object_set_new(meta, CHECKSUM, json_sprintf("%08lx", checksum(s)));
    for (size_t i = 0; i < s->meta_count; i++)
        json_object_set_new(meta, s->meta[i].key, json_string(s->meta[i].value));
    json_object_set_new(all, "__metadata__", meta);
    for (size_t i = 0; i < s->count; i++) {
        json_object_set_new(all, s->list[i].name, describe(&s->list[i], at));
        at += s->list[i].bytes;
    }
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    CHECK(text);
    return text;
}

static bool put(FILE *f, const void *data, size_t len)
{
    return len == 0 || fwrite(data, 1, len, f) == len;
}

static bool write_file(FILE *f, const struct safetensors *s)
{
    AUTO_FREE char *header = make_header(s);
    size_t len = strlen(header), padded = (len + 7) / 8 * 8;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((unsigned long long)padded >> (8 * i));
    bool good = put(f, length, 8) && put(f, header, len) && put(f, "       ", padded - len);
    for (size_t i = 0; i < s->count; i++)
        good = good && put(f, s->list[i].data, s->list[i].bytes);
    return good && fflush(f) == 0 && fsync(fileno(f)) == 0;
}

static void sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    AUTO_FREE char *dir = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

int safetensors_try(const char *path, struct err *err)
{
    AUTO_FREE char *temp = xasprintf("%s.new", path);
    struct stat st;
    if (!*path)
        return fail(err, E_IO, "cannot write \"\": it is no name. Name a file.");
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return fail(err, E_IO, "cannot write \"%s\": it is a directory. Name a file in it.", path);
    int fd = open(temp, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail(err, E_IO, "cannot write \"%s\": %m. Name a file that can be made.", path);
    close(fd);
    unlink(temp);
    return 0;
}

int safetensors_write(const char *path, const struct safetensors *s, struct err *err)
{
    AUTO_FREE char *temp = xasprintf("%s.new", path);
    FILE *f = fopen(temp, "wbe");
    if (!f)
        return fail(err, E_IO, "cannot make \"%s\": %m", temp);
    bool good = write_file(f, s);
    int why = errno;
    if (fclose(f) && good) {
        why = errno;
        good = false;
    }
    if (good && rename(temp, path)) {
        why = errno;
        good = false;
    }
    if (!good) {
        unlink(temp);
        errno = why;
        return fail(err, why == ENOSPC ? E_NO_SPACE : E_IO, "cannot write \"%s\": %m", path);
    }
    sync_directory(path);
    return 0;
}

// ---- reading ----

static int take_shape(const json_t *shape, struct safetensor *t)
{
    size_t count = json_array_size(shape);
    if (!json_is_array(shape) || count > SAFETENSOR_DIMS_MAX)
        return -1;
    t->dims = count;
    t->bytes = types[t->type].size;
    for (size_t i = 0; i < count; i++) {
        json_int_t n = json_integer_value(json_array_get(shape, i));
        if (n <= 0 || __builtin_mul_overflow(t->bytes, (size_t)n, &t->bytes))
            return -1;
        t->shape[i] = (size_t)n;
    }
    return 0;
}

static int take_type(const char *word, struct safetensor *t)
{
    for (int k = 0; word && k < TYPES; k++)
        if (strcmp(word, types[k].word) == 0) {
            t->type = (enum safetensor_type)k;
            return 0;
        }
    return -1;
}

// data: what follows the header, len bytes. NULL, or what is wrong.
static const char *take_tensor(const json_t *j, const char *data, size_t len, struct safetensor *t)
{
    const json_t *offsets = json_object_get(j, "data_offsets");
    json_int_t from = json_integer_value(json_array_get(offsets, 0));
    json_int_t to = json_integer_value(json_array_get(offsets, 1));
    if (take_type(json_string_value(json_object_get(j, "dtype")), t) ||
        take_shape(json_object_get(j, "shape"), t))
        return "is not described as it must be";
    if (from < 0 || to < from || (size_t)(to - from) != t->bytes)
        return "is not described as it must be";
    if ((size_t)to > len)
        return "goes on after the end of the file: it is cut off";
    t->data = data + from;
    return NULL;
}

static int take_header(const char *path, json_t *all, const char *data, size_t len,
                       struct safetensors *s, struct err *err)
{
    const char *name, *key;
    json_t *j, *value;
    json_object_foreach(all, name, j)
    {
        if (strcmp(name, "__metadata__") == 0) {
            json_object_foreach(j, key, value) if (json_is_string(value))
                add_meta(s, key, xstrdup(json_string_value(value)));
            continue;
        }
        if (s->count == SAFETENSORS_MAX)
            return fail(err, E_TOO_LARGE, "\"%s\" holds more than %d tensors", path,
                        SAFETENSORS_MAX);
        const char *wrong = take_tensor(j, data, len, add(s, name));
        if (wrong)
            return fail(err, E_CORRUPT, "\"%s\": tensor \"%s\" %s", path, name, wrong);
    }
    return 0;
}

static int verify(const char *path, const struct safetensors *s, struct err *err)
{
    const char *want = safetensors_value(s, CHECKSUM);
    uLong sum = checksum(s);
    if (want && strtoul(want, NULL, 16) != sum)
        return fail(err, E_CORRUPT, "\"%s\" is damaged: its checksum is %08lx, not %s", path, sum,
                    want);
    return 0;
}

static int read_bytes(const char *path, char **ret, size_t *ret_len, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, errno == ENOENT ? E_NOT_FOUND : E_IO, "cannot open \"%s\": %m", path);
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
        close(fd);
        return fail(err, E_TOO_LARGE, "\"%s\" is no file of at most 8 GiB", path);
    }
    size_t len = (size_t)st.st_size, got = 0;
    char *bytes = xmalloc(len + 1);
    ssize_t n = 1;
    while (got < len && (n = read(fd, bytes + got, len - got)) > 0)
        got += (size_t)n;
    close(fd);
    if (n < 0) {
        free(bytes);
        return fail(err, E_IO, "cannot read \"%s\": %m", path);
    }
    *ret = bytes;
    *ret_len = got;
    return 0;
}

static int parse(const char *path, struct safetensors *s, char *bytes, size_t len, struct err *err)
{
    uint64_t header = 0;
    for (size_t i = 0; i < 8 && len >= 8; i++)
        header |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
    if (len == 0)
        return fail(err, E_CORRUPT, "\"%s\" is empty", path);
    if (len < 8 || header < 2 || header > SAFETENSORS_HEADER_MAX || header > len - 8)
        return fail(err, E_CORRUPT, "\"%s\" is no safetensors file, or cut off", path);
    json_error_t why;
    json_t *all = json_loadb(bytes + 8, header, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(all)) {
        json_decref(all);
        return fail(err, E_CORRUPT, "the header of \"%s\" is damaged: %s", path, why.text);
    }
    int rc = take_header(path, all, bytes + 8 + header, len - 8 - header, s, err);
    json_decref(all);
    return rc ? rc : verify(path, s, err);
}

int safetensors_read(const char *path, struct safetensors *ret, struct err *err)
{
    struct safetensors s = {0};
    char *bytes = NULL;
    size_t len = 0;
    int rc = read_bytes(path, &bytes, &len, err);
    if (rc)
        return rc;
    s.owned = bytes;
    rc = parse(path, &s, bytes, len, err);
    if (rc) {
        safetensors_free(&s);
        return rc;
    }
    *ret = s;
    return 0;
}
