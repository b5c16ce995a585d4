// Many host names in few characters: "n[1-3,7],login" <-> n1 n2 n3 n7 login.
//
// Zero padding is kept: n08 n09 n10 fold to "n[08-10]" and unfold to the same names. Folding sorts
// (by what stands before the last number, then by the number) and drops repeated names. A list may
// hold several brackets a name ("r[1-2]n[1-4]") when it is expanded; folding makes one.
// Bound: HOSTLIST_MAX names. Names hold no comma and no bracket.
//
//     AUTO(names) struct names n = {0};
//     if (hostlist_expand("n[1-4]", &n, &err))
//         return report(&err);
//     hostlist_fold(n.items, n.count, &text);      // "n[1-4]"
#pragma once

#include "common/err.h"
#include "common/text.h"

#include <stddef.h>

enum { HOSTLIST_MAX = 65536, HOSTLIST_NAME_MAX = 255 };

// Owned strings.
struct names {
    char **items;
    size_t count, cap;
};

void names_add(struct names *n, const char *name);
void names_free(struct names *n);

// Appends the folded list; nothing for no names.
void hostlist_fold(char *const *names, size_t count, struct text *ret);
// Appends the names in the order in which they are written. E_INVALID for what is not a list,
// E_TOO_LARGE beyond HOSTLIST_MAX names in *ret; then *ret is as it was.
int hostlist_expand(const char *list, struct names *ret, struct err *err);
