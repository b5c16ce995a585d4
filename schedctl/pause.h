// The time between two looks at what cannot be waited for: a lock of another process, a scheduler
// that is not there. A signal that is caught ends it early.
#pragma once

#include <poll.h>

static inline void pause_ms(int ms)
{
    poll(NULL, 0, ms);
}
