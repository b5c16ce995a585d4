// Verbs against a stand-in scheduler: what they send, print and return.
#include "tests/unit/schedctl_server.h"

#include "common/clock.h"

static void assert_out(const char *text)
{
    assert_string_equal(text_str(&ctl_out), text);
}

static void assert_err(const char *text)
{
    assert_string_equal(text_str(&ctl_err), text);
}

static void no_scheduler(void **state)
{
    (void)state;
    AUTO(text) struct text said = {0};
    assert_int_equal(SCHEDCTL("jobs"), 3);
    text_addf(&said,
              "schedctl: no scheduler answers at \"%s/scheduler.sock\". Start one with `schedctl "
              "cluster up`, or name the cluster's directory with --dir or MUSTER_HOME.\n",
              fake_dir);
    assert_err(text_str(&said));
    assert_int_equal(SCHEDCTL("submit", "--", "true"), 3); // at once: it was never there
}

static int refuse_status;
static void answer_refusal(const struct request *q, struct reply *r)
{
    (void)q;
    reply_json(r, refuse_status,
               "{\"error\":{\"code\":\"x\",\"message\":\"what happened\",\"hint\":\"%s\"}}",
               refuse_status == 404 ? "" : "Do this.");
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        int status, code;
        const char *said;
    } cases[] = {{400, 2, "schedctl: what happened. Do this.\n"},
                 {403, 4, "schedctl: what happened. Do this.\n"},
                 {404, 5, "schedctl: what happened.\n"},
                 {409, 4, "schedctl: what happened. Do this.\n"},
                 {413, 2, "schedctl: what happened. Do this.\n"},
                 {503, 4, "schedctl: what happened. Do this.\n"}};
    fake_start(answer_refusal);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refuse_status = cases[i].status;
        assert_int_equal(SCHEDCTL("job", "show", "17"), cases[i].code);
        assert_err(cases[i].said);
        assert_out("");
        assert_int_equal(SCHEDCTL("job", "cancel", "17"), cases[i].code);
        assert_int_equal(SCHEDCTL("submit", "--", "true"), cases[i].code);
        assert_int_equal(SCHEDCTL("node", "resume", "n1"), cases[i].code);
        assert_int_equal(SCHEDCTL("nodes"), cases[i].code);
    }
    fake_stop();
}

static void answer_nonsense(const struct request *q, struct reply *r)
{
    (void)q;
    reply_json(r, 200, "<html>");
}

static void not_json(void **state)
{
    (void)state;
    fake_start(answer_nonsense);
    assert_int_equal(SCHEDCTL("jobs"), 1);
    assert_non_null(strstr(text_str(&ctl_err), "no JSON"));
    fake_stop();
}

static void answer_jobs(const struct request *q, struct reply *r)
{
    if (strcmp(q->path, "/v1/jobs?state=live") == 0 || strcmp(q->path, "/v1/jobs") == 0)
        reply_json(r, 200,
                   "{\"jobs\":[{\"id\":7,\"name\":\"a\\u001b[2Jb\",\"user\":\"ann\",\"state\":"
                   "\"pending\",\"tasks\":2,\"nodes\":null,\"submitted_at\":null,\"started_at\":"
                   "null,\"ended_at\":null,\"reason\":{\"code\":\"priority\",\"text\":\"waits\","
                   "\"hint\":\"\"},\"array\":null,\"array_id\":null,\"element\":null}]}");
    else if (strcmp(q->path, "/v1/jobs?state=failed&user=a%20b&limit=5") == 0)
        reply_json(r, 200, "{\"jobs\":[]}");
    else
        reply_json(r, 404, "{}");
}

static void jobs(void **state)
{
    (void)state;
    fake_start(answer_jobs);
    assert_int_equal(SCHEDCTL("jobs"), 0);
    assert_out("ID  NAME    USER  STATE    TASKS  SUBMITTED  TIME  NODES  REASON OR PROGRESS\n"
               " 7  a?[2Jb  ann   pending      2  -             -  -      waits\n");
    assert_int_equal(SCHEDCTL("jobs", "-o", "json"), 0);
    json_t *list = json_loads(text_str(&ctl_out), 0, NULL);
    assert_int_equal(json_array_size(list), 1);
    json_decref(list);
    assert_int_equal(SCHEDCTL("jobs", "-s", "failed", "-u", "a b", "--limit", "5", "-o", "json"),
                     0);
    assert_out("[]\n");
    assert_int_equal(SCHEDCTL("jobs", "--state", "sleeping"), 2);
    fake_stop();
}

static char sent_ids[4][64];
// Breaks the first connection after the request arrived: nobody can know whether it was taken.
static void answer_broken_once(const struct request *q, struct reply *r)
{
    json_t *body = json_loads(q->body, 0, NULL);
    snprintf(sent_ids[q->number % 4], 64, "%s",
             json_string_value(json_object_get(body, "request_id")));
    json_decref(body);
    if (q->number == 1)
        r->hang_up = true;
    else
        reply_json(r, 200, "{\"id\":17,\"duplicate\":true}");
}

static void a_submission_is_repeated_with_its_id(void **state)
{
    (void)state;
    fake_start(answer_broken_once);
    assert_int_equal(SCHEDCTL("submit", "--", "true"), 0);
    assert_out("17\n");
    assert_err("");
    assert_int_equal(fake_seen(&fake.requests), 2);
    assert_int_equal(strlen(sent_ids[1]), 32);
    assert_string_equal(sent_ids[1], sent_ids[2]);
    fake_stop();
}

static int hang_ups;
static void answer_hang_up(const struct request *q, struct reply *r)
{
    (void)q;
    hang_ups++;
    r->hang_up = true;
}

static void an_order_is_not_repeated(void **state)
{
    (void)state;
    fake_start(answer_hang_up);
    hang_ups = 0;
    assert_int_equal(SCHEDCTL("job", "cancel", "17"), 3);
    assert_int_equal(fake_seen(&hang_ups), 1);
    fake_stop();
}

static void answer_wait(const struct request *q, struct reply *r)
{
    const char *job = q->path + strlen("/v1/jobs/");
    if (strncmp(job, "1?wait=", 7) == 0)
        reply_json(r, 200, "{\"id\":1,\"state\":\"completed\"}");
    else if (strncmp(job, "2?wait=", 7) == 0)
        reply_json(r, 200,
                   "{\"id\":2,\"state\":\"failed\",\"reason\":{\"code\":\"exited\",\"text\":"
                   "\"ended by itself with exit code 3\"}}");
    else if (strncmp(job, "3?wait=", 7) == 0)
        reply_json(r, 200, "{\"id\":3,\"state\":\"running\"}");
    else if (strncmp(job, "4?wait=", 7) == 0)
        r->hang_up = true;
    else
        reply_json(r, 404,
                   "{\"error\":{\"code\":\"no_such_job\",\"message\":\"there is no such job\"}}");
}

static void waiting_ends_in_time_without_a_scheduler(void **state)
{
    (void)state;
    fake_start(answer_wait);
    int64_t begun = clock_boot_ms();
    assert_int_equal(SCHEDCTL("job", "wait", "4", "--timeout", "100ms"), 3);
    assert_in_range(clock_boot_ms() - begun, 100, 10000);
    fake_stop();
}

static void waiting(void **state)
{
    (void)state;
    fake_start(answer_wait);
    assert_int_equal(SCHEDCTL("job", "wait", "1"), 0);
    assert_out("");
    assert_err("");
    assert_int_equal(SCHEDCTL("job", "wait", "1", "2"), 1);
    assert_out("job 2 failed: ended by itself with exit code 3\n");
    assert_int_equal(SCHEDCTL("job", "wait", "3", "1", "--timeout", "0"), 6);
    assert_err("schedctl: job 3 is still running. `schedctl job why 3` tells more.\n");
    assert_int_equal(SCHEDCTL("job", "wait", "9"), 5);
    assert_int_equal(SCHEDCTL("job", "wait", "x"), 2);
    fake_stop();
}

static char drained[256];
static void answer_drain(const struct request *q, struct reply *r)
{
    size_t len = strlen(drained);
    snprintf(drained + len, sizeof drained - len, "%s %s\n", q->path, q->body);
    reply_json(r, 200, "{}");
}

static void draining(void **state)
{
    (void)state;
    fake_start(answer_drain);
    drained[0] = 0;
    assert_int_equal(SCHEDCTL("node", "drain", "n1"), 2);
    assert_string_equal(drained, "");
    assert_int_equal(SCHEDCTL("node", "drain", "n1", "a/b", "--reason", "new \"RAM\""), 0);
    assert_string_equal(drained, "/v1/nodes/n1/drain {\"reason\":\"new \\\"RAM\\\"\"}\n"
                                 "/v1/nodes/a%2Fb/drain {\"reason\":\"new \\\"RAM\\\"\"}\n");
    fake_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_scheduler),
        cmocka_unit_test(refusals),
        cmocka_unit_test(not_json),
        cmocka_unit_test(jobs),
        cmocka_unit_test(a_submission_is_repeated_with_its_id),
        cmocka_unit_test(an_order_is_not_repeated),
        cmocka_unit_test(waiting),
        cmocka_unit_test(waiting_ends_in_time_without_a_scheduler),
        cmocka_unit_test(draining),
    };
    return cmocka_run_group_tests(tests, fake_setup, fake_teardown);
}
