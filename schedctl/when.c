#include "schedctl/when.h"

#include "common/clock.h"
#include "common/units.h"

#include <string.h>
#include <time.h>

static int relative(const char *text, const char *what, int64_t *ret_ms, struct err *err)
{
    int64_t by_ms;
    int rc = parse_duration_ms(text + 1, what, &by_ms, err);
    if (!rc)
        *ret_ms = clock_wall_ms() + (*text == '-' ? -by_ms : by_ms);
    return rc;
}

int parse_when(const char *text, const char *what, int64_t *ret_ms, struct err *err)
{
    static const char *const formats[] = {
        "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d",
        "%H:%M:%S",          "%H:%M"};
    if (*text == '+' || *text == '-')
        return relative(text, what, ret_ms, err);
    time_t now = (time_t)(clock_wall_ms() / 1000);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct tm tm = {0};
        if (formats[i][1] == 'H')
            localtime_r(&now, &tm);
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        tm.tm_isdst = -1;
        const char *end = strptime(text, formats[i], &tm);
        if (!end || *end)
            continue;
        *ret_ms = (int64_t)mktime(&tm) * 1000;
        return 0;
    }
    if (strcmp(text, "now") == 0) {
        *ret_ms = clock_wall_ms();
        return 0;
    }
    return fail(err, E_INVALID,
                "%s \"%.64s\" is no time. Write it as 2026-11-25T08:00, 14:05, now, +2h or -5m.",
                what, text);
}
