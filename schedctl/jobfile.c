#include "schedctl/jobfile.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/text.h"
#include "schedctl/plaintext.h"
#include "schedctl/request.h"
#include "schedctl/suggest.h"

#include <errno.h>
#include <libfyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place {
    int line, column;
};

struct jobfile {
    const char *path;
    struct fy_diag *diag;
    struct fy_parser *parser;
    struct fy_event *event; // the one looked at
    struct place place;     // of it
    json_t *request;
    struct err *err;
};

static int complain_at(struct jobfile *f, int line, int column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static int complain_at(struct jobfile *f, int line, int column, const char *fmt, ...)
{
    AUTO(text) struct text t = {0};
    va_list ap;
    va_start(ap, fmt);
    text_vaddf(&t, fmt, ap);
    va_end(ap);
    return fail(f->err, E_INVALID, "%.200s:%d:%d: %s", f->path, line, column, text_str(&t));
}

static struct fy_token *token_of(const struct fy_event *e)
{
    switch ((int)e->type) {
    case FYET_SCALAR:
        return e->scalar.value;
    case FYET_MAPPING_START:
        return e->mapping_start.mapping_start;
    case FYET_SEQUENCE_START:
        return e->sequence_start.sequence_start;
    case FYET_ALIAS:
        return e->alias.anchor;
    case FYET_DOCUMENT_START:
        return e->document_start.document_start;
    default:
        return NULL;
    }
}

// The library counts from 0, puts quoted texts and aliases behind their quote or "*", and knows no
// place of an absent value: `otherwise` is that of what came before.
static struct place place_of(const struct fy_event *e, struct place otherwise)
{
    struct fy_token *token = token_of(e);
    const struct fy_mark *m = token ? fy_token_start_mark(token) : NULL;
    int column = 1;
    if (!m)
        return otherwise;
    if (e->type == FYET_SCALAR) {
        enum fy_scalar_style style = fy_token_scalar_style(token);
        column = style != FYSS_SINGLE_QUOTED && style != FYSS_DOUBLE_QUOTED;
    }
    if (e->type == FYET_ALIAS)
        column = 0;
    return (struct place){m->line + 1, m->column + column};
}

#define complain_here(f, ...) complain_at((f), (f)->place.line, (f)->place.column, __VA_ARGS__)

// The library's own complaint about malformed YAML.
static int complain_syntax(struct jobfile *f)
{
    void *iter = NULL;
    const struct fy_diag_error *e = fy_diag_errors_iterate(f->diag, &iter);
    if (!e || !e->msg)
        return fail(f->err, E_INVALID, "%.200s: not valid YAML", f->path);
    return complain_at(f, e->line > 0 ? e->line : 1, e->column > 0 ? e->column : 1,
                       "not valid YAML: %s", e->msg);
}

// Moves to the next event.
static int next(struct jobfile *f)
{
    if (f->event)
        fy_parser_event_free(f->parser, f->event);
    f->event = fy_parser_parse(f->parser);
    if (!f->event)
        return complain_syntax(f);
    f->place = place_of(f->event, f->place);
    if (f->event->type == FYET_ALIAS)
        return complain_here(f, "aliases are not taken in job files. Write the value again.");
    if (f->event->type == FYET_SCALAR && f->event->scalar.tag)
        return complain_here(f,
                             "tags (\"!\") are not taken in job files. Quote the value instead.");
    return 0;
}

static const char *kind_word(const struct request_field *field)
{
    switch (field->kind) {
    case REQUEST_INTEGER:
        return "a number";
    case REQUEST_AMOUNT:
    case REQUEST_SHARE:
        return "a number such as 2 or 0.5";
    case REQUEST_BOOLEAN:
        return "true or false";
    case REQUEST_SIZE:
    case REQUEST_BYTES:
        return "a size such as 2GiB";
    case REQUEST_DURATION:
        return "a duration such as 1h30m";
    case REQUEST_TIME:
        return "a time such as 2027-01-04T08:00";
    case REQUEST_MAP:
        return "a mapping of names to values";
    case REQUEST_LIST:
        return "a list of strings";
    case REQUEST_STRING:
    case REQUEST_MPI:
    case REQUEST_ON_LOST:
    case REQUEST_SCRIPT:
        break;
    }
    return "a text";
}

// The scalar looked at, as a string without NUL bytes; `what` names it.
static int take_scalar(struct jobfile *f, const char *what, const char *expected, char **ret)
{
    size_t len = 0;
    if (f->event->type != FYET_SCALAR)
        return complain_here(f, "\"%.64s\" must be %s", what, expected);
    struct fy_token *token = f->event->scalar.value;
    const char *text = token ? fy_token_get_text(token, &len) : NULL;
    if (text && memchr(text, 0, len))
        return complain_here(f, "\"%.64s\" holds a NUL character", what);
    *ret = text ? xstrndup(text, len) : xstrdup("");
    return 0;
}

static bool is_plain(const struct fy_event *e)
{
    return !e->scalar.value || fy_token_scalar_style(e->scalar.value) == FYSS_PLAIN;
}

static int take_value(struct jobfile *f, const struct request_field *field)
{
    AUTO_FREE char *text = NULL;
    json_t *value;
    struct err why;
    int rc = take_scalar(f, field->key, kind_word(field), &text);
    if (rc)
        return rc;
    if (!*text && is_plain(f->event))
        return complain_here(f, "\"%s\" has no value. It must be %s.", field->key,
                             kind_word(field));
    bool bare = field->kind == REQUEST_INTEGER || field->kind == REQUEST_AMOUNT ||
                field->kind == REQUEST_SHARE || field->kind == REQUEST_BOOLEAN;
    if (!is_plain(f->event) && bare)
        return complain_here(f, "\"%s\" must be %s, without quotes", field->key, kind_word(field));
    AUTO_FREE char *what = xasprintf("\"%s\"", field->key);
    if (request_value(field, text, what, &value, &why))
        return complain_here(f, "%s", why.message);
    json_object_set_new(f->request, field->json, value);
    return 0;
}

static int take_list(struct jobfile *f, const struct request_field *field)
{
    struct place at = f->place;
    if (f->event->type != FYET_SEQUENCE_START)
        return complain_here(f, "\"%s\" must be a list of strings, as [./train, --steps, \"100\"]",
                             field->key);
    json_t *list = json_array();
    json_object_set_new(f->request, field->json, list);
    for (;;) {
        AUTO_FREE char *text = NULL;
        int rc = next(f);
        if (rc)
            return rc;
        if (f->event->type == FYET_SEQUENCE_END)
            break;
        rc = take_scalar(f, field->key, "a list of strings", &text);
        if (rc)
            return rc;
        json_t *s = json_string(text);
        if (!s)
            return complain_here(f, "\"%s\" is not UTF-8 text", field->key);
        json_array_append_new(list, s);
    }
    if (json_array_size(list) == 0)
        return complain_at(f, at.line, at.column, "\"%s\" is empty", field->key);
    return 0;
}

static int take_script(struct jobfile *f, const struct request_field *field)
{
    AUTO_FREE char *text = NULL;
    int rc = take_scalar(f, field->key, "a text: script: | and indented lines", &text);
    if (rc)
        return rc;
    json_t *s = json_string(text);
    if (!s || !*text) {
        json_decref(s);
        return complain_here(f, "\"script\" is %s", *text ? "not UTF-8 text" : "empty");
    }
    json_object_set_new(f->request, field->json, json_pack("[s,s,o]", "/bin/sh", "-c", s));
    return 0;
}

static int take_map(struct jobfile *f, const struct request_field *field)
{
    if (f->event->type != FYET_MAPPING_START)
        return complain_here(f, "\"%s\" must be a mapping of names to values", field->key);
    json_t *map = json_object();
    json_object_set_new(f->request, field->json, map);
    for (;;) {
        AUTO_FREE char *name = NULL, *value = NULL;
        int rc = next(f);
        if (rc)
            return rc;
        if (f->event->type == FYET_MAPPING_END)
            return 0;
        if ((rc = take_scalar(f, field->key, "a mapping of names to values", &name)))
            return rc;
        if (!*name || strchr(name, '='))
            return complain_here(f, "\"%.64s\" is no name of a variable", name);
        if (json_object_get(map, name))
            return complain_here(f, "variable \"%.64s\" is set twice", name);
        if ((rc = next(f)) || (rc = take_scalar(f, name, "a text", &value)))
            return rc;
        json_t *s = json_string(value);
        if (!s || json_object_set_new(map, name, s))
            return complain_here(f, "variable \"%.64s\" is not UTF-8 text", name);
    }
}

static int unknown_key(struct jobfile *f, const char *key)
{
    struct suggest s = suggest_begin(key);
    for (size_t i = 0; i < request_fields_count; i++)
        if (request_fields[i].key)
            suggest_offer(&s, request_fields[i].key);
    if (s.best)
        return complain_here(f, "unknown key \"%.64s\". Did you mean \"%s\"?", key, s.best);
    return complain_here(f, "unknown key \"%.64s\". `schedctl submit --help` lists them.", key);
}

// One key and its value.
static int take_pair(struct jobfile *f, bool *seen)
{
    AUTO_FREE char *key = NULL;
    if (f->event->type != FYET_SCALAR)
        return complain_here(f, "a key must be a word");
    int rc = take_scalar(f, "key", "a word", &key);
    if (rc)
        return rc;
    const struct request_field *field = request_field_of_key(key);
    if (!field)
        return unknown_key(f, key);
    if (seen[field - request_fields])
        return complain_here(f, "key \"%s\" is there twice", key);
    seen[field - request_fields] = true;
    if ((field->kind == REQUEST_LIST || field->kind == REQUEST_SCRIPT) &&
        json_object_get(f->request, field->json))
        return complain_here(f, "both \"argv\" and \"script\" are given. Use one of them.");
    rc = next(f);
    if (rc)
        return rc;
    switch ((int)field->kind) {
    case REQUEST_LIST:
        return take_list(f, field);
    case REQUEST_SCRIPT:
        return take_script(f, field);
    case REQUEST_MAP:
        return take_map(f, field);
    default:
        return take_value(f, field);
    }
}

static int expect(struct jobfile *f, enum fy_event_type type, const char *otherwise)
{
    int rc = next(f);
    if (!rc && f->event->type != type)
        rc = complain_here(f, "%s", otherwise);
    return rc;
}

static int take_document(struct jobfile *f)
{
    bool *seen = xcalloc(request_fields_count, sizeof *seen);
    int rc = expect(f, FYET_STREAM_START, "not valid YAML");
    if (!rc)
        rc = expect(f, FYET_DOCUMENT_START, "the file is empty. It needs argv or script.");
    if (!rc)
        rc = expect(f, FYET_MAPPING_START,
                    "a job file is a mapping: lines of \"key: value\", with argv or script");
    while (!rc && !(rc = next(f)) && f->event->type != FYET_MAPPING_END)
        rc = take_pair(f, seen);
    free(seen);
    if (!rc)
        rc = expect(f, FYET_DOCUMENT_END, "not valid YAML");
    if (!rc)
        rc = expect(f, FYET_STREAM_END, "a second document begins. One file is one job.");
    if (!rc && !json_object_get(f->request, "argv"))
        rc = complain_at(f, 1, 1, "there is no program. Add argv or script.");
    return rc;
}

static void discard(struct fy_diag *diag, void *user, const char *text, size_t len)
{
    (void)diag, (void)user, (void)text, (void)len;
}

int jobfile_parse(const char *path, const char *bytes, size_t len, json_t *request, struct err *err)
{
    if (len > JOBFILE_MAX)
        return fail(err, E_TOO_LARGE, "%.200s: a job file has at most %d bytes", path, JOBFILE_MAX);
    struct jobfile f = {.path = path, .place = {1, 1}, .request = request, .err = err};
    struct fy_diag_cfg dc;
    const char *wrong = plaintext_wrong(bytes, len, &f.place.line, &f.place.column);
    if (wrong)
        return complain_here(&f, "%s", wrong);
    f.place = (struct place){1, 1};
    fy_diag_cfg_default(&dc);
    dc.fp = NULL;
    dc.output_fn = discard;
    f.diag = fy_diag_create(&dc);
    CHECK(f.diag);
    fy_diag_set_collect_errors(f.diag, true);
    struct fy_parse_cfg pc = {.flags = FYPCF_DEFAULT_PARSE, .diag = f.diag};
    f.parser = fy_parser_create(&pc);
    CHECK(f.parser);
    int rc = fy_parser_set_string(f.parser, bytes, len)
                 ? fail(err, E_INVALID, "%.200s: not valid YAML", path)
                 : take_document(&f);
    if (f.event)
        fy_parser_event_free(f.parser, f.event);
    fy_parser_destroy(f.parser);
    fy_diag_destroy(f.diag);
    return rc;
}

int jobfile_load(const char *path, json_t *request, struct err *err)
{
    AUTO(text) struct text t = {0};
    char part[16384];
    size_t n;
    bool input = strcmp(path, "-") == 0;
    FILE *in = input ? stdin : fopen(path, "re");
    if (!in && errno == ENOENT)
        return fail(err, E_INVALID,
                    "there is no job file \"%.200s\". To run a program, put \"--\" before it: "
                    "`schedctl submit -- %.64s`.",
                    path, path);
    if (!in)
        return fail(err, E_INVALID, "cannot open \"%.200s\": %s", path, strerror(errno));
    while ((n = fread(part, 1, sizeof part, in)) > 0 && t.len <= JOBFILE_MAX)
        text_add_bytes(&t, part, n);
    int failed = ferror(in) ? errno : 0;
    if (!input)
        fclose(in);
    if (failed)
        return fail(err, E_INVALID, "cannot read \"%.200s\": %s", path, strerror(failed));
    return jobfile_parse(input ? "standard input" : path, text_str(&t), t.len, request, err);
}
