// What agents and operators tell of nodes, and what becomes of it.
#include "tests/unit/core_site.h"

// Node n1, on a new link.
static void join(struct site *s, struct input_hello h)
{
    struct input up = {.kind = INPUT_LINK_UP};
    up.link_up.name = "n1";
    up.link_up.link = ++s->link;
    harness_step(&s->h, &up);
    struct input in = {.kind = INPUT_HELLO, .hello = h};
    in.hello.node.v = 1;
    in.hello.session = s->session;
    in.hello.inc = (struct incarnation){.machine_id = "m", .boot_id = "b", .state_id = 1};
    in.hello.cluster = s->h.meta.id;
    in.hello.term_seen = s->h.meta.term;
    in.hello.journal_intact = true;
    in.hello.request = 1;
    harness_step(&s->h, &in);
}

static struct reported_attempt unknown(struct site *s, uint64_t uid)
{
    return (struct reported_attempt){
        .id = {s->h.meta.id, {uid}, 1}, .state = AGENT_RUNNING, .started = true};
}

static void what_an_unknown_attempt_shares_is_left_for_others(void **state)
{
    struct site *s = *state;
    struct reported_attempt a = unknown(s, 0xabc);
    coreset_add(&a.cores, 3);
    coreset_add(&a.pool, 0);
    a.cpu_milli = 600;
    a.gpus = 3;
    a.shares.milli[0] = 500; // and the whole of GPU 1
    join(s, (struct input_hello){.cores = 4, .gpus = 2, .attempts = &a, .attempts_count = 1});
    const struct room *m = &s->h.c->rooms.of[0];
    assert_int_equal(m->cores, 2);
    assert_int_equal(m->pool_milli, 400);
    assert_int_equal(m->gpus, 0);
    site_ask(s, (struct request){.tasks = 1, .cpu_milli = 400, .gpu_milli = 500});
    assert_int_equal(site_first_part(s, 1)->gpus, 1);
    assert_true(coreset_has(&site_first_part(s, 1)->pool, 0));
    assert_int_equal(m->cores, 2);
    site_ask(s, (struct request){.tasks = 1, .cpus = 1, .gpu_milli = 1});
    assert_null(site_first_part(s, 2));
}

// What an agent tells may be nonsense; no sum goes over the whole.
static void what_is_told_beyond_the_whole_is_not_counted(void **state)
{
    struct site *s = *state;
    struct reported_attempt list[4] = {unknown(s, 1), unknown(s, 2), unknown(s, 3), unknown(s, 4)};
    for (int i = 0; i < 4; i++) {
        coreset_add(&list[i].pool, 0);
        list[i].cpu_milli = 600;
        list[i].gpus = 1;
        list[i].shares.milli[0] = 400;
    }
    list[2].cores = coreset_first(2); // core 0 is shared
    list[3].pool = coreset_first(3);  // core 1 is the third's
    list[3].cpu_milli = 5000;
    join(s, (struct input_hello){.cores = 4, .gpus = 1, .attempts = list, .attempts_count = 4});
    const struct node *n = s->h.c->nodes[0];
    assert_int_equal(n->parts_count, 4);
    assert_int_equal(n->pool_used_milli, 2000);
    assert_int_equal(n->gpu_used_milli[0], 1000);
    assert_int_equal(s->h.c->rooms.of[0].cores, 1);
    assert_int_equal(s->h.c->rooms.of[0].pool_milli, 0);
}

static void label(struct site *s, const char *labels, bool reset, bool admin)
{
    struct input in = {.kind = INPUT_NODE_LABEL,
                       .caller = {.reply_to = 1, .uid = 7, .admin = admin}};
    in.node.name = "n1";
    in.node.labels = labels;
    in.node.reset = reset;
    text_clear(&s->h.story);
    harness_step(&s->h, &in);
}

static void expect_labels(struct site *s, const char *want)
{
    assert_string_equal(s->h.c->nodes[0]->labels, want);
}

static void operators_labels_lie_over_the_agents(void **state)
{
    struct site *s = *state;
    join(s, (struct input_hello){.cores = 2, .labels = "zone=a,spot"});
    expect_labels(s, "zone=a,spot");
    label(s, "zone=b", false, true);
    assert_string_equal(text_str(&s->h.story), "node n1 labelled by user 7: zone=b,spot\n");
    label(s, "!spot,new=1", false, true);
    expect_labels(s, "zone=b,new=1");
    join(s, (struct input_hello){.cores = 2, .labels = "zone=a,spot,big"}); // the agent is back
    expect_labels(s, "zone=b,new=1,big");
    label(s, NULL, true, true);
    expect_labels(s, "zone=a,spot,big");
    label(s, "x", true, true);
    expect_labels(s, "x,zone=a,spot,big");
    // What is refused changes nothing.
    label(s, "y", false, false);
    label(s, "y,gpu.model=A", false, true);
    label(s, "y,y", false, true);
    char long_one[LABELS_TEXT_MAX];
    memset(long_one, 'a', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = 0;
    label(s, long_one, false, true); // beside x it is too long
    expect_labels(s, "x,zone=a,spot,big");
}

static void a_label_lets_a_waiting_job_start(void **state)
{
    struct site *s = *state;
    join(s, (struct input_hello){.cores = 2});
    struct input in = {.kind = INPUT_SUBMIT};
    in.submit = (struct input_submit){.uid = {++s->uid},
                                      .req = {.tasks = 1, .cpus = 1},
                                      .need = "fast",
                                      .allow_unsatisfiable = true};
    harness_step(&s->h, &in);
    assert_null(site_first_part(s, 1));
    label(s, "fast", false, true);
    assert_non_null(site_first_part(s, 1));
    label(s, "!fast", false, true); // what runs is left alone
    assert_non_null(site_first_part(s, 1));
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, site_setup, site_teardown)
    const struct CMUnitTest tests[] = {
        STORY(what_an_unknown_attempt_shares_is_left_for_others),
        STORY(what_is_told_beyond_the_whole_is_not_counted),
        STORY(operators_labels_lie_over_the_agents),
        STORY(a_label_lets_a_waiting_job_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
