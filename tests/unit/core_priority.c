// Priority: what it is made of, and the order that follows.
#include "tests/unit/core_yard.h"

#include "common/rng.h"

enum { WEIGHTS = 1 << 30 }; // the largest

static const struct request all = {.tasks = 1, .cpus = 4};

static uint64_t submit(struct yard *y, int32_t priority, int32_t nice, int32_t cpus)
{
    return yard_submit_as(y,
                          (struct input_submit){.req = {.tasks = 1, .cpus = cpus},
                                                .priority = priority,
                                                .nice = nice},
                          1000);
}

static void parts_sum_to_the_number(void **state)
{
    (void)state;
    struct rng r = {1};
    for (int round = 0; round < 300; round++) {
        struct yard y;
        yard_init(&y, 1, 4);
        struct settings_rule q = harness_settings();
        q.weight_priority = (int64_t)rng_below(&r, WEIGHTS);
        q.weight_age = WEIGHTS;
        q.weight_size = (int64_t)rng_below(&r, WEIGHTS);
        q.weight_nice = (int64_t)rng_below(&r, 2) * WEIGHTS;
        q.age_full_ms = 60000 + (int64_t)rng_below(&r, 1000000);
        yard_set(&y, q);
        yard_submit(&y, all, INT64_C(10000000));
        int32_t number = (int32_t)rng_next(&r), nice = (int32_t)rng_below(&r, 2000000) - 1000000;
        uint64_t id = submit(&y, number, nice, 2);
        int64_t waited = (int64_t)rng_below(&r, 2000000);
        yard_run(&y, waited);
        struct priority_parts p;
        cluster_priority(y.h.c, cluster_job(y.h.c, (struct job_id){id}), &p);
        assert_true(p.total == p.priority + p.age + p.size + p.nice);
        assert_true(p.priority == q.weight_priority * number && p.nice == -q.weight_nice * nice);
        assert_true(p.size == q.weight_size / 2); // 2 of 4 cores
        double age = (double)waited / (double)q.age_full_ms;
        double want = (age > 1 ? 1 : age) * (double)WEIGHTS;
        assert_true((double)p.age <= want + 1 && (double)p.age >= want - 1);
        yard_fini(&y);
    }
}

// Who is placed when the one that holds everything has ended, one after the other.
static void expect_order(struct yard *y, const uint64_t *ids, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (y->started_ms[ids[i]] <= y->started_ms[ids[i - 1]])
            fail_msg("job %" PRIu64 " started at %" PRId64 ", job %" PRIu64 " at %" PRId64, ids[i],
                     y->started_ms[ids[i]], ids[i - 1], y->started_ms[ids[i - 1]]);
}

static void a_higher_number_goes_first_then_who_came_first(void **state)
{
    (void)state;
    struct yard y;
    yard_init(&y, 1, 4);
    yard_submit(&y, all, 1000);
    uint64_t a = submit(&y, 0, 0, 4), b = submit(&y, 0, 0, 3), c = submit(&y, 1, 0, 4),
             d = submit(&y, 0, 0, 4), e = submit(&y, 0, 5000, 4);
    yard_run(&y, 20000);
    expect_order(&y, (uint64_t[]){c, a, b, d, e}, 5);
    yard_fini(&y);
}

static void all_of_age_is_less_than_one_of_priority(void **state)
{
    (void)state;
    struct yard y;
    yard_init(&y, 1, 4);
    yard_submit(&y, all, INT64_C(20) * 86400 * 1000);
    uint64_t old = submit(&y, 0, 0, 4);
    yard_run(&y, INT64_C(19) * 86400 * 1000);
    uint64_t newest = submit(&y, 1, 0, 4);
    yard_run(&y, INT64_C(2) * 86400 * 1000);
    expect_order(&y, (uint64_t[]){newest, old}, 2);
    yard_fini(&y);
}

// Size is worth half an hour of age here: a small job is overtaken by large ones until then.
static void waiting_makes_up_for_size(void **state)
{
    (void)state;
    struct yard y;
    yard_init(&y, 1, 4);
    struct settings_rule q = harness_settings();
    q.weight_age = 100000;
    q.age_full_ms = 3600000;
    q.weight_size = 66667; // of 3 cores more in 4: 50,000
    yard_set(&y, q);
    yard_submit(&y, all, INT64_C(2000000));
    uint64_t small = submit(&y, 0, 0, 1);
    yard_run(&y, 1500000);
    uint64_t before = submit(&y, 0, 0, 4); // small is 25 minutes old
    yard_run(&y, 400000);
    uint64_t after = submit(&y, 0, 0, 4); // and now 31
    yard_run(&y, 1000000);
    expect_order(&y, (uint64_t[]){before, small, after}, 3);
    yard_fini(&y);
}

// By any weights, and whatever they ask for: the one that was submitted first.
static void a_fifo_queue_goes_by_submission(void **state)
{
    (void)state;
    struct rng r = {3};
    for (int round = 0; round < 200; round++) {
        struct yard y;
        uint64_t ids[12];
        yard_init(&y, 1, 4);
        struct settings_rule q = harness_settings();
        q.weight_priority = (int64_t)rng_below(&r, WEIGHTS);
        q.weight_age = rng_below(&r, 2) ? (int64_t)rng_below(&r, WEIGHTS) : 0;
        q.weight_size = (int64_t)rng_below(&r, WEIGHTS);
        q.weight_fair_share = (int64_t)rng_below(&r, WEIGHTS);
        q.age_full_ms = 60000 + (int64_t)rng_below(&r, 100000);
        yard_set(&y, q);
        harness_queue(&y.h, "line order=fifo priority=3");
        yard_submit(&y, all, 100000);
        for (size_t i = 0; i < 12; i++) {
            struct input_submit s = {.req = {.tasks = 1, .cpus = 3 + (int32_t)rng_below(&r, 2)},
                                     .priority = (int32_t)rng_below(&r, 100),
                                     .nice = (int32_t)rng_below(&r, 100),
                                     .queue = "line"};
            ids[i] = yard_submit_as(&y, s, 1000);
            yard_run(&y, (int64_t)rng_below(&r, 5000));
        }
        yard_run(&y, 200000);
        expect_order(&y, ids, 12);
        yard_fini(&y);
    }
}

// From the next pass on, also for those that wait already; what was promised stays promised.
static void an_order_can_be_changed(void **state)
{
    (void)state;
    struct yard y;
    struct settings_rule q = harness_settings();
    yard_init(&y, 1, 4);
    q.backfill_reservations = 0;
    yard_set(&y, q);
    yard_submit(&y, all, 1000);
    uint64_t a = submit(&y, 0, 0, 4), b = submit(&y, 9, 0, 4), c = submit(&y, 5, 0, 3);
    harness_queue(&y.h, "default order=fifo");
    yard_run(&y, 1500);
    expect_order(&y, (uint64_t[]){1, a}, 2);
    harness_queue(&y.h, "default order=priority");
    uint64_t d = submit(&y, 7, 0, 4);
    yard_run(&y, 20000);
    expect_order(&y, (uint64_t[]){a, b, d, c}, 4);
    yard_fini(&y);
}

static int64_t weight_age(const struct yard *y)
{
    return rule_settings(y->h.c)->weight_age;
}

static void bad_wishes_change_nothing(void **state)
{
    (void)state;
    struct yard y;
    yard_init(&y, 1, 4);
    struct settings_rule q = harness_settings();
    int64_t was = q.weight_age;
    q.weight_age = -1;
    yard_set(&y, q);
    q.weight_age = INT64_C(1) << 31;
    yard_set(&y, q);
    q.weight_age = 5;
    q.age_full_ms = 0;
    yard_set(&y, q);
    q.age_full_ms = 60000;
    q.backfill_depth = 0;
    yard_set(&y, q);
    q.backfill_depth = 1;
    assert_int_equal(weight_age(&y), was);
    struct rule row = {.kind = RULE_SETTINGS, .settings = q};
    struct input in = {.kind = INPUT_RULE_SET, .rule = {.row = &row, .mode = RULE_PUT}};
    harness_step(&y.h, &in); // not an operator
    assert_int_equal(weight_age(&y), was);
    text_clear(&y.h.story);
    yard_set(&y, q);
    assert_int_equal(weight_age(&y), 5);
    assert_non_null(strstr(text_str(&y.h.story),
                           "settings changed by user 0: weight_age 1048512 -> 5, "
                           "age_full 7 d -> 1 m, backfill_depth 2000 -> 1"));
    yard_fini(&y); // and it is loaded again
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_sum_to_the_number),
        cmocka_unit_test(a_higher_number_goes_first_then_who_came_first),
        cmocka_unit_test(all_of_age_is_less_than_one_of_priority),
        cmocka_unit_test(waiting_makes_up_for_size),
        cmocka_unit_test(a_fifo_queue_goes_by_submission),
        cmocka_unit_test(an_order_can_be_changed),
        cmocka_unit_test(bad_wishes_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
