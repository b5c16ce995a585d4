// `run` and `logs` against a stand-in scheduler: output, attempts, exit codes, interrupts.
#include "tests/unit/schedctl_server.h"

#include "schedctl/interrupt.h"

#include <signal.h>

// The story of job 17, moved on by the requests themselves.
static struct {
    const char *end;      // the ended job's JSON
    int looks_until_end;  // looks at the job before it has ended
    int looks, log_reads; // so far
    int attempts;         // the first attempts - 1 of them write "lost" and vanish
    int cancels;
    bool signal_at_first_look, break_one_wait;
    int cancels_lost; // so many find no scheduler
} story;

static long long number_after(const char *path, const char *key)
{
    const char *p = strstr(path, key);
    return p ? atoll(p + strlen(key)) : -1;
}

static void answer_look(struct reply *r)
{
    story.looks++;
    if (story.signal_at_first_look && story.looks == 1)
        kill(getpid(), SIGINT);
    if (story.looks > story.looks_until_end || story.cancels)
        reply_json(r, 200, "%s", story.end);
    else
        reply_json(r, 200, "{\"id\":17,\"state\":\"%s\",\"attempt\":%d,\"tasks\":2}",
                   story.looks == 1 ? "pending" : "running", story.looks > 2 ? story.attempts : 1);
}

// Task t's stdout is "out T\nmore", in two pieces; its stderr "err T\n".
static void answer_log(const char *path, struct reply *r)
{
    long long offset = number_after(path, "offset="), task = number_after(path, "task=");
    AUTO_FREE char *all =
        strstr(path, "stdout") ? xasprintf("out %lld\nmore", task) : xasprintf("err %lld\n", task);
    long size = (long)strlen(all);
    story.log_reads++;
    if (offset < 0)
        offset = size + offset > 0 ? size + offset : 0;
    if (offset == 0 && strstr(path, "stdout"))
        all[6] = 0; // the first piece ends here
    reply_log(r, offset, size, true, offset < (long)strlen(all) ? all + offset : "");
}

static void answer(const struct request *q, struct reply *r)
{
    if (strcmp(q->method, "POST") == 0 && strcmp(q->path, "/v1/jobs") == 0)
        reply_json(r, 201, "{\"id\":17}");
    else if (strcmp(q->path, "/v1/jobs/17/cancel") == 0 && story.cancels_lost > 0) {
        story.cancels_lost--;
        r->hang_up = true;
    } else if (strcmp(q->path, "/v1/jobs/17/cancel") == 0 && ++story.cancels)
        reply_json(r, 200, "{}");
    else if (strncmp(q->path, "/v1/jobs/17/logs", 16) == 0)
        answer_log(q->path, r);
    else if (strncmp(q->path, "/v1/jobs/17?wait=", 17) == 0 && story.break_one_wait) {
        story.break_one_wait = false;
        r->hang_up = true;
    } else if (strncmp(q->path, "/v1/jobs/17", 11) == 0)
        answer_look(r);
    else
        reply_json(r, 404, "{}");
}

static void tell(const char *end, int looks)
{
    memset(&story, 0, sizeof story);
    story.end = end;
    story.looks_until_end = looks;
    story.attempts = 1;
}

#define COMPLETED "{\"id\":17,\"state\":\"completed\",\"attempt\":1,\"exit_code\":0,\"tasks\":2}"
#define FAILED                                                                   \
    "{\"id\":17,\"state\":\"failed\",\"attempt\":1,\"exit_code\":3,\"tasks\":1," \
    "\"reason\":{\"code\":\"exited\",\"text\":\"ended by itself with exit code 3\"}}"
#define KILLED                                                                                 \
    "{\"id\":17,\"state\":\"failed\",\"attempt\":1,\"exit_code\":null,\"tasks\":1,\"reason\":" \
    "{\"code\":\"signalled\",\"text\":\"task 0 was killed by signal 9\"},\"task_results\":"    \
    "[{\"rank\":0,\"exit_code\":0,\"signal\":9}]}"
#define CANCELLED                                                                      \
    "{\"id\":17,\"state\":\"cancelled\",\"attempt\":0,\"exit_code\":null,\"tasks\":1," \
    "\"reason\":{\"code\":\"cancelled\",\"text\":\"was cancelled by user 0\"}}"

static void output_comes_whole_and_once(void **state)
{
    (void)state;
    fake_start(answer);
    tell(COMPLETED, 3);
    assert_int_equal(SCHEDCTL("run", "--", "true"), 0);
    assert_string_equal(text_str(&ctl_out), "out 0\nmore");
    assert_string_equal(text_str(&ctl_err), "err 0\n");
    tell(COMPLETED, 0); // it had ended before the first look
    assert_int_equal(SCHEDCTL("run", "--", "true"), 0);
    assert_string_equal(text_str(&ctl_out), "out 0\nmore");
    fake_stop();
}

static void labels(void **state)
{
    (void)state;
    fake_start(answer);
    tell(COMPLETED, 3);
    assert_int_equal(SCHEDCTL("run", "-n", "2", "--label", "--", "true"), 0);
    const char *out = text_str(&ctl_out);
    assert_int_equal(strlen(out), strlen("[0] out 0\n[0] more\n[1] out 1\n[1] more\n"));
    assert_non_null(strstr(out, "[0] out 0\n"));
    assert_non_null(strstr(out, "[1] more\n"));
    fake_stop();
}

static void exit_codes(void **state)
{
    (void)state;
    fake_start(answer);
    tell(FAILED, 2);
    assert_int_equal(SCHEDCTL("run", "--", "true"), 3);
    tell(KILLED, 2);
    assert_int_equal(SCHEDCTL("run", "--", "true"), 128 + 9);
    assert_non_null(strstr(text_str(&ctl_err), "job 17 failed: task 0 was killed by signal 9.\n"));
    tell(CANCELLED, 2);
    assert_int_equal(SCHEDCTL("run", "--", "true"), 1);
    fake_stop();
}

static void a_new_attempt_is_followed(void **state)
{
    (void)state;
    fake_start(answer);
    tell("{\"id\":17,\"state\":\"completed\",\"attempt\":2,\"exit_code\":0,\"tasks\":1}", 2);
    assert_int_equal(SCHEDCTL("run", "--", "true"), 0);
    assert_non_null(strstr(text_str(&ctl_err), "job 17: attempt 2 begins.\n"));
    fake_stop();
}

static void a_broken_connection_is_no_end(void **state)
{
    (void)state;
    fake_start(answer);
    tell(COMPLETED, 4);
    story.break_one_wait = true;
    assert_int_equal(SCHEDCTL("run", "--", "true"), 0);
    assert_string_equal(text_str(&ctl_out), "out 0\nmore");
    assert_non_null(strstr(text_str(&ctl_err), "the scheduler does not answer"));
    fake_stop();
}

static void an_interrupt_cancels(void **state)
{
    (void)state;
    fake_start(answer);
    tell(CANCELLED, 1000000);
    story.signal_at_first_look = true;
    assert_int_equal(SCHEDCTL("run", "--", "true"), 1);
    assert_int_equal(story.cancels, 1);
    assert_non_null(strstr(text_str(&ctl_err), "job 17 is being cancelled"));
    fake_stop();
}

static void an_interrupt_outlasts_a_restart_of_the_scheduler(void **state)
{
    (void)state;
    fake_start(answer);
    tell(CANCELLED, 1000000);
    interrupt_count = 0;
    story.signal_at_first_look = true;
    story.cancels_lost = 2;
    assert_int_equal(SCHEDCTL("run", "--", "true"), 1);
    assert_int_equal(story.cancels, 1);
    assert_non_null(strstr(text_str(&ctl_err), "job 17 cancelled"));
    fake_stop();
}

static void arrays_are_not_run(void **state)
{
    (void)state;
    assert_int_equal(SCHEDCTL("run", "--array", "0-3", "--", "true"), 2);
}

// An ended job of which nothing ever started.
static void answer_nothing_started(const struct request *q, struct reply *r)
{
    if (strstr(q->path, "/logs"))
        reply_json(r, 409,
                   "{\"error\":{\"code\":\"no_output\",\"message\":\"the job has not "
                   "started anything\"}}");
    else
        reply_json(r, 200, CANCELLED);
}

static void logs_of_nothing(void **state)
{
    (void)state;
    fake_start(answer_nothing_started);
    assert_int_equal(SCHEDCTL("logs", "17"), 4);
    assert_string_equal(text_str(&ctl_err), "schedctl: task 0 has not started. `schedctl job why "
                                            "17` tells more.\n");
    assert_int_equal(SCHEDCTL("logs", "17", "-f"), 0); // and it ends
    assert_string_equal(text_str(&ctl_out), "");
    fake_stop();
}

static void logs(void **state)
{
    (void)state;
    fake_start(answer);
    tell(COMPLETED, 0);
    story.end = "{\"id\":17,\"state\":\"completed\",\"attempt\":1,\"tasks\":2}";
    assert_int_equal(SCHEDCTL("logs", "17"), 0);
    assert_string_equal(text_str(&ctl_out), "out 0\nmore");
    assert_string_equal(text_str(&ctl_err), "err 0\n");
    assert_int_equal(SCHEDCTL("logs", "17", "--all", "--label", "--stdout"), 0);
    assert_string_equal(text_str(&ctl_out), "[0] out 0\n[0] more\n[1] out 1\n[1] more\n");
    assert_string_equal(text_str(&ctl_err), "");
    assert_int_equal(SCHEDCTL("logs", "17", "--task", "1", "--tail", "4", "--stdout"), 0);
    assert_string_equal(text_str(&ctl_out), "more");
    assert_int_equal(SCHEDCTL("logs", "17", "--task", "2"), 2);
    assert_int_equal(SCHEDCTL("logs", "17", "-f", "--stderr"), 0);
    assert_string_equal(text_str(&ctl_err), "err 0\n");
    fake_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_comes_whole_and_once),
        cmocka_unit_test(labels),
        cmocka_unit_test(exit_codes),
        cmocka_unit_test(a_new_attempt_is_followed),
        cmocka_unit_test(a_broken_connection_is_no_end),
        cmocka_unit_test(logs),
        cmocka_unit_test(logs_of_nothing),
        cmocka_unit_test(arrays_are_not_run),
        cmocka_unit_test(an_interrupt_cancels),
        cmocka_unit_test(an_interrupt_outlasts_a_restart_of_the_scheduler),
    };
    return cmocka_run_group_tests(tests, fake_setup, fake_teardown);
}
