#include "simulate/sim.h"

#include "common/alloc.h"
#include "common/check.h"
#include "simulate/world.h"

#include <stdlib.h>

enum { PROGRESS_EVERY = 256 };

int64_t world_ms(const struct world *w)
{
    return w->now.boot_ms - BOOT_AT_MS;
}

void world_step(struct world *w, const struct input *in)
{
    cluster_step(w->cluster, w->now, in);
    w->result->steps++;
}

struct input *world_answer(struct world *w, enum input_kind kind)
{
    VEC_RESERVE(w->answers, w->answers_count, w->answers_cap);
    struct input *in = &w->answers[w->answers_count++];
    *in = (struct input){.kind = kind};
    return in;
}

void world_settle(struct world *w, size_t job, enum sim_fate fate)
{
    struct sim_job *j = &w->result->jobs[job];
    struct run *r = &w->runs[job];
    j->fate = fate;
    w->settled++;
    w->news_ms = world_ms(w);
    if (!r->held) {
        free(r->parts);
        r->parts = NULL;
        r->parts_count = 0;
    }
}

static void step_all(struct world *w)
{
    struct input *said = w->answers;
    size_t count = w->answers_count, cap = w->answers_cap;
    w->answers = w->saying;
    w->answers_cap = w->saying_cap;
    w->answers_count = 0;
    for (size_t i = 0; i < count; i++)
        world_step(w, &said[i]);
    w->saying = said;
    w->saying_cap = cap;
}

static void happen_due(struct world *w)
{
    while (heap_next_ms(&w->heap) <= world_ms(w)) {
        struct happening what = heap_pop(&w->heap);
        if (what.kind == HAPPEN_END)
            agents_end(w, what.which, what.attempt);
        else
            faults_happen(w, &what);
    }
}

static void record_queue(struct world *w)
{
    struct sim_result *r = w->result;
    if (!w->options->record ||
        (r->queue_count && r->queue[r->queue_count - 1].waiting == w->waiting))
        return;
    if (r->queue_count && r->queue[r->queue_count - 1].at_ms == world_ms(w))
        r->queue_count--;
    VEC_RESERVE(r->queue, r->queue_count, r->queue_cap);
    r->queue[r->queue_count++] = (struct sim_queue_point){world_ms(w), w->waiting};
}

// One turn: what was answered, what is due, then the pass, as the shell does it.
static void turn(struct world *w)
{
    struct input more = {.kind = INPUT_CONTINUE}, tick = {.kind = INPUT_TICK};
    cluster_turn_begin(w->cluster);
    happen_due(w);
    step_all(w);
    arrive_due(w);
    if (w->wake_at_ms <= w->now.boot_ms)
        world_step(w, &tick);
    const struct outcome *o = cluster_outcome(w->cluster);
    while (o->continue_wanted) {
        world_step(w, &more);
        o = cluster_outcome(w->cluster);
    }
    w->wake_at_ms = o->wake_at_ms;
    for (size_t i = 0; i < o->effects_count; i++)
        agents_hear(w, &o->effects[i]);
    agents_rows(w, o);
    w->result->turns++;
    record_queue(w);
}

// When something is to be done; INT64_MAX: nothing is.
static int64_t next_ms(const struct world *w)
{
    int64_t next = arrive_next_ms(w), happens = heap_next_ms(&w->heap);
    if (w->answers_count)
        return world_ms(w);
    if (happens < next)
        next = happens;
    if (w->wake_at_ms < FOREVER_MS && w->wake_at_ms - BOOT_AT_MS < next)
        next = w->wake_at_ms - BOOT_AT_MS;
    return next > world_ms(w) ? next : world_ms(w);
}

static void move_to(struct world *w, int64_t ms)
{
    w->now.wall_ms += ms - world_ms(w);
    w->now.boot_ms = BOOT_AT_MS + ms;
}

static bool stop_asked(struct world *w)
{
    const struct sim_options *o = w->options;
    if (!o->progress || w->result->turns % PROGRESS_EVERY)
        return false;
    return o->progress(o->arg, (double)w->settled / (double)w->trace->count);
}

// A row of the policy's (policy_set_queue() has tried the queue's).
static void set_row(struct world *w, const struct rule *row)
{
    struct input in = {.kind = INPUT_RULE_SET, .caller = {.admin = true}};
    in.rule.row = row;
    in.rule.mode = RULE_PUT;
    cluster_turn_begin(w->cluster);
    world_step(w, &in);
}

// The cluster comes up: one turn to connect, one for the hellos.
static void begin(struct world *w)
{
    struct cluster_meta meta = {.id = {1},
                                .next_job = 1,
                                .next_node = 1,
                                .next_placement = 1,
                                .next_session = 1,
                                .next_event = 1};
    struct cluster_limits limits = w->options->policy.limits;
    limits.heartbeat_ms = FOREVER_MS;
    limits.jobs_max = INT64_MAX;
    limits.policy_seed = w->options->seed;
    w->cluster = cluster_new(&limits);
    cluster_load_meta(w->cluster, &meta);
    arrive_typical(w);
    cluster_start(w->cluster, w->now, 1, 1, false, false, 0);
    set_row(w, &w->options->policy.settings);
    set_row(w, &w->options->policy.queue);
    for (size_t i = 0; i < w->nodes->count; i++)
        agents_link(w, (uint32_t)i);
    while (w->answers_count) {
        cluster_turn_begin(w->cluster);
        step_all(w);
        const struct outcome *o = cluster_outcome(w->cluster);
        w->wake_at_ms = o->wake_at_ms;
        for (size_t i = 0; i < o->effects_count; i++)
            agents_hear(w, &o->effects[i]);
    }
    faults_begin(w);
}

static void run(struct world *w)
{
    while (w->settled < w->trace->count || w->answers_count) {
        int64_t next = next_ms(w);
        if (next >= FOREVER_MS)
            break; // what waits now waits for ever
        if (w->options->mtbf_ms && arrive_next_ms(w) == INT64_MAX &&
            next - w->news_ms > SIM_QUIET_MS)
            break;
        move_to(w, next);
        turn(w);
        arrive_judge(w);
        if (stop_asked(w)) {
            w->result->stopped = true;
            break;
        }
    }
}

// What still runs is counted up to now.
static void count_running(struct world *w)
{
    struct sim_result *r = w->result;
    r->held_gpu_milli = w->ledger.held_gpu_milli;
    r->held_core_milli = w->ledger.held_core_milli;
    if (w->options->arrive) {
        w->fragmentation = fragmentation(&w->shapes, &w->ledger);
        w->fragmentation_samples = 1;
    }
    if (w->fragmentation_samples && r->gpu_milli)
        r->fragmentation =
            w->fragmentation / (double)w->fragmentation_samples / (double)r->gpu_milli;
    for (uint32_t i = 0; i < w->trace->count; i++)
        for (int32_t k = 0; k < w->runs[i].parts_count; k++)
            if (w->runs[i].parts[k].held)
                agents_return(w, i, &w->runs[i].parts[k], false);
}

static void world_fini(struct world *w)
{
    for (size_t i = 0; i < w->trace->count; i++)
        free(w->runs[i].parts);
    free(w->runs);
    free(w->agents);
    free(w->answers);
    free(w->saying);
    ledger_fini(&w->ledger);
    heap_free(&w->heap);
    shapes_free(&w->shapes);
    cluster_free(w->cluster);
}

void sim_run(const struct trace *t, const struct node_list *nodes, const struct sim_options *o,
             struct sim_result *ret)
{
    struct world w = {
        .trace = t,
        .nodes = nodes,
        .options = o,
        .result = ret,
        .now = {.boot_ms = BOOT_AT_MS, .wall_ms = t->start_s * 1000 + BOOT_AT_MS},
        .runs = xcalloc(t->count, sizeof *w.runs),
        .agents = xcalloc(nodes->count, sizeof *w.agents),
        .wake_at_ms = INT64_MAX,
        .accounts_memory = true,
    };
    *ret =
        (struct sim_result){.jobs = xcalloc(t->count, sizeof *ret->jobs), .jobs_count = t->count};
    for (size_t i = 0; i < t->count; i++)
        ret->jobs[i] =
            (struct sim_job){.submit_ms = t->jobs[i].submit_ms, .start_ms = -1, .end_ms = -1};
    for (size_t i = 0; i < SIM_CURVE; i++)
        ret->curve[i] = -1;
    for (size_t i = 0; i < nodes->count; i++) {
        ret->core_milli += nodes->items[i].cores * INT64_C(1000);
        ret->gpu_milli += nodes->items[i].gpus * INT64_C(1000);
        w.accounts_memory = w.accounts_memory && nodes->items[i].memory_mib;
    }
    ledger_init(&w.ledger, nodes);
    shapes_of(t, nodes, &w.shapes);
    begin(&w);
    run(&w);
    ret->end_ms = world_ms(&w);
    count_running(&w);
    world_fini(&w);
}

void sim_result_free(struct sim_result *r)
{
    free(r->jobs);
    free(r->spans);
    free(r->queue);
    *r = (struct sim_result){0};
}
