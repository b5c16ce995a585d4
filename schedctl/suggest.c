#include "schedctl/suggest.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int letter(char c)
{
    return c == '_' ? '-' : tolower((unsigned char)c);
}

size_t suggest_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    size_t row[3][SUGGEST_LEN_MAX + 1]; // rows i-2, i-1 and i of the table
    if (la > SUGGEST_LEN_MAX || lb > SUGGEST_LEN_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *now = row[i % 3], *above = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t wrong = letter(a[i - 1]) != letter(b[j - 1]);
            now[j] = least(least(above[j], now[j - 1]) + 1, above[j - 1] + wrong);
            if (i > 1 && j > 1 && letter(a[i - 1]) == letter(b[j - 2]) &&
                letter(a[i - 2]) == letter(b[j - 1]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return row[la % 3][lb];
}

struct suggest suggest_begin(const char *word)
{
    return (struct suggest){.word = word, .distance = SIZE_MAX};
}

static int begins(const char *word, const char *with)
{
    size_t len = strlen(with);
    return len >= 2 && strncasecmp(word, with, len) == 0;
}

void suggest_offer(struct suggest *s, const char *candidate)
{
    size_t d = suggest_distance(s->word, candidate), len = strlen(s->word);
    if (begins(candidate, s->word) || begins(s->word, candidate))
        d = least(d, 1);
    if (d > (len + 2) / 3 || d >= s->distance)
        return;
    s->best = candidate;
    s->distance = d;
}
