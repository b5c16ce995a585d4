// Tasks that outlived their shepherd, found by the token in their environment.
#pragma once

#include "schedctl/private.h"

#include <stddef.h>

// Kills every process of this user whose MUSTER_ATTEMPT names an attempt of `locks` (paths that end
// in UID.NUMBER.lock), until none is left or the time is over. Returns how many were killed.
size_t orphans_kill(const struct private_paths *locks);
