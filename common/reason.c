#include "common/reason.h"

#include "common/check.h"
#include "common/units.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    const char *word, *template, *hint;
} reasons[REASON_COUNT] = {
#define X(name, word, template, hint) [REASON_##name] = {word, template, hint},
    REASON_TABLE(X)
#undef X
};

const char *reason_word(enum reason_code code)
{
    CHECK(code < REASON_COUNT);
    return reasons[code].word;
}

const char *reason_hint(enum reason_code code)
{
    CHECK(code < REASON_COUNT);
    return reasons[code].hint;
}

enum reason_code reason_parse(const char *word)
{
    for (unsigned i = 0; i < REASON_COUNT; i++)
        if (strcmp(reasons[i].word, word) == 0)
            return (enum reason_code)i;
    return REASON_COUNT;
}

void reason_text(const struct reason *r, const char *node, const char *detail, struct text *ret)
{
    CHECK(r->code < REASON_COUNT);
    int64_t last = 0; // number written
    for (const char *p = reasons[r->code].template; *p; p++) {
        if (strncmp(p, "(s)", 3) == 0) {
            text_add(ret, last == 1 ? "" : "s");
            p += 2;
            continue;
        }
        if (*p != '%') {
            text_addc(ret, *p);
            continue;
        }
        p++;
        if (*p == 'a' || *p == 'b' || *p == 'c') {
            last = *p == 'a' ? r->a : *p == 'b' ? r->b : r->c;
            text_addf(ret, "%" PRId64, last);
        } else if (*p == 't')
            text_add_duration_ms(ret, r->a);
        else if (*p == 'w')
            text_add_time_ms(ret, r->a);
        else if (*p == 'n')
            text_add(ret, node ? node : "?");
        else if (*p == 'd')
            text_add(ret, detail ? detail : "");
        else
            text_addc(ret, *p);
    }
}
