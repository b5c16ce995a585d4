#include "agent/core/pace.h"

struct pace pace_samples(int64_t tasks)
{
    int64_t milli = 1000000 / (tasks > 0 ? tasks : 1);
    return (struct pace){.most = PACE_SAMPLES_BURST,
                         .milli_per_s = milli < 2000 ? milli + 1 : 2000};
}

bool pace_take(struct pace *p, int64_t now_ms, int64_t units)
{
    const int64_t full = p->most * 1000000, longest_ms = 1000000;
    int64_t passed = now_ms > p->at_ms ? now_ms - p->at_ms : 0;
    if (p->at_ms == 0 || passed > longest_ms || p->micro + passed * p->milli_per_s > full)
        p->micro = full;
    else
        p->micro += passed * p->milli_per_s;
    p->at_ms = now_ms;
    if (p->micro < 1000000)
        return false;
    p->micro -= units * 1000000;
    return true;
}
