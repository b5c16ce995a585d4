// What tasks report, on its way to the scheduler. While that is away, or the link is busy with
// what matters more, the newest samples are kept, up to a bound.
#include "agent/shell/node.h"

#include "common/alloc.h"
#include "common/clock.h"

#include <stdlib.h>

enum {
    FRAME_BYTES_MAX = 1 << 20, // a shepherd's own are below a half of it
    FRAME_SAMPLES_MAX = 64,    // and have at most so many
    KEPT_BYTES_MAX = 8 << 20,
    BACKLOG_MAX = 256 << 10, // what a heartbeat may have to wait for
    BURST_BYTES = 4 << 20,   // of one attempt
    BYTES_S = 1 << 20,
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

// A shepherd is the user's process: what it makes too much of is lost here.
static bool bears(struct held *from, const Muster__Samples *samples, size_t len)
{
    if (!from->reports.most)
        from->reports = (struct pace){.most = BURST_BYTES, .milli_per_s = (int64_t)BYTES_S * 1000};
    return len <= FRAME_BYTES_MAX && samples->n_samples <= FRAME_SAMPLES_MAX &&
           pace_take(&from->reports, clock_boot_ms(), (int64_t)len);
}

void samples_send(struct node *n, struct held *from, Muster__Samples *samples)
{
    size_t len = muster__samples__get_packed_size(samples);
    if (!samples->attempt || !attempt_id_eq(attempt_of(samples->attempt), from->id) ||
        !bears(from, samples, len))
        return;
    samples_flush(n);
    if (n->welcomed && TAILQ_EMPTY(&n->samples) && link_backlog(n) <= BACKLOG_MAX)
        forward(n, samples);
    else
        keep(n, samples, len);
}

void samples_flush(struct node *n)
{
    while (n->welcomed && !TAILQ_EMPTY(&n->samples) && link_backlog(n) <= BACKLOG_MAX)
        forward_first(n);
}
