#include "simulate/fields.h"

#include <string.h>
#include <time.h>

// A quoted field from `at`, unquoted in place; returns what follows its closing quote, or NULL.
static char *unquote(char *at, const char *end, struct field *f)
{
    char *to = at, *from = at + 1;
    for (; from < end; from++) {
        if (*from == '"' && from + 1 < end && from[1] == '"')
            from++;
        else if (*from == '"')
            break;
        *to++ = *from;
    }
    if (from >= end)
        return NULL;
    f->text = at;
    f->len = (size_t)(to - at);
    *to = 0;
    return from + 1;
}

const char *fields_split(char *line, size_t len, char delimiter, struct fields *ret,
                         int *ret_column)
{
    char *at = line, *end = line + len;
    ret->count = 0;
    if (memchr(line, 0, len)) {
        *ret_column = (int)(strlen(line) + 1);
        return "a NUL byte";
    }
    for (;;) {
        struct field *f = &ret->items[ret->count];
        f->column = *ret_column = (int)(at - line) + 1;
        if (++ret->count >= FIELDS_MAX)
            return "more fields than a line may have";
        char *next;
        if (*at == '"') {
            next = unquote(at, end, f);
            if (!next)
                return "a quote that is not closed";
            if (next < end && *next != delimiter)
                return "something behind a closing quote";
        } else {
            next = memchr(at, delimiter, (size_t)(end - at));
            next = next ? next : end;
            f->text = at;
            f->len = (size_t)(next - at);
        }
        if (next >= end)
            return NULL;
        *next = 0;
        at = next + 1;
    }
}

bool parse_milli(const char *s, size_t len, int64_t *ret)
{
    const int64_t max = INT64_C(1000000000000000);
    size_t i = 0, digits = 0;
    bool negative = len && s[0] == '-';
    int64_t v = 0, unit = 1000;
    for (i = negative; i < len && s[i] >= '0' && s[i] <= '9'; i++, digits++)
        if ((v = v * 10 + (s[i] - '0')) > max)
            return false;
    v *= 1000;
    if (i < len && s[i] == '.')
        for (i++; i < len && s[i] >= '0' && s[i] <= '9'; i++, digits++) {
            unit /= 10;
            v += unit * (s[i] - '0');
        }
    if (!digits || i < len || v > max)
        return false;
    *ret = negative ? -v : v;
    return true;
}

static bool two_digits(const char *s, int max, int *ret)
{
    if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
        return false;
    *ret = (s[0] - '0') * 10 + (s[1] - '0');
    return *ret <= max;
}

bool parse_timestamp(const char *s, int64_t *ret_s)
{
    struct tm tm = {0};
    int century, year, month, day;
    if (strlen(s) < 19 || (s[19] != 0 && s[19] != '.' && s[19] != 'Z') || s[4] != '-' ||
        s[7] != '-' || (s[10] != ' ' && s[10] != 'T') || s[13] != ':' || s[16] != ':' ||
        !two_digits(s, 99, &century) || !two_digits(s + 2, 99, &year) ||
        !two_digits(s + 5, 12, &month) || !two_digits(s + 8, 31, &day) ||
        !two_digits(s + 11, 23, &tm.tm_hour) || !two_digits(s + 14, 59, &tm.tm_min) ||
        !two_digits(s + 17, 60, &tm.tm_sec) || month < 1 || day < 1 || century * 100 + year < 1970)
        return false;
    tm.tm_year = century * 100 + year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = day;
    *ret_s = timegm(&tm);
    return true;
}

bool parse_elapsed(const char *s, int64_t *ret_ms)
{
    const char *dash = strchr(s, '-');
    int64_t days = 0, total = 0, v;
    if (dash) {
        if (!parse_milli(s, (size_t)(dash - s), &days) || days < 0 || days > 4000000)
            return false;
        s = dash + 1;
    }
    for (int part = 0;; part++) {
        const char *colon = strchr(s, ':');
        size_t len = colon ? (size_t)(colon - s) : strlen(s);
        if (part > 2 || (!colon && part == 0) || !parse_milli(s, len, &v) || v < 0 ||
            v > 1000000000)
            return false;
        total = total * 60 + v;
        if (!colon)
            break;
        s = colon + 1;
    }
    *ret_ms = days * 86400 + total;
    return true;
}
