#include "schedctl/request.h"

#include "common/units.h"
#include "schedctl/when.h"

#include <stdlib.h>
#include <string.h>

const struct request_field request_fields[] = {
#define X(json, key, kind, least, most, letter, flag, argument, help) \
    {json, key, REQUEST_##kind, least, most, flag, help},
    REQUEST_TABLE(X)
#undef X
};
const size_t request_fields_count = COUNT(request_fields);

const struct opt request_options[REQUEST_OPTIONS_COUNT] = {
#define X(json, key, kind, least, most, letter, flag, argument, help) \
    {letter, flag, argument, help},
    REQUEST_TABLE(X)
#undef X
        {0, "no-bind", NULL, "do not bind tasks to their cores"},
    {0, "env-all", NULL, "pass on the whole environment of this shell"},
    {0, "no-check", NULL, "do not look whether the program and the directory exist here"},
};

const struct request_field *request_field_of_key(const char *key)
{
    for (size_t i = 0; i < request_fields_count; i++)
        if (request_fields[i].key && strcmp(request_fields[i].key, key) == 0)
            return &request_fields[i];
    return NULL;
}

static int boolean(const char *text, const char *what, json_t **ret, struct err *err)
{
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false"))
        return fail(err, E_INVALID, "%s \"%.64s\" is neither true nor false", what, text);
    *ret = json_boolean(yes);
    return 0;
}

static int string(const char *text, const char *what, json_t **ret, struct err *err)
{
    json_t *s = json_string(text);
    if (!s)
        return fail(err, E_INVALID, "%s is not UTF-8 text", what);
    if (!*text) {
        json_decref(s);
        return fail(err, E_INVALID, "%s is empty", what);
    }
    *ret = s;
    return 0;
}

static int mpi(const char *text, const char *what, json_t **ret, struct err *err)
{
    if (strcmp(text, "auto") && strcmp(text, "pmix") && strcmp(text, "none"))
        return fail(err, E_INVALID, "%s \"%.64s\" is unknown. Use auto, pmix or none.", what, text);
    *ret = json_string(text);
    return 0;
}

static int on_lost(const char *text, const char *what, json_t **ret, struct err *err)
{
    int64_t ms;
    if (strcmp(text, "wait")) {
        if (strncmp(text, "requeue:", 8))
            return fail(err, E_INVALID, "%s \"%.64s\" is unknown. Use wait or requeue:10m.", what,
                        text);
        if (parse_duration_ms(text + 8, what, &ms, err))
            return E_INVALID;
        if (ms < 10000)
            return fail(err, E_INVALID, "%s \"%.64s\" is too short. Use at least requeue:10s.",
                        what, text);
    }
    *ret = json_string(text);
    return 0;
}

static int amount(const struct request_field *f, const char *text, const char *what, json_t **ret,
                  struct err *err)
{
    int64_t milli;
    if (parse_amount(text, what, f->least, f->most, &milli, err))
        return E_INVALID;
    if (f->kind == REQUEST_SHARE && milli > 1000 && milli % 1000)
        return fail(err, E_INVALID,
                    "%s %.64s: a task has whole GPUs or a share of one. Use a share below 1, or a "
                    "whole number.",
                    what, text);
    *ret = milli % 1000 ? json_real((double)milli / 1000) : json_integer(milli / 1000);
    return 0;
}

int request_value(const struct request_field *f, const char *text, const char *what, json_t **ret,
                  struct err *err)
{
    int64_t v = 0;
    int rc = 0;
    switch (f->kind) {
    case REQUEST_INTEGER:
        rc = parse_int(text, what, f->least, f->most, &v, err);
        break;
    case REQUEST_AMOUNT:
    case REQUEST_SHARE:
        return amount(f, text, what, ret, err);
    case REQUEST_SIZE:
        rc = parse_size_mib(text, what, &v, err);
        break;
    case REQUEST_BYTES:
        rc = parse_size_mib(text, what, &v, err);
        v *= 1024 * 1024;
        break;
    case REQUEST_DURATION:
        rc = parse_duration_ms(text, what, &v, err);
        if (!rc && v < f->least)
            rc = fail(err, E_INVALID, "%s \"%.64s\" is too short", what, text);
        break;
    case REQUEST_TIME:
        rc = parse_when(text, what, &v, err);
        break;
    case REQUEST_BOOLEAN:
        return boolean(text, what, ret, err);
    case REQUEST_MPI:
        return mpi(text, what, ret, err);
    case REQUEST_ON_LOST:
        return on_lost(text, what, ret, err);
    case REQUEST_STRING:
    case REQUEST_LIST:
    case REQUEST_SCRIPT:
    case REQUEST_MAP:
        return string(text, what, ret, err);
    }
    if (!rc)
        *ret = json_integer(v);
    return rc;
}
