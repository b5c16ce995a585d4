// What tasks report, on its way to the scheduler. While that is away, or the link is busy with
// what matters more, the newest samples are kept, up to a bound.
#include "agent/shell/node.h"

#include "common/alloc.h"

#include <stdlib.h>

enum { KEPT_BYTES_MAX = 8 << 20, BACKLOG_MAX = 4 << 20, OVERHEAD = 256 }; // of a kept frame

struct waiting_samples {
    Muster__Samples *samples;
    size_t bytes;
    TAILQ_ENTRY(waiting_samples) link;
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
    n->samples_bytes -= w->bytes;
    muster__samples__free_unpacked(w->samples, NULL);
    free(w);
}

static void keep(struct node *n, const Muster__Samples *samples)
{
    size_t len = muster__samples__get_packed_size(samples);
    AUTO_FREE uint8_t *bytes = xmalloc(len);
    muster__samples__pack(samples, bytes);
    struct waiting_samples *w = xcalloc(1, sizeof *w);
    w->samples = muster__samples__unpack(NULL, len, bytes);
    w->bytes = len + OVERHEAD;
    TAILQ_INSERT_TAIL(&n->samples, w, link);
    n->samples_bytes += w->bytes;
    while (n->samples_bytes > KEPT_BYTES_MAX)
        drop_first(n);
}

void samples_send(struct node *n, const struct held *from, Muster__Samples *samples)
{
    if (!samples->attempt || !attempt_id_eq(attempt_of(samples->attempt), from->id))
        return;
    if (!n->welcomed || link_backlog(n) > BACKLOG_MAX) {
        keep(n, samples);
        return;
    }
    while (!TAILQ_EMPTY(&n->samples) && link_backlog(n) <= BACKLOG_MAX) {
        forward(n, TAILQ_FIRST(&n->samples)->samples);
        drop_first(n);
    }
    forward(n, samples);
}

void samples_welcome(struct node *n)
{
    while (!TAILQ_EMPTY(&n->samples)) {
        forward(n, TAILQ_FIRST(&n->samples)->samples);
        drop_first(n);
    }
}
