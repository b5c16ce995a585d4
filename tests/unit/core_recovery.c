// Stories of databases that know less than the cluster: restored, copied, or of attempts unknown.
#include "tests/unit/core_stage.h"

static void an_older_database_holds(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    submit(s, (struct request){.tasks = 1, .cpus = 1});
    connect_node(s, 0);
    struct input_hello h = hello_of(s, 0);
    h.term_seen = 9;
    forget(s);
    hello(s, &h);
    expect_lines(&s->h.story, "recovery hold: an agent has seen term 9, this database is at 1\n");
    submit(s, (struct request){.tasks = 1, .cpus = 1});
    expect_lines(&s->sent, "reply the scheduler is in recovery hold and only answers questions\n");
    struct input in = {.kind = INPUT_RECOVER, .caller = {.reply_to = 3, .uid = 7}};
    harness_step(&s->h, &in);
    expect_lines(&s->sent, "reply this is for the cluster's operator\n");
    in.caller = (struct caller){.reply_to = 3, .admin = true};
    harness_step(&s->h, &in);
    expect_lines(&s->sent, "welcome n1\nreply ok 0\n");
    assert_int_equal(s->h.meta.term, 10);
}

static void a_copy_of_the_database_started_twice_holds(void **state)
{
    struct stage *s = *state;
    connect_node(s, 0);
    struct input_hello h = hello_of(s, 0);
    h.nonce_seen = 41;
    forget(s);
    hello(s, &h);
    expect_lines(&s->h.story, "recovery hold: an agent has seen another start of term 1\n");
}

// Accepting the database must end the hold, though the agent goes on knowing more.
static void a_newer_attempt_than_the_database_knows_holds_its_job(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    submit(s, (struct request){.tasks = 1, .cpus = 1});
    connect_node(s, 0);
    struct reported_attempt newer = {
        .id = attempt(1, 2), .state = AGENT_RUNNING, .started = true, .cores = coreset_first(1)};
    struct input_hello h = hello_of(s, 0);
    h.attempts = &newer;
    h.attempts_count = 1;
    forget(s);
    hello(s, &h);
    expect_lines(&s->h.story,
                 "job 1 is held: node n1 knows attempt 2, this database 1\n"
                 "recovery hold: an agent knows attempt 2 of job 1, this database 1\n");
    struct input in = {.kind = INPUT_RECOVER, .caller = {.reply_to = 1, .admin = true}};
    harness_step(&s->h, &in);
    h.session = s->session[0];
    h.request = ++s->request[0];
    forget(s);
    hello(s, &h);
    assert_false(s->h.meta.recovery_hold);
    assert_int_equal(node_state(cluster_node(s->h.c, (struct node_id){1})), NODE_UP);
    assert_true(s->h.jobs[0].held);
    assert_int_equal(s->h.jobs[0].attempt, 2);
}

static void unknown_attempts_are_left_alone(void **state)
{
    struct stage *s = *state;
    connect_node(s, 0);
    struct reported_attempt held = {
        .id = attempt(77, 1), .state = AGENT_RUNNING, .started = true, .cores = coreset_first(3)};
    struct input_hello h = hello_of(s, 0);
    h.attempts = &held;
    h.attempts_count = 1;
    forget(s);
    hello(s, &h);
    expect_lines(&s->sent, "");
    const struct outcome *o = cluster_outcome(s->h.c); // events alone must tell what is given out
    const struct event *told = &o->events[o->events_count - 1];
    assert_int_equal(told->kind, EVENT_QUARANTINED);
    assert_true(coreset_equal(&told->cores, &held.cores));
    submit(s, (struct request){.tasks = 1, .cpus = 2});
    assert_int_equal(s->h.jobs[0].state, JOB_PENDING);
    assert_int_equal(harness_why(&s->h, 1), REASON_RESOURCES);
    end(s, 0, attempt(77, 1), true, (struct reason){.code = REASON_EXITED}, NULL);
    assert_int_equal(s->h.jobs[0].state, JOB_STARTING);
}

// From a restored database an element may be made again: it is another one for the agents.
static void an_element_has_another_uid_in_another_start(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    struct cluster *twin = harness_load(&s->h);
    struct input in = {.kind = INPUT_SUBMIT, .caller = {.uid = 7}};
    in.submit =
        (struct input_submit){.uid = {50}, .req = {.tasks = 1, .cpus = 4}, .array_count = 2};
    harness_step(&s->h, &in);
    struct job_uid first = s->h.jobs[1].uid;
    cluster_free(s->h.c);
    s->h.c = twin;
    cluster_start(twin, s->h.now, 3, 43, true, false, 0);
    harness_finish_turn(&s->h);
    join(s, 0);
    harness_step(&s->h, &in);
    assert_int_equal(s->h.jobs[1].array.v, 1);
    assert_int_not_equal(s->h.jobs[1].uid.v, first.v);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(an_older_database_holds),
        STORY(a_copy_of_the_database_started_twice_holds),
        STORY(a_newer_attempt_than_the_database_knows_holds_its_job),
        STORY(unknown_attempts_are_left_alone),
        STORY(an_element_has_another_uid_in_another_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
