// What an agent concludes from the traces of an attempt on its machine: the lock of its shepherd,
// the END that it may have left, the boot in which the order was journaled. Pure; the shell looks.
#pragma once

#include <stdbool.h>

// The lock's states are those of agent/host/attempt_files.h, in their order.
enum agent_lock {
    AGENT_LOCK_ABSENT,  // no shepherd ever took it
    AGENT_LOCK_HELD,    // a shepherd lives
    AGENT_LOCK_LEFT,    // a shepherd took it, took no order, and is gone: no task was started
    AGENT_LOCK_ORDERED, // a shepherd took the order and is gone
};

struct agent_traces {
    bool other_boot; // the order was journaled in another boot
    enum agent_lock lock;
    bool has_end; // its shepherd left an END
};

// Of an order without END, at the agent's start.
enum agent_told {
    AGENT_TOLD_REBOOTED, // nothing outlives a boot: ended
    AGENT_TOLD_LIVES,    // its shepherd is there: connect
    AGENT_TOLD_ENDED,    // the END that was left is its end
    AGENT_TOLD_LOST,     // it may have started tasks: sweep
    AGENT_TOLD_NOTHING,  // no task was started: it may be forked, again
};
enum agent_told agent_traces_tell(const struct agent_traces *t);

// Of a shepherd that does not answer. tried: it had all the time that it needs to appear.
enum agent_missing {
    AGENT_MISSING_WAIT,  // it lives, or may still come
    AGENT_MISSING_NEVER, // it is gone, and had no order
    AGENT_MISSING_GONE,  // it is gone, and had the order
};
enum agent_missing agent_traces_missing(enum agent_lock lock, bool tried);
