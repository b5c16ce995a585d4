// The core over the real store: whatever happens, the tables give back the live state.
#include "tests/unit/rule_random.h"
#include "tests/unit/store_fixture.h"

enum { NODES = 3, CORES = 4, ATTEMPTS_MAX = 64, STEPS = 6000 };

struct agent_side {
    uint64_t link, session, request, links;
    bool linked; // HELLO was sent on this link
    struct reported_attempt attempts[ATTEMPTS_MAX];
    size_t count;
};

struct run {
    struct rng r;
    char *dir;
    struct store *s;
    struct cluster *c;
    struct now now;
    struct agent_side agents[NODES];
    struct store_batch *batch; // turns that wait for their commit
    uint64_t submitted, rules, restarts, ends, compared;
};

static struct reported_attempt *find_attempt(struct agent_side *a, struct attempt_id id)
{
    for (size_t i = 0; i < a->count; i++)
        if (attempt_id_eq(a->attempts[i].id, id))
            return &a->attempts[i];
    return NULL;
}

static void obey(struct run *run, const struct effect *e)
{
    struct agent_side *a = &run->agents[e->node.v ? e->node.v - 1 : 0];
    struct reported_attempt *at = find_attempt(a, e->attempt);
    switch (e->kind) {
    case EFFECT_WELCOME:
        if (e->link == a->link)
            a->session = e->session;
        break;
    case EFFECT_LAUNCH:
        if (!at && a->count < ATTEMPTS_MAX)
            a->attempts[a->count++] =
                (struct reported_attempt){.id = e->attempt, .state = AGENT_ORDERED};
        break;
    case EFFECT_KILL:
        if (at)
            at->state = AGENT_ENDING;
        break;
    case EFFECT_END_ACK:
        if (at)
            *at = a->attempts[--a->count];
        break;
    case EFFECT_GO:
    case EFFECT_GRANT:
    case EFFECT_REPLY:
    case EFFECT_CLOSE:
    case EFFECT_COUNT:
        break;
    }
}

static void commit(struct run *run)
{
    MUST(store_commit(run->s, run->batch, &test_err));
    store_batch_free(run->batch);
    run->batch = store_batch_new();
}

// One or several turns share a commit.
static void finish_turn(struct run *run)
{
    const struct outcome *o = cluster_outcome(run->c);
    for (int i = 0; o->continue_wanted && i < 64; i++) {
        struct input in = {.kind = INPUT_CONTINUE};
        cluster_step(run->c, run->now, &in);
        o = cluster_outcome(run->c);
    }
    cluster_check(run->c);
    add_zero_spec(run->batch);
    store_batch_add(run->batch, o);
    if (chance(&run->r, 2))
        commit(run);
    for (size_t i = 0; i < o->effects_count; i++)
        obey(run, &o->effects[i]);
}

static void step(struct run *run, const struct input *in)
{
    cluster_turn_begin(run->c);
    cluster_step(run->c, run->now, in);
    finish_turn(run);
}

// ---- what happens ----

static void submit(struct run *run)
{
    struct rng *r = &run->r;
    uint32_t uid = 7 + (uint32_t)rng_below(r, 2);
    struct input in = {.kind = INPUT_SUBMIT, .caller = {.reply_to = 1, .uid = uid}};
    in.submit = (struct input_submit){
        .uid = {++run->submitted},
        .request_id = {run->submitted, 1},
        .owner_uid = uid,
        .owner_name = uid == 7 ? "u7" : "u8",
        .queue = chance(r, 3) ? rule_random_name(r, RULE_QUEUE) : NULL,
        .account = chance(r, 4) ? rule_random_name(r, RULE_ACCOUNT) : NULL,
        .qos = chance(r, 3) ? rule_random_name(r, RULE_QOS) : NULL,
        .req = {.tasks = (int32_t)rng_below(r, 4) + 1,
                .cpus = (int32_t)rng_below(r, 3) + 1,
                .grace_ms = 1000,
                .lease_ms = chance(r, 2) ? 30000 : 0,
                .pmix = chance(r, 3)},
        .priority = (int32_t)rng_below(r, 3),
        .held = chance(r, 6),
        .array_count = chance(r, 5) ? (int64_t)rng_below(r, 4) + 1 : 0,
    };
    step(run, &in);
}

static void connect_agent(struct run *run, uint32_t i)
{
    struct agent_side *a = &run->agents[i];
    char name[16];
    snprintf(name, sizeof name, "n%u", i + 1);
    struct input in = {.kind = INPUT_LINK_UP};
    in.link_up.name = name;
    a->link = in.link_up.link = ++a->links * NODES + i;
    a->linked = true;
    step(run, &in);
    in = (struct input){.kind = INPUT_HELLO};
    in.hello = (struct input_hello){.node = {i + 1},
                                    .session = a->session,
                                    .cluster = cluster_meta(run->c)->id,
                                    .inc = {"m", "b", i + 100},
                                    .term_seen = cluster_meta(run->c)->term,
                                    .journal_intact = true,
                                    .request = ++a->request,
                                    .cores = CORES,
                                    .attempts = a->attempts,
                                    .attempts_count = a->count};
    step(run, &in);
}

static void disconnect_agent(struct run *run, uint32_t i)
{
    struct input in = {.kind = INPUT_LINK_DOWN, .link_down = run->agents[i].link};
    run->agents[i].linked = false;
    step(run, &in);
}

static void end_attempt(struct run *run, uint32_t i, struct reported_attempt *at)
{
    struct task_result result = {.rank = 0, .user_ms = 3, .system_ms = -1, .peak_kib = 10};
    struct input in = {.kind = INPUT_END};
    in.end.node.v = i + 1;
    in.end.session = run->agents[i].session;
    in.end.attempt = at->id;
    in.end.started = at->started;
    in.end.reason.code = REASON_EXITED;
    if (chance(&run->r, 4)) {
        in.end.reason.code = REASON_TASK_FAILED;
        in.end.reason.a = 3;
        in.end.detail = "it \"failed\"";
    }
    in.end.tasks = &result;
    in.end.tasks_count = at->started;
    at->state = AGENT_ENDED;
    run->ends++;
    step(run, &in);
}

static void agent_acts(struct run *run, uint32_t i)
{
    struct agent_side *a = &run->agents[i];
    if (!a->linked)
        return;
    if (a->count == 0 || chance(&run->r, 3)) {
        struct attempt_id ids[ATTEMPTS_MAX];
        for (size_t k = 0; k < a->count; k++)
            ids[k] = a->attempts[k].id;
        struct input in = {.kind = INPUT_HEARTBEAT};
        in.heartbeat = (struct input_heartbeat){{i + 1}, a->session, ++a->request, ids, a->count};
        step(run, &in);
        return;
    }
    struct reported_attempt *at = &a->attempts[rng_below(&run->r, a->count)];
    if (at->state == AGENT_ENDING || at->state == AGENT_ENDED ||
        (at->state == AGENT_RUNNING && chance(&run->r, 2))) {
        end_attempt(run, i, at);
        return;
    }
    at->state = at->state == AGENT_ORDERED && chance(&run->r, 2) ? AGENT_PREPARED : AGENT_RUNNING;
    at->started = at->state == AGENT_RUNNING;
    struct input in = {.kind = INPUT_REPORT};
    in.report.node.v = i + 1;
    in.report.session = a->session;
    in.report.attempt = *at;
    step(run, &in);
}

static void command(struct run *run)
{
    static const enum input_kind kinds[] = {INPUT_CANCEL, INPUT_HOLD, INPUT_RELEASE,
                                            INPUT_NODE_DRAIN, INPUT_NODE_RESUME};
    struct input in = {.kind = kinds[rng_below(&run->r, 5)],
                       .caller = {.reply_to = 1, .uid = 7, .admin = true}};
    char name[16];
    if (in.kind == INPUT_NODE_DRAIN || in.kind == INPUT_NODE_RESUME) {
        snprintf(name, sizeof name, "n%u", (unsigned)rng_below(&run->r, NODES) + 1);
        in.node.name = name;
        in.node.reason = "a fan";
    } else {
        in.job.v = cluster_meta(run->c)->next_job - 1 - rng_below(&run->r, 8);
    }
    step(run, &in);
}

static void order_rule(struct run *run)
{
    struct rule_order o;
    rule_random(&run->r, run->c, &o);
    step(run, &o.in);
    run->rules += o.in.kind == INPUT_RULE_SET;
}

// Made and removed again, whatever else has been.
static void order_gone(struct run *run)
{
    struct rule row;
    rule_init(&row, RULE_QOS);
    snprintf(row.qos.name, sizeof row.qos.name, "gone");
    struct input in = {.kind = INPUT_RULE_SET, .caller = {.admin = true, .reply_to = 1}};
    in.rule.row = &row;
    in.rule.mode = RULE_PUT;
    step(run, &in);
    in = (struct input){.kind = INPUT_RULE_REMOVE, .caller = {.admin = true, .reply_to = 1}};
    in.rule_name.kind = RULE_QOS;
    in.rule_name.name = "gone";
    step(run, &in);
}

static void pass_time(struct run *run)
{
    run->now.boot_ms += (int64_t)rng_below(&run->r, 20000);
    run->now.wall_ms += 1000;
    struct input in = {.kind = INPUT_TICK};
    step(run, &in);
}

// ---- the proof ----

static void assert_tables_equal_live(struct run *run)
{
    struct cluster *again = cluster_new(&CLUSTER_LIMITS_DEFAULT);
    struct cluster_meta meta;
    AUTO(text) struct text live = {0}, loaded = {0};
    int quarantined;
    commit(run);
    MUST(store_load_rows(run->s, again, &meta, &quarantined, &test_err));
    cluster_dump(run->c, &live);
    cluster_dump(again, &loaded);
    cluster_free(again);
    assert_int_equal(quarantined, 0);
    assert_string_equal(text_str(&loaded), text_str(&live));
    // History: every job that ever was, every event, every name.
    assert_int_equal(store_int(run->s, "SELECT count(*) FROM job j JOIN queue q ON q.id = j.queue"
                                       " JOIN account a ON a.id = j.account"
                                       " JOIN qos s ON s.id = j.qos JOIN user u ON u.id = j.user"),
                     meta.next_job - 1);
    assert_int_equal(store_int(run->s, "SELECT count(*) FROM job"), meta.next_job - 1);
    assert_int_equal(store_int(run->s, "SELECT count(*) FROM event"), meta.next_event - 1);
    run->compared++;
}

static void start(struct run *run)
{
    struct store_start start;
    int quarantined;
    run->c = cluster_new(&CLUSTER_LIMITS_DEFAULT);
    MUST(store_load(run->s, run->c, &start, &quarantined, &test_err));
    assert_int_equal(quarantined, 0);
    assert_false(start.hold);
    cluster_start(run->c, run->now, start.term, start.nonce, start.same_boot, start.hold,
                  start.term_seen);
    finish_turn(run);
}

static void restart(struct run *run)
{
    commit(run);
    cluster_free(run->c);
    store_close(run->s);
    run->s = open_or_fail(run->dir);
    start(run);
    run->restarts++;
    for (uint32_t i = 0; i < NODES; i++)
        run->agents[i].linked = false;
    assert_tables_equal_live(run);
}

static void act(struct run *run)
{
    uint64_t what = rng_below(&run->r, 100);
    uint32_t node = (uint32_t)rng_below(&run->r, NODES);
    if (what < 10)
        submit(run);
    else if (what < 14)
        command(run);
    else if (what < 17)
        order_rule(run);
    else if (what < 20)
        pass_time(run);
    else if (what < 21)
        restart(run);
    else if (what < 23 && run->agents[node].linked)
        disconnect_agent(run, node);
    else if (!run->agents[node].linked)
        connect_agent(run, node);
    else
        agent_acts(run, node);
}

static void test_the_tables_give_back_the_live_state(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct run *run = xcalloc(1, sizeof *run);
        *run = (struct run){.r = {seed}, .dir = dir_make(), .now = {1000, 1700000000000}};
        run->s = open_or_fail(run->dir);
        run->batch = store_batch_new();
        start(run);
        for (uint32_t i = 0; i < NODES; i++) // in order: node i + 1 is n(i + 1)
            connect_agent(run, i);
        for (int i = 0; i < STEPS; i++) {
            act(run);
            if (chance(&run->r, 20))
                assert_tables_equal_live(run);
        }
        order_gone(run);
        assert_tables_equal_live(run);
        print_message("# seed %" PRIu64 ": %" PRIu64 " jobs, %" PRIu64 " ends, %" PRIu64
                      " restarts, %" PRIu64 " comparisons\n",
                      seed, cluster_meta(run->c)->next_job - 1, run->ends, run->restarts,
                      run->compared);
        assert_true(run->ends > 100 && run->restarts > 10 && run->rules > 100);
        assert_int_equal(store_int(run->s, "SELECT removed FROM qos WHERE name = 'gone'"), 1);
        assert_true(store_int(run->s, "SELECT count(DISTINCT qos) + count(DISTINCT account)"
                                      " FROM job") > 4);
        assert_true(store_int(run->s, "SELECT count(*) FROM task") > 100);
        assert_true(store_int(run->s, "SELECT count(DISTINCT state) FROM job") > 3);
        cluster_free(run->c);
        store_batch_free(run->batch);
        store_close(run->s);
        dir_remove(run->dir);
        free(run);
    }
}

int main(void)
{
    log_init("test", LOG_LEVEL_ERROR + 1, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_tables_give_back_the_live_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
