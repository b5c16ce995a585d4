// drain, resume, fence and label: one order to each node that is named.
#include "common/alloc.h"
#include "common/labels.h"
#include "schedctl/ctl.h"
#include "schedctl/nodenames.h"

static int order_each(struct ctl *ctl, const struct names *names, const char *what,
                      const json_t *body)
{
    struct err err;
    int worst = CTL_OK;
    if (ctl_connect(ctl, &err))
        return report(&err);
    for (size_t i = 0; i < names->count; i++) {
        AUTO(text) struct text path = {0};
        text_add(&path, "/v1/nodes/");
        client_escape(&path, names->items[i]);
        text_add(&path, what);
        if (client_post(ctl->client, text_str(&path), body, NULL, &err) == 0)
            continue;
        if (names->count > 1)
            worst = complain(exit_of(err.code), "node %s: %s", names->items[i], err.message);
        else
            worst = report(&err);
    }
    return worst;
}

static int order(struct ctl *ctl, const char *what, const json_t *body)
{
    struct err err;
    AUTO(names) struct names names = {0};
    if (nodenames_parse(&ctl->args, &names, &err))
        return report(&err);
    return order_each(ctl, &names, what, body);
}

static int order_with_reason(struct ctl *ctl, const char *what)
{
    const char *reason = args_value(&ctl->args, "reason");
    if (!reason || !*reason)
        return complain(CTL_USAGE, "%s needs --reason TEXT: those who look later will ask",
                        ctl->args.verb->name);
    json_t *body = json_pack("{s:s}", "reason", reason);
    if (!body)
        return complain(CTL_USAGE, "the reason is not UTF-8 text");
    int code = order(ctl, what, body);
    json_decref(body);
    return code;
}

static int run_drain(struct ctl *ctl)
{
    return order_with_reason(ctl, "/drain");
}

static int run_resume(struct ctl *ctl)
{
    return order(ctl, "/resume", NULL);
}

static int run_fence(struct ctl *ctl)
{
    return order_with_reason(ctl, "/fence");
}

// The first operand names the nodes, the others are labels.
static int run_label(struct ctl *ctl)
{
    struct err err;
    AUTO(names) struct names names = {0};
    AUTO(text) struct text labels = {0};
    const struct args *a = &ctl->args;
    bool reset = args_has(a, "reset");
    if (a->operands_count < 2 && !reset)
        return complain(CTL_USAGE,
                        "no label is named: schedctl node label %s zone=a. To drop those "
                        "that were set: --reset.",
                        a->operands[0]);
    for (size_t i = 1; i < a->operands_count; i++)
        text_addf(&labels, "%s%s", i > 1 ? "," : "", a->operands[i]);
    if (hostlist_expand(a->operands[0], &names, &err) ||
        labels_check_change(text_str(&labels), "labels", &err))
        return report(&err);
    json_t *body = json_pack("{s:s,s:b}", "labels", text_str(&labels), "reset", reset);
    int code = order_each(ctl, &names, "/label", body);
    json_decref(body);
    return code;
}

static const struct opt REASON[] = {
    {'r', "reason", "TEXT", "why; required"},
};

const struct verb verb_node_drain = {
    .name = "node drain",
    .usage = "NODES... --reason TEXT",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "start nothing more on nodes; what runs goes on",
    .options = {{REASON, COUNT(REASON)}},
    .examples = {{"node drain 'n[1-4]' --reason 'new memory on Friday'", "Four nodes."}},
    .run = run_drain,
};

const struct verb verb_node_resume = {
    .name = "node resume",
    .usage = "NODES...",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "let drained nodes take jobs again",
    .examples = {{"node resume n1", "Node n1."}},
    .run = run_resume,
};

const struct verb verb_node_fence = {
    .name = "node fence",
    .usage = "NODES... --reason TEXT",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "declare that machines are certainly off",
    .text = "What ran there counts as ended and may start elsewhere. Said of a machine that still "
            "runs, this can let a job run twice.",
    .options = {{REASON, COUNT(REASON)}},
    .examples = {{"node fence n3 --reason 'pulled the plug'", "Its jobs may go on elsewhere."}},
    .run = run_fence,
};

static const struct opt RESET[] = {
    {0, "reset", NULL, "drop what was set before: the labels are those that the agent tells"},
};

const struct verb verb_node_label = {
    .name = "node label",
    .usage = "NODES LABELS...",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "set labels of nodes, for --constraint and --prefer",
    .text =
        "A label is a word, or a word with a value: spot, zone=b. \"!spot\" takes one off. What is "
        "set here is kept and lies over what the agent tells (muster-agent --label). What runs is "
        "left alone.",
    .options = {{RESET, COUNT(RESET)}},
    .examples = {{"node label 'n[1-4]' zone=b spot", "Two labels for four nodes."},
                 {"node label n1 '!spot'", "Node n1 has it no more, whatever its agent tells."},
                 {"node label n1 --reset", "As the agent tells."}},
    .run = run_label,
};
