// The nearest word to a mistyped one.
//
//     struct suggest s = suggest_begin("shwo");
//     suggest_offer(&s, "show");
//     if (s.best) ... "Did you mean \"show\"?"
#pragma once

#include <stddef.h>

enum { SUGGEST_LEN_MAX = 64 };

struct suggest {
    const char *word; // as typed; kept by reference
    const char *best; // the nearest offered so far, NULL if none is near
    size_t distance;  // of best
};

// Optimal string alignment distance (insert, delete, replace, swap neighbours), ignoring case and
// taking "_" for "-". Words longer than SUGGEST_LEN_MAX are infinitely far from all others.
size_t suggest_distance(const char *a, const char *b);

struct suggest suggest_begin(const char *word);
// Near: at most a third of the letters are wrong, or one word begins with the other.
void suggest_offer(struct suggest *s, const char *candidate);
