// Names as small numbers: users, queues, GPU models. 0 is no name.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct interned_name;
struct interned {
    struct interned_name *by_name;
    char **names; // by number - 1
    size_t count, cap;
};

// The number of the name; "" and NULL are 0.
int32_t intern(struct interned *n, const char *name);
// "" for 0.
const char *interned_name(const struct interned *n, int32_t id);
void interned_free(struct interned *n);
