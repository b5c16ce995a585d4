#include "simulate/interned.h"

#include "common/alloc.h"
#include "common/check.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct interned_name {
    int32_t id;
    UT_hash_handle hh;
    char name[];
};

int32_t intern(struct interned *n, const char *name)
{
    size_t len = name ? strlen(name) : 0;
    struct interned_name *found;
    if (!len)
        return 0;
    HASH_FIND(hh, n->by_name, name, len, found);
    if (found)
        return found->id;
    CHECK(n->count < INT32_MAX);
    found = xcalloc(1, sizeof *found + len + 1);
    memcpy(found->name, name, len);
    found->id = (int32_t)n->count + 1;
    HASH_ADD(hh, n->by_name, name, len, found);
    VEC_RESERVE(n->names, n->count, n->cap);
    n->names[n->count++] = found->name;
    return found->id;
}

const char *interned_name(const struct interned *n, int32_t id)
{
    return id ? n->names[id - 1] : "";
}

void interned_free(struct interned *n)
{
    struct interned_name *e, *next;
    HASH_ITER(hh, n->by_name, e, next)
    {
        HASH_DEL(n->by_name, e);
        free(e);
    }
    free(n->names);
    *n = (struct interned){0};
}
