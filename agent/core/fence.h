// Fences between the shepherds of an attempt, pure: every node gives its data, every node gets the
// data of all, in order of node index.
//
// The nodes that take part form a tree of radix 16 by their position in the sorted list. A node
// sends its subtree's parts up when it has them all; the root sends the whole down. Messages are
// repeated until acknowledged (fences_resend()) and applied once, so that links and agents between
// the shepherds may come and go. A fence is known by a hash of its set of processes and the number
// of its use, from 1, which every node counts alike.
#pragma once

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FENCE_RADIX = 16, FENCE_DATA_MAX = 64 << 20 };

struct fences;

enum fence_output_kind {
    FENCE_SEND, // `bytes` (a packed Fence) to node `node`
    FENCE_DONE, // (collective, sequence) is complete: `bytes` is the data of all
};
struct fence_output {
    enum fence_output_kind kind;
    uint32_t node;
    uint64_t collective;
    uint32_t sequence;
    const uint8_t *bytes;
    size_t len;
};

struct fences *fences_new(uint32_t self);
void fences_free(struct fences *f);
// This node's processes have all arrived. nodes: sorted, with this one among them. Returns the
// sequence number.
uint32_t fences_begin(struct fences *f, uint64_t collective, const uint32_t *nodes, size_t count,
                      const void *data, size_t len);
// A message of another node's shepherd. E_INVALID if it does not decode (dropped).
int fences_receive(struct fences *f, uint32_t from, const uint8_t *bytes, size_t len,
                   struct err *err);
// Sends again what is not acknowledged.
void fences_resend(struct fences *f);
// That node's part of the attempt is over: it needs nothing any more.
void fences_gone(struct fences *f, uint32_t node);
// Is anything not acknowledged?
bool fences_waiting(const struct fences *f);
// Takes the next output, in order; its bytes live until the next call. False: none is left.
bool fences_next(struct fences *f, struct fence_output *ret);
