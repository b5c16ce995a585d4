// Stories: what the core is told, and word for word what it says. The same sentences stand in the
// log, in `schedctl job events` and in `schedctl job why`.
#include "tests/unit/core_stage.h"

#include <signal.h>
#include <stdio.h>

static void one_job_runs_and_completes(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    expect_lines(&s->h.story, "node n1 joined: 4 cores, 1000 MiB, 0 GPUs\n");
    expect_lines(&s->sent, "welcome n1\n");
    submit(s, (struct request){.tasks = 1, .cpus = 2, .memory_mib = 512});
    expect_lines(&s->h.story, "job 1 submitted: 1 task of 2 cores, 512 MiB\n"
                              "job 1 placed on n1: attempt 1, cores 0-1, port 20000\n");
    expect_lines(&s->sent, "reply ok 1\nlaunch n1 attempt 1 lease 0\n");
    tell(s, 0, attempt(1, 1), AGENT_RUNNING);
    expect_lines(&s->h.story, "job 1 started on n1\njob 1 runs\n");
    end(s, 0, attempt(1, 1), true, (struct reason){.code = REASON_EXITED}, NULL);
    expect_lines(&s->h.story, "job 1 attempt 1 ended on n1: ended by itself with exit code 0\n"
                              "job 1 completed: ended by itself with exit code 0\n");
    expect_lines(&s->sent, "end_ack n1\n");
    end(s, 0, attempt(1, 1), true, (struct reason){.code = REASON_EXITED}, NULL);
    expect_lines(&s->sent, "end_ack n1\n"); // repeated: acknowledged again, nothing else
    expect_lines(&s->h.story, "");
}

static void too_large_is_refused_with_numbers(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    join(s, 1);
    forget(s);
    submit(s, (struct request){.tasks = 3, .nodes = 3, .cpus = 4});
    expect_lines(&s->sent, "reply can never run: needs 3 nodes with 4 cores; the cluster has 2\n");
    submit(s, (struct request){.tasks = 1, .cpus = 1, .memory_mib = 4000});
    expect_lines(&s->sent, "reply can never run: needs 1 node with 4000 MiB of memory; the "
                           "cluster has 0\n");
    submit(s, (struct request){.tasks = 9, .cpus = 1});
    expect_lines(&s->sent,
                 "reply can never run: needs 9 tasks of 1 core each; the cluster has room for 8\n");
}

static void a_gang_goes_when_all_are_prepared(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    join(s, 1);
    forget(s);
    submit(s, (struct request){.tasks = 2, .nodes = 2, .cpus = 1, .pmix = true});
    expect_lines(&s->sent, "reply ok 1\nlaunch n1 attempt 1 prepare lease 0\n"
                           "launch n2 attempt 1 prepare lease 0\n");
    tell(s, 0, attempt(1, 1), AGENT_PREPARED);
    expect_lines(&s->sent, "");
    tell(s, 1, attempt(1, 1), AGENT_PREPARED);
    expect_lines(&s->sent, "go n1\ngo n2\n");
    tell(s, 0, attempt(1, 1), AGENT_RUNNING);
    tell(s, 1, attempt(1, 1), AGENT_RUNNING);
    forget(s);
    end(s, 1, attempt(1, 1), true, (struct reason){.code = REASON_TASK_FAILED, .a = 3, .b = 1},
        NULL);
    expect_lines(&s->h.story,
                 "job 1 attempt 1 ended on n2: task 1 ended with exit code 3 on node n2\n"
                 "job 1 attempt 1 must end: task 1 ended with exit code 3 on node n2\n");
    expect_lines(&s->sent, "kill n1\nend_ack n2\n");
    end(s, 0, attempt(1, 1), true, (struct reason){.code = REASON_PARTNER_ENDED}, NULL);
    expect_lines(&s->h.story,
                 "job 1 attempt 1 ended on n1: another part of the same attempt ended\n"
                 "job 1 failed: task 1 ended with exit code 3 on node n2\n");
}

static void the_cause_may_be_told_after_its_consequence(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    join(s, 1);
    for (int first = 0; first < 2; first++) {
        submit(s, (struct request){.tasks = 2, .nodes = 2, .cpus = 1, .pmix = true});
        struct attempt_id id = attempt(s->uid, 1);
        for (int i = 0; i < 2; i++)
            tell(s, i, id, AGENT_PREPARED);
        for (int i = 0; i < 2; i++)
            tell(s, i, id, AGENT_RUNNING);
        struct reason abort = {.code = REASON_MPI_ABORTED, .a = 7, .b = 0},
                      pipe = {.code = REASON_SIGNALLED, .a = SIGPIPE, .b = 1};
        end(s, first, id, true, first ? pipe : abort, NULL);
        end(s, !first, id, true, first ? abort : pipe, NULL);
        const struct job *row = &s->h.jobs[first];
        assert_int_equal(row->state, JOB_FAILED);
        assert_int_equal(row->reason.code, REASON_MPI_ABORTED);
        assert_int_equal(row->exit_code, 7);
    }
}

static void an_abort_is_never_a_success(void **state)
{
    static const int32_t codes[][2] = {{0, 1}, {7, 7}, {255, 255}, {256, 1}, {300, 44}, {-1, 255}};
    struct stage *s = *state;
    join(s, 0);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        submit(s, (struct request){.tasks = 1, .cpus = 1, .pmix = true});
        tell(s, 0, attempt(s->uid, 1), AGENT_RUNNING);
        struct reason abort = {.code = REASON_MPI_ABORTED, .a = codes[i][0]};
        end(s, 0, attempt(s->uid, 1), true, abort, NULL);
        assert_int_equal(s->h.jobs[i].state, JOB_FAILED);
        assert_int_equal(s->h.jobs[i].exit_code, codes[i][1]);
        assert_int_equal(s->h.jobs[i].reason.a, codes[i][0]); // told as it was said
    }
}

static void a_failed_preparation_runs_nothing_and_names_the_node(void **state)
{
    struct stage *s = *state;
    for (int i = 0; i < 3; i++)
        join(s, i);
    submit(s, (struct request){.tasks = 3, .nodes = 3, .cpus = 1});
    tell(s, 0, attempt(1, 1), AGENT_PREPARED);
    tell(s, 1, attempt(1, 1), AGENT_PREPARED);
    forget(s);
    end(s, 2, attempt(1, 1), false, (struct reason){.code = REASON_PREPARE_FAILED}, "no PMIx");
    expect_lines(&s->sent, "kill n1\nkill n2\nend_ack n3\n");
    end(s, 0, attempt(1, 1), false, (struct reason){.code = REASON_NEVER_STARTED}, NULL);
    end(s, 1, attempt(1, 1), false, (struct reason){.code = REASON_NEVER_STARTED}, NULL);
    const struct job *row = &s->h.jobs[0];
    assert_int_equal(row->state, JOB_FAILED);
    AUTO(text) struct text t = {0};
    reason_text(&row->reason, s->h.nodes[row->reason.node.v - 1].name, row->detail, &t);
    assert_string_equal(text_str(&t), "node n3 could not prepare it: no PMIx");
    assert_int_equal(row->attempts_used, 0);
}

static void unreachable_is_not_failed(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    join(s, 1);
    submit(s, (struct request){.tasks = 1, .cpus = 1});
    tell(s, 0, attempt(1, 1), AGENT_RUNNING);
    forget(s);
    struct input down = {.kind = INPUT_LINK_DOWN};
    down.link_down = s->link[0] + 1;
    harness_step(&s->h, &down);
    expect_lines(&s->h.story, "node n1 is unreachable: its agent's link was closed\n");
    pass_ms(s, INT64_C(100) * 24 * 3600 * 1000); // on_lost wait: for ever
    assert_int_equal(s->h.jobs[0].state, JOB_RUNNING);
    connect_node(s, 0);
    struct reported_attempt held = {.id = attempt(1, 1), .state = AGENT_RUNNING, .started = true};
    struct input_hello h = hello_of(s, 0);
    h.attempts = &held;
    h.attempts_count = 1;
    forget(s);
    hello(s, &h);
    expect_lines(&s->h.story, "node n1 is up: 4 cores, 1000 MiB, 0 GPUs\n");
    expect_lines(&s->sent, "grant n1 1 for request 2\n");
}

static void a_lost_lease_frees_the_job_and_not_the_node(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    join(s, 1);
    submit(s, (struct request){.tasks = 1, .cpus = 4, .lease_ms = 30000});
    struct attempt_id first = attempt(1, 1);
    tell(s, 0, first, AGENT_RUNNING);
    beat(s, 0, &first, 1);
    beat(s, 1, NULL, 0);
    struct input down = {.kind = INPUT_LINK_DOWN};
    down.link_down = s->link[0] + 1;
    harness_step(&s->h, &down);
    forget(s);
    pass_ms(s, 37999); // T + 10 % + 5 s
    beat(s, 1, NULL, 0);
    assert_int_equal(s->h.jobs[0].state, JOB_RUNNING);
    forget(s);
    pass_ms(s, 1);
    expect_lines(&s->h.story,
                 "job 1 attempt 1 counts as over on n1: node n1 was not heard of for longer than "
                 "the lease\n"
                 "job 1 attempt 1 must end: node n1 was not heard of for longer than the lease\n"
                 "job 1 waits for its next attempt: node n1 was not heard of for longer than the "
                 "lease\n"
                 "job 1 placed on n2: attempt 2, cores 0-3, port 20001\n");
    assert_int_equal(s->h.parts_count, 2); // n1's cores stay taken
    connect_node(s, 0);
    struct reported_attempt held = {.id = first, .state = AGENT_RUNNING, .started = true};
    struct input_hello h = hello_of(s, 0);
    h.attempts = &held;
    h.attempts_count = 1;
    forget(s);
    hello(s, &h);
    expect_lines(&s->sent, "kill n1\n");
    end(s, 0, first, true, (struct reason){.code = REASON_LEASE_EXPIRED}, NULL);
    assert_int_equal(s->h.parts_count, 1);
    assert_int_equal(s->h.jobs[0].state, JOB_STARTING);
}

static void a_late_success_before_a_reboot_counts(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    submit(s, (struct request){.tasks = 1, .cpus = 1});
    submit(s, (struct request){.tasks = 1, .cpus = 1});
    tell(s, 0, attempt(1, 1), AGENT_RUNNING);
    tell(s, 0, attempt(2, 1), AGENT_RUNNING);
    connect_node(s, 0);
    struct reported_attempt held = {.id = attempt(1, 1), .state = AGENT_ENDED, .started = true};
    struct input_hello h = hello_of(s, 0);
    snprintf(h.inc.boot_id, sizeof h.inc.boot_id, "another");
    h.attempts = &held;
    h.attempts_count = 1;
    forget(s);
    hello(s, &h);
    assert_int_equal(s->h.jobs[1].state, JOB_LOST);
    assert_int_equal(s->h.jobs[0].state, JOB_RUNNING);
    end(s, 0, attempt(1, 1), true, (struct reason){.code = REASON_EXITED}, NULL);
    assert_int_equal(s->h.jobs[0].state, JOB_COMPLETED);
}

static void a_lost_launch_is_sent_again_and_a_cancelled_one_killed(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    submit(s, (struct request){.tasks = 1, .cpus = 1});
    submit(s, (struct request){.tasks = 1, .cpus = 1});
    struct input in = {.kind = INPUT_CANCEL, .caller = {.reply_to = 2, .uid = 7}, .job = {2}};
    harness_step(&s->h, &in);
    connect_node(s, 0);
    struct input_hello h = hello_of(s, 0);
    forget(s);
    hello(s, &h);
    expect_lines(&s->sent, "close n1\nlaunch n1 attempt 1 lease 0\nkill n1\n");
    end(s, 0, attempt(2, 1), false, (struct reason){.code = REASON_NEVER_STARTED}, NULL);
    assert_int_equal(s->h.jobs[1].state, JOB_CANCELLED);
}

static void a_clone_and_a_foreigner_are_refused(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    connect_node(s, 0);
    struct input_hello h = hello_of(s, 0);
    h.inc.state_id = 999;
    forget(s);
    hello(s, &h);
    expect_lines(&s->sent, "close n1\n");
    expect_lines(&s->h.story,
                 "agent refused: another machine or state directory already holds the name n1\n");
    connect_node(s, 0);
    h = hello_of(s, 0);
    h.cluster.v = 0xbad;
    forget(s);
    hello(s, &h);
    expect_lines(&s->h.story, "agent refused: the agent of node n1 belongs to another cluster\n");
    beat(s, 0, NULL, 0); // the first link was never touched
    assert_int_equal(node_state(cluster_node(s->h.c, (struct node_id){1})), NODE_UP);
}

// It would wait for ever for a session that its HELLO no longer opens.
static void a_link_that_another_one_overtakes_is_closed(void **state)
{
    struct stage *s = *state;
    connect_node(s, 0);
    struct input_hello overtaken = hello_of(s, 0);
    connect_node(s, 0);
    expect_lines(&s->sent, "welcome n1\nclose n1\nwelcome n1\n");
    hello(s, &overtaken);
    expect_lines(&s->h.story, "");
    struct input_hello h = hello_of(s, 0);
    hello(s, &h);
    expect_lines(&s->h.story, "node n1 joined: 4 cores, 1000 MiB, 0 GPUs\n");
}

static int32_t port_of(struct stage *s, uint64_t uid)
{
    for (size_t i = 0; i < s->h.parts_count; i++)
        if (s->h.parts[i].uid.v == uid && s->h.parts[i].port)
            return s->h.parts[i].port;
    return 0;
}

static void a_port_is_held_by_the_first_part_and_rests_when_freed(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    join(s, 1); // on the same machine
    submit(s, (struct request){.tasks = 4, .nodes = 2, .cpus = 1});
    submit(s, (struct request){.tasks = 1, .nodes = 1, .cpus = 1});
    submit(s, (struct request){.tasks = 1, .nodes = 1, .cpus = 2});
    assert_int_equal(port_of(s, 1), 20000);
    assert_int_equal(port_of(s, 2), 20001);
    assert_int_equal(port_of(s, 3), 20002);
    int with = 0;
    for (size_t i = 0; i < s->h.parts_count; i++)
        with += s->h.parts[i].port != 0;
    assert_int_equal(with, 3);
    tell(s, 0, attempt(2, 1), AGENT_RUNNING);
    end(s, 0, attempt(2, 1), true, (struct reason){.code = REASON_EXITED}, NULL);
    harness_restart(&s->h, true); // what is held and whose turn it is are in the tables
    s->link[0] = s->link[1] = 100;
    connect_node(s, 0);
    struct reported_attempt held[] = {{.id = attempt(1, 1), .state = AGENT_ORDERED}};
    struct input_hello h = hello_of(s, 0);
    h.attempts = held;
    h.attempts_count = 1;
    hello(s, &h);
    submit(s, (struct request){.tasks = 1, .cpus = 1});
    assert_int_equal(port_of(s, 4), 20003);
}

static void a_port_that_another_program_has_costs_no_attempt(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    submit(s, (struct request){.tasks = 1, .cpus = 1});
    forget(s);
    struct reason taken = {.code = REASON_PORT_TAKEN, .a = 20000};
    end(s, 0, attempt(1, 1), false, taken, NULL);
    expect_lines(
        &s->h.story,
        "job 1 attempt 1 ended on n1: port 20000 of node n1 is in use by another program\n"
        "job 1 attempt 1 must end: port 20000 of node n1 is in use by another program\n"
        "job 1 waits for its next attempt: port 20000 of node n1 is in use by another program\n"
        "job 1 placed on n1: attempt 2, cores 0, port 20001\n");
    assert_int_equal(s->h.jobs[0].attempts_used, 0);
    for (uint32_t i = 2; i <= 10; i++) {
        taken.a = port_of(s, 1);
        end(s, 0, attempt(1, i), false, taken, NULL);
    }
    assert_int_equal(s->h.jobs[0].state, JOB_STARTING);
    end(s, 0, attempt(1, 11), false, taken, NULL);
    assert_int_equal(s->h.jobs[0].state, JOB_FAILED); // who else has them all must be found
    assert_int_equal(s->h.jobs[0].reason.code, REASON_PORT_TAKEN);
}

static void without_a_free_port_a_job_waits(void **state)
{
    struct stage *s = *state;
    harness_fini(&s->h);
    struct cluster_limits limits = CLUSTER_LIMITS_DEFAULT;
    limits.port_count = 2;
    harness_init_with(&s->h, limits);
    s->h.on_effect = say_sent;
    s->h.arg = s;
    join(s, 0);
    join(s, 1);
    for (int i = 0; i < 2; i++)
        submit(s, (struct request){.tasks = 1, .cpus = 1});
    forget(s);
    submit(s, (struct request){.tasks = 1, .cpus = 1});
    assert_int_equal(s->h.jobs[2].state, JOB_PENDING);
    expect_lines(&s->h.story, "job 3 submitted: 1 task of 1 core\n"
                              "job 3 waits for a free port on node n1: all 2 of its "
                              "machine are held\n");
    tell(s, 0, attempt(1, 1), AGENT_RUNNING);
    end(s, 0, attempt(1, 1), true, (struct reason){.code = REASON_EXITED}, NULL);
    assert_int_equal(s->h.jobs[2].state, JOB_STARTING);
    assert_int_equal(port_of(s, 3), 20000);
}

static void an_array_is_one_record(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    struct input in = {.kind = INPUT_SUBMIT, .caller = {.reply_to = 1, .uid = 7}};
    in.submit = (struct input_submit){
        .uid = {50}, .owner_uid = 7, .req = {.tasks = 1, .cpus = 4}, .array_count = 1000000};
    forget(s);
    harness_step(&s->h, &in);
    expect_lines(&s->h.story, "job 1 submitted: 1 task of 4 cores, array of 1000000\n"
                              "job 1_0 placed on n1: attempt 1, cores 0-3, port 20000\n"
                              "job 1 waits for free resources: it needs 4 cores on 1 node; free on "
                              "usable nodes: 0\n");
    assert_int_equal(cluster_live(s->h.c), 2);
    struct attempt_id first = {{0xc1}, s->h.jobs[1].uid, 1};
    forget(s);
    end(s, 0, first, true, (struct reason){.code = REASON_EXITED}, NULL);
    expect_lines(&s->h.story, "job 1_0 attempt 1 ended on n1: ended by itself with exit code 0\n"
                              "array 1 runs\n"
                              "job 1_0 completed: ended by itself with exit code 0\n"
                              "job 1_1 placed on n1: attempt 1, cores 0-3, port 20001\n");
    in = (struct input){.kind = INPUT_CANCEL, .caller = {.uid = 7}, .job = {1}};
    harness_step(&s->h, &in);
    forget(s);
    end(s, 0, (struct attempt_id){{0xc1}, s->h.jobs[2].uid, 1}, true,
        (struct reason){.code = REASON_CANCELLED, .a = 7}, NULL);
    expect_lines(&s->h.story, "job 1_1 attempt 1 ended on n1: was cancelled by user 7\n"
                              "job 1_1 cancelled: was cancelled by user 7\n"
                              "job 1 cancelled: was cancelled by user 7\n");
}

static void ask(struct stage *s, enum input_kind kind, uint64_t job)
{
    struct input in = {.kind = kind, .caller = {.reply_to = 1, .uid = 7}, .job = {job}};
    harness_step(&s->h, &in);
}

static void a_cancelled_array_places_nothing_more(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    struct input in = {.kind = INPUT_SUBMIT, .caller = {.reply_to = 1, .uid = 7}};
    in.submit = (struct input_submit){
        .uid = {50}, .owner_uid = 7, .req = {.tasks = 1, .cpus = 4}, .array_count = 3};
    harness_step(&s->h, &in);
    ask(s, INPUT_HOLD, 1);
    ask(s, INPUT_CANCEL, 1);
    assert_int_equal(s->h.jobs[0].reason.code, REASON_CANCELLED);
    forget(s);
    ask(s, INPUT_RELEASE, 1);
    expect_lines(&s->sent, "reply the job is not held\n");
    ask(s, INPUT_HOLD, 1);
    expect_lines(&s->sent, "reply the job is not pending\n");
    expect_lines(&s->h.story, "");
    end(s, 0, (struct attempt_id){{0xc1}, s->h.jobs[1].uid, 1}, true,
        (struct reason){.code = REASON_CANCELLED, .a = 7}, NULL);
    expect_lines(&s->h.story, "job 1_0 attempt 1 ended on n1: was cancelled by user 7\n"
                              "array 1 runs\n"
                              "job 1_0 cancelled: was cancelled by user 7\n"
                              "job 1 cancelled: was cancelled by user 7\n");
}

static void order_is_priority_then_submission_and_the_head_is_not_passed(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    struct settings_rule strict = harness_settings();
    strict.backfill_reservations = 0;
    harness_set(&s->h, strict);
    submit(s, (struct request){.tasks = 1, .cpus = 3}); // runs
    submit(s, (struct request){.tasks = 1, .cpus = 2}); // the head: waits
    submit(s, (struct request){.tasks = 1, .cpus = 1}); // would fit
    assert_int_equal(harness_why(&s->h, 2), REASON_RESOURCES);
    assert_int_equal(harness_why(&s->h, 3), REASON_PRIORITY);
    assert_int_equal(s->h.jobs[2].state, JOB_PENDING);
    struct input in = {.kind = INPUT_SUBMIT, .caller = {.reply_to = 1, .uid = 7}};
    in.submit = (struct input_submit){
        .uid = {90}, .owner_uid = 7, .req = {.tasks = 1, .cpus = 1}, .priority = 5};
    harness_step(&s->h, &in);
    assert_int_equal(s->h.jobs[3].state, JOB_STARTING);
}

// A restart without agents, or a dead switch, writes one row and not every pending job's.
static void without_nodes_one_reason_holds_for_all(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    submit(s, (struct request){.tasks = 1, .cpus = 3});
    submit(s, (struct request){.tasks = 1, .cpus = 2});
    submit(s, (struct request){.tasks = 1, .cpus = 4});
    assert_int_equal(harness_why(&s->h, 2), REASON_RESOURCES);
    assert_int_equal(harness_why(&s->h, 3), REASON_PRIORITY);
    forget(s);
    harness_restart(&s->h, true);
    expect_lines(&s->h.story, "scheduler started: term 2, 3 jobs, 1 nodes\n"
                              "every pending job waits for nodes: none of the 1 known is usable\n");
    assert_int_equal(harness_why(&s->h, 2), REASON_NO_NODES);
    assert_int_equal(harness_why(&s->h, 3), REASON_NO_NODES);
    s->link[0] = 100;
    connect_node(s, 0);
    struct reported_attempt held = {.id = attempt(1, 1), .state = AGENT_ORDERED};
    struct input_hello h = hello_of(s, 0);
    h.attempts = &held;
    h.attempts_count = 1;
    forget(s);
    hello(s, &h);
    expect_lines(&s->h.story, "node n1 is up: 4 cores, 1000 MiB, 0 GPUs\nthe queue goes on\n");
    assert_int_equal(harness_why(&s->h, 2), REASON_RESOURCES);
    assert_int_equal(harness_why(&s->h, 3), REASON_PRIORITY);
}

// Jobs that are alike have one reason, one row and one fact.
static void a_reason_belongs_to_all_that_are_alike(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    submit(s, (struct request){.tasks = 1, .cpus = 3});
    forget(s);
    for (int i = 0; i < 3; i++)
        submit(s, (struct request){.tasks = 1, .cpus = 2});
    expect_lines(&s->h.story, "job 2 submitted: 1 task of 2 cores\n"
                              "job 2 waits for free resources: it needs 2 cores on 1 "
                              "node; free on usable nodes: 1\n"
                              "job 3 submitted: 1 task of 2 cores\n"
                              "job 4 submitted: 1 task of 2 cores\n");
    assert_int_equal(s->h.waits_count, 1);
    assert_int_equal(s->h.jobs[3].class_id.v, s->h.jobs[1].class_id.v);
    forget(s);
    tell(s, 0, attempt(1, 1), AGENT_RUNNING);
    end(s, 0, attempt(1, 1), true, (struct reason){.code = REASON_EXITED}, NULL);
    assert_int_equal(s->h.jobs[1].class_id.v, 0);
    assert_int_equal(s->h.jobs[2].state, JOB_STARTING);
    assert_int_equal(harness_why(&s->h, 4), REASON_RESOURCES);
    assert_int_equal(s->h.waits_count, 1);
    struct input in = {.kind = INPUT_CANCEL, .caller = {.uid = 7}, .job = {4}};
    harness_step(&s->h, &in);
    assert_int_equal(s->h.waits_count, 0); // the last of them is gone
}

static struct input of_node(enum input_kind kind, const char *name)
{
    struct input in = {.kind = kind, .caller = {.reply_to = 1, .admin = true}};
    in.node.name = name;
    return in;
}

// A pass that is cut short goes on from its place; jobs before it hear of the change as well.
static void what_changes_during_a_pass_is_not_forgotten(void **state)
{
    struct stage *s = *state;
    harness_fini(&s->h);
    struct cluster_limits limits = CLUSTER_LIMITS_DEFAULT;
    limits.pass_budget = 1;
    harness_init_with(&s->h, limits);
    s->h.on_effect = say_sent;
    s->h.arg = s;
    join(s, 0);
    join(s, 1);
    struct input drain = of_node(INPUT_NODE_DRAIN, "n2");
    struct input resume = of_node(INPUT_NODE_RESUME, "n2");
    struct input more = {.kind = INPUT_CONTINUE};
    harness_step(&s->h, &drain);
    submit(s, (struct request){.tasks = 2, .nodes = 2, .cpus = 4});
    submit(s, (struct request){.tasks = 2, .nodes = 2, .cpus = 3});
    assert_int_equal(harness_why(&s->h, 1), REASON_NODES_UNUSABLE);
    cluster_turn_begin(s->h.c);
    cluster_step(s->h.c, s->h.now, &drain);
    struct input in = {.kind = INPUT_SUBMIT, .caller = {.reply_to = 1, .uid = 7}};
    in.submit = (struct input_submit){.uid = {++s->uid}, .req = {.tasks = 1, .cpus = 1}};
    cluster_step(s->h.c, s->h.now, &in); // a pass begins
    cluster_step(s->h.c, s->h.now, &more);
    cluster_step(s->h.c, s->h.now, &resume);
    harness_finish_turn(&s->h);
    assert_int_equal(s->h.jobs[1].state, JOB_STARTING);
    assert_int_equal(harness_why(&s->h, 1), REASON_RESOURCES);
}

// A job that was lost sight of tells its times with its end.
static void an_end_that_comes_first_brings_the_start_time(void **state)
{
    struct stage *s = *state;
    join(s, 0);
    submit(s, (struct request){.tasks = 1, .cpus = 1});
    int64_t started_ms = s->h.now.wall_ms + 50;
    pass_ms(s, 9000);
    struct task_result task = {.started_at_ms = started_ms, .ended_at_ms = started_ms + 10};
    struct input in = {.kind = INPUT_END};
    in.end = (struct input_end){.node = {1},
                                .session = s->session[0],
                                .attempt = attempt(1, 1),
                                .started = true,
                                .reason = {.code = REASON_EXITED},
                                .tasks = &task,
                                .tasks_count = 1};
    harness_step(&s->h, &in);
    assert_int_equal(s->h.jobs[0].state, JOB_COMPLETED);
    assert_int_equal(s->h.jobs[0].started_at_ms, started_ms);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(one_job_runs_and_completes),
        STORY(too_large_is_refused_with_numbers),
        STORY(a_gang_goes_when_all_are_prepared),
        STORY(the_cause_may_be_told_after_its_consequence),
        STORY(an_abort_is_never_a_success),
        STORY(a_failed_preparation_runs_nothing_and_names_the_node),
        STORY(unreachable_is_not_failed),
        STORY(a_lost_lease_frees_the_job_and_not_the_node),
        STORY(a_late_success_before_a_reboot_counts),
        STORY(a_lost_launch_is_sent_again_and_a_cancelled_one_killed),
        STORY(a_clone_and_a_foreigner_are_refused),
        STORY(a_link_that_another_one_overtakes_is_closed),
        STORY(a_port_is_held_by_the_first_part_and_rests_when_freed),
        STORY(a_port_that_another_program_has_costs_no_attempt),
        STORY(without_a_free_port_a_job_waits),
        STORY(an_array_is_one_record),
        STORY(a_cancelled_array_places_nothing_more),
        STORY(without_nodes_one_reason_holds_for_all),
        STORY(a_reason_belongs_to_all_that_are_alike),
        STORY(what_changes_during_a_pass_is_not_forgotten),
        STORY(an_end_that_comes_first_brings_the_start_time),
        STORY(order_is_priority_then_submission_and_the_head_is_not_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
