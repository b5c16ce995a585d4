// Usage that fades, against floating point; and fair share.
#include "tests/unit/core_rules_stage.h"

#include "common/rng.h"

#include <math.h>

// The bound that usage.c states: 2^-57.
static void half_is_near_the_true_value(void **state)
{
    (void)state;
    struct rng r = {1};
    long double worst = 0;
    for (int i = 0; i < 200000; i++) {
        int64_t h = (int64_t)(rng_next(&r) >> (13 + rng_below(&r, 40))) + 1;
        int64_t t = (int64_t)(rng_next(&r) >> (13 + rng_below(&r, 50)));
        if (i < 64) {
            h = INT64_C(1) << (i % 50);
            t = i < 32 ? h : 1;
        }
        long double want = exp2l(-(long double)t / (long double)h);
        long double got = ldexpl((long double)usage_half(t, h), -63);
        long double off = fabsl(got - want);
        worst = off > worst ? off : worst;
    }
    print_message("# worst error 2^%.2Lf\n", log2l(worst));
    assert_true(worst < ldexpl(1, -57));
    assert_true(usage_half(0, 5) == UINT64_C(1) << 63);
    assert_true(usage_half(5, 5) == UINT64_C(1) << 62);
    assert_true(usage_half(INT64_MAX, 1) == 0);
}

static void pass_ms(struct stage *s, int64_t ms)
{
    s->h.now.boot_ms += ms;
    s->h.now.wall_ms += ms;
    struct input in = {.kind = INPUT_TICK};
    harness_step(&s->h, &in);
    in = (struct input){.kind = INPUT_HEARTBEAT};
    in.heartbeat =
        (struct input_heartbeat){.node = {1}, .session = s->session, .request = ++s->request};
    harness_step(&s->h, &in);
}

// What floating point makes of the same: U' = rate - U ln 2 / H.
struct reference {
    double used, rate, half_life_ms;
};

static void reference_pass(struct reference *f, double ms)
{
    double left = exp2(-ms / f->half_life_ms);
    f->used = f->used * left + f->rate * f->half_life_ms / M_LN2 * (1 - left);
}

// The scheduler dies and starts again, and the agent comes again with what runs.
static void restart(struct stage *s)
{
    struct reported_attempt list[8] = {0};
    size_t count = 0;
    harness_restart(&s->h, true);
    struct input in = {.kind = INPUT_LINK_UP};
    in.link_up.name = "n1";
    in.link_up.link = 100 + s->request;
    harness_step(&s->h, &in);
    for (size_t k = 0; k < s->h.parts_count; k++)
        list[count++] = (struct reported_attempt){
            .id = {{0xc1}, s->h.parts[k].uid, 1}, .state = AGENT_RUNNING, .started = true};
    in = (struct input){.kind = INPUT_HELLO};
    in.hello = (struct input_hello){.node = {1},
                                    .session = s->session,
                                    .cluster = {0xc1},
                                    .inc = {"m", "b", 100},
                                    .term_seen = s->h.meta.term,
                                    .nonce_seen = 42,
                                    .journal_intact = true,
                                    .request = ++s->request,
                                    .cores = NODE_CORES,
                                    .gpus = 8,
                                    .memory_mib = 100000,
                                    .attempts = list,
                                    .attempts_count = count};
    harness_step(&s->h, &in);
}

static void usage_follows_the_formula(void **state)
{
    struct stage *s = *state;
    struct rng r = {5};
    make_physics(s, "");
    must_put(s, RULE_SETTINGS, "", "half_life=1h");
    const struct tally *t = tally_of(s, RULE_ACCOUNT, "physics");
    struct reference f = {.half_life_ms = 3600000};
    double worst = 0;
    for (int i = 0; i < 3000; i++) {
        int64_t ms = (int64_t)rng_below(&r, rng_below(&r, 20) ? 20000 : 20000000);
        pass_ms(s, ms);
        reference_pass(&f, (double)ms);
        if (s->h.parts_count < 5) {
            int32_t cpus = (int32_t)rng_below(&r, 4) + 1;
            submit(s, ANN, (struct asked){.cpus = cpus});
            f.rate += cpus;
        } else {
            const struct placement *p = &s->h.parts[rng_below(&r, s->h.parts_count)];
            f.rate -= (double)coreset_count(&p->cores);
            end_uid(s, p->uid.v);
        }
        if (f.used > 1e6)
            worst = fmax(worst, fabs((double)usage_of(s->h.c, t, USE_CORES) / f.used - 1));
        if (i % 300 == 0) {
            restart(s);
            t = tally_of(s, RULE_ACCOUNT, "physics");
        }
    }
    print_message("# worst relative error %.2e\n", worst);
    assert_true(worst > 0 && worst < 1e-5);
}

static int64_t core_ms(struct stage *s, enum rule_kind k, const char *name)
{
    return usage_of(s->h.c, tally_of(s, k, name), USE_CORES);
}

static void usage_halves_and_is_charged_upwards(void **state)
{
    struct stage *s = *state;
    make_physics(s, "");
    must_put(s, RULE_SETTINGS, "", "half_life=100000s");
    must_put(s, RULE_QOS, "cheap", "usage_percent=50");
    submit(s, ANN, (struct asked){.cpus = 2});
    submit(s, BEN, (struct asked){.cpus = 2, .qos = "cheap"});
    pass_ms(s, 1000000); // a hundredth of a half-life
    end(s, 1);
    end(s, 2);
    int64_t ann = core_ms(s, RULE_USER, "ann/physics");
    assert_true(ann > 1990000 && ann < 2000000); // it fades meanwhile
    assert_in_range(core_ms(s, RULE_USER, "ben/physics"), ann / 2 - 1, ann / 2 + 1);
    assert_in_range(core_ms(s, RULE_ACCOUNT, "physics"), ann * 3 / 2 - 2, ann * 3 / 2 + 2);
    assert_int_equal(core_ms(s, RULE_ACCOUNT, "root"), core_ms(s, RULE_ACCOUNT, "physics"));
    assert_int_equal(core_ms(s, RULE_ACCOUNT, "default"), 0);
    pass_ms(s, 100000000); // one
    assert_in_range(core_ms(s, RULE_USER, "ann/physics"), ann / 2 - 2, ann / 2 + 2);
    // A reboot of 2 half-lives: only the wall clock knows.
    s->h.now.boot_ms = 500;
    s->h.now.wall_ms += 200000000;
    harness_restart(&s->h, false);
    assert_in_range(core_ms(s, RULE_USER, "ann/physics"), ann / 8 - 2, ann / 8 + 2);
    // A wall clock that is set back takes nothing and gives nothing.
    s->h.now.wall_ms -= 400000000;
    harness_restart(&s->h, false);
    assert_true(core_ms(s, RULE_USER, "ann/physics") >= ann / 8 - 2);
}

static void usage_may_begin_anew_by_period(void **state)
{
    struct stage *s = *state;
    must_put(s, RULE_SETTINGS, "", "half_life=none usage_period=1h");
    int64_t to_hour = 3600000 - s->h.now.wall_ms % 3600000;
    pass_ms(s, to_hour);
    submit(s, ANN, (struct asked){.cpus = 3});
    pass_ms(s, 1800000);
    assert_int_equal(core_ms(s, RULE_QUEUE, "default"), 3 * 1800000);
    pass_ms(s, 1800000 + 600000);
    assert_int_equal(core_ms(s, RULE_QUEUE, "default"), 3 * 600000);
}

// The worked example of docs/scheduling.md.
static void gpu_hours_stop_and_fade(void **state)
{
    struct stage *s = *state;
    const int64_t hour = 3600000;
    must_put(s, RULE_SETTINGS, "", "half_life=10h");
    must_put(s, RULE_ACCOUNT, "default", "max_gpu_hours=3");
    submit(s, ANN, (struct asked){.gpus = 2});
    pass_ms(s, 2 * hour);
    const struct tally *t = tally_of(s, RULE_ACCOUNT, "default");
    assert_in_range(usage_of(s->h.c, t, USE_GPUS), 3735 * hour / 1000, 3736 * hour / 1000);
    submit(s, BEN, (struct asked){.gpus = 1});
    expect_waits(s, 2,
                 "waits at a limit: max_gpu_hours of account \"default\" is 3: 3 are used (7 3)");
    submit(s, BEN, (struct asked){0});
    assert_int_equal(s->h.jobs[2].state, JOB_STARTING);
    end(s, 1);
    expect_waits(s, 2,
                 "waits at a limit: max_gpu_hours of account \"default\" is 3: 3 are used (7 3)");
    int minutes = 0;
    while (minutes < 600 && s->h.jobs[1].state == JOB_PENDING) {
        pass_ms(s, 60000); // the core asked to be woken
        minutes++;
    }
    assert_in_range(minutes, 189, 191); // 3.16 h
}

static double share(struct stage *s, const char *user)
{
    const struct rule_entry *p = rule_find(s->h.c, RULE_USER, user);
    return (double)fair_share(s->h.c, (struct user_id){(uint32_t)p->row->id}) / FAIR_SHARE_ONE;
}

static void assert_near(double got, double want)
{
    if (fabs(got - want) > 1e-5)
        fail_msg("got %f, want %f", got, want);
}

static void use(struct stage *s, uint32_t uid, int32_t cpus, int64_t ms)
{
    submit(s, uid, (struct asked){.cpus = cpus});
    pass_ms(s, ms);
    end_uid(s, s->uid);
}

static void the_fair_tree_ranks_accounts_before_users(void **state)
{
    struct stage *s = *state;
    make_physics(s, "shares=3");
    must_put(s, RULE_ACCOUNT, "chemistry", "");
    must_put(s, RULE_USER, "cid", "account=chemistry uid=9");
    must_put(s, RULE_USER, "dan", "account=chemistry uid=10");
    fair_share_refresh(s->h.c);
    assert_false(fair_share_refresh(s->h.c)); // nothing new within 10 s
    assert_near(share(s, "ann/physics"), 1);  // all have used nothing
    assert_near(share(s, "dan/chemistry"), 1);
    use(s, ANN, 4, 100000); // physics has used all: chemistry comes first, its idle users alike
    fair_share_refresh(s->h.c);
    assert_near(share(s, "cid/chemistry"), 1);
    assert_near(share(s, "dan/chemistry"), 1);
    assert_near(share(s, "ben/physics"), 0.5);
    assert_near(share(s, "ann/physics"), 0.25);
    use(s, 9, 2, 100000); // 2 of 6 for a share of 1 in 5 (default has one): physics, 3 in 5, leads
    fair_share_refresh(s->h.c);
    assert_near(share(s, "ben/physics"), 1);
    assert_near(share(s, "ann/physics"), 0.75);
    assert_near(share(s, "dan/chemistry"), 0.5); // below ann, though it has used nothing itself
    assert_near(share(s, "cid/chemistry"), 0.25);
    must_put(s, RULE_ACCOUNT, "chemistry", "shares=30");
    assert_false(fair_share_refresh(s->h.c)); // the tree has changed: the pass did it at once
    assert_near(share(s, "dan/chemistry"), 1);
    assert_near(share(s, "ann/physics"), 0.25);
}

// Who has used less for the share goes first, unless queue or QoS say otherwise.
static void the_queue_follows_fair_share_qos_and_queue(void **state)
{
    struct stage *s = *state;
    make_physics(s, "");
    must_put(s, RULE_QOS, "high", "priority=2");
    must_put(s, RULE_QUEUE, "fast", "priority=1");
    use(s, ANN, 4, 100000);
    must_put(s, RULE_SETTINGS, "", "weight_age=0 weight_fair_share=524288");
    submit(s, 99, (struct asked){.cpus = NODE_CORES});
    uint64_t first = s->uid;
    submit(s, ANN, (struct asked){.cpus = NODE_CORES});
    submit(s, BEN, (struct asked){.cpus = NODE_CORES});
    submit(s, ANN, (struct asked){.cpus = NODE_CORES, .queue = "fast"});
    submit(s, ANN, (struct asked){.cpus = NODE_CORES, .qos = "high"});
    // By QoS, by queue, ben's by fair share, ann's other one.
    static const uint64_t after_first[] = {4, 3, 2, 1};
    uint64_t runs = first;
    for (size_t i = 0; i < 4; i++) {
        end_uid(s, runs);
        runs = first + after_first[i];
        const struct job *next = NULL;
        for (uint64_t id = 1; id < s->h.meta.next_job; id++)
            if (s->h.jobs[id - 1].uid.v == runs)
                next = &s->h.jobs[id - 1];
        assert_true(next && next->state == JOB_STARTING);
    }
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_is_near_the_true_value),
        STORY(usage_follows_the_formula),
        STORY(usage_halves_and_is_charged_upwards),
        STORY(usage_may_begin_anew_by_period),
        STORY(gpu_hours_stop_and_fade),
        STORY(the_fair_tree_ranks_accounts_before_users),
        STORY(the_queue_follows_fair_share_qos_and_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
