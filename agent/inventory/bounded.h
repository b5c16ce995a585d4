// Asks what may never answer (a dead file server, a hung driver) in a child, with a bound.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// In a fork: `ask(arg, answer)` fills `size` bytes at `answer`, which come back here. False if
// there was no whole answer within `timeout_ms`; the child is then killed. The caller has no
// threads.
bool bounded_ask(void (*ask)(void *arg, void *answer), void *arg, void *answer, size_t size,
                 int timeout_ms);
