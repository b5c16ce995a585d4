// What time alone brings: silent nodes, leases that have passed, delays that are over.
#include "scheduler/core/state.h"

static void expire_leases(struct cluster *c, struct node *n)
{
    struct placement *p, *next;
    TAILQ_FOREACH_SAFE(p, &n->parts, node_link, next)
    {
        if (p->over || p->lease_end_ms > c->now.boot_ms) {
            if (!p->over)
                wake_by(c, p->lease_end_ms);
            continue;
        }
        struct job *j = job_find(c, p->job);
        part_judge_over(c, p, (struct reason){.code = REASON_LEASE_EXPIRED, .node = n->id});
        if (PLANTED(FREE_AT_LEASE_END))
            part_remove(c, p);
        if (j)
            attempt_settle(c, j);
    }
}

void tick(struct cluster *c)
{
    if (c->now.boot_ms < c->tick_at_ms)
        return;
    c->tick_at_ms = INT64_MAX;
    int64_t patience = SILENT_HEARTBEATS * c->limits.heartbeat_ms;
    for (size_t i = 0; i < c->nodes_count; i++) {
        struct node *n = c->nodes[i];
        if (n->ready && !n->unreachable_since_ms) {
            if (c->now.boot_ms - n->heard_ms >= patience)
                node_unreachable(c, n, "no heartbeat came");
            else
                wake_by(c, n->heard_ms + patience);
        }
        if (!c->meta.recovery_hold)
            expire_leases(c, n);
    }
    las_look(c);
    queue_due(c);
}
