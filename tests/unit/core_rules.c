// Queues, accounts, users, QoS and limits: what operators set, what is refused and why, and that
// jobs wait, start and count as the limits say.
#include "tests/unit/core_rules_stage.h"

#include "common/rng.h"

// ---- rows ----

static void what_is_always_there(void **state)
{
    struct stage *s = *state;
    assert_non_null(rule_find(s->h.c, RULE_QUEUE, "default"));
    assert_non_null(rule_find(s->h.c, RULE_QOS, "normal"));
    assert_non_null(rule_find(s->h.c, RULE_ACCOUNT, "default"));
    drop(s, RULE_QUEUE, "default");
    expect_reply(s, "cannot remove queue \"default\": it is always there");
    drop(s, RULE_ACCOUNT, "root");
    expect_reply(s, "cannot remove account \"root\": it is always there");
    drop(s, RULE_QOS, "nice");
    expect_reply(s, "there is no QoS \"nice\"");
    expect_story(s, "");
}

static void changes_are_told_and_only_operators_make_them(void **state)
{
    struct stage *s = *state;
    put(s, RULE_QUEUE, "gpu", "priority=10 max_memory=2GiB");
    expect_reply(s, "ok");
    expect_story(s, "queue \"gpu\" created by user 0: priority=10, max_memory=2 GiB\n");
    put(s, RULE_QUEUE, "gpu", "priority=20 max_memory=none state=closed");
    expect_reply(s, "ok");
    expect_story(s, "queue \"gpu\" changed by user 0: priority 10 -> 20, state open -> closed, "
                    "max_memory 2 GiB -> none\n");
    put(s, RULE_QUEUE, "gpu", "priority=20");
    expect_reply(s, "ok");
    expect_story(s, ""); // nothing changed
    put_as(s, &operator, RULE_CREATE, RULE_QUEUE, "gpu", "");
    expect_reply(s, "there is already a queue \"gpu\"");
    put_as(s, &operator, RULE_CHANGE, RULE_QUEUE, "cpu", "");
    expect_reply(s, "there is no queue \"cpu\"");
    put_as(s, &(struct caller){.reply_to = 1, .uid = ANN}, RULE_PUT, RULE_QUEUE, "gpu",
           "order=las");
    expect_reply(s, "this is for the cluster's operator");
    drop(s, RULE_QUEUE, "gpu");
    expect_reply(s, "ok");
    expect_story(s, "queue \"gpu\" removed by user 0\n");
    assert_null(rule_find(s->h.c, RULE_QUEUE, "gpu"));
    put(s, RULE_SETTINGS, "", "half_life=7d");
    expect_reply(s, "ok");
    expect_story(s, "settings changed by user 0: half_life 14 d -> 7 d\n");
    put(s, RULE_SETTINGS, "", "half_life=1s");
    expect_reply(s, "this cannot be: half_life must be 10s to 100d, or none");
}

static void accounts_are_a_tree(void **state)
{
    struct stage *s = *state;
    must_put(s, RULE_ACCOUNT, "a", "");
    must_put(s, RULE_ACCOUNT, "b", "parent=a");
    must_put(s, RULE_ACCOUNT, "c", "parent=b");
    put(s, RULE_ACCOUNT, "a", "parent=c");
    expect_reply(s, "this cannot be: account \"a\" would be part of itself: \"c\" is below it");
    put(s, RULE_ACCOUNT, "a", "parent=a");
    expect_reply(s, "this cannot be: account \"a\" would be part of itself");
    put(s, RULE_ACCOUNT, "a", "parent=nobody");
    expect_reply(s, "this cannot be: parent names account \"nobody\", which does not exist; known: "
                    "root, default, a, b, c");
    put(s, RULE_ACCOUNT, "root", "parent=a");
    expect_reply(s, "this cannot be: account \"root\" is part of no other");
    assert_string_equal(rule_find(s->h.c, RULE_ACCOUNT, "a")->row->account.parent, "root");
    drop(s, RULE_ACCOUNT, "b");
    expect_reply(s, "cannot remove account \"b\": account \"c\" names it (parent)");
    drop(s, RULE_ACCOUNT, "c");
    expect_reply(s, "ok");
    drop(s, RULE_ACCOUNT, "b");
    expect_reply(s, "ok");
    char name[16], parent[32] = "parent=a";
    for (int i = 0; i < RULES_DEPTH_MAX - 2; i++) {
        snprintf(name, sizeof name, "d%d", i);
        must_put(s, RULE_ACCOUNT, name, parent);
        snprintf(parent, sizeof parent, "parent=d%d", i);
    }
    put(s, RULE_ACCOUNT, "deep", parent);
    expect_reply(s, "this cannot be: accounts would be more than 16 above each other");
    must_put(s, RULE_ACCOUNT, "e", "");
    put(s, RULE_ACCOUNT, "a", "parent=e"); // takes what is below with it
    expect_reply(s, "this cannot be: accounts would be more than 16 above each other");
}

static void users_are_in_accounts(void **state)
{
    struct stage *s = *state;
    make_physics(s, "");
    put(s, RULE_USER, "ann", "uid=9");
    expect_reply(s, "this cannot be: user \"ann\" has the uid 7, in account \"physics\"");
    put(s, RULE_USER, "eve", "uid=7");
    expect_reply(s, "this cannot be: uid 7 is user \"ann\", in account \"physics\"");
    put(s, RULE_USER, "eve", "");
    expect_reply(s,
                 "this cannot be: the machine of the scheduler knows no user \"eve\". Give uid=N");
    must_put(s, RULE_USER, "ann/physics", "is_default=true");
    must_put(s, RULE_USER, "ann", "uid=7 is_default=true"); // in default; takes it from physics
    assert_false(rule_find(s->h.c, RULE_USER, "ann/physics")->row->user.is_default);
    drop(s, RULE_USER, "ann/default");
    expect_reply(s, "cannot remove user \"ann\" in account \"default\": user \"ann\" has it as the "
                    "default account. Make another one the default first");
    submit(s, ANN, (struct asked){0});
    expect_reply(s, "ok");
    assert_string_equal(job_account(s->h.c, cluster_job(s->h.c, (struct job_id){1}))->name,
                        "default");
    submit(s, ANN, (struct asked){.account = "physics"});
    expect_reply(s, "ok");
    drop(s, RULE_USER, "ann/physics");
    expect_reply(s,
                 "cannot remove user \"ann\" in account \"physics\": 1 job that lives, as job 2");
    drop(s, RULE_ACCOUNT, "physics");
    expect_reply(s,
                 "cannot remove account \"physics\": user \"ann\" in account \"physics\" names it "
                 "(account)");
    end(s, 2);
    drop(s, RULE_USER, "ann/physics");
    expect_reply(s, "ok");
}

static void who_is_in_no_account(void **state)
{
    struct stage *s = *state;
    make_physics(s, "");
    submit(s, 9, (struct asked){0}); // joins "default" silently
    expect_reply(s, "ok");
    assert_non_null(rule_find(s->h.c, RULE_USER, "9/default"));
    submit(s, 9, (struct asked){.account = "physics"});
    expect_reply(s, "is not allowed: user \"9\" is not in account \"physics\". Its accounts are "
                    "default");
    must_put(s, RULE_SETTINGS, "", "enforce_accounts=true");
    submit(s, 10, (struct asked){0});
    expect_reply(s, "is not allowed: user \"10\" is not in any account");
    submit(s, 9, (struct asked){0});
    expect_reply(s, "ok");
    submit(s, 9, (struct asked){.account = "chemistry"});
    expect_reply(s, "there is no account \"chemistry\"; known: root, default, physics");
}

static void queues_and_qos_choose_who_may(void **state)
{
    struct stage *s = *state;
    make_physics(s, "");
    must_put(s, RULE_ACCOUNT, "theory", "parent=physics qos=normal");
    must_put(s, RULE_USER, "ann", "account=theory uid=7");
    must_put(s, RULE_QOS, "high", "preempts=normal");
    must_put(s, RULE_QUEUE, "gpu", "accounts=physics qos=normal,high default_qos=high");
    submit(s, ANN, (struct asked){.queue = "cpu"});
    expect_reply(s, "there is no queue \"cpu\"; known: default, gpu");
    submit(s, 9, (struct asked){.queue = "gpu"});
    expect_reply(s, "is not allowed: queue \"gpu\" is for accounts physics, not \"default\"");
    submit(s, ANN, (struct asked){.queue = "gpu", .account = "theory"}); // a part of physics
    expect_reply(s, "ok");
    assert_string_equal(job_qos(s->h.c, cluster_job(s->h.c, (struct job_id){1}))->name, "high");
    submit(s, ANN, (struct asked){.account = "theory", .qos = "high"});
    expect_reply(s, "is not allowed: account \"theory\" may use QoS normal, not \"high\"");
    submit(s, ANN, (struct asked){.qos = "low"});
    expect_reply(s, "there is no QoS \"low\"; known: normal, high");
    must_put(s, RULE_QOS, "low", "");
    submit(s, ANN, (struct asked){.queue = "gpu", .qos = "low"});
    expect_reply(s, "is not allowed: queue \"gpu\" takes QoS normal,high, not \"low\"");
    must_put(s, RULE_QUEUE, "gpu", "state=closed");
    submit(s, ANN, (struct asked){.queue = "gpu"});
    expect_reply(s, "queue \"gpu\" is closed: it takes no jobs");
    drop(s, RULE_QOS, "high");
    expect_reply(s, "cannot remove QoS \"high\": queue \"gpu\" names it (default_qos)");
}

static void preemption_goes_one_way(void **state)
{
    struct stage *s = *state;
    must_put(s, RULE_QOS, "low", "");
    must_put(s, RULE_QOS, "middle", "preempts=low");
    must_put(s, RULE_QOS, "high", "preempts=middle,low");
    put(s, RULE_QOS, "low", "preempts=high");
    expect_reply(s, "this cannot be: QoS \"low\" would preempt itself by way of \"high\"");
    put(s, RULE_QOS, "low", "preempts=low");
    expect_reply(s, "this cannot be: QoS \"low\" would preempt itself");
    struct qos_id id[3];
    static const char *const names[] = {"low", "middle", "high"};
    for (int i = 0; i < 3; i++)
        id[i].v = (uint32_t)rule_find(s->h.c, RULE_QOS, names[i])->row->id;
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++)
            assert_int_equal(qos_may_preempt(s->h.c, id[a], id[b]), a > b);
}

static void reservations_are_validated(void **state)
{
    struct stage *s = *state;
    make_physics(s, "");
    put(s, RULE_RESERVATION, "r", "nodes=n1 accounts=physics");
    expect_reply(s, "this cannot be: a reservation needs start and duration (or end)");
    put(s, RULE_RESERVATION, "r", "start=1000 duration=25h repeat=daily nodes=n1 accounts=physics");
    expect_reply(s,
                 "this cannot be: a reservation that is repeated daily must be shorter than that");
    put(s, RULE_RESERVATION, "r", "start=1000 duration=1h accounts=physics");
    expect_reply(s, "this cannot be: a reservation needs nodes or node_count, one of both");
    put(s, RULE_RESERVATION, "r", "start=1000 duration=1h nodes=n[1-2] accounts=physics");
    expect_reply(s, "this cannot be: there is no node \"n2\"");
    put(s, RULE_RESERVATION, "r", "start=1000 duration=1h nodes=n1");
    expect_reply(s, "this cannot be: a reservation is for accounts or users, or maintenance");
    put(s, RULE_RESERVATION, "r", "start=1000 duration=1h nodes=n1 users=eve");
    expect_reply(s, "this cannot be: there is no user \"eve\" in any account");
    put(s, RULE_RESERVATION, "r", "start=1000 duration=1h nodes=n1 users=ann maintenance=true");
    expect_reply(s, "this cannot be: nothing runs in maintenance: it is for no accounts or users");
    must_put(s, RULE_RESERVATION, "r",
             "start=1000 duration=1h repeat=daily nodes=n1 users=ann accounts=physics");
    const struct reservation_rule *r = &rule_find(s->h.c, RULE_RESERVATION, "r")->row->reservation;
    const int64_t hour = 3600000, day = 24 * hour;
    int64_t start, end_ms;
    assert_true(reservation_next(r, 0, &start, &end_ms));
    assert_true(start == 1000 && end_ms == 1000 + hour);
    assert_true(reservation_next(r, 1000 + hour - 1, &start, &end_ms) && start == 1000);
    assert_true(reservation_next(r, 1000 + hour, &start, &end_ms) && start == 1000 + day);
    assert_true(reservation_next(r, 10 * day, &start, &end_ms) && start == 10 * day + 1000);
    must_put(s, RULE_RESERVATION, "r", "repeat=never");
    assert_false(reservation_next(r, 1000 + hour, &start, &end_ms));
}

// ---- limits ----

static void a_submission_over_a_limit_is_refused(void **state)
{
    struct stage *s = *state;
    make_physics(s, "max_submitted_jobs=4 max_job_cores=8 max_job_gpus=2 max_job_time=1h");
    submit(s, ANN, (struct asked){.tasks = 3, .cpus = 3, .time_ms = 1000});
    expect_reply(s, "is over a limit: max_job_cores of account \"physics\" is 8 and it asks for 9");
    submit(s, ANN, (struct asked){.gpus = 3, .time_ms = 1000});
    expect_reply(s, "is over a limit: max_job_gpus of account \"physics\" is 2 and it asks for 3");
    submit(s, ANN, (struct asked){.time_ms = 7200000});
    expect_reply(s,
                 "is over a limit: max_job_time_ms of account \"physics\" is 1 h and it asks for "
                 "2 h");
    submit(s, ANN, (struct asked){0}); // takes the limit as its own
    expect_reply(s, "ok");
    assert_int_equal(s->h.jobs[0].req.time_limit_ms, 3600000);
    must_put(s, RULE_QUEUE, "default", "default_time=10m");
    submit(s, ANN, (struct asked){.array = 2});
    expect_reply(s, "ok");
    assert_int_equal(s->h.jobs[1].req.time_limit_ms, 600000);
    submit(s, BEN, (struct asked){.array = 2});
    expect_reply(s, "is over a limit: max_submitted_jobs of account \"physics\" is 4: 3 are used "
                    "(ann 3) and it needs 2");
    submit(s, BEN, (struct asked){0});
    expect_reply(s, "ok");
    submit(s, BEN, (struct asked){0});
    expect_reply(s, "is over a limit: max_submitted_jobs of account \"physics\" is 4: 4 are used "
                    "(ann 3, ben 1) and it needs 1");
    end(s, 1);
    submit(s, BEN, (struct asked){0});
    expect_reply(s, "ok");
}

static void a_job_over_a_running_limit_waits_and_holds_up_no_other(void **state)
{
    struct stage *s = *state;
    make_physics(s, "max_cores=8");
    submit(s, ANN, (struct asked){.cpus = 4});
    submit(s, BEN, (struct asked){.cpus = 2});
    submit(s, ANN, (struct asked){.cpus = 4});
    expect_waits(s, 3,
                 "waits at a limit: max_cores of account \"physics\" is 8: 6 are used (ann 4, ben "
                 "2) and it needs 4");
    submit(s, BEN, (struct asked){.cpus = 2}); // would fit, and must not pass job 3 for ever
    expect_waits(s, 4,
                 "waits for its turn: a job before it waits at max_cores of account \"physics\"");
    submit(s, 9, (struct asked){.cpus = 16}); // of another account
    assert_int_equal(s->h.jobs[4].state, JOB_STARTING);
    end(s, 2);
    assert_int_equal(s->h.jobs[2].state, JOB_STARTING);
    expect_waits(s, 4,
                 "waits at a limit: max_cores of account \"physics\" is 8: 8 are used (ann 8) and "
                 "it needs 2");
    must_put(s, RULE_ACCOUNT, "physics", "max_cores=10");
    assert_int_equal(s->h.jobs[3].state, JOB_STARTING);
    assert_int_equal(tally_of(s, RULE_ACCOUNT, "physics")->cores_milli, 10000);
    assert_int_equal(tally_of(s, RULE_ACCOUNT, "root")->cores_milli, 26000);
    assert_int_equal(tally_of(s, RULE_USER, "ben/physics")->cores_milli, 2000);
    must_put(s, RULE_ACCOUNT, "physics", "max_cores=1"); // what runs goes on
    assert_int_equal(s->h.jobs[3].state, JOB_STARTING);
}

// Found out before the limit held it, and true again when that is gone.
static void what_no_node_can_hold_is_said_again_after_a_limit(void **state)
{
    struct stage *s = *state;
    make_physics(s, "max_cores=none");
    submit(s, ANN, (struct asked){.cpus = NODE_CORES + 1, .unsatisfiable = true});
    const char *never =
        "waits for nodes that do not exist yet: needs 1 node with 65 cores; the cluster has 0";
    expect_waits(s, 1, never);
    must_put(s, RULE_ACCOUNT, "physics", "max_cores=8");
    expect_waits(s, 1,
                 "waits at a limit: max_cores of account \"physics\" is 8: 0 are used and it needs "
                 "65");
    must_put(s, RULE_ACCOUNT, "physics", "max_cores=none");
    expect_waits(s, 1, never);
}

static void limits_of_each_user_of_a_queue_and_qos(void **state)
{
    struct stage *s = *state;
    must_put(s, RULE_QOS, "debug", "max_running_jobs_per_user=1 deny_on_limit=true max_gpus=2");
    must_put(s, RULE_QUEUE, "gpu", "max_gpus_per_user=4");
    submit(s, ANN, (struct asked){.qos = "debug"});
    submit(s, ANN, (struct asked){.qos = "debug"});
    expect_waits(s, 2,
                 "waits at a limit: max_running_jobs_per_user of user \"7\" under QoS \"debug\" is "
                 "1: 1 is used and it needs 1");
    submit(s, BEN, (struct asked){.qos = "debug"});
    assert_int_equal(s->h.jobs[2].state, JOB_STARTING);
    text_clear(&s->said);
    submit(s, BEN, (struct asked){.qos = "debug", .gpus = 3});
    expect_reply(s, "is over a limit: max_gpus of QoS \"debug\" is 2: 0 are used and it needs 3");
    submit(s, BEN, (struct asked){.queue = "gpu", .gpus = 3});
    submit(s, BEN, (struct asked){.queue = "gpu", .gpus = 3});
    expect_waits(s, 5,
                 "waits at a limit: max_gpus_per_user of user \"8\" in queue \"gpu\" is 4: 3 are "
                 "used and it needs 3");
    submit(s, BEN, (struct asked){.queue = "gpu"}); // needs no GPU: the limit does not concern it
    assert_int_equal(s->h.jobs[5].state, JOB_STARTING);
    must_put(s, RULE_QUEUE, "gpu", "state=draining max_gpus_per_user=none");
    expect_waits(s, 5, "waits because queue \"gpu\" is draining and starts none");
    must_put(s, RULE_QUEUE, "gpu", "state=open");
    assert_int_equal(s->h.jobs[4].state, JOB_STARTING);
}

static void an_array_starts_as_many_as_may(void **state)
{
    struct stage *s = *state;
    must_put(s, RULE_ACCOUNT, "default", "max_running_jobs=3");
    submit(s, ANN, (struct asked){.array = 10});
    const struct tally *t = tally_of(s, RULE_ACCOUNT, "default");
    assert_int_equal(t->running_jobs, 3);
    assert_int_equal(t->submitted_jobs, 10);
    expect_waits(s, 1,
                 "waits at a limit: max_running_jobs of account \"default\" is 3: 3 are used (7 3) "
                 "and it needs 1");
    struct input in = {.kind = INPUT_CANCEL, .caller = {.uid = ANN}, .job = {1}};
    harness_step(&s->h, &in);
    assert_int_equal(t->submitted_jobs, 3);
}

// Whatever comes and goes, no limit that stood from the begin is passed.
static void limits_are_kept(void **state)
{
    struct stage *s = *state;
    struct rng r = {4711};
    static const char *const queues[] = {"default", "gpu"}, *const qos[] = {"normal", "high"};
    uint64_t started = 0, waited = 0;
    make_physics(s, "max_cores=9 max_running_jobs=5");
    must_put(s, RULE_USER, "cid", "account=physics uid=9 max_gpus=2");
    must_put(s, RULE_QOS, "high", "max_gpus_per_user=3 max_memory=3000MiB");
    must_put(s, RULE_QUEUE, "gpu", "max_gpus=6 max_cores_per_user=4");
    for (int i = 0; i < 4000; i++) {
        if (rng_below(&r, 2))
            submit(s, (uint32_t)(7 + rng_below(&r, 3)),
                   (struct asked){.tasks = (int32_t)rng_below(&r, 2) + 1,
                                  .cpus = (int32_t)rng_below(&r, 3) + 1,
                                  .gpus = (int32_t)rng_below(&r, 2),
                                  .memory_mib = (int64_t)rng_below(&r, 2000),
                                  .array = rng_below(&r, 9) ? 0 : 3,
                                  .queue = queues[rng_below(&r, 2)],
                                  .qos = qos[rng_below(&r, 2)]});
        s->h.now.boot_ms += 100;
        for (size_t k = 0; k < s->h.parts_count; k++)
            if (rng_below(&r, s->h.jobs_cap > 4000 ? 2 : 6) == 0) {
                end_uid(s, s->h.parts[k].uid.v);
                started++;
                break;
            }
        const struct tally *physics = tally_of(s, RULE_ACCOUNT, "physics");
        assert_true(physics->cores_milli <= 9000 && physics->running_jobs <= 5);
        assert_true(tally_of(s, RULE_USER, "cid/physics")->gpus_milli <= 2000);
        assert_true(tally_of(s, RULE_QOS, "high")->memory_mib <= 3000);
        assert_true(tally_of(s, RULE_QUEUE, "gpu")->gpus_milli <= 6000);
        for (const struct tally *t = rule_find(s->h.c, RULE_QUEUE, "gpu")->users; t; t = t->next)
            assert_true(t->cores_milli <= 4000);
        for (const struct tally *t = rule_find(s->h.c, RULE_QOS, "high")->users; t; t = t->next)
            assert_true(t->gpus_milli <= 3000);
        waited += physics->submitted_jobs > physics->running_jobs;
        if (i % 500 == 0)
            harness_compare(&s->h);
    }
    print_message("# %" PRIu64 " jobs ended, %" PRIu64 " steps with jobs that wait\n", started,
                  waited);
    assert_true(started > 500 && waited > 100);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(what_is_always_there),
        STORY(changes_are_told_and_only_operators_make_them),
        STORY(accounts_are_a_tree),
        STORY(users_are_in_accounts),
        STORY(who_is_in_no_account),
        STORY(queues_and_qos_choose_who_may),
        STORY(preemption_goes_one_way),
        STORY(reservations_are_validated),
        STORY(a_submission_over_a_limit_is_refused),
        STORY(a_job_over_a_running_limit_waits_and_holds_up_no_other),
        STORY(what_no_node_can_hold_is_said_again_after_a_limit),
        STORY(limits_of_each_user_of_a_queue_and_qos),
        STORY(an_array_starts_as_many_as_may),
        STORY(limits_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
