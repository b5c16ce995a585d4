#include "schedctl/table.h"

#include "common/alloc.h"
#include "common/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct table table_begin(const struct column *columns, size_t count)
{
    return (struct table){.columns = columns, .columns_count = count};
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->cells_count; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct table){0};
}

void text_add_clean(struct text *t, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == 0xc2 && (unsigned char)s[1] >= 0x80 && (unsigned char)s[1] < 0xa0) {
            text_addc(t, '?'); // U+0080 to U+009F
            s++;
        } else {
            text_addc(t, c < 0x20 || c == 0x7f ? '?' : *s);
        }
    }
}

void text_add_cut(struct text *t, const char *s, size_t width)
{
    const char *end = s;
    for (size_t n = 0; *end && (width == 0 || n < width); n++)
        do
            end++;
        while (((unsigned char)*end & 0xc0) == 0x80);
    text_add_bytes(t, s, (size_t)(end - s));
}

void table_cell(struct table *t, const char *fmt, ...)
{
    AUTO(text) struct text raw = {0};
    struct text clean = {0};
    va_list ap;
    va_start(ap, fmt);
    text_vaddf(&raw, fmt, ap);
    va_end(ap);
    text_add_clean(&clean, raw.len ? text_str(&raw) : "-");
    VEC_RESERVE(t->cells, t->cells_count, t->cells_cap);
    t->cells[t->cells_count++] = text_take(&clean);
}

// Characters, not bytes, of UTF-8.
static size_t width_of(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void add_line(const struct table *t, const size_t *width, char *const *cells, size_t cut,
                     struct text *ret)
{
    AUTO(text) struct text line = {0};
    for (size_t i = 0; i < t->columns_count; i++) {
        const char *s = cells ? cells[i] : t->columns[i].title;
        int pad = (int)(width[i] - width_of(s));
        if (t->columns[i].side == COLUMN_RIGHT)
            text_addf(&line, "%*s%s", pad, "", s);
        else if (i + 1 < t->columns_count)
            text_addf(&line, "%s%*s", s, pad, "");
        else
            text_add(&line, s);
        if (i + 1 < t->columns_count)
            text_add(&line, "  ");
    }
    text_add_cut(ret, text_str(&line), cut);
    text_addc(ret, '\n');
}

void table_text(const struct table *t, size_t cut, struct text *ret)
{
    CHECK(t->cells_count % t->columns_count == 0);
    size_t *width = xcalloc(t->columns_count, sizeof *width);
    for (size_t i = 0; i < t->columns_count; i++)
        width[i] = width_of(t->columns[i].title);
    for (size_t i = 0; i < t->cells_count; i++) {
        size_t w = width_of(t->cells[i]);
        if (w > width[i % t->columns_count])
            width[i % t->columns_count] = w;
    }
    add_line(t, width, NULL, cut, ret);
    for (size_t i = 0; i < t->cells_count; i += t->columns_count)
        add_line(t, width, t->cells + i, cut, ret);
    free(width);
}

void table_print(const struct table *t)
{
    AUTO(text) struct text out = {0};
    struct winsize size;
    size_t cut = 0;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        cut = size.ws_col;
    table_text(t, cut, &out);
    fputs(text_str(&out), stdout);
}
