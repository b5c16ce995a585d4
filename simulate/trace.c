#include "simulate/trace.h"

#include "common/alloc.h"
#include "simulate/formats.h"

#include <inttypes.h>
#include <stdlib.h>

static const struct format *const TRACES[] = {&format_swf,    &format_openb, &format_philly,
                                              &format_pollux, &format_sacct, NULL};

struct ordered {
    struct trace_job job;
    size_t read_at;
};

static int by_submission(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;
    if (x->job.submit_ms != y->job.submit_ms)
        return x->job.submit_ms < y->job.submit_ms ? -1 : 1;
    return x->read_at < y->read_at ? -1 : x->read_at > y->read_at;
}

static bool in_order(const struct trace *t)
{
    for (size_t i = 1; i < t->count; i++)
        if (t->jobs[i].submit_ms < t->jobs[i - 1].submit_ms)
            return false;
    return true;
}

// By submission, and times from the first one on.
static void put_in_order(struct trace *t)
{
    if (!in_order(t)) {
        struct ordered *o = xreallocarray(NULL, t->count, sizeof *o);
        for (size_t i = 0; i < t->count; i++)
            o[i] = (struct ordered){t->jobs[i], i};
        qsort(o, t->count, sizeof *o, by_submission);
        for (size_t i = 0; i < t->count; i++)
            t->jobs[i] = o[i].job;
        free(o);
    }
    int64_t first = t->jobs[0].submit_ms;
    for (size_t i = 0; i < t->count; i++)
        t->jobs[i].submit_ms -= first;
    t->start_s += first / 1000;
}

static int read_lines(struct lines *lines, struct trace *ret, struct err *err)
{
    struct reader r = {.lines = lines, .trace = ret, .bad = &ret->bad};
    ret->timed = true;
    int rc = reader_run(&r, TRACES, err);
    if (rc)
        return rc;
    ret->format = r.format->name;
    if (!ret->count)
        return fail(err, E_INVALID, "\"%s\" holds no job that ran%s%s.", lines->path,
                    ret->bad.count ? ": " : "", ret->bad.count ? ret->bad.first[0] : "");
    put_in_order(ret);
    return 0;
}

int trace_read(const char *path, struct trace *ret, struct err *err)
{
    struct lines lines;
    int rc = lines_open(path, "Check the name given with --trace.", &lines, err);
    if (rc)
        return rc;
    rc = read_lines(&lines, ret, err);
    lines_close(&lines);
    return rc;
}

int trace_parse(const char *name, const void *bytes, size_t size, struct trace *ret,
                struct err *err)
{
    struct lines lines;
    lines_of_memory(name, bytes, size, &lines);
    int rc = read_lines(&lines, ret, err);
    lines_close(&lines);
    return rc;
}

void trace_free(struct trace *t)
{
    free(t->jobs);
    complaints_free(&t->bad);
    interned_free(&t->names);
    arena_free(&t->arena);
    *t = (struct trace){0};
}
