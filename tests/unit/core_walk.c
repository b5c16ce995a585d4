// A seeded random walk over everything that users, operators, agents, links, clocks and crashes can
// do to the core. After each step every invariant is checked; the agents here are small but obey
// the protocol, so that two attempts of a job at once, or a core given out twice, show as such.
#include "tests/unit/core_harness.h"
#include "tests/unit/rule_random.h"

#include "common/rng.h"

#include <stdio.h>

// Few ports, and nodes that share machines: that none is free happens often.
enum { NODES = 5, MACHINES = 3, PORTS = 9, HELD_MAX = 64 };

struct held {
    struct attempt_id id;
    enum agent_state state;
    struct coreset cores;
    uint64_t gpus;
    int32_t port;
    bool prepare, started;
    int64_t lease_ms, lease_end_ms; // of the agent's clock; INT64_MAX: none
    int64_t prepare_lease_ms;
    struct reason end;
};

struct agent {
    char name[16];
    uint64_t link, session; // 0: not connected
    uint64_t welcome;       // session of a WELCOME to answer
    uint64_t request;
    int64_t sent_ms[1024];
    int boot, machine;
    bool known;
    struct held held[HELD_MAX];
    int count;
};

struct walk {
    struct harness h;
    struct rng rng;
    struct agent agents[NODES];
    uint64_t next_link, uid;
    uint64_t newest_job;
    struct job_id named; // by the last command
    uint64_t ends, starts, ports_taken, ports_awaited;
};

static struct held *held_find(struct agent *a, struct attempt_id id)
{
    for (int i = 0; i < a->count; i++)
        if (attempt_id_eq(a->held[i].id, id))
            return &a->held[i];
    return NULL;
}

static int64_t lease_end(const struct agent *a, uint64_t request, int64_t lease_ms)
{
    return lease_ms ? a->sent_ms[request % 1024] + lease_ms : INT64_MAX;
}

static void take_launch(struct walk *w, struct agent *a, const struct effect *e)
{
    if (held_find(a, e->attempt) || a->count == HELD_MAX)
        return;
    const struct placement *p = &e->launch.parts[e->launch.part];
    int64_t valid = lease_end(a, e->request, e->launch.prepare_lease_ms);
    if (w->h.now.boot_ms >= valid)
        return;
    for (int i = 0; i < a->count; i++)
        CHECKF(!coreset_intersects(&a->held[i].cores, &p->cores), "%s: cores given out twice",
               a->name);
    for (int k = 0; k < NODES; k++)
        for (int i = 0; p->port && i < w->agents[k].count; i++)
            CHECKF(w->agents[k].machine != a->machine || w->agents[k].held[i].port != p->port,
                   "port %d given out twice on one machine", p->port);
    CHECK((p->port != 0) == (p->index == 0));
    a->held[a->count++] = (struct held){
        .id = e->attempt,
        .port = p->port,
        .cores = p->cores,
        .gpus = p->gpus,
        .prepare = e->launch.prepare,
        .lease_ms = e->launch.lease_ms,
        .prepare_lease_ms = e->launch.prepare_lease_ms,
        .lease_end_ms = e->launch.prepare ? valid : lease_end(a, e->request, e->launch.lease_ms),
    };
}

static void take_kill(struct agent *a, const struct effect *e)
{
    struct held *k = held_find(a, e->attempt);
    if (!k && a->count < HELD_MAX) {
        a->held[a->count++] = (struct held){.id = e->attempt,
                                            .state = AGENT_ENDED,
                                            .lease_end_ms = INT64_MAX,
                                            .end = {.code = REASON_NEVER_STARTED}};
    } else if (k && k->state < AGENT_ENDING) {
        k->end = (struct reason){.code = e->kill.reason.code};
        k->state = AGENT_ENDING;
    }
}

static void take_go(struct agent *a, const struct effect *e)
{
    struct held *k = held_find(a, e->attempt);
    if (!k || k->state != AGENT_PREPARED)
        return;
    k->state = AGENT_RUNNING;
    k->started = true;
    k->prepare = false;
    k->lease_end_ms = lease_end(a, e->request, k->lease_ms);
}

static void take_grant(struct walk *w, struct agent *a, const struct effect *e)
{
    for (size_t i = 0; i < e->grant.count; i++) {
        struct held *k = held_find(a, e->grant.attempts[i]);
        if (!k || k->lease_end_ms <= w->h.now.boot_ms || k->lease_end_ms == INT64_MAX)
            continue;
        int64_t length = k->prepare ? k->prepare_lease_ms : k->lease_ms;
        int64_t until = lease_end(a, e->request, length);
        if (until > k->lease_end_ms)
            k->lease_end_ms = until;
    }
}

static void on_effect(void *arg, const struct effect *e)
{
    struct walk *w = arg;
    struct agent *a = NULL;
    for (int i = 0; i < NODES; i++)
        if (w->agents[i].link && w->agents[i].link == e->link)
            a = &w->agents[i];
    if (!a)
        return;
    if (e->kind == EFFECT_WELCOME) {
        a->welcome = e->session;
        a->session = 0;
        return;
    }
    if (e->kind == EFFECT_CLOSE) {
        a->link = a->session = a->welcome = 0;
        return;
    }
    if (a->session != e->session)
        return;
    if (e->kind == EFFECT_LAUNCH) {
        take_launch(w, a, e);
    } else if (e->kind == EFFECT_KILL) {
        take_kill(a, e);
    } else if (e->kind == EFFECT_GO) {
        take_go(a, e);
    } else if (e->kind == EFFECT_GRANT) {
        take_grant(w, a, e);
    } else if (e->kind == EFFECT_END_ACK) {
        struct held *k = held_find(a, e->attempt);
        if (k)
            *k = a->held[--a->count];
    }
}

// No job runs twice: the promise that everything else serves.
static void check_once(struct walk *w)
{
    for (int i = 0; i < NODES; i++)
        for (int k = 0; k < w->agents[i].count; k++) {
            struct held *x = &w->agents[i].held[k];
            if (!x->started || x->state == AGENT_ENDED)
                continue;
            for (int j = 0; j < NODES; j++)
                for (int l = 0; l < w->agents[j].count; l++) {
                    struct held *y = &w->agents[j].held[l];
                    if (y->started && y->state != AGENT_ENDED && y->id.job.v == x->id.job.v)
                        CHECKF(y->id.number == x->id.number,
                               "attempts %u and %u run at once on %s and %s", x->id.number,
                               y->id.number, w->agents[i].name, w->agents[j].name);
                }
        }
}

static struct agent *any_agent(struct walk *w)
{
    return &w->agents[rng_below(&w->rng, NODES)];
}

static const struct node *node_of(struct walk *w, const struct agent *a)
{
    return cluster_node_by_name(w->h.c, a->name);
}

static struct job_id any_job(struct walk *w)
{
    uint64_t back = rng_below(&w->rng, 40);
    return (struct job_id){w->newest_job > back ? w->newest_job - back : 1};
}

static void do_submit(struct walk *w)
{
    if (cluster_live(w->h.c) > 60)
        return;
    struct rng *r = &w->rng;
    int32_t tasks = rng_below(r, 4) ? 1 : (int32_t)rng_below(r, 6) + 1;
    static const char *const selectors[] = {
        NULL,   "zone=a", "!zone=a", "gpu.model=V100|A100", "gpu.memory>=16GiB & !spot",
        "none", "a b"};
    struct input in = {.kind = INPUT_SUBMIT, .caller = {.reply_to = 1, .uid = 1}};
    in.submit = (struct input_submit){
        .uid = {++w->uid},
        .owner_uid = 7,
        .owner_name = "u7",
        .queue = rng_below(r, 4) ? NULL : rule_random_name(r, RULE_QUEUE),
        .qos = rng_below(r, 4) ? NULL : rule_random_name(r, RULE_QOS),
        .req = {.tasks = tasks,
                .nodes = rng_below(r, 3) ? 0 : (int32_t)rng_below(r, (uint64_t)tasks) + 1,
                .cpus = (int32_t)rng_below(r, 3) + 1,
                .gpus = rng_below(r, 4) ? 0 : 1,
                .memory_mib = rng_below(r, 2) ? 0 : 100,
                .lease_ms = rng_below(r, 2) ? 0 : 30000,
                .time_limit_ms = rng_below(r, 3) ? (int64_t)rng_below(r, 100000) : 0,
                .grace_ms = (int64_t)rng_below(r, 2) * 5000,
                .pmix = tasks > 1 && rng_below(r, 2)},
        .priority = (int32_t)rng_below(r, 3),
        .held = rng_below(r, 20) == 0,
        .array_count = rng_below(r, 30) ? 0 : (int64_t)rng_below(r, 12) + 1,
        .max_attempts = (int32_t)rng_below(r, 4),
    };
    struct request *q = &in.submit.req;
    in.submit.need = rng_below(r, 5) ? NULL : selectors[rng_below(r, 7)];
    in.submit.prefer = rng_below(r, 5) ? NULL : selectors[rng_below(r, 7)];
    q->tasks_per_node = rng_below(r, 6) ? 0 : (int32_t)rng_below(r, 3) + 1;
    q->exclusive = rng_below(r, 10) == 0;
    q->spread = !q->nodes && rng_below(r, 4) == 0;
    if (rng_below(r, 4) == 0) {
        q->cpu_milli = (int32_t)rng_below(r, 999) + 1;
        q->cpus = (int32_t)rng_below(r, 2);
    }
    if (!q->gpus && rng_below(r, 3) == 0)
        q->gpu_milli = (int32_t)rng_below(r, 999) + 1;
    harness_step(&w->h, &in);
    w->newest_job = cluster_meta(w->h.c)->next_job - 1;
}

// Any weights, and none, few or many reservations.
static void do_settings(struct walk *w)
{
    static const int64_t reservations[] = {0, 1, 1, 2, 100};
    struct settings_rule s = harness_settings();
    s.backfill_reservations = reservations[rng_below(&w->rng, 5)];
    s.backfill_depth = rng_below(&w->rng, 2) ? 2 : 1000;
    s.weight_size = (int64_t)rng_below(&w->rng, 2) * 2000000;
    harness_set(&w->h, s);
}

static void do_job(struct walk *w, enum input_kind kind)
{
    struct input in = {.kind = kind, .caller = {.reply_to = 1, .uid = 0, .admin = true}};
    if (rng_below(&w->rng, 2)) // often the same one: commands meet each other's effects
        w->named = any_job(w);
    in.job = w->named;
    harness_step(&w->h, &in);
}

static void do_rule(struct walk *w)
{
    struct rule_order o;
    rule_random(&w->rng, w->h.c, &o);
    harness_step(&w->h, &o.in);
}

static void do_node(struct walk *w)
{
    struct agent *a = any_agent(w);
    struct input in = {.caller = {.reply_to = 1, .uid = 0, .admin = true}};
    in.node.name = a->name;
    in.node.reason = "test";
    in.kind = rng_below(&w->rng, 3) ? INPUT_NODE_RESUME : INPUT_NODE_DRAIN;
    if (!a->link && rng_below(&w->rng, 3) == 0) {
        in.kind = INPUT_NODE_FENCE; // and it is true
        a->count = 0;
        a->boot++;
        a->machine = (int)rng_below(&w->rng, MACHINES); // another one takes over the name
    }
    harness_step(&w->h, &in);
}

static void do_link(struct walk *w)
{
    struct agent *a = any_agent(w);
    struct input in = {0};
    if (a->link) {
        if (rng_below(&w->rng, 4))
            return;
        in.kind = INPUT_LINK_DOWN;
        in.link_down = a->link;
        a->link = a->session = a->welcome = 0;
    } else if (rng_below(&w->rng, 3) == 0) {
        a->link = ++w->next_link;
        in.kind = INPUT_LINK_UP;
        in.link_up.name = a->name;
        in.link_up.link = a->link;
    } else {
        return;
    }
    harness_step(&w->h, &in);
}

static struct reported_attempt told(const struct held *k)
{
    return (struct reported_attempt){.id = k->id,
                                     .state = k->state,
                                     .started = k->started,
                                     .cores = k->cores,
                                     .gpus = k->gpus,
                                     .port = k->port};
}

static void do_hello(struct walk *w, struct agent *a)
{
    const struct node *n = node_of(w, a);
    struct reported_attempt list[HELD_MAX];
    for (int i = 0; i < a->count; i++)
        list[i] = told(&a->held[i]);
    a->session = a->welcome;
    a->welcome = 0;
    a->sent_ms[++a->request % 1024] = w->h.now.boot_ms;
    struct input in = {.kind = INPUT_HELLO};
    in.hello = (struct input_hello){
        .node = n->id,
        .session = a->session,
        .cluster = {a->known ? 0xc1 : 0},
        .term_seen = cluster_meta(w->h.c)->term,
        .journal_intact = true,
        .request = a->request,
        .cores = 6,
        .labels = a->boot % 2 ? "zone=a,spot" : "zone=b",
        .gpu_model = a->boot % 3 ? "V100" : NULL,
        .gpu_memory_mib = 16384,
        .numa_cores = a->boot % 4 ? "2,4" : NULL,
        .gpu_numa = "01",
        .switch_path = a->boot % 5 == 0 ? NULL
                       : a->boot % 2    ? "s1/r1"
                                        : "s1/r2",
        .gpus = 2,
        .memory_mib = 1000,
        .attempts = list,
        .attempts_count = (size_t)a->count,
    };
    a->known = true;
    snprintf(in.hello.inc.machine_id, sizeof in.hello.inc.machine_id, "machine-%d", a->machine);
    snprintf(in.hello.inc.boot_id, sizeof in.hello.inc.boot_id, "boot-%d", a->boot);
    in.hello.inc.state_id = 7;
    harness_step(&w->h, &in);
}

static void do_heartbeat(struct walk *w)
{
    struct agent *a = any_agent(w);
    if (a->link && a->welcome) {
        do_hello(w, a);
        return;
    }
    if (!a->session)
        return;
    struct attempt_id ids[HELD_MAX];
    size_t count = 0;
    for (int i = 0; i < a->count; i++)
        if (a->held[i].state != AGENT_ENDED)
            ids[count++] = a->held[i].id;
    a->sent_ms[++a->request % 1024] = w->h.now.boot_ms;
    if (rng_below(&w->rng, 5) == 0)
        w->h.now.boot_ms += (int64_t)rng_below(&w->rng, 3000); // it is long on its way
    struct input in = {.kind = INPUT_HEARTBEAT};
    in.heartbeat = (struct input_heartbeat){.node = node_of(w, a)->id,
                                            .session = a->session,
                                            .request = a->request,
                                            .attempts = ids,
                                            .attempts_count = count};
    harness_step(&w->h, &in);
}

static void send_report(struct walk *w, struct agent *a, const struct held *k)
{
    struct input in = {.kind = INPUT_REPORT};
    in.report =
        (struct input_report){.node = node_of(w, a)->id, .session = a->session, .attempt = told(k)};
    harness_step(&w->h, &in);
}

static void send_end(struct walk *w, struct agent *a, const struct held *k)
{
    struct task_result result = {.exit_code = 0};
    struct input in = {.kind = INPUT_END};
    in.end = (struct input_end){.node = node_of(w, a)->id,
                                .session = a->session,
                                .attempt = k->id,
                                .started = k->started,
                                .reason = k->end,
                                .detail = "why",
                                .tasks = &result,
                                .tasks_count = 1};
    w->ends++;
    harness_step(&w->h, &in);
}

// An agent's work goes one step further.
static void do_progress(struct walk *w)
{
    struct agent *a = any_agent(w);
    if (!a->count)
        return;
    struct held *k = &a->held[rng_below(&w->rng, (uint64_t)a->count)];
    if (k->state == AGENT_RUNNING && rng_below(&w->rng, 8))
        return; // it has more to do
    static const enum reason_code bad[] = {REASON_TASK_FAILED, REASON_PREPARE_FAILED,
                                           REASON_SHEPHERD_LOST, REASON_TIME_LIMIT};
    if (k->state == AGENT_ORDERED && k->port && rng_below(&w->rng, 20) == 0) {
        k->state = AGENT_ENDED;
        k->end = (struct reason){.code = REASON_PORT_TAKEN, .a = k->port};
        w->ports_taken++;
    } else if (k->state == AGENT_ORDERED) {
        k->state = k->prepare ? AGENT_PREPARED : AGENT_RUNNING;
        k->started = !k->prepare;
        w->starts += k->started;
    } else if (k->state == AGENT_RUNNING || k->state == AGENT_ENDING) {
        if (k->state == AGENT_RUNNING)
            k->end = (struct reason){.code = REASON_EXITED};
        if (k->state == AGENT_RUNNING && rng_below(&w->rng, 6) == 0)
            k->end = (struct reason){.code = bad[rng_below(&w->rng, 4)], .a = 3};
        k->state = AGENT_ENDED;
    }
    if (!a->session)
        return;
    struct held copy = *k;
    if (copy.state == AGENT_ENDED)
        send_end(w, a, &copy);
    else
        send_report(w, a, &copy);
}

static void do_reboot(struct walk *w)
{
    struct agent *a = any_agent(w);
    if (a->link)
        return;
    a->boot++;
    // What was journaled as ended is still told.
    int kept = 0;
    for (int i = 0; i < a->count; i++)
        if (a->held[i].state == AGENT_ENDED)
            a->held[kept++] = a->held[i];
    a->count = kept;
}

static void do_time(struct walk *w)
{
    static const int64_t spans[] = {1, 50, 900, 3000, 9000, 31000};
    int64_t ms = spans[rng_below(&w->rng, rng_below(&w->rng, 8) ? 4 : 6)];
    w->h.now.boot_ms += ms;
    w->h.now.wall_ms += ms;
    for (int i = 0; i < NODES; i++)
        for (int k = 0; k < w->agents[i].count; k++) {
            struct held *x = &w->agents[i].held[k];
            if (x->state != AGENT_ENDED && x->lease_end_ms <= w->h.now.boot_ms) {
                x->state = AGENT_ENDED;
                x->end = (struct reason){.code = REASON_LEASE_EXPIRED};
            }
        }
    struct input in = {.kind = INPUT_TICK};
    harness_step(&w->h, &in);
}

static void do_restart(struct walk *w)
{
    harness_compare(&w->h);
    for (int i = 0; i < NODES; i++)
        w->agents[i].link = w->agents[i].session = w->agents[i].welcome = 0;
    harness_restart(&w->h, rng_below(&w->rng, 2));
}

static void walk_step(struct walk *w)
{
    uint64_t what = rng_below(&w->rng, 1000);
    if (what < 60)
        do_submit(w);
    else if (what < 75)
        do_job(w, INPUT_CANCEL);
    else if (what < 79)
        do_job(w, INPUT_HOLD);
    else if (what < 80)
        do_settings(w);
    else if (what < 110)
        do_job(w, INPUT_RELEASE);
    else if (what < 125)
        do_node(w);
    else if (what < 170)
        do_link(w);
    else if (what < 500)
        do_heartbeat(w);
    else if (what < 900)
        do_progress(w);
    else if (what < 905)
        do_reboot(w);
    else if (what < 998)
        do_time(w);
    else if (what < 999)
        do_rule(w);
    else
        do_restart(w);
    check_once(w);
    for (size_t i = 0; i < w->h.waits_count; i++)
        w->ports_awaited += w->h.waits[i].reason.code == REASON_RESOURCES_PORTS;
    text_clear(&w->h.story);
}

static void random_walk(void **state)
{
    (void)state;
    const char *steps_text = getenv("WALK_STEPS"), *seed_text = getenv("WALK_SEED");
    long steps = steps_text ? atol(steps_text) : 1000000;
    struct walk w = {.rng = {seed_text ? strtoull(seed_text, NULL, 10) : 1}};
    struct cluster_limits limits = CLUSTER_LIMITS_DEFAULT;
    limits.port_count = PORTS;
    limits.policy = (enum policy)(w.rng.state % POLICY_COUNT);
    harness_init_with(&w.h, limits);
    w.h.on_effect = on_effect;
    w.h.arg = &w;
    for (int i = 0; i < NODES; i++) {
        snprintf(w.agents[i].name, sizeof w.agents[i].name, "n%d", i + 1);
        w.agents[i].machine = i % 2;
    }
    for (long i = 0; i < steps; i++)
        walk_step(&w);
    harness_compare(&w.h);
    printf("# %ld steps: %" PRIu64 " jobs, %" PRIu64 " starts, %" PRIu64 " ends, %" PRIu64
           " ports taken, %" PRIu64 " steps without a port, term %" PRIu64 "\n",
           steps, cluster_meta(w.h.c)->next_job - 1, w.starts, w.ends, w.ports_taken,
           w.ports_awaited, cluster_meta(w.h.c)->term);
    assert_true(w.starts > (uint64_t)steps / 400);
    assert_true(w.ports_taken > 0 && (w.ports_awaited > 0 || steps < 1000000)); // rare
    harness_fini(&w.h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_walk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
