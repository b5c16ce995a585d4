#include "common/units.h"

#include "common/alloc.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int parse_int(const char *s, const char *what, int64_t min, int64_t max, int64_t *ret,
              struct err *err)
{
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (end == s || *end || isspace((unsigned char)*s))
        return fail(err, E_INVALID, "%s \"%.64s\" is not a whole number", what, s);
    if (errno == ERANGE || v < min || v > max)
        return fail(err, E_INVALID, "%s %.64s is out of range. Use %lld to %lld.", what, s,
                    (long long)min, (long long)max);
    *ret = v;
    return 0;
}

int parse_amount(const char *s, const char *what, int64_t min, int64_t max, int64_t *ret,
                 struct err *err)
{
    int64_t v = 0;
    const char *at = s;
    for (; isdigit((unsigned char)*at) && v <= INT32_MAX; at++)
        v = v * 10 + (*at - '0');
    bool digits = at > s;
    int decimals = 0;
    if (*at == '.')
        for (at++; isdigit((unsigned char)*at) && decimals < 4; at++, decimals++, digits = true)
            v = v * 10 + (*at - '0');
    if (decimals > 3)
        return fail(err, E_INVALID, "%s \"%.64s\" has more than three decimals. Round it.", what,
                    s);
    if (!digits || (*at && !isdigit((unsigned char)*at)))
        return fail(err, E_INVALID, "%s \"%.64s\" is not a number such as 2 or 0.5", what, s);
    for (; decimals < 3; decimals++)
        v *= 10;
    if (v < min || v > max || *at) {
        AUTO(text) struct text least = {0}, most = {0};
        text_add_milli(&least, min);
        text_add_milli(&most, max);
        return fail(err, E_INVALID, "%s %.64s is out of range. Use %s to %s.", what, s,
                    text_str(&least), text_str(&most));
    }
    *ret = v;
    return 0;
}

void text_add_milli(struct text *t, int64_t milli)
{
    text_addf(t, "%lld", (long long)(milli / 1000));
    int part = (int)(milli % 1000);
    if (!part)
        return;
    int digits = part % 100 == 0 ? 1 : part % 10 == 0 ? 2 : 3;
    for (int i = digits; i < 3; i++)
        part /= 10;
    text_addf(t, ".%0*d", digits, part);
}

// Binary exponent of a size suffix, or -1.
static int size_shift(const char *suffix)
{
    static const struct {
        const char *name;
        int shift;
    } units[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40},
                 {"K", 10},   {"M", 20},   {"G", 30},   {"T", 40}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcasecmp(suffix, units[i].name) == 0)
            return units[i].shift;
    return -1;
}

int parse_size_mib(const char *s, const char *what, int64_t *ret_mib, struct err *err)
{
    char *end;
    double v = strtod(s, &end);
    if (end == s || isspace((unsigned char)*s) || v != v)
        return fail(err, E_INVALID, "%s \"%.64s\" is not a size. Write it as 512MiB or 2GiB.", what,
                    s);
    while (*end == ' ')
        end++;
    int shift = size_shift(end);
    if (shift < 0)
        return fail(err, E_INVALID,
                    "%s \"%.64s\" has %s unit. Write it with KiB, MiB, GiB or TiB, e.g. 512MiB.",
                    what, s, *end ? "an unknown" : "no");
    double mib = v * (double)(1LL << shift) / (double)(1LL << 20);
    if (!(mib > 0) || mib > (double)(1LL << 40))
        return fail(err, E_INVALID,
                    "%s \"%.64s\" is out of range. Use more than 0 and at most 1EiB.", what, s);
    int64_t whole = (int64_t)mib;
    *ret_mib = (double)whole < mib ? whole + 1 : whole;
    return 0;
}

static const int64_t max_duration_ms = 3650LL * 24 * 3600 * 1000;

static int64_t duration_unit_ms(const char *s, size_t len)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1},      {"s", 1000},    {"sec", 1000},   {"m", 60000},
                 {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == len && strncasecmp(s, units[i].name, len) == 0)
            return units[i].ms;
    return 0;
}

// [days-]HH:MM:SS or MM:SS
static int parse_clock_ms(const char *s, int64_t *ret_ms)
{
    int64_t days = 0, part[3] = {0};
    int n = 0;
    char *end;
    if (strchr(s, '-')) {
        days = strtoll(s, &end, 10);
        if (end == s || *end != '-' || days < 0 || days > 3650)
            return -1;
        s = end + 1;
    }
    for (;;) {
        if (!isdigit((unsigned char)*s) || n == 3)
            return -1;
        part[n] = strtoll(s, &end, 10);
        if (part[n] > 1000000)
            return -1;
        n++;
        s = end;
        if (*s == 0)
            break;
        if (*s++ != ':')
            return -1;
    }
    if (n < 2)
        return -1;
    int64_t seconds = n == 3 ? part[0] * 3600 + part[1] * 60 + part[2] : part[0] * 60 + part[1];
    *ret_ms = (days * 86400 + seconds) * 1000;
    return 0;
}

static int parse_unit_duration_ms(const char *s, int64_t *ret_ms)
{
    int64_t total = 0;
    while (*s) {
        char *end;
        if (!isdigit((unsigned char)*s))
            return -1;
        errno = 0;
        long long v = strtoll(s, &end, 10);
        size_t len = strspn(end, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
        int64_t unit = duration_unit_ms(end, len), add;
        if (errno || !unit || __builtin_mul_overflow(v, unit, &add) ||
            __builtin_add_overflow(total, add, &total))
            return -1;
        s = end + len;
    }
    *ret_ms = total;
    return 0;
}

int parse_duration_ms(const char *s, const char *what, int64_t *ret_ms, struct err *err)
{
    int64_t ms = 0;
    int rc = *s == 0               ? -1
             : strchr(s, ':')      ? parse_clock_ms(s, &ms)
             : strcmp(s, "0") == 0 ? 0
                                   : parse_unit_duration_ms(s, &ms);
    if (rc)
        return fail(err, E_INVALID,
                    "%s \"%.64s\" is not a duration. Write it as 90s, 15m, 2h, 1h30m or 01:30:00.",
                    what, s);
    if (ms > max_duration_ms)
        return fail(err, E_INVALID, "%s \"%.64s\" is too long. Use at most 3650d.", what, s);
    *ret_ms = ms;
    return 0;
}

void text_add_size_mib(struct text *t, int64_t mib)
{
    static const char *units[] = {"MiB", "GiB", "TiB", "PiB"};
    int u = 0;
    int64_t unit = 1;
    while (u < 3 && mib >= unit * 1024) {
        unit *= 1024;
        u++;
    }
    int64_t tenths = (mib * 10 + unit / 2) / unit;
    if (tenths % 10)
        text_addf(t, "%lld.%lld %s", (long long)(tenths / 10), (long long)(tenths % 10), units[u]);
    else
        text_addf(t, "%lld %s", (long long)(tenths / 10), units[u]);
}

void text_add_duration_ms(struct text *t, int64_t ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    int shown = 0;
    if (ms <= 0) {
        text_add(t, "0 s");
        return;
    }
    for (size_t i = 0; i < 5 && shown < 2; i++) {
        int64_t n = ms / units[i].ms;
        ms %= units[i].ms;
        if (n == 0 || (i == 4 && shown))
            continue;
        text_addf(t, "%s%lld %s", shown ? " " : "", (long long)n, units[i].name);
        shown++;
    }
}

void text_add_time_ms(struct text *t, int64_t at_ms)
{
    char s[64];
    struct tm tm;
    time_t at = (time_t)(at_ms / 1000);
    if (gmtime_r(&at, &tm) && strftime(s, sizeof s, "%Y-%m-%dT%H:%M:%SZ", &tm))
        text_add(t, s);
}
