#include "scheduler/shell/query_users.h"

#include "common/alloc.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SLOTS = 256, NAME_MAX_BYTES = 64, ENTRY_BYTES = 16384 };

struct users {
    struct {
        bool known;
        uint32_t uid;
        char name[NAME_MAX_BYTES];
    } slots[SLOTS]; // by uid modulo SLOTS: a newer one takes the place
};

struct users *users_new(void)
{
    return xcalloc(1, sizeof(struct users));
}

void users_free(struct users *u)
{
    free(u);
}

const char *users_name(struct users *u, uint32_t uid)
{
    __typeof__(u->slots[0]) *slot = &u->slots[uid % SLOTS];
    if (slot->known && slot->uid == uid)
        return slot->name;
    AUTO_FREE char *memory = xmalloc(ENTRY_BYTES);
    struct passwd entry, *found = NULL;
    int failed = getpwuid_r(uid, &entry, memory, ENTRY_BYTES, &found);
    if (failed || !found ||
        snprintf(slot->name, sizeof slot->name, "%s", entry.pw_name) >= (int)sizeof slot->name)
        snprintf(slot->name, sizeof slot->name, "%" PRIu32, uid);
    slot->known = true;
    slot->uid = uid;
    return slot->name;
}
