// One line at the bottom of a terminal that says what goes on; on anything else, nothing.
//
// It lives on stderr. Whoever prints something else clears it before and may draw it again after,
// when what was printed ended its line.
#pragma once

#include "common/text.h"

#include <stdbool.h>

struct statusline {
    struct text text; // what is or was shown
    bool shown;
};

// Shows the text, cut to the terminal's width. Control characters appear as "?".
void statusline_show(struct statusline *s, const char *text);
// Wipes it from the terminal; the text is kept.
void statusline_clear(struct statusline *s);
// Shows the text again if it was wiped.
void statusline_again(struct statusline *s);
void statusline_free(struct statusline *s);
