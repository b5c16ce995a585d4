// What the simulated agents answer: everything at once, and the truth.
#include "simulate/world.h"

#include "common/alloc.h"
#include "common/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// The links are numbered as the nodes, from 1.
void agents_link(struct world *w, uint32_t node)
{
    struct input *in = world_answer(w, INPUT_LINK_UP);
    in->link_up.name = w->nodes->items[node].name;
    in->link_up.link = node + 1;
}

static void hello(struct world *w, const struct effect *e)
{
    uint32_t node = (uint32_t)e->link - 1;
    const struct sim_node *n = &w->nodes->items[node];
    struct input *in = world_answer(w, INPUT_HELLO);
    CHECKF(e->node.v == e->link, "node %s has number %u", n->name, e->node.v);
    w->agents[node].session = e->session;
    in->hello = (struct input_hello){
        .node = e->node,
        .session = e->session,
        .cluster = e->welcome.cluster,
        .inc = {.state_id = node + 1},
        .term_seen = e->welcome.term,
        .nonce_seen = e->welcome.nonce,
        .journal_intact = true,
        .request = 1,
        .cores = n->cores,
        .gpus = n->gpus,
        .memory_mib = n->memory_mib,
        .gpu_model = interned_name(&w->nodes->names, n->model),
        .switch_path = n->rack,
    };
    snprintf(in->hello.inc.machine_id, sizeof in->hello.inc.machine_id, "m%u", node + 1);
    snprintf(in->hello.inc.boot_id, sizeof in->hello.inc.boot_id, "b%u", w->agents[node].boot);
}

static void say_state(struct world *w, const struct effect *e, enum agent_state state)
{
    struct input *in = world_answer(w, INPUT_REPORT);
    in->report = (struct input_report){
        .node = e->node,
        .session = e->session,
        .attempt = {.id = e->attempt, .state = state, .started = state == AGENT_RUNNING},
    };
}

// The job runs when it runs on all nodes.
static void part_runs(struct world *w, uint32_t job, struct ledger_part *p, const struct effect *e)
{
    struct run *r = &w->runs[job];
    struct sim_job *j = &w->result->jobs[job];
    say_state(w, e, AGENT_RUNNING);
    CHECK(!p->running);
    p->running = true;
    if (++r->running < r->parts_count)
        return;
    j->fate = SIM_RUNNING;
    if (j->start_ms < 0)
        j->start_ms = world_ms(w);
    r->began_ms = world_ms(w);
    r->restart_ms = r->kept_ms ? w->options->restart_ms : 0;
    int64_t left_ms = r->restart_ms + w->trace->jobs[job].run_ms - r->kept_ms;
    if (!w->options->arrive)
        heap_push(&w->heap, (struct happening){.at_ms = r->began_ms + left_ms,
                                               .kind = HAPPEN_END,
                                               .which = job,
                                               .attempt = r->attempt});
}

// The first order of an attempt tells of all its parts.
static void take_attempt(struct world *w, uint32_t job, const struct effect *e)
{
    struct run *r = &w->runs[job];
    struct sim_job *j = &w->result->jobs[job];
    CHECKF(!r->held, "job %" PRIu64 " was launched again while it still runs", r->id.v);
    CHECKF(e->attempt.number > r->attempt, "attempt %u of job %" PRIu64 " came again",
           e->attempt.number, r->id.v);
    r->attempt = e->attempt.number;
    r->parts_count = (int32_t)e->launch.parts_count;
    r->running = r->told = 0;
    w->broken -= r->broken;
    r->broken = false;
    r->parts = xreallocarray(r->parts, e->launch.parts_count, sizeof *r->parts);
    for (size_t i = 0; i < e->launch.parts_count; i++)
        r->parts[i] = ledger_part_of(&e->launch.parts[i]);
    j->attempts++;
    j->nodes = r->parts_count;
    w->waiting--;
    w->result->placements++;
}

static void launch(struct world *w, uint32_t job, const struct effect *e)
{
    struct run *r = &w->runs[job];
    if (e->attempt.number != r->attempt)
        take_attempt(w, job, e);
    struct ledger_part *p = &r->parts[e->launch.part];
    ledger_take(&w->ledger, p, world_ms(w));
    r->held++;
    if (e->launch.prepare)
        say_state(w, e, AGENT_PREPARED);
    else
        part_runs(w, job, p, e);
}

// GOs come in the order of the parts, so the search goes on where the last one ended.
static struct ledger_part *part_on(struct run *r, struct node_id node)
{
    for (int32_t i = 0; i < r->parts_count; i++) {
        int32_t at = (r->told + i) % r->parts_count;
        if (r->parts[at].node == node.v - 1) {
            r->told = at + 1;
            return &r->parts[at];
        }
    }
    return NULL;
}

static void say_end(struct world *w, uint32_t job, const struct ledger_part *p, struct reason why)
{
    const struct run *r = &w->runs[job];
    struct input *in = world_answer(w, INPUT_END);
    in->end = (struct input_end){
        .node = {p->node + 1},
        .session = w->agents[p->node].session,
        .attempt = {cluster_meta(w->cluster)->id, {job + 1}, r->attempt},
        .started = p->running,
        .reason = why,
    };
}

static void add_span(struct sim_result *r, uint32_t job, const struct ledger_part *p,
                     int64_t now_ms)
{
    VEC_RESERVE(r->spans, r->spans_count, r->spans_cap);
    r->spans[r->spans_count++] =
        (struct sim_span){p->node, job, p->from_ms, now_ms, p->core_milli, p->gpu_milli};
}

void agents_return(struct world *w, uint32_t job, struct ledger_part *p, bool completed)
{
    struct sim_result *r = w->result;
    int64_t ms = world_ms(w) - p->from_ms;
    int64_t cores = p->core_milli * ms / 1000, gpus = p->gpu_milli * ms / 1000;
    r->held_core_s += cores;
    r->held_gpu_s += gpus;
    if (completed) {
        r->used_core_s += p->core_milli * w->trace->jobs[job].run_ms / 1000;
        r->used_gpu_s += p->gpu_milli * w->trace->jobs[job].run_ms / 1000;
    }
    if (w->options->record && ms > 0)
        add_span(r, job, p, world_ms(w));
    ledger_return(&w->ledger, p);
    p->running = false;
    w->runs[job].held--;
}

void agents_end(struct world *w, uint32_t job, uint32_t attempt)
{
    struct run *r = &w->runs[job];
    if (attempt != r->attempt || r->running < r->parts_count || r->held < r->parts_count)
        return;
    for (int32_t i = 0; i < r->parts_count; i++) {
        say_end(w, job, &r->parts[i], (struct reason){.code = REASON_EXITED});
        agents_return(w, job, &r->parts[i], true);
    }
    r->running = 0;
    w->result->jobs[job].end_ms = world_ms(w);
    world_settle(w, job, SIM_COMPLETED);
}

static void kill_part(struct world *w, uint32_t job, const struct effect *e)
{
    struct run *r = &w->runs[job];
    struct ledger_part *p = part_on(r, e->node);
    if (!p || !p->held || e->attempt.number != r->attempt)
        return; // its END is on the way
    say_end(w, job, p, e->kill.reason);
    agents_return(w, job, p, false);
    agents_break(w, job, e->kill.reason.code == REASON_PREEMPTED);
}

void agents_break(struct world *w, uint32_t job, bool preempted)
{
    struct run *r = &w->runs[job];
    if (r->broken)
        return;
    int64_t every_ms = w->options->checkpoint_ms,
            done_ms = world_ms(w) - r->began_ms - r->restart_ms;
    if (preempted)
        w->result->preemptions++;
    if (done_ms > 0 && r->running == r->parts_count)
        r->kept_ms += preempted ? done_ms : every_ms ? done_ms / every_ms * every_ms : 0;
    r->broken = true;
    r->running = 0;
    w->broken++;
    w->waiting++;
    w->result->jobs[job].fate = SIM_WAITING;
}

void agents_rows(struct world *w, const struct outcome *o)
{
    for (size_t i = 0; w->broken && i < o->jobs_count; i++) {
        const struct job *j = &o->jobs[i];
        size_t job = j->uid.v - 1;
        if (!w->runs[job].broken || !job_state_ended(j->state))
            continue;
        w->runs[job].broken = false;
        w->broken--;
        w->waiting--;
        w->result->jobs[job].reason = j->reason.code;
        w->result->jobs[job].end_ms = world_ms(w);
        world_settle(w, job, SIM_FAILED);
    }
}

void agents_hear(struct world *w, const struct effect *e)
{
    uint32_t job = (uint32_t)e->attempt.job.v - 1;
    struct ledger_part *p;
    switch (e->kind) {
    case EFFECT_REPLY:
        arrive_answered(w, e);
        break;
    case EFFECT_WELCOME:
        hello(w, e);
        break;
    case EFFECT_LAUNCH:
        launch(w, job, e);
        break;
    case EFFECT_GO:
        p = part_on(&w->runs[job], e->node);
        CHECK(p && p->held);
        part_runs(w, job, p, e);
        break;
    case EFFECT_KILL:
        kill_part(w, job, e);
        break;
    case EFFECT_CLOSE:
        CHECKF(false, "the scheduler refused a simulated agent");
        break;
    case EFFECT_GRANT:
    case EFFECT_END_ACK:
    case EFFECT_COUNT:
        break;
    }
}
