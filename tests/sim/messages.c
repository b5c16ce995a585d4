// What an agent tells the scheduler, made from its core as agent/shell/message.c and
// scheduler/shell/wire_in.c do it between them.
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum agent_state state_of(enum attempt_phase phase)
{
    static const enum agent_state states[ATTEMPT_PHASE_COUNT] = {
        [ATTEMPT_ORDERED] = AGENT_ORDERED,   [ATTEMPT_FORKED] = AGENT_ORDERED,
        [ATTEMPT_PREPARED] = AGENT_PREPARED, [ATTEMPT_RUNNING] = AGENT_RUNNING,
        [ATTEMPT_ENDING] = AGENT_ENDING,     [ATTEMPT_ENDED] = AGENT_ENDED,
    };
    return states[phase];
}

static struct reported_attempt reported(const struct agent_attempt *t)
{
    struct reported_attempt a = {.id = t->order.id,
                                 .state = state_of(t->phase),
                                 .started = t->started,
                                 .cores = t->order.held.cores,
                                 .pool = t->order.held.pool,
                                 .cpu_milli = t->order.held.cpu_milli,
                                 .gpus = t->order.held.gpus,
                                 .memory_mib = t->order.held.memory_mib,
                                 .port = (int32_t)t->order.held.port};
    memcpy(a.shares.milli, t->order.held.gpu_milli, sizeof a.shares.milli);
    return a;
}

static struct report_letter *letter(enum input_kind kind, size_t more)
{
    struct report_letter *m = xcalloc(1, sizeof *m + more);
    m->in.kind = kind;
    return m;
}

void tell_hello(struct keeper *k, uint64_t request)
{
    size_t count = agent_count(k->core);
    struct reported_attempt *list;
    struct report_letter *m = letter(INPUT_HELLO, count * sizeof *list);
    list = (void *)(m + 1);
    for (size_t i = 0; i < count; i++)
        list[i] = reported(agent_at(k->core, i));
    struct input_hello *h = &m->in.hello;
    *h = (struct input_hello){.cluster = agent_cluster(k->core),
                              .inc = {.state_id = k->state_id},
                              .term_seen = agent_term_seen(k->core),
                              .nonce_seen = agent_nonce_seen(k->core),
                              .journal_intact = k->journal_intact,
                              .request = request,
                              .cores = k->cores,
                              .gpus = k->gpus,
                              .memory_mib = k->memory_mib,
                              .labels = k->labels,
                              .gpu_model = k->gpu_model,
                              .switch_path = k->switch_path,
                              .gpu_memory_mib = k->gpu_memory_mib,
                              .numa_cores = k->numa_cores,
                              .gpu_numa = k->gpu_numa,
                              .attempts = list,
                              .attempts_count = count};
    snprintf(h->inc.machine_id, sizeof h->inc.machine_id, "%s", k->machine->id);
    snprintf(h->inc.boot_id, sizeof h->inc.boot_id, "%s-%d", k->machine->id, k->machine->boots);
    wire_send_up(k, m);
}

void tell_heartbeat(struct keeper *k, uint64_t request)
{
    size_t count = agent_count(k->core), n = 0;
    struct attempt_id *ids;
    struct report_letter *m = letter(INPUT_HEARTBEAT, count * sizeof *ids);
    ids = (void *)(m + 1);
    for (size_t i = 0; i < count; i++)
        if (agent_at(k->core, i)->phase != ATTEMPT_ENDED)
            ids[n++] = agent_at(k->core, i)->order.id;
    m->in.heartbeat =
        (struct input_heartbeat){.request = request, .attempts = ids, .attempts_count = n};
    wire_send_up(k, m);
}

void tell_report(struct keeper *k, struct attempt_id id)
{
    const struct agent_attempt *t = agent_find(k->core, id);
    if (!t)
        return;
    struct report_letter *m = letter(INPUT_REPORT, 0);
    m->in.report.attempt = reported(t);
    wire_send_up(k, m);
}

void end_make(struct keeper *k, struct attempt_id id, struct end_data *ret)
{
    const struct agent_attempt *t = agent_find(k->core, id);
    struct held *h = held_add(k, id);
    if (!h->has_end)
        h->end = (struct end_data){.started = t->started, .reason = t->end};
    h->has_end = true;
    *ret = h->end;
}

void tell_end(struct keeper *k, struct attempt_id id)
{
    if (!agent_find(k->core, id))
        return;
    struct report_letter *m = letter(INPUT_END, TASKS_MAX * sizeof(struct task_result));
    struct task_result *results = (void *)(m + 1);
    struct end_data end;
    end_make(k, id, &end);
    memcpy(results, end.results, sizeof end.results);
    m->in.end = (struct input_end){.attempt = id,
                                   .started = end.started,
                                   .reason = end.reason,
                                   .tasks = results,
                                   .tasks_count = (size_t)end.results_count};
    m->in.end.reason.node.v = 0; // not on the wire
    wire_send_up(k, m);
}
