// Bytes of an agent's link, in pieces, through the frame reader, the decoder and the translation
// into the scheduler's core: whatever an agent sends, the core refuses it or keeps its invariants.
#include "proto/frame.h"
#include "scheduler/shell/wire_in.h"

#include "tests/unit/core_harness.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct node_id node;
    uint64_t session;
};

static void on_effect(void *arg, const struct effect *e)
{
    struct seen *seen = arg;
    if (e->kind == EFFECT_WELCOME)
        *seen = (struct seen){e->node, e->session};
}

// A cluster that n1 has connected to, and a job that waits for it.
static void begin(struct harness *h, struct seen *seen)
{
    harness_init(h);
    h->on_effect = on_effect;
    h->arg = seen;
    struct input job = {.kind = INPUT_SUBMIT};
    job.submit.req = (struct request){.tasks = 1, .cpus = 1};
    job.submit.uid.v = 0x17;
    job.submit.allow_unsatisfiable = true;
    harness_step(h, &job);
    struct input up = {.kind = INPUT_LINK_UP};
    up.link_up.name = "n1";
    up.link_up.link = 1;
    harness_step(h, &up);
    CHECK(seen->session);
}

static void take(struct harness *h, const struct seen *seen, const uint8_t *p, size_t len)
{
    Muster__FromAgent *m = muster__from_agent__unpack(NULL, len, p);
    struct wire_input w;
    if (!m)
        return;
    m->session = seen->session; // the shell drops every other
    h->now.boot_ms += 10;
    h->now.wall_ms += 10;
    if (wire_input(m, seen->node, &w))
        harness_step(h, &w.input);
    wire_input_free(&w);
    muster__from_agent__free_unpacked(m, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_reader r = {.limit = 1 << 16};
    struct harness h;
    struct seen seen = {0};
    const uint8_t *p;
    size_t len;
    begin(&h, &seen);
    for (size_t at = 0; at < size;) {
        size_t piece = 1 + data[at] % 200;
        if (piece > size - at)
            piece = size - at;
        frame_reader_add(&r, data + at, piece);
        at += piece;
        int rc;
        while ((rc = frame_reader_next(&r, &p, &len)) > 0)
            take(&h, &seen, p, len);
        if (rc < 0)
            break;
    }
    frame_reader_free(&r);
    harness_compare(&h);
    harness_fini(&h);
    return 0;
}
