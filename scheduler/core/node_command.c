// What operators ask of nodes: drain, resume, fence, label.
#include "common/labels.h"
#include "scheduler/core/state.h"

#include <stdio.h>

static void set_reason(struct cluster *c, struct node *n, const struct input *in)
{
    node_recount(c, n);
    snprintf(n->reason, sizeof n->reason, "%s", in->node.reason ? in->node.reason : "");
    n->reason_uid = in->caller.uid;
    n->reason_at_ms = c->now.wall_ms;
    node_mark(c, n);
}

static void drain(struct cluster *c, const struct input *in, struct node *n)
{
    n->drain = true;
    set_reason(c, n, in);
    emit(c, EVENT_NODE_DRAINED, NULL, n, "node %s drained by user %u: %s", n->name, in->caller.uid,
         n->reason);
    reply_ok(c, &in->caller, (struct job_id){0});
}

static void resume(struct cluster *c, const struct input *in, struct node *n)
{
    if (n->drain || n->fenced) {
        n->drain = n->fenced = false;
        set_reason(c, n, in);
        emit(c, EVENT_NODE_RESUMED, NULL, n, "node %s resumed by user %u", n->name, in->caller.uid);
        c->pass_wanted = true;
    }
    reply_ok(c, &in->caller, (struct job_id){0});
}

// The operator's word that the machine is off: nothing on it can be running.
static void fence(struct cluster *c, const struct input *in, struct node *n)
{
    if (n->link) {
        reply_refuse(c, &in->caller, (struct reason){.code = REASON_NODE_CONNECTED, .node = n->id},
                     NULL);
        return;
    }
    n->fenced = true;
    set_reason(c, n, in);
    emit(c, EVENT_NODE_FENCED, NULL, n, "node %s declared off by user %u: %s", n->name,
         in->caller.uid, n->reason);
    node_parts_over(c, n, (struct reason){.code = REASON_NODE_FENCED, .node = n->id}, NULL);
    reply_ok(c, &in->caller, (struct job_id){0});
}

void node_judge_labels(struct cluster *c, struct node *n)
{
    AUTO(text) struct text t = {0};
    labels_hold(n->told_labels, n->set_labels, &t);
    snprintf(n->labels, sizeof n->labels, "%s", text_str(&t));
    selectors_judge_node(c, n);
}

// All of the change, or nothing.
static void label(struct cluster *c, const struct input *in, struct node *n)
{
    AUTO(text) struct text set = {0};
    const char *change = in->node.labels ? in->node.labels : "";
    struct err err;
    int rc = labels_check_change(change, "labels", &err);
    labels_change(in->node.reset ? "" : n->set_labels, change, &set);
    if (!rc && set.len > LABELS_TEXT_MAX)
        rc = fail(&err, E_TOO_LARGE, "labels that are set have at most %d characters together",
                  LABELS_TEXT_MAX);
    if (rc) {
        reply_refuse(c, &in->caller, (struct reason){.code = REASON_BAD_REQUEST}, err.message);
        return;
    }
    snprintf(n->set_labels, sizeof n->set_labels, "%s", text_str(&set));
    node_judge_labels(c, n);
    node_mark(c, n);
    c->hardware_gen++;
    c->usable_gen++;
    c->pass_wanted = true;
    emit(c, EVENT_NODE_LABELLED, NULL, n, "node %s labelled by user %u: %s", n->name,
         in->caller.uid, n->labels[0] ? n->labels : "none");
    reply_ok(c, &in->caller, (struct job_id){0});
}

void node_command(struct cluster *c, const struct input *in)
{
    struct node *n = node_find_name(c, in->node.name);
    enum reason_code no = c->meta.recovery_hold ? REASON_IN_RECOVERY
                          : !in->caller.admin   ? REASON_NOT_OPERATOR
                          : !n                  ? REASON_NO_SUCH_NODE
                                                : REASON_NONE;
    if (no != REASON_NONE)
        reply_refuse(c, &in->caller, (struct reason){.code = no}, NULL);
    else if (in->kind == INPUT_NODE_DRAIN)
        drain(c, in, n);
    else if (in->kind == INPUT_NODE_RESUME)
        resume(c, in, n);
    else if (in->kind == INPUT_NODE_LABEL)
        label(c, in, n);
    else
        fence(c, in, n);
}
