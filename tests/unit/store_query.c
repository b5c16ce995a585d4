// The answers: they parse, and say what the rows say.
#include "tests/unit/store_fixture.h"

#include "common/clock.h"
#include "common/json.h"
#include "proto/muster.pb-c.h"

#include <jansson.h>
#include <pwd.h>

struct fixture {
    char *dir;
    struct store *s;
    struct store_reader *r;
};

static const struct spec_hash train = {.b = {1}}, infer = {.b = {2}};

static void add_spec(struct store_batch *b, const struct spec_hash *hash, const char *name)
{
    char *argv[] = {"python3", "a \"b\"\n"};
    Muster__JobSpec spec = MUSTER__JOB_SPEC__INIT;
    spec.name = (char *)name;
    spec.cwd = "/home/x";
    spec.queue = "gpu";
    spec.argv = argv;
    spec.n_argv = 2;
    uint8_t bytes[256];
    assert_true(muster__job_spec__get_packed_size(&spec) <= sizeof bytes);
    size_t len = muster__job_spec__pack(&spec, bytes);
    store_batch_add_spec(b, hash, bytes, len);
}

static struct job plain_job(uint64_t id, enum job_state state)
{
    return (struct job){.id = {id},
                        .uid = {id},
                        .spec = id % 2 ? train : infer,
                        .request_id = {id, 7},
                        .owner_uid = 4294967294,
                        .req = {.tasks = 2, .cpus = 3, .gpus = 1, .memory_mib = 512},
                        .queue = {3},
                        .state = state,
                        .submitted_at_ms = 1000 + (int64_t)id};
}

// 1 completed, 2 runs on n1 and n2, 3 waits, 4 is an array of 10 of which one element (5) runs on
// n3 and one (6) failed, 7 is held, 8 waits with a high priority.
static void fill_jobs(struct job j[8])
{
    for (uint64_t i = 0; i < 8; i++)
        j[i] = plain_job(i + 1, JOB_PENDING);
    j[0].state = JOB_COMPLETED;
    j[0].reason.code = REASON_EXITED;
    j[0].attempt = 2;
    j[0].ended_at_ms = 9000;
    j[0].owner_uid = 0;
    j[1].state = JOB_RUNNING;
    j[1].attempt = 3;
    j[1].started_at_ms = 2000;
    j[2].class_id.v = 5;
    j[3].array_first = 100;
    j[3].array_count = 10;
    j[3].array_next = 2;
    j[3].array_live = j[3].array_failed = 1;
    j[3].state = JOB_RUNNING;
    j[4].array.v = j[5].array.v = 4;
    j[4].element = 100;
    j[5].element = 101;
    j[4].state = JOB_RUNNING;
    j[4].attempt = j[5].attempt = 1;
    j[5].state = JOB_FAILED;
    j[5].exit_code = 3;
    j[5].reason = (struct reason){.code = REASON_START_FAILED, .node = {3}};
    j[5].detail = "no \"such\" file \xff\xfe";
    j[6].held = true;
    j[6].reason.code = REASON_HELD;
    j[7].priority = 10;
    j[7].reason = (struct reason){.code = REASON_ENDING, .node = {2}};
}

static void fill_nodes(struct node n[4], struct placement p[4])
{
    for (uint32_t i = 0; i < 4; i++) {
        n[i] = (struct node){.id = {i + 1}, .cores = 8, .gpus = 2, .memory_mib = 4096};
        snprintf(n[i].name, sizeof n[i].name, "n%u", i + 1);
        p[i] = (struct placement){.id = i + 1,
                                  .job = {2},
                                  .uid = {2},
                                  .attempt = 3,
                                  .node = {i + 1},
                                  .index = (int32_t)i,
                                  .first_rank = (int32_t)i,
                                  .tasks = 1,
                                  .cores = coreset_first(3),
                                  .gpus = 2,
                                  .memory_mib = 512,
                                  .port = i ? 0 : 20001,
                                  .state = PLACEMENT_RUNNING};
    }
    p[2].job.v = p[2].uid.v = 5;
    p[2].attempt = 1;
    p[3] = (struct placement){.id = 4, // an older attempt of job 2, still ending on n2
                              .job = {2},
                              .uid = {2},
                              .attempt = 2,
                              .node = {2},
                              .cores = {{1 << 5}},
                              .over = true};
    n[1].drain = true;
    snprintf(n[1].reason, sizeof n[1].reason, "fan \"2\"");
    n[1].reason_at_ms = 777;
    n[2].unreachable_since_ms = clock_boot_ms();
    n[3].fenced = true;
}

static void fill(struct fixture *f)
{
    struct rule queue;
    rule_init(&queue, RULE_QUEUE);
    queue.id = 3;
    snprintf(queue.queue.name, sizeof queue.queue.name, "gpu");
    struct job j[8];
    struct node n[4] = {0};
    struct placement p[4] = {0};
    fill_jobs(j);
    fill_nodes(n, p);
    struct task_row tasks[] = {
        {{1}, 2, {4}, {.rank = 1, .user_ms = 5, .system_ms = -1, .peak_kib = 9}},
        {{1}, 2, {1}, {.rank = 0, .exit_code = 1, .signal = 9, .started_at_ms = 5}},
        {{1}, 1, {2}, {.rank = 0}},
    };
    struct event events[] = {
        {.id = 1, .kind = EVENT_JOB_SUBMITTED, .at_ms = 11, .job = {3}, .text = "job 3 submitted"},
        {.id = 2, .kind = EVENT_NODE_UP, .at_ms = 12, .node = {1}, .text = "node n1 is up"},
        {.id = 3,
         .kind = EVENT_JOB_PLACED,
         .at_ms = 13,
         .job = {3},
         .attempt = 1,
         .node = {2},
         .text = "job 3 placed"},
    };
    struct wait w = {.id = {5},
                     .reason = {.code = REASON_RESOURCES, .a = 6, .b = 1, .c = 2},
                     .since_ms = 1003,
                     .starts_ms = 5000};
    struct outcome o = {.rules = &queue,
                        .rules_count = 1,
                        .jobs = j,
                        .waits = &w,
                        .waits_count = 1,
                        .jobs_count = 8,
                        .nodes = n,
                        .nodes_count = 4,
                        .placements = p,
                        .placements_count = 4,
                        .tasks = tasks,
                        .tasks_count = 3,
                        .events = events,
                        .events_count = 3,
                        .meta = {.id = {0xabc}, .term = 4, .next_job = 9},
                        .meta_changed = true};
    struct store_batch *b = store_batch_new();
    add_spec(b, &train, "train");
    add_spec(b, &infer, "infer");
    store_batch_add(b, &o);
    MUST(store_commit(f->s, b, &test_err));
    store_batch_free(b);
}

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->dir = dir_make();
    f->s = open_or_fail(f->dir);
    fill(f);
    MUST(store_reader_open(f->dir, &f->r, &test_err));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    store_reader_close(f->r);
    store_close(f->s);
    dir_remove(f->dir);
    free(f);
    return 0;
}

// ---- helpers ----

static json_t *parse(struct text *t)
{
    json_error_t wrong;
    json_t *v = json_loads(text_str(t), JSON_REJECT_DUPLICATES, &wrong);
    if (!v)
        fail_msg("%s: %s", wrong.text, text_str(t));
    text_free(t);
    return v;
}

// Compact, keys as they came: one string to compare.
static char *dumped(json_t *v)
{
    char *s = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_non_null(s);
    json_decref(v);
    return s;
}

static void assert_member(const json_t *object, const char *key, const char *expected)
{
    json_t *v = json_object_get(object, key);
    if (!v)
        fail_msg("no member \"%s\"", key);
    AUTO_FREE char *s = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(s, expected);
}

static json_t *get_job(struct fixture *f, uint64_t id)
{
    struct text t = {0};
    bool ended;
    MUST(query_job(f->r, (struct job_id){id}, &t, &ended, &test_err));
    json_t *v = parse(&t);
    assert_int_equal(ended, id == 1 || id == 6);
    return v;
}

// The ids of a list, "3,5,8".
static char *list_ids(struct fixture *f, struct job_filter filter)
{
    struct text t = {0}, ids = {0};
    MUST(query_jobs(f->r, &filter, &t, &test_err));
    json_t *v = parse(&t), *job;
    size_t i;
    json_array_foreach(json_object_get(v, "jobs"), i, job)
        text_addf(&ids, "%s%lld", i ? "," : "", json_integer_value(json_object_get(job, "id")));
    json_decref(v);
    return text_take(&ids);
}

#define assert_ids(f, expected, ...)                                                     \
    do {                                                                                 \
        AUTO_FREE char *ids_ = list_ids(f, (struct job_filter){.uid = -1, __VA_ARGS__}); \
        assert_string_equal(ids_, expected);                                             \
    } while (0)

// ---- jobs ----

static void test_lists_of_jobs(void **state)
{
    struct fixture *f = *state;
    assert_ids(f, "1,2,3,4,5,7,8", .name = NULL);
    assert_ids(f, "2,3,4,5,7,8", .state = "live");
    assert_ids(f, "1", .state = "ended");
    assert_ids(f, "3,7,8", .state = "pending");
    assert_ids(f, "1", .state = "completed");
    assert_ids(f, "", .state = "lost");
    assert_ids(f, "8,7", .state = "live", .limit = 2);
    assert_ids(f, "8,7,5", .limit = 3);
    assert_ids(f, "1,3,5,7", .name = "train");
    assert_ids(f, "5,6", .array = {4});
    assert_ids(f, "6", .array = {4}, .state = "failed");
    assert_ids(f, "5", .array = {4}, .state = "live");
    assert_ids(f, "", .array = {3});
    AUTO_FREE char *of_root = list_ids(f, (struct job_filter){.uid = 0});
    assert_string_equal(of_root, "1");
    struct text t = {0};
    struct job_filter bad = {.uid = -1, .state = "sleeping"};
    assert_int_equal(query_jobs(f->r, &bad, &t, &test_err), E_INVALID);
    assert_int_equal(t.len, 0);
}

static void test_a_running_job(void **state)
{
    struct fixture *f = *state;
    json_t *v = get_job(f, 2);
    static const char *const expected[][2] = {
        {"id", "2"},
        {"name", "\"infer\""},
        {"user", "\"4294967294\""},
        {"uid", "4294967294"},
        {"queue", "\"gpu\""},
        {"state", "\"running\""},
        {"attempt", "3"},
        {"tasks", "2"},
        {"nodes", "\"n[1-2]\""},
        {"cpus", "3"},
        {"tasks_per_node", "null"},
        {"exclusive", "false"},
        {"spread", "false"},
        {"constraint", "null"},
        {"prefer", "null"},
        {"gpus", "1"},
        {"memory_mib", "512"},
        {"time_limit_ms", "0"},
        {"priority", "0"},
        {"submitted_at", "1002"},
        {"started_at", "2000"},
        {"ended_at", "null"},
        {"exit_code", "null"},
        {"reason", "null"},
        {"array", "null"},
        {"element", "null"},
        {"array_id", "null"},
        {"argv", "[\"python3\",\"a \\\"b\\\"\\n\"]"},
        {"cwd", "\"/home/x\""},
        {"task_results", "[]"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_member(v, expected[i][0], expected[i][1]);
    json_t *placements = json_object_get(v, "placements");
    assert_int_equal(json_array_size(placements), 3);
    AUTO_FREE char *first = json_dumps(json_array_get(placements, 0), JSON_COMPACT);
    assert_string_equal(first, "{\"node\":\"n1\",\"attempt\":3,\"first_rank\":0,\"tasks\":1,"
                               "\"cores\":\"0-2\",\"gpus\":[1],\"shared_cores\":\"\","
                               "\"shared_cpus\":0,\"gpu_shares\":{},\"memory_mib\":512,"
                               "\"port\":20001,"
                               "\"state\":\"running\"}");
    json_decref(v);
}

static void test_an_ended_job(void **state)
{
    struct fixture *f = *state;
    json_t *v = get_job(f, 1);
    struct passwd *root = getpwuid(0);
    AUTO_FREE char *user = xasprintf("\"%s\"", root ? root->pw_name : "0");
    assert_member(v, "user", user);
    assert_member(v, "nodes", "\"n[1,4]\""); // of its last attempt's tasks
    assert_member(v, "exit_code", "0");
    assert_member(v, "ended_at", "9000");
    assert_member(v, "placements", "[]");
    assert_member(v, "reason",
                  "{\"code\":\"exited\",\"text\":\"ended by itself with exit code 0\","
                  "\"hint\":\"\"}");
    assert_member(v, "task_results",
                  "[{\"rank\":0,\"attempt\":2,\"node\":\"n1\",\"exit_code\":1,\"signal\":9,"
                  "\"user_ms\":0,\"system_ms\":0,\"peak_kib\":0,\"started_at\":5,"
                  "\"ended_at\":null},"
                  "{\"rank\":1,\"attempt\":2,\"node\":\"n4\",\"exit_code\":0,\"signal\":0,"
                  "\"user_ms\":5,\"system_ms\":null,\"peak_kib\":9,\"started_at\":null,"
                  "\"ended_at\":null}]");
    json_decref(v);
}

static void test_arrays_and_reasons(void **state)
{
    struct fixture *f = *state;
    json_t *v = get_job(f, 4);
    assert_member(v, "array", "{\"first\":100,\"count\":10,\"next\":2,\"live\":1,\"failed\":1}");
    assert_member(v, "element", "null");
    json_decref(v);
    v = get_job(f, 6);
    assert_member(v, "array", "null");
    assert_member(v, "element", "101");
    assert_member(v, "array_id", "4");
    assert_member(v, "exit_code", "3");
    assert_member(v, "nodes", "null"); // no task's result came
    assert_member(v, "reason",
                  "{\"code\":\"start_failed\",\"text\":\"cannot start the program on node n3: no "
                  "\\\"such\\\" file \xef\xbf\xbd\xef\xbf\xbd\",\"hint\":\"\"}");
    json_decref(v);
    struct text t = {0};
    bool ended;
    assert_int_equal(query_job(f->r, (struct job_id){99}, &t, &ended, &test_err), E_NOT_FOUND);
    assert_int_equal(t.len, 0);
}

static void assert_why(struct fixture *f, uint64_t id, const char *expected)
{
    struct text t = {0};
    MUST(query_job_why(f->r, (struct job_id){id}, &t, &test_err));
    json_t *v = parse(&t);
    static const char *const others[] = {"submitted_at", "started_at", "ended_at", "waits"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(json_object_del(v, others[i]), 0);
    AUTO_FREE char *s = dumped(v);
    assert_string_equal(s, expected);
}

static void assert_why_code(struct fixture *f, uint64_t id, const char *expected)
{
    struct text t = {0};
    MUST(query_job_why(f->r, (struct job_id){id}, &t, &test_err));
    json_t *v = parse(&t);
    assert_string_equal(json_string_value(json_object_get(json_object_get(v, "reason"), "code")),
                        expected);
    json_decref(v);
}

static void run(struct fixture *f, const char *sql)
{
    MUST(db_exec(&f->s->db, sql, &test_err));
}

static void test_why(void **state)
{
    struct fixture *f = *state;
    assert_why(
        f, 3,
        "{\"id\":3,\"state\":\"pending\",\"reason\":{\"code\":\"resources\",\"text\":\"waits "
        "for free resources: it needs 6 cores on 1 node; free on usable nodes: 2\","
        "\"hint\":\"\"},\"since\":1003,\"starts_at\":5000,\"last_attempt\":null}");
    assert_why(f, 8,
               "{\"id\":8,\"state\":\"pending\",\"reason\":{\"code\":\"ending\",\"text\":\"its "
               "earlier attempt is still ending on node n2\",\"hint\":\"\"},\"since\":null,"
               "\"starts_at\":null,\"last_attempt\":null}");
    assert_why(f, 7,
               "{\"id\":7,\"state\":\"pending\",\"reason\":{\"code\":\"held\",\"text\":\"is held\","
               "\"hint\":\"`schedctl job release` lets it go on.\"},"
               "\"since\":null,\"starts_at\":null,\"last_attempt\":null}");
    assert_why(f, 2,
               "{\"id\":2,\"state\":\"running\",\"reason\":null,\"since\":null,"
               "\"starts_at\":null,\"last_attempt\":null}");
    // A class without a row waits for its turn; and what the whole queue waits for goes before.
    run(f, "DELETE FROM wait");
    assert_why_code(f, 3, "priority");
    run(f, "INSERT INTO wait VALUES (0, 'no_nodes', 0, 4, 0, 0, 1, 0)");
    assert_why_code(f, 3, "no_nodes");
    assert_why_code(f, 7, "held");
    run(f, "UPDATE meta SET recovery_hold = 1");
    assert_why_code(f, 3, "recovery_hold");
    struct text t = {0};
    assert_int_equal(query_job_why(f->r, (struct job_id){99}, &t, &test_err), E_NOT_FOUND);
}

static void test_events(void **state)
{
    struct fixture *f = *state;
    struct text t = {0};
    MUST(query_job_events(f->r, (struct job_id){3}, &t, &test_err));
    AUTO_FREE char *of_job = dumped(parse(&t));
    assert_string_equal(of_job,
                        "{\"events\":[{\"id\":1,\"at\":11,\"kind\":\"job_submitted\",\"job\":3,"
                        "\"attempt\":null,\"node\":null,\"text\":\"job 3 submitted\"},"
                        "{\"id\":3,\"at\":13,\"kind\":\"job_placed\",\"job\":3,\"attempt\":1,"
                        "\"node\":\"n2\",\"text\":\"job 3 placed\"}]}");
    MUST(query_events(f->r, 1, 1, &t, &test_err));
    AUTO_FREE char *page = dumped(parse(&t));
    assert_string_equal(page, "{\"events\":[{\"id\":2,\"at\":12,\"kind\":\"node_up\",\"job\":null,"
                              "\"attempt\":null,\"node\":\"n1\",\"text\":\"node n1 is up\"}]}");
    MUST(query_events(f->r, UINT64_MAX, 10, &t, &test_err));
    AUTO_FREE char *none = dumped(parse(&t));
    assert_string_equal(none, "{\"events\":[]}");
    assert_int_equal(query_job_events(f->r, (struct job_id){99}, &t, &test_err), E_NOT_FOUND);
}

// ---- nodes ----

static void test_nodes(void **state)
{
    struct fixture *f = *state;
    struct text t = {0};
    MUST(query_nodes(f->r, &t, &test_err));
    json_t *v = parse(&t), *nodes = json_object_get(v, "nodes");
    assert_int_equal(json_array_size(nodes), 4);
    json_t *n = json_array_get(nodes, 0);
    assert_member(n, "name", "\"n1\"");
    assert_member(n, "state", "\"up\"");
    assert_member(n, "reason", "null");
    assert_member(n, "reason_user", "null");
    assert_member(n, "cores", "8");
    assert_member(n, "cores_used", "3");
    assert_member(n, "memory_mib", "4096");
    assert_member(n, "memory_used_mib", "512");
    assert_member(n, "gpus", "2");
    assert_member(n, "gpus_used", "1");
    assert_member(n, "jobs", "[2]");
    assert_member(n, "unreachable_since", "null");
    n = json_array_get(nodes, 1);
    assert_member(n, "state", "\"draining\"");
    assert_member(n, "reason", "\"fan \\\"2\\\"\"");
    assert_member(n, "reason_at", "777");
    assert_member(n, "cores_used", "4");
    assert_member(n, "jobs", "[2]"); // two attempts of one job
    n = json_array_get(nodes, 2);
    assert_member(n, "state", "\"unreachable\"");
    int64_t since = json_integer_value(json_object_get(n, "unreachable_since"));
    assert_true(since > clock_wall_ms() - 60000 && since <= clock_wall_ms() + 1000);
    assert_member(json_array_get(nodes, 3), "state", "\"down\"");
    json_decref(v);
    MUST(db_exec(&f->s->db, "DELETE FROM placement WHERE node = 2", &test_err));
    MUST(query_node(f->r, "n2", &t, &test_err));
    v = parse(&t);
    assert_member(v, "state", "\"drained\"");
    json_decref(v);
    assert_int_equal(query_node(f->r, "n9", &t, &test_err), E_NOT_FOUND);
    assert_int_equal(t.len, 0);
}

static void give_inventory(struct fixture *f, uint32_t node, const char *json)
{
    struct store_batch *b = store_batch_new();
    store_batch_add_inventory(b, (struct node_id){node}, "{}"); // the later one counts
    store_batch_add_inventory(b, (struct node_id){node}, json);
    MUST(store_commit(f->s, b, &test_err));
    store_batch_free(b);
}

static void test_inventory(void **state)
{
    struct fixture *f = *state;
    struct text t = {0};
    MUST(query_node(f->r, "n1", &t, &test_err));
    json_t *v = parse(&t);
    assert_member(v, "inventory", "null");
    json_decref(v);
    static const char text[] =
        "{\"packages\":[{\"model\":\"x\"}],\"numa\":[{\"index\":1,\"memory_mib\":2048}],"
        "\"cores\":[{\"pus\":\"0,4\",\"package\":0},{\"pus\":\"1,5\",\"numa\":null}],"
        "\"gpus\":[{\"vendor\":\"nvidia\",\"memory_mib\":81559,\"model\":7}],\"tpus\":[],"
        "\"volumes\":[{\"mount\":\"/\",\"size_mib\":10,\"read_mib_s\":null}],"
        "\"network\":[{\"name\":\"eth0\",\"addresses\":[\"10.0.0.1\",\"fe80::1\"],\"up\":true}]}";
    give_inventory(f, 1, text);
    MUST(query_node(f->r, "n1", &t, &test_err));
    v = parse(&t);
    assert_member(v, "inventory", text);
    assert_int_equal(json_array_size(json_object_get(v, "placements")), 1);
    json_decref(v);
    static const char *const facts[] = {
        "SELECT count(*) FROM package WHERE node = 1 AND idx = 0 AND model = 'x'",
        "SELECT count(*) FROM numa WHERE node = 1 AND idx = 1 AND memory_mib = 2048"
        " AND package IS NULL AND cores IS NULL",
        "SELECT count(*) = 2 FROM core WHERE node = 1 AND numa IS NULL",
        "SELECT count(*) FROM core WHERE idx = 1 AND pus = '1,5' AND package IS NULL",
        "SELECT count(*) FROM gpu WHERE vendor = 'nvidia' AND memory_mib = 81559"
        " AND model IS NULL AND health IS NULL",
        "SELECT count(*) = 0 FROM tpu",
        "SELECT count(*) FROM volume WHERE mount = '/' AND size_mib = 10 AND read_mib_s IS NULL",
        "SELECT count(*) FROM network_interface WHERE name = 'eth0' AND up = 1"
        " AND addresses = '10.0.0.1,fe80::1' AND speed_mbit IS NULL",
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (store_int(f->s, facts[i]) != 1)
            fail_msg("%s", facts[i]);
    give_inventory(f, 1, "{\"cores\":[{}]}"); // replaces
    assert_int_equal(store_int(f->s, "SELECT count(*) FROM core WHERE node = 1"), 1);
    assert_int_equal(store_int(f->s, "SELECT count(*) FROM gpu"), 0);
    give_inventory(f, 2,
                   "{\"packages\":2,\"numa_nodes\":3,\"memory_mib\":null,\"cores\":["
                   "{\"index\":0,\"package\":0,\"numa\":2,\"pus\":\"0,4\"},"
                   "{\"index\":1,\"package\":0,\"numa\":2,\"pus\":\"1,5\"},"
                   "{\"index\":2,\"package\":1,\"numa\":null,\"pus\":\"2,6\"}]}");
    assert_int_equal(store_int(f->s, "SELECT count(*) FROM package WHERE node = 2"), 2);
    assert_int_equal(store_int(f->s, "SELECT count(*) FROM numa WHERE node = 2"), 1);
    assert_int_equal(store_int(f->s, "SELECT idx FROM numa WHERE node = 2 AND package = 0"), 2);
    give_inventory(f, 1, "{\"cores\": oops");
    assert_int_equal(store_int(f->s, "SELECT count(*) FROM core WHERE node = 1"), 1);
    MUST(query_node(f->r, "n1", &t, &test_err));
    v = parse(&t);
    assert_member(v, "inventory", "\"{\\\"cores\\\": oops\"");
    json_decref(v);
}

static void test_cluster(void **state)
{
    struct fixture *f = *state;
    struct text t = {0};
    MUST(query_cluster(f->r, &t, &test_err));
    AUTO_FREE char *s = dumped(parse(&t));
    assert_string_equal(
        s, "{\"cluster_id\":\"0000000000000abc\",\"version\":\"" MUSTER_VERSION
           "\",\"term\":4,\"state\":\"ok\",\"nodes\":{\"up\":1,\"unreachable\":1,\"down\":1,"
           "\"draining\":1,\"drained\":0},\"jobs\":{\"pending\":3,\"starting\":0,\"running\":3,"
           "\"stopping\":0,\"completed\":1,\"failed\":1,\"cancelled\":0,\"timed_out\":0,"
           "\"lost\":0},\"cores\":{\"total\":32,\"used\":10},\"gpus\":{\"total\":8,\"used\":3},"
           "\"memory_mib\":{\"total\":16384,\"used\":1536}}");
    MUST(db_exec(&f->s->db, "UPDATE meta SET recovery_hold = 1", &test_err));
    MUST(query_cluster(f->r, &t, &test_err));
    json_t *v = parse(&t);
    assert_member(v, "state", "\"recovery_hold\"");
    json_decref(v);
}

// ---- finding ----

static void assert_found(struct fixture *f, const char *name, uint64_t id, int element_pending)
{
    struct job_id found = {0};
    bool pending = !element_pending;
    MUST(store_find_job(f->r, name, &found, &pending, &test_err));
    assert_int_equal(found.v, id);
    assert_int_equal(pending, element_pending);
}

static void test_finding(void **state)
{
    struct fixture *f = *state;
    assert_found(f, "3", 3, false);
    assert_found(f, "4", 4, false);
    assert_found(f, "4_100", 5, false);
    assert_found(f, "4_101", 6, false);
    assert_found(f, "4_102", 4, true);
    assert_found(f, "4_109", 4, true);
    static const struct {
        const char *name;
        int code;
    } bad[] = {
        {"99", E_NOT_FOUND},   {"4_110", E_NOT_FOUND},
        {"4_99", E_NOT_FOUND}, {"3_0", E_NOT_FOUND},
        {"", E_INVALID},       {"x", E_INVALID},
        {"-1", E_INVALID},     {"0", E_INVALID},
        {"4_", E_INVALID},     {"4_x", E_INVALID},
        {"4_1_2", E_INVALID},  {" 4", E_INVALID},
        {"4 ", E_INVALID},     {"_4", E_INVALID},
        {"4.5", E_INVALID},    {"99999999999999999999", E_INVALID},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct job_id id = {77};
        bool pending = true;
        if (store_find_job(f->r, bad[i].name, &id, &pending, &test_err) != bad[i].code ||
            id.v != 77)
            fail_msg("\"%s\"", bad[i].name);
    }
    struct job_id id = {77};
    MUST(store_find_request(f->r, (struct request_id){6, 7}, &id, &test_err));
    assert_int_equal(id.v, 6);
    MUST(store_find_request(f->r, (struct request_id){6, 8}, &id, &test_err));
    assert_int_equal(id.v, 0);
    MUST(db_exec(&f->s->db, "UPDATE job SET request_hi = 0, request_lo = 0", &test_err));
    MUST(store_find_request(f->r, (struct request_id){0, 0}, &id, &test_err));
    assert_int_equal(id.v, 0);
    uint8_t *bytes = NULL;
    size_t len;
    MUST(store_read_spec(f->r, &train, &bytes, &len, &test_err));
    Muster__JobSpec *spec = muster__job_spec__unpack(NULL, len, bytes);
    assert_string_equal(spec->name, "train");
    muster__job_spec__free_unpacked(spec, NULL);
    free(bytes);
    assert_int_equal(store_read_spec(f->r, &(struct spec_hash){{9}}, &bytes, &len, &test_err),
                     E_NOT_FOUND);
}

static void test_damaged_records_are_left_out_of_answers(void **state)
{
    struct fixture *f = *state;
    MUST(db_exec(&f->s->db,
                 "UPDATE job SET state = 'asleep' WHERE id = 3;"
                 "UPDATE node SET cores = 99999999999 WHERE id = 1",
                 &test_err));
    assert_ids(f, "2,4,5,7,8", .state = "live");
    struct text t = {0};
    bool ended;
    assert_int_equal(query_job(f->r, (struct job_id){3}, &t, &ended, &test_err), E_CORRUPT);
    assert_int_equal(query_job_why(f->r, (struct job_id){3}, &t, &test_err), E_CORRUPT);
    assert_int_equal(query_node(f->r, "n1", &t, &test_err), E_CORRUPT);
    assert_int_equal(t.len, 0);
    MUST(query_nodes(f->r, &t, &test_err));
    json_t *v = parse(&t);
    assert_int_equal(json_array_size(json_object_get(v, "nodes")), 3);
    json_decref(v);
    MUST(query_cluster(f->r, &t, &test_err));
    json_decref(parse(&t));
}

// ---- strings ----

static void test_any_bytes_become_json(void **state)
{
    (void)state;
    static const char *const same[] = {"", "plain", "é日😀", "\x7f", "a\"b\\c/\b\f\n\r\t\x01\x1f"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct text t = {0};
        text_addc(&t, '[');
        put_str(&t, NULL, same[i]);
        text_addc(&t, ']');
        json_t *v = parse(&t);
        assert_string_equal(json_string_value(json_array_get(v, 0)), same[i]);
        json_decref(v);
    }
    static const struct {
        const char *in, *out; // R stands for U+FFFD
    } mended[] = {
        {"\xff", "R"},
        {"a\xc3", "aR"},
        {"\xc3(", "R("},
        {"\xc0\xaf", "RR"},
        {"\xe0\x80\x80", "RRR"},
        {"\xed\xa0\x80", "RRR"},
        {"\xf4\x90\x80\x80", "RRRR"},
        {"\xf0\x9f\x98", "RRR"},
        {"\x80x", "Rx"},
    };
    for (size_t i = 0; i < sizeof mended / sizeof *mended; i++) {
        struct text t = {0}, expected = {0};
        put_string(&t, mended[i].in, strlen(mended[i].in));
        text_addc(&expected, '"');
        for (const char *p = mended[i].out; *p; p++)
            text_add(&expected, *p == 'R' ? "\xef\xbf\xbd" : (char[2]){*p, 0});
        text_addc(&expected, '"');
        assert_string_equal(text_str(&t), text_str(&expected));
        text_free(&t);
        text_free(&expected);
    }
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct rng r = {seed};
        char bytes[24];
        struct text t = {0};
        any_bytes(&r, bytes, sizeof bytes);
        text_addc(&t, '[');
        put_next(&t);
        put_string(&t, bytes, rng_below(&r, sizeof bytes));
        text_addc(&t, ']');
        json_error_t wrong;
        json_t *v = json_loadb(text_str(&t), t.len, JSON_ALLOW_NUL, &wrong);
        if (!v)
            fail_msg("seed %" PRIu64 ": %s", seed, wrong.text);
        json_decref(v);
        text_free(&t);
    }
    static const int64_t numbers[] = {0, 7, -1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct text t = {0};
        AUTO_FREE char *expected = xasprintf("%" PRId64, numbers[i]);
        put_number(&t, numbers[i]);
        assert_string_equal(text_str(&t), expected);
        text_free(&t);
    }
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    log_init("test", LOG_LEVEL_ERROR + 1, false);
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_lists_of_jobs),
        WITH_FIXTURE(test_a_running_job),
        WITH_FIXTURE(test_an_ended_job),
        WITH_FIXTURE(test_arrays_and_reasons),
        WITH_FIXTURE(test_why),
        WITH_FIXTURE(test_events),
        WITH_FIXTURE(test_nodes),
        WITH_FIXTURE(test_inventory),
        WITH_FIXTURE(test_cluster),
        WITH_FIXTURE(test_finding),
        WITH_FIXTURE(test_damaged_records_are_left_out_of_answers),
        cmocka_unit_test(test_any_bytes_become_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
