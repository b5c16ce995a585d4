// Aligned columns for people.
//
//     static const struct column COLUMNS[] = {{"ID", COLUMN_RIGHT}, {"NAME", COLUMN_LEFT}};
//     AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
//     table_cell(&t, "%d", 17);
//     table_cell(&t, "%s", name);
//     table_print(&t);
//
// Cells come row by row. Control characters of other people's names are shown as "?". An empty cell
// is shown as "-".
#pragma once

#include "common/text.h"

#include <stdbool.h>
#include <stddef.h>

enum column_side { COLUMN_LEFT, COLUMN_RIGHT };

struct column {
    const char *title;
    enum column_side side;
};

struct table {
    const struct column *columns;
    size_t columns_count;
    char **cells;
    size_t cells_count, cells_cap;
};

struct table table_begin(const struct column *columns, size_t count);
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Lines cut to `width` characters; 0: not cut.
void table_text(const struct table *t, size_t width, struct text *ret);
// On stdout, cut to the terminal's width if it is one.
void table_print(const struct table *t);
void table_free(struct table *t);

// Appends s with control characters as "?".
void text_add_clean(struct text *t, const char *s);
// Appends at most `width` characters of UTF-8; 0: all.
void text_add_cut(struct text *t, const char *s, size_t width);
