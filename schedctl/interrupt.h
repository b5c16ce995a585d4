// SIGINT, SIGTERM and SIGHUP as a count, and as a descriptor that wakes a poll.
#pragma once

// How many came. Volatile: written by the handler.
extern volatile int interrupt_count;

// From now on the signals are counted; SIGPIPE is ignored. Returns a descriptor that can be read
// after each.
int interrupt_catch(void);
// Waits at most ms, or until one comes.
void interrupt_pause(int fd, int ms);
// Empties the descriptor.
void interrupt_clear(int fd);
