// The terms of a JobRequest: dependencies, begin, deadline.
#include "scheduler/shell/server.h"

#include "common/alloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int get_time(const json_t *body, const char *key, int64_t *ret, struct err *err)
{
    const json_t *v = json_object_get(body, key);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0 ||
        json_integer_value(v) > INT64_C(1) << 45)
        return fail(err, E_INVALID, "\"%s\" must be a time in milliseconds since 1970", key);
    *ret = json_integer_value(v);
    return 0;
}

static void take_list(struct depend_list *list, struct asked_terms *ret)
{
    const struct depend *d;
    ret->depends = xcalloc(depends_count(list) + 1, sizeof *ret->depends);
    TAILQ_FOREACH(d, list, link)
    ret->depends[ret->depends_count++] =
        (struct depend_asked){.kind = d->kind, .job = d->job, .element = d->element};
}

static int take_dependency(const json_t *body, struct asked_terms *ret, struct err *err)
{
    const json_t *v = json_object_get(body, "dependency");
    struct depend_list list = TAILQ_HEAD_INITIALIZER(list);
    char wrong[DEPEND_WRONG_BYTES];
    if (!v || json_is_null(v))
        return 0;
    const char *text = json_string_value(v);
    if (!text || strlen(text) != json_string_length(v))
        return fail(err, E_INVALID, "\"dependency\" must be a string");
    bool good = depends_parse(text, &list, wrong);
    if (good && strchr(text, '!')) // as it is stored
        good = snprintf(wrong, sizeof wrong, "\"!\" has no meaning here") < 0;
    if (good)
        take_list(&list, ret);
    depends_clear(&list);
    return good ? 0 : fail(err, E_INVALID, "dependency \"%.64s\": %s.", text, wrong);
}

int translate_terms(const json_t *body, struct asked_terms *ret, struct err *err)
{
    const json_t *never = json_object_get(body, "cancel_if_never");
    if (never && !json_is_null(never) && !json_is_boolean(never))
        return fail(err, E_INVALID, "\"cancel_if_never\" must be true or false");
    ret->cancel_if_never = json_is_true(never);
    int rc = take_dependency(body, ret, err);
    if (!rc)
        rc = get_time(body, "begin_at", &ret->begin_ms, err);
    if (!rc)
        rc = get_time(body, "deadline_at", &ret->deadline_ms, err);
    return rc;
}
