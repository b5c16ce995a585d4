#include "common/json.h"

#include "common/units.h"

#include <stddef.h>
#include <string.h>

void put_next(struct text *t)
{
    char last = t->len ? t->p[t->len - 1] : '{';
    if (last != '{' && last != '[')
        text_addc(t, ',');
}

void put_key(struct text *t, const char *key)
{
    put_next(t);
    text_addc(t, '"');
    text_add(t, key);
    text_add_bytes(t, "\":", 2);
}

void put_open(struct text *t, const char *key, char bracket)
{
    if (key)
        put_key(t, key);
    else
        put_next(t);
    text_addc(t, bracket);
}

void put_number(struct text *t, int64_t v)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (v < 0)
        digits[--at] = '-';
    text_add_bytes(t, digits + at, sizeof digits - at);
}

void put_int(struct text *t, const char *key, int64_t v)
{
    put_key(t, key);
    put_number(t, v);
}

void put_milli(struct text *t, const char *key, int64_t milli)
{
    put_key(t, key);
    text_add_milli(t, milli);
}

void put_bool(struct text *t, const char *key, bool v)
{
    put_key(t, key);
    text_add(t, v ? "true" : "false");
}

void put_null(struct text *t, const char *key)
{
    put_key(t, key);
    text_add_bytes(t, "null", 4);
}

void put_int_or_null(struct text *t, const char *key, int64_t v)
{
    if (v)
        put_int(t, key, v);
    else
        put_null(t, key);
}

void put_str(struct text *t, const char *key, const char *s)
{
    if (key)
        put_key(t, key);
    else
        put_next(t);
    if (s)
        put_string(t, s, strlen(s));
    else
        text_add_bytes(t, "null", 4);
}

// Length of the well-formed UTF-8 sequence at s (RFC 3629: no overlong form, no surrogate, nothing
// above U+10FFFF), or 0.
static size_t utf8_length(const unsigned char *s, size_t left)
{
    unsigned char c = s[0], least = 0x80, most = 0xbf;
    size_t n = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (n == 0 || n > left)
        return 0;
    if (c == 0xe0)
        least = 0xa0;
    else if (c == 0xed)
        most = 0x9f;
    else if (c == 0xf0)
        least = 0x90;
    else if (c == 0xf4)
        most = 0x8f;
    for (size_t i = 1; i < n; i++, least = 0x80, most = 0xbf)
        if (s[i] < least || s[i] > most)
            return 0;
    return n;
}

static void add_escaped(struct text *t, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char code[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    const char *shorts = "\"\"\\\\\nn\tt\rr\bb\ff";
    for (const char *p = shorts; *p; p += 2)
        if ((unsigned char)*p == c) {
            text_add_bytes(t, (char[2]){'\\', p[1]}, 2);
            return;
        }
    text_add_bytes(t, code, sizeof code);
}

void put_string(struct text *t, const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t plain = 0; // start of what can be copied as it is
    text_addc(t, '"');
    for (size_t i = 0; i < len;) {
        size_t n = p[i] < 0x80 ? 1 : utf8_length(p + i, len - i);
        if (n && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\') {
            i += n;
            continue;
        }
        text_add_bytes(t, s + plain, i - plain);
        if (n)
            add_escaped(t, p[i]);
        else
            text_add_bytes(t, "\xef\xbf\xbd", 3);
        plain = ++i;
    }
    text_add_bytes(t, s + plain, len - plain);
    text_addc(t, '"');
}
