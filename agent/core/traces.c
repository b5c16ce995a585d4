#include "agent/core/traces.h"

#include "common/planted.h"

enum agent_told agent_traces_tell(const struct agent_traces *t)
{
    if (t->other_boot)
        return AGENT_TOLD_REBOOTED;
    if (t->lock == AGENT_LOCK_HELD)
        return AGENT_TOLD_LIVES;
    if (t->lock != AGENT_LOCK_ORDERED)
        return AGENT_TOLD_NOTHING;
    if (PLANTED(FORK_AFTER_ORDER))
        return AGENT_TOLD_NOTHING;
    return t->has_end ? AGENT_TOLD_ENDED : AGENT_TOLD_LOST;
}

enum agent_missing agent_traces_missing(enum agent_lock lock, bool tried)
{
    if (lock == AGENT_LOCK_HELD || (lock == AGENT_LOCK_ABSENT && !tried))
        return AGENT_MISSING_WAIT;
    return lock == AGENT_LOCK_ORDERED ? AGENT_MISSING_GONE : AGENT_MISSING_NEVER;
}
