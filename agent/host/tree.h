// A directory with all that is in it, by descriptors all the way: a link that a user puts in the
// way is removed or counted, never followed.
#pragma once

#include <stdint.h>

// `name` below the directory `above`; what cannot be removed stays.
void tree_remove(int above, const char *name);
struct tree_look {
    int64_t bytes;    // on disk
    int64_t newest_s; // the newest time of writing, since 1970
};
struct tree_look tree_look(int above, const char *name);
