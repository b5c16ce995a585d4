// Agents' links: WELCOME, heartbeats and the leases they renew, and their loss.
#include "scheduler/core/state.h"

#include <stdio.h>
#include <string.h>

// Whoever holds the place of the link that is to be greeted has not said HELLO yet, and could not
// be told from the new one when it does: it is closed, and tries again.
static void close_unheard(struct cluster *c, struct node *n)
{
    struct effect *e = effect_add(c, EFFECT_CLOSE);
    e->node = n->id;
    e->link = n->new_link;
    e->session = n->new_session;
    e->close.reason = (struct reason){.code = REASON_NONE};
}

void link_welcome(struct cluster *c, struct node *n, uint64_t link)
{
    if (n->new_link && n->new_link != link && !PLANTED(OVERTAKEN_LINK))
        close_unheard(c, n);
    n->new_link = link;
    n->new_session = c->meta.next_session++;
    meta_mark(c);
    struct effect *e = effect_add(c, EFFECT_WELCOME);
    e->node = n->id;
    e->link = link;
    e->session = n->new_session;
    e->welcome.cluster = c->meta.id;
    e->welcome.term = c->meta.term;
    e->welcome.nonce = c->meta.nonce;
}

void link_up(struct cluster *c, const char *name, uint64_t link)
{
    struct node *n = node_find_name(c, name);
    if (!n) {
        if (strlen(name) > NODE_NAME_MAX || !*name || c->nodes_count >= NODES_MAX) {
            struct effect *e = effect_add(c, EFFECT_CLOSE);
            e->link = link;
            e->close.reason = (struct reason){.code = REASON_TOO_MANY, .a = NODES_MAX};
            return;
        }
        struct node row = {.id = {(uint32_t)c->nodes_count + 1},
                           .unreachable_since_ms = c->now.boot_ms};
        snprintf(row.name, sizeof row.name, "%s", name);
        n = node_add(c, &row);
        node_mark(c, n);
        c->meta.next_node = c->nodes_count + 1;
        meta_mark(c);
    }
    link_welcome(c, n, link);
}

void node_unreachable(struct cluster *c, struct node *n, const char *why)
{
    if (n->unreachable_since_ms)
        return;
    n->unreachable_since_ms = c->now.boot_ms;
    node_recount(c, n);
    node_mark(c, n);
    emit(c, EVENT_NODE_UNREACHABLE, NULL, n, "node %s is unreachable: %s", n->name, why);
}

void link_down(struct cluster *c, uint64_t link)
{
    for (size_t i = 0; i < c->nodes_count; i++) {
        struct node *n = c->nodes[i];
        if (n->new_link == link)
            n->new_link = n->new_session = 0;
        if (n->link != link)
            continue;
        n->link = 0;
        n->ready = false;
        node_recount(c, n);
        node_unreachable(c, n, "its agent's link was closed");
    }
}

static bool renewable(struct cluster *c, const struct node *n, struct attempt_id id,
                      struct placement **ret)
{
    if (id.cluster.v != c->meta.id.v)
        return false;
    struct placement *p = part_find(c, n, id.job, id.number);
    const struct job *j = p ? job_find(c, p->job) : NULL;
    *ret = p;
    return j && part_current(j, p) && !p->kill;
}

void lease_grant(struct cluster *c, struct node *n, const struct attempt_id *ids, size_t count)
{
    struct attempt_id *granted = arena_alloc(&c->arena, (count + 1) * sizeof *granted);
    size_t k = 0;
    for (size_t i = 0; i < count; i++) {
        struct placement *p;
        if (!renewable(c, n, ids[i], &p))
            continue;
        part_lease_from(c, p, c->now.boot_ms);
        granted[k++] = ids[i];
    }
    struct effect *e = k ? effect_to(c, n, EFFECT_GRANT) : NULL;
    if (e) {
        e->grant.attempts = granted;
        e->grant.count = k;
    }
}

void heartbeat(struct cluster *c, const struct input_heartbeat *h)
{
    struct node *n = node_find(c, h->node);
    if (!n || !n->ready || (n->session != h->session && !PLANTED(OLD_SESSION)) ||
        h->request <= n->request || c->meta.recovery_hold) {
        c->dropped++;
        return;
    }
    n->request = h->request;
    n->heard_ms = c->now.boot_ms;
    if (n->unreachable_since_ms) {
        n->unreachable_since_ms = 0;
        node_recount(c, n);
        node_mark(c, n);
        emit(c, EVENT_NODE_UP, NULL, n, "node %s is heard again", n->name);
        c->pass_wanted = true;
    }
    wake_by(c, c->now.boot_ms + SILENT_HEARTBEATS * c->limits.heartbeat_ms);
    lease_grant(c, n, h->attempts, h->attempts_count);
}
