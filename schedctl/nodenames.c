#include "schedctl/nodenames.h"

int nodenames_parse(const struct args *a, struct names *ret, struct err *err)
{
    struct names n = {0};
    for (size_t i = 0; i < a->operands_count; i++) {
        int rc = hostlist_expand(a->operands[i], &n, err);
        if (rc) {
            names_free(&n);
            return rc;
        }
    }
    *ret = n;
    return 0;
}
