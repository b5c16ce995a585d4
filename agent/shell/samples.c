// What tasks report, on its way to the scheduler. While that is away, or the link is busy with
// what matters more, the newest samples are kept, up to a bound.
#include "agent/shell/node.h"

#include "common/alloc.h"

#include <stdlib.h>

enum {
    FRAME_BYTES_MAX = 1 << 20, // a shepherd's own are below a half of it
    FRAME_SAMPLES_MAX = 64,    // and have at most so many
    KEPT_BYTES_MAX = 8 << 20,
    BACKLOG_MAX = 4 << 20,
    OVERHEAD = 256, // of a kept frame
};

struct waiting_samples {
    TAILQ_ENTRY(waiting_samples) link;
    size_t len;
    uint8_t bytes[]; // packed: unpacked they are many times that
};

static void forward(struct node *n, Muster__Samples *samples)
{
    Muster__FromAgent message = MUSTER__FROM_AGENT__INIT;
    message.body_case = MUSTER__FROM_AGENT__BODY_SAMPLES;
    message.samples = samples;
    link_send(n, &message);
}

static void drop_first(struct node *n)
{
    struct waiting_samples *w = TAILQ_FIRST(&n->samples);
    TAILQ_REMOVE(&n->samples, w, link);
    n->samples_bytes -= w->len + OVERHEAD;
    free(w);
}

static void forward_first(struct node *n)
{
    const struct waiting_samples *w = TAILQ_FIRST(&n->samples);
    Muster__Samples *samples = muster__samples__unpack(NULL, w->len, w->bytes);
    forward(n, samples);
    muster__samples__free_unpacked(samples, NULL);
    drop_first(n);
}

static void keep(struct node *n, const Muster__Samples *samples, size_t len)
{
    struct waiting_samples *w = xmalloc(sizeof *w + len);
    w->len = len;
    muster__samples__pack(samples, w->bytes);
    TAILQ_INSERT_TAIL(&n->samples, w, link);
    n->samples_bytes += len + OVERHEAD;
    while (n->samples_bytes > KEPT_BYTES_MAX)
        drop_first(n);
}

void samples_send(struct node *n, const struct held *from, Muster__Samples *samples)
{
    size_t len = muster__samples__get_packed_size(samples);
    // A shepherd is the user's process: one that makes too much of it loses it here.
    if (!samples->attempt || !attempt_id_eq(attempt_of(samples->attempt), from->id) ||
        len > FRAME_BYTES_MAX || samples->n_samples > FRAME_SAMPLES_MAX)
        return;
    if (!n->welcomed || link_backlog(n) > BACKLOG_MAX) {
        keep(n, samples, len);
        return;
    }
    while (!TAILQ_EMPTY(&n->samples) && link_backlog(n) <= BACKLOG_MAX)
        forward_first(n);
    forward(n, samples);
}

void samples_welcome(struct node *n)
{
    while (!TAILQ_EMPTY(&n->samples))
        forward_first(n);
}
