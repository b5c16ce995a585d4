// The index and the switch tree find a place if and only if a look at every node does, under each
// policy, on random clusters that fill up and empty again; and every answer can be given out.
#include "tests/unit/core_site.h"

#include "common/rng.h"

enum { STEPS_A_NODE = 8, QUESTIONS = 4 };

static int asked, placeable, waited; // waited: not now, but if the cluster were empty

static struct request random_request(struct rng *r)
{
    int32_t tasks = (int32_t)rng_below(r, rng_below(r, 3) ? 3 : 24) + 1;
    struct request q = {
        .tasks = tasks,
        .nodes = rng_below(r, 2) ? 0 : (int32_t)rng_below(r, (uint64_t)tasks) + 1,
        .cpus = (int32_t)rng_below(r, rng_below(r, 4) ? 4 : 90) + 1,
        .gpus = rng_below(r, 2) ? 0 : (int32_t)rng_below(r, 5),
        .memory_mib = rng_below(r, 3) ? 0 : (int64_t)rng_below(r, 600),
        .tasks_per_node = rng_below(r, 6) ? 0 : (int32_t)rng_below(r, 4) + 1,
        .exclusive = rng_below(r, 12) == 0,
    };
    q.spread = !q.nodes && rng_below(r, 5) == 0;
    if (rng_below(r, 4) == 0) {
        q.cpu_milli = (int32_t)rng_below(r, 999) + 1;
        q.cpus = (int32_t)rng_below(r, 2);
    }
    if (!q.gpus && rng_below(r, 3) == 0)
        q.gpu_milli = (int32_t)rng_below(r, 999) + 1;
    return q;
}

static void check_answer(struct cluster *c, const struct request *q, const struct fit_node *f,
                         size_t count)
{
    int32_t tasks = 0, least = INT32_MAX, most = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(f[i].tasks >= 1);
        assert_true(fit_capacity(c, f[i].node, q, FIT_FREE) >= f[i].tasks);
        for (size_t k = 0; k < i; k++)
            assert_true(f[k].node != f[i].node);
        tasks += f[i].tasks;
        least = f[i].tasks < least ? f[i].tasks : least;
        most = f[i].tasks > most ? f[i].tasks : most;
    }
    assert_int_equal(tasks, q->tasks);
    if (q->nodes) {
        assert_int_equal(count, q->nodes);
        assert_true(most - least <= 1);
    }
}

static void ask_both(struct site *s, struct rng *r)
{
    struct cluster *c = s->h.c;
    const struct request q = random_request(r);
    const struct fit_node *f;
    size_t count;
    if (request_wrong(&q))
        return;
    bool listed = fit_in(c, &q, &c->rooms, &f, &count);
    bool found = fit(c, &q, FIT_FREE, &f, &count);
    if (found != listed)
        fail_msg("policy %s: %d tasks on %d nodes, cpus %d+%d/1000, gpus %d+%d/1000, %ld MiB, at "
                 "most %d a node, exclusive %d, spread %d: found %d, by a look at every node %d",
                 policy_word(c->limits.policy), q.tasks, q.nodes, q.cpus, q.cpu_milli, q.gpus,
                 q.gpu_milli, (long)q.memory_mib, q.tasks_per_node, q.exclusive, q.spread, found,
                 listed);
    if (found)
        check_answer(c, &q, f, count);
    bool empty = fit(c, &q, FIT_USABLE, &f, &count);
    assert_true(empty || !found);
    asked++;
    placeable += found;
    waited += empty && !found;
}

// A look at every node knows nothing of what is kept for others.
static void ask_without_promises(struct site *s, struct rng *r)
{
    struct cluster *c = s->h.c;
    size_t size = c->nodes_count * sizeof *c->kept;
    AUTO_FREE const struct kept **kept = xmemdup(c->kept, size);
    memset(c->kept, 0, size);
    for (int k = 0; k < QUESTIONS; k++)
        ask_both(s, r);
    memcpy(c->kept, kept, size);
}

static void end_any(struct site *s, struct rng *r)
{
    const struct placement *p = NULL;
    for (int tries = 0; !p && tries < 10; tries++)
        p = TAILQ_FIRST(&s->h.c->nodes[rng_below(r, s->h.c->nodes_count)]->parts);
    if (!p)
        return;
    struct input in = {.kind = INPUT_END};
    in.end = (struct input_end){.node = p->node,
                                .session = node_find(s->h.c, p->node)->session,
                                .attempt = {s->h.c->meta.id, p->uid, p->attempt},
                                .started = true,
                                .reason = {.code = REASON_EXITED}};
    harness_step(&s->h, &in);
}

static void one_cluster(enum policy policy, int nodes, uint64_t seed)
{
    static const char *const places[] = {NULL,    "s1/r1", "s1/r2", "s1/r3",
                                         "s2/r4", "s2/r5", "s1",    "s2/r5/e"};
    void *state;
    site_setup(&state);
    struct site *s = state;
    struct rng r = {seed};
    s->h.c->limits.policy = s->h.c->placing.policy = policy;
    AUTO_FREE char *queue = xasprintf("default placement=%s", policy_word(policy));
    harness_queue(&s->h, queue);
    bool flat = rng_below(&r, 4) == 0;
    for (int i = 0; i < nodes; i++)
        site_join(s, (struct input_hello){
                         .cores = (int32_t[]){1, 4, 8, 200}[rng_below(&r, 4)],
                         .gpus = (int32_t[]){0, 2, 8, 20}[rng_below(&r, 4)],
                         .memory_mib = 1000,
                         .switch_path = flat ? NULL : places[rng_below(&r, 8)],
                     });
    for (int i = 0; i < STEPS_A_NODE * nodes; i++) {
        struct request q = random_request(&r);
        if (rng_below(&r, 4) && !request_wrong(&q))
            site_ask(s, q);
        else
            end_any(s, &r);
        ask_without_promises(s, &r);
    }
    site_teardown_plain(&state);
}

static void found_if_and_only_if_it_is_there(void **state)
{
    (void)state;
    // 128 fill the words of a set.
    for (int policy = 0; policy < POLICY_COUNT; policy++) {
        one_cluster((enum policy)policy, 40, 1 + (uint64_t)policy);
        one_cluster((enum policy)policy, 128, 101 + (uint64_t)policy);
    }
    print_message("# %d questions: %d find a place now, %d later\n", asked, placeable, waited);
    assert_true(placeable > asked / 10 && waited > asked / 20);
}

// A gang of a task a node takes every node once, whatever number of words the sets have.
static void every_node_once(void **state)
{
    (void)state;
    for (int nodes = 60; nodes <= 132; nodes += 4) {
        void *at;
        const struct fit_node *f;
        size_t count;
        site_setup(&at);
        struct site *s = at;
        for (int i = 0; i < nodes; i++)
            site_join(s, (struct input_hello){.cores = 1});
        const struct request all = {.tasks = nodes, .cpus = 1},
                             more = {.tasks = nodes + 1, .cpus = 1};
        assert_true(fit(s->h.c, &all, FIT_FREE, &f, &count));
        check_answer(s->h.c, &all, f, count);
        assert_false(fit(s->h.c, &more, FIT_FREE, &f, &count));
        site_teardown(&at);
    }
}

// Usual tasks are counted as soon as a queue needs them, those of jobs that are there too.
static void usual_tasks_are_of_all_queues(void **state)
{
    (void)state;
    void *at;
    site_setup(&at);
    struct site *s = at;
    const struct placing *p = &s->h.c->placing;
    site_join(s, (struct input_hello){.cores = 2, .gpus = 1});
    for (int i = 0; i < 20; i++)
        site_ask(s, (struct request){.tasks = 1, .cpus = 1, .gpus = i % 2});
    assert_true(!p->usual_count && !p->counted_total);
    harness_queue(&s->h, "gpu placement=fgd");
    assert_int_equal(p->counted_total, 20);
    assert_int_equal(p->usual_count, 2);
    harness_queue(&s->h, "gpu placement=fgd order=fifo");
    assert_int_equal(p->counted_total, 20); // once
    site_ask(s, (struct request){.tasks = 1, .cpus = 1});
    assert_int_equal(p->counted_total, 21);
    site_teardown(&at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_once),
        cmocka_unit_test(usual_tasks_are_of_all_queues),
        cmocka_unit_test(found_if_and_only_if_it_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
