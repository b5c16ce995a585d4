// Names of users by number, remembered for the life of a reader.
#pragma once

#include <stdint.h>

struct users;
struct users *users_new(void);
void users_free(struct users *u);
// The number in digits where the system knows no name. Lives until the next call.
const char *users_name(struct users *u, uint32_t uid);
