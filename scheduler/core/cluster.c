// The entry: one input, one step.
#include "scheduler/core/state.h"

void cluster_step(struct cluster *c, struct now now, const struct input *in)
{
    c->now = now;
    switch (in->kind) {
    case INPUT_SUBMIT:
        submit(c, &in->caller, &in->submit);
        break;
    case INPUT_CANCEL:
    case INPUT_HOLD:
    case INPUT_RELEASE:
        job_command(c, in);
        break;
    case INPUT_NODE_DRAIN:
    case INPUT_NODE_RESUME:
    case INPUT_NODE_FENCE:
    case INPUT_NODE_LABEL:
        node_command(c, in);
        break;
    case INPUT_RULE_SET:
        rule_set(c, in);
        break;
    case INPUT_RULE_REMOVE:
        rule_remove(c, in);
        break;
    case INPUT_RECOVER:
        recover(c, &in->caller);
        break;
    case INPUT_LINK_UP:
        link_up(c, in->link_up.name, in->link_up.link);
        break;
    case INPUT_LINK_DOWN:
        link_down(c, in->link_down);
        break;
    case INPUT_HELLO:
        hello(c, &in->hello);
        break;
    case INPUT_HEARTBEAT:
        heartbeat(c, &in->heartbeat);
        break;
    case INPUT_REPORT:
        attempt_report(c, &in->report);
        break;
    case INPUT_END:
        end(c, &in->end);
        break;
    case INPUT_TICK:
        tick(c);
        break;
    case INPUT_CONTINUE:
        pass(c);
        break;
    case INPUT_COUNT:
        CHECK(false);
    }
}
