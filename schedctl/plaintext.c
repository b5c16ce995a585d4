#include "schedctl/plaintext.h"

#include <stdbool.h>
#include <stdint.h>

// Length of the UTF-8 sequence at p, 0 if it is none (RFC 3629).
static size_t utf8_length(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t extra = 0; extra < 4 && extra < left; extra++) {
        if ((p[0] & forms[extra].mask) != forms[extra].lead)
            continue;
        uint32_t c = p[0] & (unsigned char)~forms[extra].mask;
        for (size_t i = 1; i <= extra; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return 0;
            c = c << 6 | (p[i] & 0x3f);
        }
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        return c < forms[extra].least || surrogate || c > 0x10ffff ? 0 : extra + 1;
    }
    return 0;
}

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
}

// libfyaml 0.7.12 never returns from a directive with malformed UTF-8: neither gets there.
const char *plaintext_wrong(const char *bytes, size_t len, int *ret_line, int *ret_column)
{
    const unsigned char *p = (const unsigned char *)bytes, *end = p + len;
    int line = 1, column = 1;
    const char *wrong = NULL;
    while (p < end) {
        size_t n = utf8_length(p, (size_t)(end - p));
        if (n == 0)
            wrong = "not UTF-8 text";
        else if (is_control(*p))
            wrong = "a control character is there";
        else if (*p == '%' && column == 1)
            wrong = "directives (\"%\") are not taken in job files";
        if (wrong)
            break;
        column++;
        if (*p == '\n') {
            line++;
            column = 1;
        }
        p += n;
    }
    *ret_line = line;
    *ret_column = column;
    return wrong;
}
