// The operands of a verb as names of nodes: n1, 'n[1-4,7]'.
#pragma once

#include "common/hostlist.h"
#include "schedctl/args.h"

// E_INVALID, E_TOO_LARGE. The caller frees with names_free().
int nodenames_parse(const struct args *a, struct names *ret, struct err *err);
