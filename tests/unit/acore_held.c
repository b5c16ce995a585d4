// What an agent lets lie beside each other: shares of GPUs, parts of cores, memory.
#include "agent/core/agent.h"
#include "common/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

enum { CLUSTER = 0xc1 };

struct stage {
    struct agent *agent;
    uint64_t request;
};

static void step(struct stage *s, const struct agent_input *in)
{
    size_t count;
    agent_step(s->agent, 1000, in);
    const struct agent_output *list = agent_outputs(s->agent, &count);
    for (size_t i = 0; i < count; i++)
        if (list[i].kind == AGENT_OUT_HELLO)
            s->request = list[i].request;
    agent_check(s->agent);
}

static int setup(void **state)
{
    struct stage *s = xcalloc(1, sizeof *s);
    s->agent = agent_new();
    step(s,
         &(struct agent_input){
             .kind = AGENT_IN_WELCOME, .cluster = {CLUSTER}, .term = 1, .nonce = 11, .session = 1});
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct stage *s = *state;
    agent_free(s->agent);
    free(s);
    return 0;
}

static struct attempt_id id(uint64_t job)
{
    return (struct attempt_id){{CLUSTER}, {job}, 1};
}

static void launch(struct stage *s, struct agent_order order)
{
    step(s, &(struct agent_input){
                .kind = AGENT_IN_LAUNCH, .id = order.id, .session = 1, .order = order});
}

static void end(struct stage *s, uint64_t job)
{
    step(s, &(struct agent_input){.kind = AGENT_IN_SHEPHERD_END,
                                  .id = id(job),
                                  .started = true,
                                  .reason = {.code = REASON_EXITED}});
}

// An order of a job that holds this.
static struct agent_order holding(struct stage *s, uint64_t job, struct agent_held held)
{
    return (struct agent_order){
        .id = id(job), .request = s->request, .prepare_lease_ms = 60000, .held = held};
}

static bool taken(struct stage *s, struct agent_order order)
{
    launch(s, order);
    const struct agent_attempt *t = agent_find(s->agent, order.id);
    assert_non_null(t);
    if (t->phase != ATTEMPT_ENDED)
        return true;
    assert_int_equal(t->end.code, REASON_NODE_BUSY);
    return false;
}

static struct agent_held gpu(int g, uint16_t milli)
{
    struct agent_held h = {.gpus = UINT64_C(1) << g};
    h.gpu_milli[g] = milli;
    return h;
}

static void a_gpu_is_shared_up_to_the_whole_of_it(void **state)
{
    struct stage *s = *state;
    assert_true(taken(s, holding(s, 1, gpu(0, 500))));
    assert_true(taken(s, holding(s, 2, gpu(0, 300))));
    assert_false(taken(s, holding(s, 3, gpu(0, 201))));
    assert_false(taken(s, holding(s, 4, gpu(0, 0)))); // the whole
    assert_true(taken(s, holding(s, 5, gpu(0, 200))));
    assert_false(taken(s, holding(s, 6, gpu(0, 1))));
    assert_true(taken(s, holding(s, 7, gpu(63, 0))));
    assert_false(taken(s, holding(s, 8, gpu(63, 1))));
    end(s, 1);
    assert_true(taken(s, holding(s, 9, gpu(0, 500))));
}

static struct agent_held part(struct coreset cores, struct coreset pool, int32_t milli)
{
    return (struct agent_held){.cores = cores, .pool = pool, .cpu_milli = milli};
}

static void cores_are_shared_only_where_all_say_so(void **state)
{
    struct stage *s = *state;
    struct coreset none = {0}, one = {0}, two = coreset_first(2), third = {0};
    coreset_add(&one, 0);
    coreset_add(&third, 2);
    assert_true(taken(s, holding(s, 1, part(none, one, 500))));
    assert_true(taken(s, holding(s, 2, part(none, one, 500))));
    assert_false(taken(s, holding(s, 3, part(none, one, 1))));  // full
    assert_false(taken(s, holding(s, 4, part(one, none, 0))));  // whole and shared
    assert_true(taken(s, holding(s, 5, part(none, two, 999)))); // the pool has grown
    assert_false(taken(s, holding(s, 6, part(none, two, 2))));
    assert_true(taken(s, holding(s, 7, part(third, two, 1))));
    assert_false(taken(s, holding(s, 8, part(none, third, 1)))); // shared and whole
    end(s, 1);
    assert_true(taken(s, holding(s, 9, part(none, two, 500))));
    assert_false(taken(s, holding(s, 10, part(none, two, 1))));
}

static void memory_is_given_out_once(void **state)
{
    struct stage *s = *state;
    agent_give(s->agent, &(struct agent_given){.cores = 4, .gpus = 1, .memory_mib = 575});
    assert_true(taken(s, holding(s, 1, (struct agent_held){.memory_mib = 300})));
    assert_false(taken(s, holding(s, 2, (struct agent_held){.memory_mib = 276})));
    assert_true(taken(s, holding(s, 3, (struct agent_held){.memory_mib = 275})));
    assert_true(taken(s, holding(s, 4, (struct agent_held){.memory_mib = 0}))); // not accounted
    assert_false(taken(s, holding(s, 5, (struct agent_held){.memory_mib = 1})));
    end(s, 1);
    assert_true(taken(s, holding(s, 6, (struct agent_held){.memory_mib = 300})));
}

static void what_the_node_has_not_is_not_given_out(void **state)
{
    struct stage *s = *state;
    struct coreset none = {0}, fifth = {0};
    coreset_add(&fifth, 4);
    agent_give(s->agent, &(struct agent_given){.cores = 4, .gpus = 1, .memory_mib = 575});
    assert_false(taken(s, holding(s, 1, part(fifth, none, 0))));
    assert_false(taken(s, holding(s, 2, part(none, fifth, 1))));
    assert_false(taken(s, holding(s, 3, gpu(1, 0))));
    assert_false(taken(s, holding(s, 4, (struct agent_held){.memory_mib = 576})));
    assert_true(taken(s, holding(s, 5, part(coreset_first(4), none, 0))));
    // It has less after a restart: what was given out stays so, and no memory follows it.
    assert_true(taken(s, holding(s, 6, (struct agent_held){.memory_mib = 500})));
    agent_give(s->agent, &(struct agent_given){.cores = 2, .gpus = 1, .memory_mib = 400});
    agent_check(s->agent);
    assert_false(taken(s, holding(s, 7, (struct agent_held){.memory_mib = 1})));
    assert_true(taken(s, holding(s, 8, gpu(0, 0))));
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(a_gpu_is_shared_up_to_the_whole_of_it),
        STORY(cores_are_shared_only_where_all_say_so),
        STORY(memory_is_given_out_once),
        STORY(what_the_node_has_not_is_not_given_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
