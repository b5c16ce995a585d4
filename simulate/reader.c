#include "simulate/reader.h"

#include "common/alloc.h"
#include "common/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void reader_complain(struct reader *r, int64_t column, const char *fmt, ...)
{
    AUTO(text) struct text t = {0};
    va_list ap;
    va_start(ap, fmt);
    text_vaddf(&t, fmt, ap);
    va_end(ap);
    complain_at(r->bad, r->lines->path, r->lines->number, column, "%s", text_str(&t));
}

const char *reader_text(const struct reader *r, int column)
{
    int at = r->columns[column];
    return at >= 0 && (size_t)at < r->fields.count ? r->fields.items[at].text : "";
}

int reader_place(const struct reader *r, int column)
{
    int at = r->columns[column];
    return at >= 0 && (size_t)at < r->fields.count ? r->fields.items[at].column : 0;
}

bool reader_milli(struct reader *r, int column, const char *what, int64_t min, int64_t max,
                  int64_t missing, int64_t *ret)
{
    const char *s = reader_text(r, column);
    int64_t v;
    if (!*s) {
        *ret = missing;
        return true;
    }
    if (!parse_milli(s, strlen(s), &v)) {
        reader_complain(r, reader_place(r, column), "%s \"%.40s\" is no number", what, s);
        return false;
    }
    if (v < min || v > max) {
        reader_complain(r, reader_place(r, column), "%s %.40s is out of range", what, s);
        return false;
    }
    *ret = v;
    return true;
}

bool reader_int(struct reader *r, int column, const char *what, int64_t min, int64_t max,
                int64_t missing, int64_t *ret)
{
    int64_t v;
    if (!reader_milli(r, column, what, min * 1000, max * 1000, missing * 1000, &v))
        return false;
    *ret = v / 1000;
    return true;
}

const char *reader_name(struct reader *r, const char *name)
{
    return *name ? arena_strdup(&r->trace->arena, name) : NULL;
}

void reader_job(struct reader *r, const struct trace_job *job)
{
    struct trace *t = r->trace;
    VEC_RESERVE(t->jobs, t->count, t->cap);
    t->jobs[t->count] = *job;
    t->count++;
    if (!job->number)
        t->jobs[t->count - 1].number = (int64_t)t->count;
}

// ---- recognising ----

// Where one of the alternatives is in the header; -1: nowhere.
static int column_find(const struct fields *header, const char *names)
{
    for (const char *name = names; *name;) {
        size_t len = strcspn(name, "|");
        for (size_t i = 0; i < header->count; i++)
            if (header->items[i].len == len && strncasecmp(header->items[i].text, name, len) == 0)
                return (int)i;
        name += len + (name[len] == '|');
    }
    return -1;
}

static bool header_matches(const struct format *f, const char *line, size_t len, struct reader *r)
{
    AUTO_FREE char *copy = xstrndup(line, len);
    int column;
    if (fields_split(copy, len, f->delimiter, &r->fields, &column))
        return false;
    bool all = true;
    for (size_t i = 0; i < f->columns_count; i++) {
        r->columns[i] = column_find(&r->fields, f->columns[i].names);
        all = all && (r->columns[i] >= 0 || !f->columns[i].required);
    }
    return all;
}

const struct format *format_recognise(const struct format *const *formats, char *line, size_t len,
                                      struct reader *r)
{
    for (size_t i = 0; formats[i]; i++) {
        const struct format *f = formats[i];
        if (f->delimiter ? header_matches(f, line, len, r) : f->knows(line, len))
            return f;
    }
    return NULL;
}

static int unknown_format(const struct reader *r, const struct format *const *formats,
                          struct err *err)
{
    AUTO(text) struct text t = {0};
    for (size_t i = 0; formats[i]; i++) {
        text_addf(&t, "%s%s", i ? formats[i + 1] ? ", " : " or " : "", formats[i]->what);
        for (size_t k = 0, n = 0; formats[i]->delimiter && k < formats[i]->columns_count; k++)
            if (formats[i]->columns[k].required)
                text_addf(&t, "%s%.*s", n++ ? "," : " (columns ",
                          (int)strcspn(formats[i]->columns[k].names, "|"),
                          formats[i]->columns[k].names);
        if (formats[i]->delimiter)
            text_addc(&t, ')');
    }
    return fail(err, E_INVALID,
                "\"%s\" is of no known format: its first line is that of none of these: %s. Give "
                "one of them, plain or gzip'ed.",
                r->lines->path, text_str(&t));
}

static void take(struct reader *r, char *line, size_t len)
{
    int column = 0;
    if (r->format->line) {
        r->format->line(r, line, len);
        return;
    }
    const char *wrong = fields_split(line, len, r->format->delimiter, &r->fields, &column);
    if (wrong)
        reader_complain(r, column, "%s", wrong);
    else
        r->format->row(r);
}

static bool blank(const char *line, size_t len)
{
    return strspn(line, " \t") == len;
}

int reader_run(struct reader *r, const struct format *const *formats, struct err *err)
{
    char *line;
    size_t len;
    for (;;) {
        enum line_status status = lines_next(r->lines, &line, &len, err);
        if (status == LINE_FAILED)
            return (int)err->code;
        if (status == LINE_END)
            break;
        if (status == LINE_LONG) {
            reader_complain(r, 0, "longer than %d bytes", LINE_BYTES_MAX);
            continue;
        }
        if (blank(line, len))
            continue;
        if (!r->format) {
            r->format = format_recognise(formats, line, len, r);
            if (!r->format)
                return unknown_format(r, formats, err);
            if (r->format->delimiter)
                continue; // the header
        }
        take(r, line, len);
        if (r->trace && r->trace->count > TRACE_JOBS_MAX)
            return fail(err, E_TOO_LARGE, "\"%s\" has more than %d jobs. Cut it into parts.",
                        r->lines->path, TRACE_JOBS_MAX);
        if (r->nodes && r->nodes->count > SIM_NODES_MAX)
            return fail(err, E_TOO_LARGE, "\"%s\" has more than %d nodes.", r->lines->path,
                        SIM_NODES_MAX);
    }
    if (!r->format)
        return fail(err, E_INVALID, "\"%s\" is empty.", r->lines->path);
    return 0;
}
