#include "agent/core/fence.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/planted.h"
#include "proto/muster.pb-c.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>

struct part {
    uint32_t node;
    uint8_t *data;
    size_t len;
};

// One fence. Parts may come before this node's own processes do.
struct fence {
    uint64_t collective;
    uint32_t sequence;
    bool begun, up_sent, done;
    uint32_t *nodes;
    size_t nodes_count, self; // position of this node in nodes
    struct part *parts;       // of the subtree; of all when the whole came down
    size_t parts_count, parts_cap;
    bool whole;
    TAILQ_ENTRY(fence) link;
};

// A message that is sent until its acknowledgement comes, or an acknowledgement (sent once).
struct message {
    uint32_t node;
    uint64_t collective;
    uint32_t sequence;
    bool down, ack, queued;
    uint8_t *bytes;
    size_t len;
    TAILQ_ENTRY(message) link;
};

struct counter {
    uint64_t collective;
    uint32_t used;
};

TAILQ_HEAD(fence_list, fence);
TAILQ_HEAD(message_list, message);

struct fences {
    uint32_t self;
    struct fence_list list;
    struct message_list messages;
    struct counter *counters;
    size_t counters_count, counters_cap;
    uint8_t *given; // bytes of the last output
};

struct fences *fences_new(uint32_t self)
{
    struct fences *f = xcalloc(1, sizeof *f);
    f->self = self;
    TAILQ_INIT(&f->list);
    TAILQ_INIT(&f->messages);
    return f;
}

static void message_free(struct fences *f, struct message *m)
{
    TAILQ_REMOVE(&f->messages, m, link);
    free(m->bytes);
    free(m);
}

static void parts_free(struct fence *x)
{
    for (size_t i = 0; i < x->parts_count; i++)
        free(x->parts[i].data);
    free(x->parts);
    x->parts = NULL;
    x->parts_count = x->parts_cap = 0;
}

void fences_free(struct fences *f)
{
    if (!f)
        return;
    struct fence *x;
    struct message *m;
    while ((x = TAILQ_FIRST(&f->list))) {
        TAILQ_REMOVE(&f->list, x, link);
        parts_free(x);
        free(x->nodes);
        free(x);
    }
    while ((m = TAILQ_FIRST(&f->messages)))
        message_free(f, m);
    free(f->counters);
    free(f->given);
    free(f);
}

static struct fence *fence_get(struct fences *f, uint64_t collective, uint32_t sequence)
{
    struct fence *x;
    TAILQ_FOREACH(x, &f->list, link)
    if (x->collective == collective && x->sequence == sequence)
        return x;
    x = xcalloc(1, sizeof *x);
    x->collective = collective;
    x->sequence = sequence;
    TAILQ_INSERT_TAIL(&f->list, x, link);
    return x;
}

static bool has_part(const struct fence *x, uint32_t node)
{
    for (size_t i = 0; i < x->parts_count; i++)
        if (x->parts[i].node == node)
            return true;
    return false;
}

static void add_part(struct fence *x, uint32_t node, const void *data, size_t len)
{
    if (x->done || has_part(x, node))
        return;
    VEC_RESERVE(x->parts, x->parts_count, x->parts_cap);
    x->parts[x->parts_count++] = (struct part){node, xmemdup(data ? data : "", len), len};
}

static void enqueue(struct fences *f, const struct fence *x, uint32_t node, bool down, bool ack)
{
    struct message *m;
    TAILQ_FOREACH(m, &f->messages, link)
    if (m->node == node && m->collective == x->collective && m->sequence == x->sequence &&
        m->down == down && m->ack == ack)
        return;
    m = xcalloc(1, sizeof *m);
    *m = (struct message){.node = node,
                          .collective = x->collective,
                          .sequence = x->sequence,
                          .down = down,
                          .ack = ack,
                          .queued = true};
    size_t count = ack ? 0 : x->parts_count;
    Muster__Fence fence = MUSTER__FENCE__INIT;
    Muster__FencePart *parts = xcalloc(count + 1, sizeof *parts);
    Muster__FencePart **list = xcalloc(count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        muster__fence_part__init(&parts[i]);
        parts[i].node_index = x->parts[i].node;
        parts[i].data = (ProtobufCBinaryData){x->parts[i].len, x->parts[i].data};
        list[i] = &parts[i];
    }
    fence.collective = x->collective;
    fence.sequence = x->sequence;
    fence.down = down;
    fence.ack = ack;
    fence.n_parts = count;
    fence.parts = list;
    m->len = muster__fence__get_packed_size(&fence);
    m->bytes = xmalloc(m->len);
    muster__fence__pack(&fence, m->bytes);
    free(parts);
    free(list);
    TAILQ_INSERT_TAIL(&f->messages, m, link);
}

static bool in_subtree(const struct fence *x, size_t position)
{
    while (position > x->self)
        position = (position - 1) / FENCE_RADIX;
    return position == x->self;
}

static bool subtree_complete(const struct fence *x)
{
    for (size_t i = x->self; i < x->nodes_count; i++)
        if (in_subtree(x, i) && !has_part(x, x->nodes[i]))
            return false;
    return true;
}

static void send_down(struct fences *f, struct fence *x)
{
    for (size_t k = 1; k <= FENCE_RADIX; k++) {
        size_t child = x->self * FENCE_RADIX + k;
        if (child < x->nodes_count)
            enqueue(f, x, x->nodes[child], true, false);
    }
}

// One more step, if what it needs is there. `done` is set when the result is taken.
static void advance(struct fences *f, struct fence *x)
{
    if (!x->begun || x->done)
        return;
    bool root = x->self == 0;
    if (!x->whole && subtree_complete(x)) {
        if (root) {
            x->whole = true;
            send_down(f, x);
        } else if (!x->up_sent) {
            x->up_sent = true;
            enqueue(f, x, x->nodes[(x->self - 1) / FENCE_RADIX], false, false);
        }
    }
}

static uint32_t count_use(struct fences *f, uint64_t collective)
{
    for (size_t i = 0; i < f->counters_count; i++)
        if (f->counters[i].collective == collective)
            return ++f->counters[i].used;
    VEC_RESERVE(f->counters, f->counters_count, f->counters_cap);
    f->counters[f->counters_count++] = (struct counter){collective, 1};
    return 1;
}

uint32_t fences_begin(struct fences *f, uint64_t collective, const uint32_t *nodes, size_t count,
                      const void *data, size_t len)
{
    uint32_t sequence = count_use(f, collective);
    struct fence *x = fence_get(f, collective, sequence);
    CHECK(!x->begun && count);
    x->begun = true;
    x->nodes = xmemdup(nodes, count * sizeof *nodes);
    x->nodes_count = count;
    while (x->nodes[x->self] != f->self)
        CHECK(++x->self < count);
    add_part(x, f->self, data, len);
    advance(f, x);
    return sequence;
}

static void acknowledged(struct fences *f, uint32_t from, const Muster__Fence *fence)
{
    struct message *m, *next;
    TAILQ_FOREACH_SAFE(m, &f->messages, link, next)
    if (m->node == from && m->collective == fence->collective && m->sequence == fence->sequence &&
        m->down == fence->down && !m->ack)
        message_free(f, m);
}

static void take_parts(struct fences *f, struct fence *x, const Muster__Fence *fence)
{
    for (size_t i = 0; i < fence->n_parts; i++)
        add_part(x, fence->parts[i]->node_index, fence->parts[i]->data.data,
                 fence->parts[i]->data.len);
    if (fence->down && x->begun && !x->whole) {
        x->whole = true;
        send_down(f, x);
    }
}

int fences_receive(struct fences *f, uint32_t from, const uint8_t *bytes, size_t len,
                   struct err *err)
{
    Muster__Fence *fence = muster__fence__unpack(NULL, len, bytes);
    if (!fence)
        return fail(err, E_INVALID, "a fence of node %u does not decode", from);
    if (fence->ack) {
        acknowledged(f, from, fence);
    } else {
        struct fence *x = fence_get(f, fence->collective, fence->sequence);
        take_parts(f, x, fence);
        enqueue(f, x, from, fence->down, true);
        advance(f, x);
    }
    muster__fence__free_unpacked(fence, NULL);
    return 0;
}

void fences_resend(struct fences *f)
{
    struct message *m;
    if (PLANTED(FENCE_NOT_REPEATED))
        return;
    TAILQ_FOREACH(m, &f->messages, link)
    m->queued = true;
}

void fences_gone(struct fences *f, uint32_t node)
{
    struct message *m, *next;
    TAILQ_FOREACH_SAFE(m, &f->messages, link, next)
    if (m->node == node)
        message_free(f, m);
}

bool fences_waiting(const struct fences *f)
{
    const struct message *m;
    TAILQ_FOREACH(m, &f->messages, link)
    if (!m->ack && !PLANTED(FENCE_OWES_NOTHING))
        return true;
    return false;
}

static int part_order(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    return x->node < y->node ? -1 : x->node > y->node;
}

static void give_data(struct fences *f, struct fence *x, struct fence_output *ret)
{
    size_t len = 0;
    qsort(x->parts, x->parts_count, sizeof *x->parts, part_order);
    for (size_t i = 0; i < x->parts_count; i++)
        len += x->parts[i].len;
    f->given = xmalloc(len);
    for (size_t i = 0, at = 0; i < x->parts_count; i++) {
        memcpy(f->given + at, x->parts[i].data, x->parts[i].len);
        at += x->parts[i].len;
    }
    *ret = (struct fence_output){.kind = FENCE_DONE,
                                 .collective = x->collective,
                                 .sequence = x->sequence,
                                 .bytes = f->given,
                                 .len = len};
    parts_free(x);
    x->done = true; // kept: a repeated message finds it done
}

bool fences_next(struct fences *f, struct fence_output *ret)
{
    free(f->given);
    f->given = NULL;
    struct message *m;
    TAILQ_FOREACH(m, &f->messages, link)
    {
        if (!m->queued)
            continue;
        m->queued = false;
        f->given = m->bytes;
        *ret = (struct fence_output){
            .kind = FENCE_SEND, .node = m->node, .bytes = m->bytes, .len = m->len};
        if (m->ack) {
            m->bytes = NULL;
            message_free(f, m);
        } else {
            f->given = NULL;
        }
        return true;
    }
    struct fence *x;
    TAILQ_FOREACH(x, &f->list, link)
    if (x->begun && x->whole && !x->done) {
        give_data(f, x, ret);
        return true;
    }
    return false;
}
