// At whatever operation the power goes, a write fails or the disk fills: the next start finds
// exactly a prefix of the batches, with every one in it that was acknowledged.
#include "tests/unit/store_fixture.h"
#include "tests/unit/vfs_fault.h"

enum { BATCHES = 10, CHECKPOINT_PAGES = 12, SPEC_MAX = 9000 };

// Batch n touches every kind of row; how far the database has come can be read from each.
static struct store_batch *make_batch(uint64_t n)
{
    struct rng r = {n};
    struct job j = {.id = {n},
                    .uid = {n},
                    .req = {.tasks = 1, .cpus = 1},
                    .state = n % 2 ? JOB_COMPLETED : JOB_RUNNING};
    struct job again = j;
    struct node node = {.id = {1}, .name = "n1", .cores = (int32_t)n};
    struct placement p = {.id = n, .job = {n}, .uid = {n}, .node = {1}};
    struct task_row task = {.job = {n}, .node = {1}};
    struct event e = {.id = n, .kind = EVENT_JOB_PLACED, .job = {n}, .text = "placed"};
    uint64_t gone = n - 1;
    memcpy(j.spec.b, &n, sizeof n);
    again = j;
    struct job jobs[2] = {j, again};
    jobs[1].id.v = 1000; // a row that every batch rewrites
    jobs[1].priority = (int32_t)n;
    struct outcome o = {.jobs = jobs,
                        .jobs_count = 2,
                        .nodes = &node,
                        .nodes_count = 1,
                        .placements = &p,
                        .placements_count = 1,
                        .placements_gone = &gone,
                        .placements_gone_count = 1,
                        .tasks = &task,
                        .tasks_count = 1,
                        .events = &e,
                        .events_count = 1,
                        .meta = {.id = {1}, .term = 1, .next_job = n + 1},
                        .meta_changed = true};
    AUTO_FREE uint8_t *bytes = xmalloc(SPEC_MAX);
    any_bytes(&r, bytes, SPEC_MAX);
    struct store_batch *b = store_batch_new();
    store_batch_add_spec(b, &j.spec, bytes, rng_below(&r, SPEC_MAX));
    store_batch_add(b, &o);
    return b;
}

static int commit(struct store *s, uint64_t n)
{
    struct store_batch *b = make_batch(n);
    int rc = store_commit(s, b, &test_err);
    store_batch_free(b);
    return rc;
}

// Opens through the faulty VFS and commits until something fails. Returns how many batches were
// acknowledged; *ret_rc: how it ended.
static uint64_t run_script(const char *dir, bool with_reserve, int *ret_rc)
{
    struct store *s = NULL;
    uint64_t acked = 0;
    *ret_rc = store_open_vfs(dir, FAULT_VFS, &store_schema, &s, &test_err);
    if (*ret_rc)
        return 0;
    AUTO_FREE char *pragma = xasprintf("PRAGMA wal_autocheckpoint = %d", CHECKPOINT_PAGES);
    if (!with_reserve)
        store_reserve_release(s);
    *ret_rc = db_exec(&s->db, pragma, &test_err);
    while (!*ret_rc && acked < BATCHES) {
        *ret_rc = commit(s, acked + 1);
        acked += *ret_rc == 0;
    }
    store_close(s);
    return acked;
}

// What the database says of itself, each of which must be `n`.
static const char *const measures[] = {
    "SELECT next_job - 1 FROM meta",
    "SELECT count(*) FROM job WHERE id < 1000",
    "SELECT ifnull(max(id), 0) FROM job WHERE id < 1000",
    "SELECT ifnull(max(priority), 0) FROM job WHERE id = 1000",
    "SELECT ifnull(max(cores), 0) FROM node",
    "SELECT count(*) FROM task",
    "SELECT count(*) FROM event",
    "SELECT count(*) FROM spec",
    "SELECT ifnull(max(id), 0) FROM placement",
};

static uint64_t stored_prefix(struct store *s)
{
    int64_t n = store_int(s, measures[0]);
    for (size_t i = 1; i < sizeof measures / sizeof *measures; i++)
        if (store_int(s, measures[i]) != n)
            fail_msg("half a batch: %s gives %" PRId64 ", not %" PRId64, measures[i],
                     store_int(s, measures[i]), n);
    assert_int_equal(store_int(s, "SELECT count(*) FROM placement"), n > 0);
    assert_int_equal(store_int(s, "SELECT count(*) FROM pragma_integrity_check"
                                  " WHERE integrity_check = 'ok'"),
                     1);
    assert_int_equal(store_int(s, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    return (uint64_t)n;
}

// The next start: a prefix with all that was acknowledged, and it goes on from there.
static uint64_t assert_recovered(const char *dir, uint64_t acked, const char *what, int64_t at)
{
    struct store *s = NULL;
    if (store_open(dir, &s, &test_err))
        fail_msg("%s at operation %" PRId64 ": %s", what, at, test_err.message);
    uint64_t n = stored_prefix(s);
    if (n < acked || n > acked + 1)
        fail_msg("%s at operation %" PRId64 ": %" PRIu64 " batches acknowledged, %" PRIu64 " found",
                 what, at, acked, n);
    MUST(commit(s, n + 1));
    assert_int_equal(stored_prefix(s), n + 1);
    store_close(s);
    return n;
}

static char *fast_dir(void)
{
    if (access("/dev/shm", W_OK) == 0 && !getenv("TMPDIR"))
        setenv("TMPDIR", "/dev/shm", 0);
    return dir_make();
}

static int64_t operations_in_all(void)
{
    char *dir = fast_dir();
    int rc;
    fault_begin(&(struct fault_plan){0});
    assert_int_equal(run_script(dir, true, &rc), BATCHES);
    assert_int_equal(rc, 0);
    fault_end();
    dir_remove(dir);
    assert_true(fault.operations > 200);
    return fault.operations;
}

static void test_a_crash_at_every_operation(void **state)
{
    (void)state;
    enum { SEEDS = 2 };
    int64_t all = operations_in_all();
    uint64_t ahead = 0, after_open = 0;
    for (int64_t at = 1; at <= all; at++)
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            char *dir = fast_dir();
            int rc;
            fault_begin(&(struct fault_plan){.crash_at = at});
            uint64_t acked = run_script(dir, true, &rc);
            assert_true(fault.crashed);
            fault_settle((uint64_t)at * SEEDS + seed);
            ahead += assert_recovered(dir, acked, "crash", at) > acked;
            after_open += acked > 0;
            fault_end();
            dir_remove(dir);
        }
    print_message("# %" PRId64 " operations, %" PRIu64 " crashes after the first batch, %" PRIu64
                  " found a batch that was not acknowledged\n",
                  all, after_open, ahead);
    assert_true(ahead > 0 && after_open > ahead);
}

static void test_an_error_at_every_operation(void **state)
{
    (void)state;
    int64_t all = operations_in_all();
    uint64_t refused = 0;
    for (int64_t at = 1; at <= all; at++) {
        char *dir = fast_dir();
        int rc;
        fault_begin(&(struct fault_plan){.fail_at = at});
        uint64_t acked = run_script(dir, true, &rc);
        if (rc == 0)
            assert_int_equal(acked, BATCHES); // writing back or closing: not a batch's affair
        else
            assert_int_equal(rc, E_IO);
        refused += rc != 0;
        assert_recovered(dir, acked, "error", at);
        fault_end();
        dir_remove(dir);
    }
    assert_true(refused > 50);
}

// Without a reserve a full disk is an error, and nothing of the batch is there.
static void test_a_full_disk(void **state)
{
    (void)state;
    int64_t last = 0;
    uint64_t after_open = 0;
    for (int64_t space = 1000; last == 0; space += 3000) {
        char *dir = fast_dir();
        int rc;
        fault_begin(&(struct fault_plan){.space = space});
        uint64_t acked = run_script(dir, false, &rc);
        if (rc == 0)
            last = space;
        else
            assert_int_equal(rc, E_NO_SPACE);
        if (rc && (!strstr(test_err.message, dir) || !strstr(test_err.message, "free space")))
            fail_msg("%s", test_err.message);
        assert_int_equal(assert_recovered(dir, acked, "full disk", space), acked);
        after_open += rc && acked;
        fault_end();
        dir_remove(dir);
    }
    assert_true(after_open > 10);
}

// With it, the batch that meets the full disk goes through.
static void test_the_reserve_is_used_once(void **state)
{
    (void)state;
    bool done = false;
    uint64_t used = 0;
    for (int64_t space = 1000; !done; space += 7000) {
        char *dir = fast_dir();
        AUTO_FREE char *reserve = xasprintf("%s/reserve", dir);
        int rc;
        fault_begin(
            &(struct fault_plan){.space = space, .reserve = reserve, .reserve_bytes = 4096 * 1024});
        file_write(dir, "reserve", "", 0); // there from the beginning
        uint64_t acked = run_script(dir, true, &rc);
        bool released = access(reserve, F_OK) != 0;
        if (rc == 0)
            assert_int_equal(acked, BATCHES);
        else
            assert_int_equal(acked, 0);       // making the database met it
        assert_true(!released || fault.full); // writing back may meet it alone
        used += rc == 0 && released;
        done = rc == 0 && !fault.full;
        fault_end();
        assert_recovered(dir, acked, "reserve", space);
        assert_int_equal(access(reserve, F_OK), 0); // made again
        dir_remove(dir);
    }
    assert_true(used > 10);
}

int main(void)
{
    log_init("test", LOG_LEVEL_ERROR + 1, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crash_at_every_operation),
        cmocka_unit_test(test_an_error_at_every_operation),
        cmocka_unit_test(test_a_full_disk),
        cmocka_unit_test(test_the_reserve_is_used_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
