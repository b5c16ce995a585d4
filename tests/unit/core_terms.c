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

// It is in the tables.
static void a_restart_knows_what_is_waited_for(void **state)
{
    struct yard *y = *state;
    yard_submit(y, one, 1000);
    after(y, on(DEPEND_AFTEROK, 1), 1000);
    assert_int_equal(depends_count(&y->h.jobs[1].terms->depends), 1);
    harness_restart(&y->h, true); // before the end: it still waits
    assert_int_equal(depends_count(&cluster_job(y->h.c, (struct job_id){2})->terms->depends), 1);
    assert_int_equal(harness_why(&y->h, 2), REASON_DEPENDENCY);
}

static void an_array_keeps_its_limit(void **state)
{
    struct yard *y = *state;
    yard_submit_as(
        y, (struct input_submit){.req = one, .array_first = 0, .array_count = 5, .array_limit = 2},
        1000);
    assert_int_equal(y->h.jobs[0].array_live, 2);
    assert_int_equal(cluster_reason(y->h.c, cluster_job(y->h.c, (struct job_id){1}))->code,
                     REASON_ARRAY_LIMIT);
    uint64_t other = yard_submit(y, one, 1000); // it holds up nobody
    assert_int_equal(y->started_ms[other], y->h.now.boot_ms);
}

static void job_set(struct yard *y, struct input_job_set set)
{
    struct input in = {
        .kind = INPUT_JOB_SET, .caller = {.uid = y->owner, .reply_to = 1}, .set = set};
    harness_step(&y->h, &in);
}

static struct text said;

static void say_reply(void *arg, const struct effect *e)
{
    (void)arg;
    if (e->kind == EFFECT_REPLY && !e->reply.ok)
        reason_text(&e->reply.reason, NULL, e->reply.detail, &said);
}

static void a_circle_is_refused_and_changes_nothing(void **state)
{
    struct yard *y = *state;
    y->h.on_effect = say_reply;
    yard_submit_as(y, (struct input_submit){.req = one, .held = true}, 1000);
    after(y, on(DEPEND_AFTEROK, 1), 1000);
    after(y, on(DEPEND_AFTERANY, 2), 1000);
    struct depend_asked d = on(DEPEND_AFTEROK, 3);
    job_set(y, (struct input_job_set){.job = {1},
                                      .what = JOB_SET_DEPENDENCY | JOB_SET_NICE,
                                      .depends = &d,
                                      .depends_count = 1,
                                      .nice = 9});
    assert_string_equal(text_str(&said), "would wait for itself: 1 waits for 3, 3 for 2, 2 for 1");
    assert_int_equal(y->h.jobs[0].nice, 0);
    text_free(&said);
    d = on(DEPEND_AFTEROK, 1);
    job_set(y, (struct input_job_set){
                   .job = {3}, .what = JOB_SET_DEPENDENCY, .depends = &d, .depends_count = 1});
    assert_int_equal(said.len, 0);
    assert_int_equal(depends_count(&y->h.jobs[2].terms->depends), 1);
    text_free(&said);
}

static void what_can_never_hold_cancels_if_wanted(void **state)
{
    struct yard *y = *state;
    yard_submit(y, one, 1000);
    struct depend_asked d = on(DEPEND_AFTERNOTOK, 1);
    struct input_submit s = {.req = one, .depends = &d, .depends_count = 1};
    uint64_t stays = yard_submit_as(y, s, 1000);
    s.cancel_if_never = true;
    uint64_t goes = yard_submit_as(y, s, 1000);
    yard_run(y, 1000);
    assert_int_equal(harness_why(&y->h, stays), REASON_DEPENDENCY_NEVER);
    assert_int_equal(yard_state(y, goes), JOB_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_job_waits_for_another_to_complete, setup, teardown),
        cmocka_unit_test_setup_teardown(the_begin_time_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(a_restart_knows_what_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(an_array_keeps_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_circle_is_refused_and_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_can_never_hold_cancels_if_wanted, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
