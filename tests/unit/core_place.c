// Where tasks go, on small clusters that one can count by hand.
#include "tests/unit/core_harness.h"

#include "scheduler/core/state.h"

#include <stdio.h>

struct site {
    struct harness h;
    uint64_t session, link, uid;
};

static void on_effect(void *arg, const struct effect *e)
{
    struct site *s = arg;
    if (e->kind == EFFECT_WELCOME)
        s->session = e->session;
}

static int setup(void **state)
{
    struct site *s = xcalloc(1, sizeof *s);
    harness_init(&s->h);
    s->h.on_effect = on_effect;
    s->h.arg = s;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct site *s = *state;
    harness_compare(&s->h);
    harness_fini(&s->h);
    free(s);
    return 0;
}

// The next node, named n1, n2 ...; what h leaves out is made up.
static void join(struct site *s, struct input_hello h)
{
    char name[16], machine[16];
    uint32_t id = (uint32_t)s->h.c->nodes_count + 1;
    snprintf(name, sizeof name, "n%u", id);
    snprintf(machine, sizeof machine, "m%u", id);
    struct input up = {.kind = INPUT_LINK_UP};
    up.link_up.name = name;
    up.link_up.link = ++s->link;
    harness_step(&s->h, &up);
    struct input in = {.kind = INPUT_HELLO, .hello = h};
    in.hello.node.v = id;
    in.hello.session = s->session;
    in.hello.inc = (struct incarnation){.boot_id = "b", .state_id = id};
    memcpy(in.hello.inc.machine_id, machine, sizeof machine);
    in.hello.term_seen = s->h.meta.term;
    in.hello.journal_intact = true;
    in.hello.request = 1;
    harness_step(&s->h, &in);
    text_clear(&s->h.story);
}

static void ask(struct site *s, struct request req)
{
    struct input in = {.kind = INPUT_SUBMIT};
    in.submit = (struct input_submit){.uid = {++s->uid}, .req = req};
    harness_step(&s->h, &in);
}

static const struct placement *first_part(struct site *s, uint64_t job)
{
    return TAILQ_FIRST(&job_find(s->h.c, (struct job_id){job})->parts);
}

static struct request cores(int32_t tasks, int32_t cpus)
{
    return (struct request){.tasks = tasks, .cpus = cpus};
}

static void the_cluster_as_it_will_be(void **state)
{
    struct site *s = *state;
    struct cluster *c = s->h.c;
    join(s, (struct input_hello){.cores = 4, .memory_mib = 1000});
    join(s, (struct input_hello){.cores = 4, .memory_mib = 1000});
    struct request filling = cores(1, 4), large = cores(2, 4), small = cores(1, 1);
    filling.memory_mib = 600;
    ask(s, filling);
    const struct fit_node *f;
    size_t count;
    struct rooms later = {0};
    rooms_copy(&later, &c->rooms);
    assert_false(fit_in(c, &large, &later, &f, &count));
    rooms_give(&later, c, first_part(s, 1));
    assert_int_equal(later.of[0].memory_mib, 1000);
    assert_int_equal(later.of[0].parts, 0);
    assert_true(fit_in(c, &large, &later, &f, &count));
    assert_int_equal(count, 2);
    rooms_take(&later, &large, f, count);
    assert_false(fit_in(c, &small, &later, &f, &count));
    // The live rooms are as they were.
    assert_true(fit(c, &small, FIT_FREE, &f, &count));
    assert_string_equal(f[0].node->name, "n2");
    rooms_fini(&later);
}

static void what_is_promised_is_left_to_shorter_jobs(void **state)
{
    struct site *s = *state;
    struct cluster *c = s->h.c;
    join(s, (struct input_hello){.cores = 4, .memory_mib = 1000});
    int64_t now_ms = s->h.now.boot_ms;
    struct kept last = {.from_ms = now_ms + 60000, .spare = {.cores = 0}};
    struct kept first = {
        .from_ms = now_ms + 10000, .spare = {.cores = 1, .memory_mib = 1000}, .next = &last};
    c->kept[0] = &first;
    struct request r = cores(4, 1);
    const struct node *n = c->nodes[0];
    r.time_limit_ms = 9000;
    r.grace_ms = 1000;
    assert_int_equal(fit_capacity(c, n, &r, FIT_FREE), 4);
    r.grace_ms = 1001; // it could run on while it is killed
    assert_int_equal(fit_capacity(c, n, &r, FIT_FREE), 1);
    r.time_limit_ms = 70000;
    assert_int_equal(fit_capacity(c, n, &r, FIT_FREE), 0);
    r.time_limit_ms = 0;
    assert_int_equal(fit_capacity(c, n, &r, FIT_FREE), 0);
    assert_int_equal(fit_capacity(c, n, &r, FIT_USABLE), 4);
    c->kept[0] = NULL;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_cluster_as_it_will_be),
        TEST(what_is_promised_is_left_to_shorter_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
