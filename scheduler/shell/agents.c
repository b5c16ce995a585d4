// Agents: their links, and what their frames mean.
#include "scheduler/shell/agents.h"

#include "scheduler/shell/wire_in.h"

#include "common/alloc.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

static TAILQ_HEAD(, link) links = TAILQ_HEAD_INITIALIZER(links);
static char *addresses[NODES_MAX + 1]; // peers' addresses by node id; they come with each HELLO

struct link *link_find(uint64_t id)
{
    struct link *l;
    TAILQ_FOREACH(l, &links, list)
    if (l->id == id)
        return l;
    return NULL;
}

void agent_connected(struct server *s, uint64_t link, const char *name)
{
    struct link *l = xcalloc(1, sizeof *l);
    l->id = link;
    snprintf(l->name, sizeof l->name, "%s", name);
    TAILQ_INSERT_TAIL(&links, l, list);
    struct input in = {.kind = INPUT_LINK_UP};
    in.link_up.name = l->name;
    in.link_up.link = link;
    turn_input(s, &in);
}

void agent_gone(struct server *s, uint64_t link)
{
    struct link *l = link_find(link);
    if (!l)
        return;
    TAILQ_REMOVE(&links, l, list);
    free(l);
    turn_input(s, &(struct input){.kind = INPUT_LINK_DOWN, .link_down = link});
}

const char *link_address(struct node_id node)
{
    return addresses[node.v] ? addresses[node.v] : "";
}

// The core has accepted it as the node's agent.
static void keep_hello(struct server *s, const struct link *l, const Muster__Hello *h)
{
    const struct node *n = cluster_node(s->cluster, l->node);
    if (!n || n->link != l->id)
        return;
    free(addresses[l->node.v]);
    addresses[l->node.v] = xstrdup(h->peer_address);
    if (*h->inventory)
        store_batch_add_inventory(turn_batch(s), l->node, h->inventory);
}

static void take(struct server *s, struct link *l, const Muster__FromAgent *m)
{
    struct wire_input w;
    if (m->body_case == MUSTER__FROM_AGENT__BODY_OUTPUT_DATA)
        output_arrived(s, m->output_data);
    if (m->body_case == MUSTER__FROM_AGENT__BODY_SAMPLES)
        samples_arrived(s, l->node, m->samples);
    if (m->body_case == MUSTER__FROM_AGENT__BODY_END)
        samples_of_end(s, l->node, m->end);
    if (wire_input(m, l->node, &w))
        turn_input(s, &w.input);
    if (m->body_case == MUSTER__FROM_AGENT__BODY_HELLO)
        keep_hello(s, l, m->hello);
    wire_input_free(&w);
}

void agent_frame(struct server *s, uint64_t link, const uint8_t *bytes, size_t len)
{
    struct link *l = link_find(link);
    Muster__FromAgent *m = l ? muster__from_agent__unpack(NULL, len, bytes) : NULL;
    if (!l)
        return;
    if (!m) {
        log_error("link", "bad_frame", "node=%s: the link is closed", l->name);
        link_close(s, link);
        return;
    }
    if (m->session == l->session && l->session)
        take(s, l, m);
    else
        l->dropped++;
    muster__from_agent__free_unpacked(m, NULL);
}
