#include "schedctl/present.h"

#include "common/units.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

const char *get_str(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

int64_t get_int(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

int64_t get_milli(const json_t *object, const char *key)
{
    return (int64_t)(json_number_value(json_object_get(object, key)) * 1000 + 0.5);
}

void add_amount(struct text *t, const json_t *object, const char *key)
{
    text_add_milli(t, get_milli(object, key));
}

bool is_null(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return !v || json_is_null(v);
}

void add_job_name(struct text *t, const json_t *job)
{
    if (is_null(job, "array_id") || is_null(job, "element"))
        text_addf(t, "%" PRId64, get_int(job, "id"));
    else
        text_addf(t, "%" PRId64 "_%" PRId64, get_int(job, "array_id"), get_int(job, "element"));
}

static void add_formatted(struct text *t, const char *format, int64_t at_ms)
{
    char s[64];
    struct tm tm;
    time_t at = (time_t)(at_ms / 1000);
    if (localtime_r(&at, &tm) && strftime(s, sizeof s, format, &tm))
        text_add(t, s);
}

void add_time(struct text *t, int64_t at_ms, int64_t now_ms)
{
    const int64_t half_year_ms = INT64_C(183) * 86400 * 1000;
    time_t at = (time_t)(at_ms / 1000), now = (time_t)(now_ms / 1000);
    struct tm a, b;
    if (at_ms == 0)
        return;
    if (localtime_r(&at, &a) && localtime_r(&now, &b) && a.tm_year == b.tm_year &&
        a.tm_yday == b.tm_yday)
        add_formatted(t, "%H:%M:%S", at_ms);
    else
        add_formatted(t, now_ms - at_ms < half_year_ms ? "%b %d %H:%M" : "%Y-%m-%d", at_ms);
}

void add_full_time(struct text *t, int64_t at_ms)
{
    if (at_ms)
        add_formatted(t, "%Y-%m-%d %H:%M:%S", at_ms);
}

void add_elapsed(struct text *t, int64_t ms)
{
    int64_t s = ms > 0 ? ms / 1000 : 0;
    if (s < 60)
        text_addf(t, "%" PRId64 "s", s);
    else if (s < 3600)
        text_addf(t, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        text_addf(t, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
    else
        text_addf(t, "%" PRId64 "d%02" PRId64 "h", s / 86400, s / 3600 % 24);
}

void add_job_elapsed(struct text *t, const json_t *job, int64_t now_ms)
{
    int64_t start = get_int(job, "started_at"), end = get_int(job, "ended_at");
    if (start)
        add_elapsed(t, (end ? end : now_ms) - start);
}

const char *reason_of(const json_t *object)
{
    const json_t *reason = json_object_get(object, "reason");
    const char *code = get_str(reason, "code");
    if (json_is_string(reason))
        return json_string_value(reason);
    return strcmp(code, "none") ? get_str(reason, "text") : "";
}

bool state_ended(const char *state)
{
    static const char *const ended[] = {"completed", "failed", "cancelled", "timed_out", "lost"};
    for (size_t i = 0; i < sizeof ended / sizeof *ended; i++)
        if (strcmp(state, ended[i]) == 0)
            return true;
    return false;
}

void add_reservation(struct text *t, const json_t *of)
{
    if (!of)
        return;
    text_addf(t, "reservation \"%s\" from ", get_str(of, "name"));
    add_full_time(t, get_int(of, "start_ms"));
    text_add(t, " to ");
    add_full_time(t, get_int(of, "end_ms"));
}
