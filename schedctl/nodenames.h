// The operands of a verb as names of nodes: "n1", "n[1-4,7]".
#pragma once

#include "schedctl/args.h"

struct nodenames {
    char **items;
    size_t count;
};

enum { NODENAMES_MAX = 65535 };

// E_INVALID, E_TOO_LARGE.
int nodenames_parse(const struct args *a, struct nodenames *ret, struct err *err);
void nodenames_free(struct nodenames *n);
