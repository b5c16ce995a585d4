// Points in time as people write them: "2026-11-25T08:00" (also with seconds, a space, or the date
// alone), "14:05" of today, "now", "+2h" from now, "-5m" before it. Local time.
#pragma once

#include "common/err.h"

#include <stdint.h>

// Milliseconds since 1970. `what` names the value in the message. E_INVALID.
int parse_when(const char *text, const char *what, int64_t *ret_ms, struct err *err);
