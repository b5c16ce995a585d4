#include "scheduler/shell/wire_in.h"

#include "common/alloc.h"

#include <stdio.h>
#include <stdlib.h>

enum { ATTEMPTS_MAX = 65536, TASKS_MAX = 65536, MILLI_MAX = CORESET_MAX * 1000 };

static struct attempt_id attempt_of(const Muster__AttemptId *a)
{
    return (struct attempt_id){{a->cluster}, {a->job_uid}, a->number};
}

static enum agent_state state_of(Muster__AttemptState s)
{
    return (unsigned)s < AGENT_STATE_COUNT ? (enum agent_state)s : AGENT_ENDING;
}

static void fill_gpus(struct reported_attempt *to, const Muster__Resources *held)
{
    for (size_t i = 0; i < held->n_gpus; i++) {
        uint32_t g = held->gpus[i];
        if (g >= NODE_GPUS_MAX)
            continue;
        to->gpus |= UINT64_C(1) << g;
        if (held->n_gpu_milli == held->n_gpus && held->gpu_milli[i] < 1000)
            to->shares.milli[g] = (uint16_t)held->gpu_milli[i];
    }
}

static void fill_attempt(struct reported_attempt *to, const Muster__AttemptStatus *from)
{
    *to = (struct reported_attempt){
        .id = attempt_of(from->attempt), .state = state_of(from->state), .started = from->started};
    if (!from->held)
        return;
    coreset_parse(from->held->cores, "cores", &to->cores, NULL);
    coreset_parse(from->held->pool, "pool", &to->pool, NULL);
    to->cpu_milli = from->held->cpu_milli < MILLI_MAX ? (int32_t)from->held->cpu_milli : MILLI_MAX;
    fill_gpus(to, from->held);
    to->memory_mib = from->held->memory_mib;
    to->port = from->held->port <= UINT16_MAX ? (int32_t)from->held->port : 0;
}

static void from_hello(const Muster__Hello *h, struct node_id node, uint64_t session,
                       struct wire_input *ret)
{
    size_t count = 0;
    struct reported_attempt *list = xcalloc(h->n_attempts + 1, sizeof *list);
    for (size_t i = 0; i < h->n_attempts && i < ATTEMPTS_MAX; i++)
        if (h->attempts[i]->attempt)
            fill_attempt(&list[count++], h->attempts[i]);
    ret->list = list;
    ret->input.kind = INPUT_HELLO;
    struct input_hello *to = &ret->input.hello;
    *to = (struct input_hello){
        .node = node,
        .session = session,
        .cluster = {h->cluster},
        .inc = {.state_id = h->state_id},
        .term_seen = h->term_seen,
        .nonce_seen = h->nonce_seen,
        .journal_intact = h->journal_intact,
        .request = h->request,
        .cores = (int32_t)(h->cores < CORESET_MAX ? h->cores : CORESET_MAX),
        .gpus = (int32_t)(h->gpus < NODE_GPUS_MAX ? h->gpus : NODE_GPUS_MAX),
        .memory_mib = h->memory_mib,
        .labels = h->labels,
        .gpu_model = h->gpu_model,
        .gpu_memory_mib = h->gpu_memory_mib,
        .switch_path = h->switch_path,
        .numa_cores = h->numa_cores,
        .gpu_numa = h->gpu_numa,
        .attempts = list,
        .attempts_count = count,
    };
    snprintf(to->inc.machine_id, sizeof to->inc.machine_id, "%s", h->machine_id);
    snprintf(to->inc.boot_id, sizeof to->inc.boot_id, "%s", h->boot_id);
}

static void from_heartbeat(const Muster__Heartbeat *h, struct node_id node, uint64_t session,
                           struct wire_input *ret)
{
    size_t count = 0;
    struct attempt_id *ids = xcalloc(h->n_attempts + 1, sizeof *ids);
    for (size_t i = 0; i < h->n_attempts && i < ATTEMPTS_MAX; i++)
        ids[count++] = attempt_of(h->attempts[i]);
    ret->list = ids;
    ret->input.kind = INPUT_HEARTBEAT;
    ret->input.heartbeat = (struct input_heartbeat){.node = node,
                                                    .session = session,
                                                    .request = h->request,
                                                    .attempts = ids,
                                                    .attempts_count = count};
}

static void from_end(const Muster__End *e, struct node_id node, uint64_t session,
                     struct wire_input *ret)
{
    size_t count = e->n_tasks < TASKS_MAX ? e->n_tasks : TASKS_MAX;
    struct task_result *tasks = xcalloc(count + 1, sizeof *tasks);
    for (size_t i = 0; i < count; i++)
        tasks[i] = (struct task_result){
            .rank = (int32_t)e->tasks[i]->rank,
            .exit_code = e->tasks[i]->exit_code,
            .signal = e->tasks[i]->signal,
            .user_ms = e->tasks[i]->user_ms,
            .system_ms = e->tasks[i]->system_ms,
            .peak_kib = e->tasks[i]->peak_kib,
            .started_at_ms = e->tasks[i]->started_at_ms,
            .ended_at_ms = e->tasks[i]->ended_at_ms,
        };
    enum reason_code code = e->reason ? reason_parse(e->reason->word) : REASON_COUNT;
    ret->list = tasks;
    ret->input.kind = INPUT_END;
    struct input_end *to = &ret->input.end;
    *to = (struct input_end){
        .node = node,
        .session = session,
        .attempt = attempt_of(e->attempt),
        .started = e->started,
        .reason = {.code = code == REASON_COUNT ? REASON_BAD_MESSAGE : code},
        .tasks = tasks,
        .tasks_count = count,
    };
    if (e->reason) {
        to->reason.a = e->reason->a;
        to->reason.b = e->reason->b;
        to->reason.c = e->reason->c;
        to->detail = e->reason->detail;
    }
}

bool wire_input(const Muster__FromAgent *m, struct node_id node, struct wire_input *ret)
{
    *ret = (struct wire_input){0};
    switch (m->body_case) {
    case MUSTER__FROM_AGENT__BODY_HELLO:
        from_hello(m->hello, node, m->session, ret);
        return true;
    case MUSTER__FROM_AGENT__BODY_HEARTBEAT:
        from_heartbeat(m->heartbeat, node, m->session, ret);
        return true;
    case MUSTER__FROM_AGENT__BODY_REPORT:
        if (!m->report->status || !m->report->status->attempt)
            return false;
        ret->input.kind = INPUT_REPORT;
        ret->input.report.node = node;
        ret->input.report.session = m->session;
        fill_attempt(&ret->input.report.attempt, m->report->status);
        return true;
    case MUSTER__FROM_AGENT__BODY_END:
        if (!m->end->attempt)
            return false;
        from_end(m->end, node, m->session, ret);
        return true;
    case MUSTER__FROM_AGENT__BODY_OUTPUT_DATA:
    case MUSTER__FROM_AGENT__BODY_SAMPLES:
    case MUSTER__FROM_AGENT__BODY__NOT_SET:
    case _MUSTER__FROM_AGENT__BODY__CASE_IS_INT_SIZE:
        break;
    }
    return false;
}

void wire_input_free(struct wire_input *w)
{
    free(w->list);
    *w = (struct wire_input){0};
}
