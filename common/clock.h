// The two clocks. Only shells read them; cores are given the time.
#pragma once

#include <stdint.h>

// Milliseconds since boot, counting suspend (CLOCK_BOOTTIME): for every lease and timer.
int64_t clock_boot_ms(void);
// Nanoseconds of CLOCK_MONOTONIC: how long something took.
int64_t clock_steady_ns(void);
// Milliseconds since 1970 (CLOCK_REALTIME): only to show to people.
int64_t clock_wall_ms(void);
// The kernel's random id of this boot, 36 characters and NUL. "unknown" if it cannot be read.
void clock_boot_id(char ret[37]);
