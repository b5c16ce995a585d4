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

// ---- changes ----

static int take_number(const json_t *v, const char *key, int64_t least, int64_t most, int64_t *ret,
                       struct err *err)
{
    *ret = json_integer_value(v);
    if (json_is_null(v) || (json_is_integer(v) && *ret >= least && *ret <= most))
        return 0;
    return fail(err, E_INVALID,
                "\"%s\" must be a whole number from %" PRId64 " to %" PRId64 ", or null", key,
                least, most);
}

int translate_change(const json_t *body, struct asked_change *ret, struct err *err)
{
    static const struct {
        const char *key;
        unsigned what;
        int64_t least, most;
    } keys[] = {{"dependency", JOB_SET_DEPENDENCY, 0, 0},
                {"begin_at", JOB_SET_BEGIN, 0, INT64_C(1) << 45},
                {"deadline_at", JOB_SET_DEADLINE, 0, INT64_C(1) << 45},
                {"time_limit_ms", JOB_SET_TIME_LIMIT, 0, INT64_C(1) << 40},
                {"array_limit", JOB_SET_ARRAY_LIMIT, 0, JOB_ARRAY_MAX},
                {"nice", JOB_SET_NICE, -JOB_NICE_MAX, JOB_NICE_MAX}};
    enum { COUNT = sizeof keys / sizeof *keys };
    int64_t n[COUNT] = {0};
    const char *key;
    json_t *v;
    int rc = 0;
    *ret = (struct asked_change){0};
    json_object_foreach((json_t *)body, key, v)
    {
        size_t i = 0;
        while (i < COUNT && strcmp(key, keys[i].key) != 0)
            i++;
        if (i == COUNT)
            return fail(err, E_INVALID, "\"%.64s\" of a pending job cannot be changed", key);
        ret->set.what |= keys[i].what;
        if (i && (rc = take_number(v, key, keys[i].least, keys[i].most, &n[i], err)))
            return rc;
    }
    if (!ret->set.what)
        return fail(err, E_INVALID, "the change names nothing");
    if ((rc = take_dependency(body, &ret->terms, err)))
        return rc;
    ret->set.depends = ret->terms.depends;
    ret->set.depends_count = ret->terms.depends_count;
    ret->set.begin_ms = n[1];
    ret->set.deadline_ms = n[2];
    ret->set.time_limit_ms = n[3];
    ret->set.array_limit = (int32_t)n[4];
    ret->set.nice = (int32_t)n[5];
    return 0;
}
