// What jobs wait for beside room: other jobs, times, the limit of an array; and deadlines.
#include "tests/unit/core_yard.h"

static const struct request one = {.tasks = 1, .cpus = 1};

static struct depend_asked on(enum depend_kind k, uint64_t job)
{
    return (struct depend_asked){.kind = k, .job = {job}, .element = ELEMENT_NONE};
}

static uint64_t after(struct yard *y, struct depend_asked d, int64_t runs_ms)
{
    return yard_submit_as(y, (struct input_submit){.req = one, .depends = &d, .depends_count = 1},
                          runs_ms);
}

static int setup(void **state)
{
    struct yard *y = xcalloc(1, sizeof *y);
    yard_init(y, 2, 4);
    *state = y;
    return 0;
}

static int teardown(void **state)
{
    yard_fini(*state);
    free(*state);
    return 0;
}

static void expect_story(struct yard *y, const char *want)
{
    assert_string_equal(text_str(&y->h.story), want);
    text_clear(&y->h.story);
}

static void a_job_waits_for_another_to_complete(void **state)
{
    struct yard *y = *state;
    yard_submit(y, one, 10000);
    text_clear(&y->h.story);
    after(y, on(DEPEND_AFTEROK, 1), 1000);
    expect_story(y, "job 2 submitted: 1 task of 1 core\n"
                    "job 2 waits for job 1 to complete\n");
    assert_int_equal(harness_why(&y->h, 2), REASON_DEPENDENCY);
    yard_run(y, 9000);
    assert_int_equal(yard_state(y, 2), JOB_PENDING);
    yard_run(y, 1000);
    assert_int_equal(y->started_ms[2], y->h.now.boot_ms);
    assert_non_null(strstr(text_str(&y->h.story), "job 2 waits for its turn: its terms are met\n"
                                                  "job 2 placed"));
    yard_run(y, 1000);
    assert_int_equal(yard_state(y, 2), JOB_COMPLETED);
}

static void the_begin_time_is_kept(void **state)
{
    struct yard *y = *state;
    int64_t begin_ms = y->h.now.wall_ms + 5000;
    yard_submit_as(y, (struct input_submit){.req = one, .begin_ms = begin_ms}, 1000);
    assert_int_equal(harness_why(&y->h, 1), REASON_BEGIN_TIME);
    yard_run(y, 4999);
    assert_int_equal(y->started_ms[1], 0);
    yard_run(y, 1);
    assert_int_equal(y->started_ms[1], y->h.now.boot_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_job_waits_for_another_to_complete, setup, teardown),
        cmocka_unit_test_setup_teardown(the_begin_time_is_kept, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
