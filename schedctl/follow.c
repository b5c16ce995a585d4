#include "schedctl/follow.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "schedctl/exits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1024 * 1024, DELAY_LEAST_MS = 20, DELAY_MOST_MS = 250, FAILURE_DELAY_MS = 1000 };

void follow_streams(struct follow *f, int64_t first_task, int64_t tasks, enum follow_which which)
{
    size_t each = which == FOLLOW_BOTH ? 2 : 1, n = 0;
    f->streams = xcalloc((size_t)tasks * each, sizeof *f->streams);
    for (int64_t task = first_task; task < first_task + tasks; task++)
        for (int e = 0; e < 2; e++)
            if (which & (e ? FOLLOW_STDERR : FOLLOW_STDOUT))
                f->streams[n++] = (struct follow_stream){
                    .task = task,
                    .is_stderr = e != 0,
                    .offset = f->tail < 0 ? 0 : -f->tail,
                    .delay_ms = DELAY_LEAST_MS,
                };
    f->streams_count = n;
}

void follow_attempt(struct follow *f, int64_t attempt)
{
    f->attempt = attempt;
    for (size_t i = 0; i < f->streams_count; i++) {
        struct follow_stream *s = &f->streams[i];
        text_clear(&s->line);
        s->offset = 0;
        s->due_ms = 0;
        s->delay_ms = DELAY_LEAST_MS;
        s->ended = s->none = s->told_failure = s->told_dropped = false;
    }
}

void follow_free(struct follow *f)
{
    for (size_t i = 0; i < f->streams_count; i++)
        text_free(&f->streams[i].line);
    free(f->streams);
    f->streams = NULL;
    f->streams_count = 0;
}

static int put(FILE *out, const char *bytes, size_t len, struct err *err)
{
    if (len && fwrite(bytes, 1, len, out) != len)
        return fail(err, E_IO, "cannot write the output: %s", strerror(errno));
    return 0;
}

// Whole lines only, so that tasks don't mix within one.
static int put_labelled(struct follow_stream *s, const struct text *bytes, struct err *err)
{
    FILE *out = s->is_stderr ? stderr : stdout;
    text_add_bytes(&s->line, text_str(bytes), bytes->len);
    const char *p = text_str(&s->line), *end = p + s->line.len, *nl;
    while (p < end && ((nl = memchr(p, '\n', (size_t)(end - p))) || s->ended)) {
        const char *stop = nl ? nl + 1 : end;
        fprintf(out, "[%" PRId64 "] ", s->task);
        if (put(out, p, (size_t)(stop - p), err) || (!nl && put(out, "\n", 1, err)))
            return E_IO;
        p = stop;
    }
    AUTO_FREE char *rest = xmemdup(p, (size_t)(end - p) + 1);
    size_t rest_len = (size_t)(end - p);
    text_clear(&s->line);
    text_add_bytes(&s->line, rest, rest_len);
    return 0;
}

static void tell_dropped(struct follow_stream *s, const struct log_chunk *chunk)
{
    if (chunk->dropped <= 0 || s->told_dropped || !chunk->ended)
        return;
    s->told_dropped = true;
    remark("%" PRId64 " bytes of task %" PRId64 "'s %s were dropped. Ask for more with "
           "--output-limit.",
           chunk->dropped, s->task, s->is_stderr ? "stderr" : "stdout");
}

static int take(struct follow *f, struct follow_stream *s, const struct text *bytes,
                const struct log_chunk *chunk, struct err *err)
{
    int64_t most = DELAY_MOST_MS;
    s->offset = chunk->offset + (int64_t)bytes->len;
    s->ended = chunk->ended && s->offset >= chunk->size;
    s->told_failure = s->none = false;
    if ((int64_t)f->streams_count * 4 > most) // many streams: about 250 requests a second
        most = (int64_t)f->streams_count * 4;
    if (bytes->len)
        s->delay_ms = s->offset < chunk->size ? 0 : DELAY_LEAST_MS;
    else
        s->delay_ms = s->delay_ms * 2 < most ? s->delay_ms * 2 : most;
    if (s->delay_ms == 0 && bytes->len == 0)
        s->delay_ms = DELAY_LEAST_MS;
    if (f->status && (bytes->len || chunk->dropped > 0))
        statusline_clear(f->status);
    if (bytes->len)
        f->mid_line = !f->label && text_str(bytes)[bytes->len - 1] != '\n';
    int rc = f->label ? put_labelled(s, bytes, err)
                      : put(s->is_stderr ? stderr : stdout, text_str(bytes), bytes->len, err);
    if (!rc)
        tell_dropped(s, chunk);
    return rc;
}

static int fetch(struct follow *f, struct follow_stream *s, struct err *err)
{
    AUTO(text) struct text path = {0}, bytes = {0};
    struct log_chunk chunk;
    struct err why;
    text_addf(&path, "/v1/jobs/%s/logs?task=%" PRId64 "&stream=%s&offset=%" PRId64 "&limit=%d",
              f->job, s->task, s->is_stderr ? "stderr" : "stdout", s->offset, PIECE);
    if (f->attempt)
        text_addf(&path, "&attempt=%" PRId64, f->attempt);
    int rc = client_get_log(f->client, text_str(&path), &bytes, &chunk, &why);
    if (rc == 0)
        return take(f, s, &bytes, &chunk, err);
    if (rc != E_REFUSED && rc != E_TIMEOUT)
        return fail(err, (enum errcode)rc, "%s", why.message);
    if (rc == E_REFUSED && strcmp(client_refusal(f->client), "no_output") == 0) {
        s->none = true;
        s->ended = f->final;
        s->delay_ms = DELAY_MOST_MS;
        return 0;
    }
    if (!s->told_failure) {
        if (f->status)
            statusline_clear(f->status);
        remark("the %s of task %" PRId64 " cannot be read now: %s",
               s->is_stderr ? "stderr" : "stdout", s->task, why.message);
        f->mid_line = false; // the remark has ended it
    }
    // a node may come back; a refusal by it stays
    s->ended = f->final && strcmp(client_refusal(f->client), "refused") == 0;
    s->told_failure = true;
    s->delay_ms = FAILURE_DELAY_MS;
    return 0;
}

int follow_pump(struct follow *f, struct err *err)
{
    int64_t now = clock_boot_ms();
    int rc = 0;
    for (size_t i = 0; i < f->streams_count && !rc; i++) {
        struct follow_stream *s = &f->streams[i];
        if (s->ended || s->due_ms > now)
            continue;
        rc = fetch(f, s, err);
        s->due_ms = clock_boot_ms() + s->delay_ms;
    }
    if (fflush(stdout) && !rc)
        rc = fail(err, E_IO, "cannot write the output: %s", strerror(errno));
    return rc;
}

void follow_hurry(struct follow *f)
{
    for (size_t i = 0; i < f->streams_count; i++)
        f->streams[i].due_ms = 0;
}

int follow_due_ms(const struct follow *f, int most)
{
    int64_t now = clock_boot_ms(), least = most;
    for (size_t i = 0; i < f->streams_count; i++)
        if (!f->streams[i].ended && f->streams[i].due_ms - now < least)
            least = f->streams[i].due_ms - now;
    return least > 0 ? (int)least : 0;
}

bool follow_ended(const struct follow *f)
{
    for (size_t i = 0; i < f->streams_count; i++)
        if (!f->streams[i].ended)
            return false;
    return true;
}
