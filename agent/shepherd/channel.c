#include "agent/shepherd/channel.h"

#include "agent/core/pace.h"
#include "agent/core/sample.h"

#include "common/alloc.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TICK_MS = 100,
    CHUNK = 64 << 10,
    SAMPLES_A_FRAME = 64,
    BACKLOG_MAX = 1 << 20,
    NEWEST_BYTES = 64 << 10
};

struct channel {
    struct run *run;
    uint32_t rank;
    uv_poll_t poll;
    int fd;
    bool open, paused;
    char line[SAMPLE_LINE_MAX + 1];
    size_t line_len;
    bool too_long;        // the rest of this line is thrown away
    struct sample sample; // not sent yet
    struct sample newest; // sent
    struct pace samples, bytes;
    uint64_t refused, refused_sent;
    struct err refusal; // of the newest
};

static uv_timer_t timer; // runs while something waits
static bool timer_made, timer_runs;

static void on_tick(uv_timer_t *t);

static void want_tick(struct run *r)
{
    if (!timer_made)
        uv_timer_init(r->loop, &timer);
    timer_made = true;
    timer.data = r;
    if (!timer_runs)
        uv_timer_start(&timer, on_tick, TICK_MS, TICK_MS);
    timer_runs = true;
}

// ---- to the agent ----

static bool waits(const struct channel *c)
{
    return c->sample.at_ms || c->refused != c->refused_sent;
}

struct message {
    Muster__Sample samples[SAMPLES_A_FRAME];
    Muster__Sample *list[SAMPLES_A_FRAME];
    size_t count;
};

static void fill(Muster__Sample *to, const struct channel *c, const struct sample *s)
{
    muster__sample__init(to);
    to->rank = c->rank;
    to->at_ms = s->at_ms ? s->at_ms : clock_wall_ms();
    to->phase = xstrdup(s->phase);
    to->metrics = xcalloc(s->count + 1, sizeof *to->metrics);
    for (size_t i = 0; i < s->count; i++) {
        Muster__Metric *m = xmalloc(sizeof *m);
        muster__metric__init(m);
        m->name = xstrdup(s->metrics[i].name);
        m->value = s->metrics[i].value;
        to->metrics[to->n_metrics++] = m;
    }
    to->refused = c->refused;
    to->refusal = xstrdup(c->refusal.message);
}

static void empty(Muster__Sample *s)
{
    for (size_t i = 0; i < s->n_metrics; i++) {
        free(s->metrics[i]->name);
        free(s->metrics[i]);
    }
    free(s->metrics);
    free(s->phase);
    free(s->refusal);
}

static void send_message(struct run *r, struct message *m)
{
    Muster__AttemptId id = MUSTER__ATTEMPT_ID__INIT;
    Muster__Samples samples = MUSTER__SAMPLES__INIT;
    Muster__FromShepherd message = MUSTER__FROM_SHEPHERD__INIT;
    id.cluster = r->id.cluster.v;
    id.job_uid = r->id.job.v;
    id.number = r->id.number;
    samples.attempt = &id;
    samples.n_samples = m->count;
    samples.samples = m->list;
    message.body_case = MUSTER__FROM_SHEPHERD__BODY_SAMPLES;
    message.samples = &samples;
    if (m->count)
        peer_send(r, &message);
    for (size_t i = 0; i < m->count; i++)
        empty(&m->samples[i]);
    m->count = 0;
}

// An agent that is there and reads.
static bool heard(const struct run *r)
{
    return r->agent && uv_stream_get_write_queue_size((uv_stream_t *)r->agent) < BACKLOG_MAX;
}

void channels_send(struct run *r, bool all)
{
    struct message m = {.count = 0};
    for (int32_t i = 0; heard(r) && i < r->tasks_count; i++) {
        struct channel *c = r->tasks[i].channel;
        if (!c || !waits(c) || !(pace_take(&c->samples, clock_boot_ms(), 1) || all))
            continue;
        m.list[m.count] = &m.samples[m.count];
        fill(m.list[m.count++], c, &c->sample);
        sample_merge(&c->newest, &c->sample);
        sample_clear(&c->sample);
        c->refused_sent = c->refused;
        if (m.count == SAMPLES_A_FRAME)
            send_message(r, &m);
    }
    send_message(r, &m);
}

void channels_newest(struct run *r, Muster__End *end)
{
    size_t bytes = 0;
    end->newest = xcalloc((size_t)r->tasks_count + 1, sizeof *end->newest);
    for (int32_t i = 0; i < r->tasks_count; i++) {
        struct channel *c = r->tasks[i].channel;
        struct sample all = c ? c->newest : (struct sample){0};
        if (c)
            sample_merge(&all, &c->sample);
        if (!c || (!all.at_ms && !c->refused))
            continue;
        Muster__Sample *s = xmalloc(sizeof *s);
        fill(s, c, &all);
        end->newest[end->n_newest++] = s;
        bytes += muster__sample__get_packed_size(s);
        if (bytes > NEWEST_BYTES)
            break;
    }
}

void channels_newest_free(Muster__End *end)
{
    for (size_t i = 0; i < end->n_newest; i++) {
        empty(end->newest[i]);
        free(end->newest[i]);
    }
    free(end->newest);
}

// ---- from the task ----

static void take_line(struct channel *c)
{
    struct err err;
    if (c->too_long) {
        fail(&c->refusal, E_INVALID, "a line of more than %d bytes", SAMPLE_LINE_MAX);
        c->refused++;
        return;
    }
    size_t blank = 0;
    while (blank < c->line_len && strchr(" \t\r", c->line[blank]))
        blank++;
    if (blank == c->line_len)
        return;
    int rc = sample_add(&c->sample, clock_wall_ms(), c->line, c->line_len, &err);
    if (rc == E_TOO_LARGE) { // too many names: the old ones go now, if the pace allows, or never
        channels_send(c->run, false);
        sample_clear(&c->sample);
        rc = sample_add(&c->sample, clock_wall_ms(), c->line, c->line_len, &err);
    }
    if (rc) {
        c->refused++;
        c->refusal = err;
    }
}

static void line_over(struct channel *c)
{
    take_line(c);
    c->line_len = 0;
    c->too_long = false;
}

static void take_bytes(struct channel *c, const char *p, size_t len)
{
    for (const char *end = p + len; p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t part = (size_t)((nl ? nl : end) - p);
        if (c->line_len + part > SAMPLE_LINE_MAX)
            c->too_long = true;
        if (!c->too_long) {
            memcpy(c->line + c->line_len, p, part);
            c->line_len += part;
        }
        p += part + (nl ? 1 : 0);
        if (nl)
            line_over(c);
    }
    if (waits(c))
        want_tick(c->run);
}

// Nobody writes any more: what has no newline is a line too.
static void stop(struct channel *c)
{
    c->open = false;
    uv_poll_stop(&c->poll);
    close(c->fd);
    line_over(c);
    if (waits(c))
        want_tick(c->run);
}

static void pause_reading(struct channel *c)
{
    c->paused = true;
    uv_poll_stop(&c->poll);
    want_tick(c->run);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct channel *c = poll->data;
    char buf[CHUNK];
    (void)status;
    (void)events;
    if (!c->open)
        return;
    ssize_t n = read(c->fd, buf, sizeof buf);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        stop(c);
    } else if (n > 0) {
        take_bytes(c, buf, (size_t)n);
        if (!pace_take(&c->bytes, clock_boot_ms(), n))
            pause_reading(c);
    }
}

static void on_tick(uv_timer_t *t)
{
    struct run *r = t->data;
    bool more = false;
    channels_send(r, false);
    for (int32_t i = 0; i < r->tasks_count; i++) {
        struct channel *c = r->tasks[i].channel;
        if (c && c->open && c->paused && pace_take(&c->bytes, clock_boot_ms(), 0)) {
            c->paused = false;
            uv_poll_start(&c->poll, UV_READABLE, on_readable);
        }
        more |= c && (waits(c) || (c->open && c->paused));
    }
    if (!more)
        uv_timer_stop(t);
    timer_runs = more;
}

// ---- life ----

int channel_open(struct run *r, int32_t task, struct channel **ret, int *ret_write_fd,
                 struct err *err)
{
    int64_t tasks = 0;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return fail(err, E_SYSTEM, "cannot make a pipe: %m");
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    for (size_t i = 0; i < r->launch->n_nodes; i++)
        tasks += r->launch->nodes[i]->tasks;
    struct channel *c = xcalloc(1, sizeof *c);
    c->run = r;
    c->rank = (uint32_t)(r->first_rank + task);
    c->fd = ends[0];
    c->open = true;
    c->samples = pace_samples(tasks);
    c->bytes =
        (struct pace){.most = CHANNEL_BYTES_S, .milli_per_s = (int64_t)CHANNEL_BYTES_S * 1000};
    c->poll.data = c;
    uv_poll_init(r->loop, &c->poll, c->fd);
    uv_poll_start(&c->poll, UV_READABLE, on_readable);
    *ret = c;
    *ret_write_fd = ends[1];
    return 0;
}

void channel_drain(struct channel *c)
{
    char buf[CHUNK];
    ssize_t n;
    // A process that the task has left behind may go on writing: a pipe's worth is enough.
    for (int i = 0; c && c->open && i < 16 && (n = read(c->fd, buf, sizeof buf)) > 0; i++)
        take_bytes(c, buf, (size_t)n);
}

void channel_end(struct channel *c)
{
    channel_drain(c);
    if (c && c->open)
        stop(c);
}
