#include "simulate/lines.h"

#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>

enum { BUFFER_BYTES = 4 * LINE_BYTES_MAX };

int lines_open(const char *path, const char *hint, struct lines *ret, struct err *err)
{
    struct lines l = {.path = path};
    int rc = gzfile_open(path, hint, &l.file, err);
    if (rc)
        return rc;
    l.buffer = xmalloc(BUFFER_BYTES + 1);
    *ret = l;
    return 0;
}

void lines_of_memory(const char *name, const void *bytes, size_t size, struct lines *ret)
{
    *ret = (struct lines){
        .path = name, .memory = bytes, .memory_size = size, .buffer = xmalloc(BUFFER_BYTES + 1)};
}

void lines_close(struct lines *l)
{
    gzfile_close(&l->file);
    free(l->buffer);
    *l = (struct lines){0};
}

// What is unread moves to the buffer's beginning, more is read behind it; *ret_len 0: the end.
static int fill(struct lines *l, size_t *ret_len, struct err *err)
{
    memmove(l->buffer, l->buffer + l->at, l->have - l->at);
    l->have -= l->at;
    l->at = 0;
    size_t room = BUFFER_BYTES - l->have, n = 0;
    if (l->file.handle) {
        int rc = gzfile_read(&l->file, l->buffer + l->have, room, &n, err);
        if (rc)
            return rc;
    } else {
        n = room < l->memory_size ? room : l->memory_size;
        memcpy(l->buffer + l->have, l->memory, n);
        l->memory += n;
        l->memory_size -= n;
    }
    l->have += n;
    *ret_len = n;
    return 0;
}

// Passes over the rest of a line that is too long.
static enum line_status pass_over(struct lines *l, struct err *err)
{
    for (;;) {
        char *end = memchr(l->buffer + l->at, '\n', l->have - l->at);
        size_t n = 1;
        l->at = end ? (size_t)(end + 1 - l->buffer) : l->have;
        if (end)
            return LINE_LONG;
        if (fill(l, &n, err))
            return LINE_FAILED;
        if (!n)
            return LINE_LONG;
    }
}

static enum line_status give(struct lines *l, size_t len, size_t used, char **ret, size_t *ret_len)
{
    char *line = l->buffer + l->at;
    l->at += used;
    if (len && line[len - 1] == '\r')
        len--;
    line[len] = 0;
    if (l->number == 1 && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        len -= 3;
    }
    *ret = line;
    *ret_len = len;
    return LINE_OK;
}

enum line_status lines_next(struct lines *l, char **ret, size_t *ret_len, struct err *err)
{
    l->number++;
    for (size_t searched = 0;;) {
        size_t left = l->have - l->at, n;
        char *end =
            left > searched ? memchr(l->buffer + l->at + searched, '\n', left - searched) : NULL;
        size_t len = end ? (size_t)(end - l->buffer) - l->at : left;
        if (len > LINE_BYTES_MAX)
            return pass_over(l, err);
        if (end)
            return give(l, len, len + 1, ret, ret_len);
        searched = left;
        if (fill(l, &n, err))
            return LINE_FAILED;
        if (!n && !left)
            return LINE_END;
        if (!n)
            return give(l, left, left, ret, ret_len);
    }
}
