#include "schedctl/nodenames.h"

#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>

int nodenames_parse(const struct args *a, struct nodenames *ret, struct err *err)
{
    struct nodenames n = {.items = xcalloc(a->operands_count + 1, sizeof *n.items)};
    (void)err;
    for (size_t i = 0; i < a->operands_count; i++)
        n.items[n.count++] = xstrdup(a->operands[i]);
    *ret = n;
    return 0;
}

void nodenames_free(struct nodenames *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i]);
    free(n->items);
    *n = (struct nodenames){0};
}
