#include "agent/core/sample.h"

#include "common/alloc.h"
#include "common/check.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void sample_clear(struct sample *s)
{
    s->at_ms = 0;
    s->phase[0] = 0;
    s->count = 0;
}

// ---- a line ----

static size_t word_at(const char *p, const char *end)
{
    static const char *const words[] = {"NaN", "Infinity", "Inf"};
    const char *w = p < end && (*p == '-' || *p == '+') ? p + 1 : p;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        if ((size_t)(end - w) >= len && strncasecmp(w, words[i], len) == 0)
            return (size_t)(w - p) + len;
    }
    return 0;
}

// The line with null for each NaN and Infinity outside of strings; malloc'ed.
static char *without_words(const char *line, size_t len, size_t *ret_len)
{
    const char *end = line + len;
    char *out = xmalloc(2 * len + 1), *o = out; // "inf" grows by one
    bool in_string = false;
    for (const char *p = line; p < end;) {
        size_t word = in_string ? 0 : word_at(p, end);
        if (word) {
            memcpy(o, "null", 4);
            o += 4;
            p += word;
            continue;
        }
        if (*p == '"')
            in_string = !in_string;
        *o++ = *p;
        if (in_string && *p == '\\' && p + 1 < end)
            *o++ = *++p;
        p++;
    }
    *ret_len = (size_t)(o - out);
    return out;
}

static json_t *parse(const char *line, size_t len, struct err *err)
{
    const size_t flags = JSON_DECODE_INT_AS_REAL;
    json_error_t why, ignored;
    size_t tame_len;
    json_t *j = json_loadb(line, len, flags, &why);
    if (!j) {
        AUTO_FREE char *tame = without_words(line, len, &tame_len);
        j = json_loadb(tame, tame_len, flags, &ignored);
    }
    if (j && json_is_object(j))
        return j;
    if (j)
        fail(err, E_INVALID, "a line is one JSON object");
    else
        fail(err, E_INVALID, "not JSON: column %d: %.100s", why.column, why.text);
    json_decref(j);
    return NULL;
}

static int check_name(const char *what, const char *name, struct err *err)
{
    size_t len = strlen(name);
    if (len == 0 || len > SAMPLE_NAME_MAX)
        return fail(err, E_INVALID, "%s of %zu bytes: 1 to %d are taken", what, len,
                    SAMPLE_NAME_MAX);
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return fail(err, E_INVALID, "%s with a control character", what);
    return 0;
}

// False for what is no metric.
static bool number_of(const json_t *v, double *ret)
{
    if (json_is_null(v))
        *ret = NAN;
    else if (json_is_boolean(v))
        *ret = json_is_true(v);
    else if (json_is_number(v))
        *ret = json_number_value(v);
    else
        return false;
    return true;
}

static int check(json_t *j, struct err *err)
{
    const char *name;
    json_t *v;
    double number;
    size_t count = 0;
    json_object_foreach(j, name, v)
    {
        if (strcmp(name, "phase") == 0) {
            if (!json_is_string(v))
                return fail(err, E_INVALID, "\"phase\" is a string");
            if (check_name("a phase", json_string_value(v), err))
                return E_INVALID;
            continue;
        }
        if (!number_of(v, &number))
            continue;
        if (check_name("a name", name, err))
            return E_INVALID;
        if (strcmp(name, "progress") == 0 && !(number >= 0 && number <= 1))
            return fail(err, E_INVALID, "\"progress\" is a number from 0 to 1");
        if (++count > SAMPLE_METRICS_MAX)
            return fail(err, E_INVALID, "more than %d numbers in a line", SAMPLE_METRICS_MAX);
    }
    return 0;
}

// ---- a sample ----

static struct metric *find(struct sample *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->metrics[i].name, name) == 0)
            return &s->metrics[i];
    return NULL;
}

static size_t count_new(struct sample *s, json_t *j)
{
    const char *name;
    json_t *v;
    double number;
    size_t n = 0;
    json_object_foreach(j, name, v) n += number_of(v, &number) && !find(s, name);
    return n;
}

static void merge(struct sample *s, json_t *j)
{
    const char *name;
    json_t *v;
    double number;
    json_object_foreach(j, name, v)
    {
        if (strcmp(name, "phase") == 0)
            snprintf(s->phase, sizeof s->phase, "%s", json_string_value(v));
        if (!number_of(v, &number))
            continue;
        struct metric *m = find(s, name);
        if (!m) {
            CHECK(s->count < SAMPLE_METRICS_MAX);
            m = &s->metrics[s->count++];
            snprintf(m->name, sizeof m->name, "%s", name);
        }
        m->value = number;
    }
}

int sample_add(struct sample *s, int64_t at_ms, const char *line, size_t len, struct err *err)
{
    if (len > SAMPLE_LINE_MAX)
        return fail(err, E_INVALID, "a line of more than %d bytes", SAMPLE_LINE_MAX);
    json_t *j = parse(line, len, err);
    if (!j)
        return E_INVALID;
    int rc = check(j, err);
    if (!rc && s->count + count_new(s, j) > SAMPLE_METRICS_MAX)
        rc = fail(err, E_TOO_LARGE, "more than %d names at once", SAMPLE_METRICS_MAX);
    if (!rc) {
        merge(s, j);
        s->at_ms = at_ms;
    }
    json_decref(j);
    return rc;
}

static size_t count_missing(struct sample *to, const struct sample *from)
{
    size_t n = 0;
    for (size_t i = 0; i < from->count; i++)
        n += !find(to, from->metrics[i].name);
    return n;
}

void sample_merge(struct sample *to, const struct sample *from)
{
    if (!from->at_ms)
        return;
    if (to->count + count_missing(to, from) > SAMPLE_METRICS_MAX)
        to->count = 0;
    for (size_t i = 0; i < from->count; i++) {
        struct metric *m = find(to, from->metrics[i].name);
        if (!m)
            m = &to->metrics[to->count++];
        *m = from->metrics[i];
    }
    if (*from->phase)
        memcpy(to->phase, from->phase, sizeof to->phase);
    to->at_ms = from->at_ms;
}
