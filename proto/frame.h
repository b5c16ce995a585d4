// Frames: bounds that are checked before decoding, and the length prefix of stream sockets.
//
// A stream frame is a 4-byte big-endian length and that many bytes of a protobuf message. A reader
// keeps what has arrived and hands out whole frames:
//
//     struct frame_reader r = {.limit = FRAME_MAX};
//     frame_reader_add(&r, bytes, n);
//     while ((rc = frame_reader_next(&r, &p, &len)) > 0) ... // p lives until the next call
//     if (rc < 0) close the connection: the length exceeds the limit
#pragma once

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_MAX = 8 << 20,      // agent <-> scheduler, agent <-> shepherd
    FRAME_SPEC_MAX = 4 << 20, // JobSpec bytes
    FRAME_PEER_MAX = 8 << 20, // agent <-> agent
    FRAME_HEADER = 4,
};

struct frame_reader {
    uint8_t *p;
    size_t len, cap, taken;
    size_t limit;
};

void frame_reader_add(struct frame_reader *r, const void *bytes, size_t len);
// 1 and a frame; 0: none is whole yet; E_TOO_LARGE: a frame exceeds the limit.
int frame_reader_next(struct frame_reader *r, const uint8_t **ret, size_t *ret_len);
void frame_reader_free(struct frame_reader *r);
// Writes the prefix for a body of len bytes.
void frame_header(uint8_t out[FRAME_HEADER], size_t len);
