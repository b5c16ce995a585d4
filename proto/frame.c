#include "proto/frame.h"

#include "common/alloc.h"
#include "common/check.h"

#include <stdlib.h>
#include <string.h>

void frame_reader_add(struct frame_reader *r, const void *bytes, size_t len)
{
    if (r->taken) {
        memmove(r->p, r->p + r->taken, r->len - r->taken);
        r->len -= r->taken;
        r->taken = 0;
    }
    if (r->len + len > r->cap) {
        r->cap = r->len + len > 2 * r->cap ? r->len + len : 2 * r->cap;
        r->p = xrealloc(r->p, r->cap);
    }
    if (len)
        memcpy(r->p + r->len, bytes, len);
    r->len += len;
}

int frame_reader_next(struct frame_reader *r, const uint8_t **ret, size_t *ret_len)
{
    size_t have = r->len - r->taken;
    if (have < FRAME_HEADER)
        return 0;
    const uint8_t *p = r->p + r->taken;
    size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (len > r->limit)
        return E_TOO_LARGE;
    if (have < FRAME_HEADER + len)
        return 0;
    *ret = p + FRAME_HEADER;
    *ret_len = len;
    r->taken += FRAME_HEADER + len;
    return 1;
}

void frame_reader_free(struct frame_reader *r)
{
    free(r->p);
    *r = (struct frame_reader){.limit = r->limit};
}

void frame_header(uint8_t out[FRAME_HEADER], size_t len)
{
    CHECK(len <= UINT32_MAX);
    for (int i = 0; i < FRAME_HEADER; i++)
        out[i] = (uint8_t)(len >> (24 - 8 * i));
}
