// Opening: who may, what is refused with which words, what stays untouched; the term.
#include "tests/unit/store_fixture.h"

#include <sys/wait.h>

static void assert_message(const char *part)
{
    if (!strstr(test_err.message, part))
        fail_msg("\"%s\" is not in \"%s\"", part, test_err.message);
}

static void assert_refused(const char *dir, enum errcode code)
{
    struct store *s = NULL;
    test_err = (struct err){0};
    assert_int_equal(store_open(dir, &s, &test_err), code);
    assert_null(s);
    assert_int_equal(test_err.code, code);
    assert_message(dir);
}

static struct store_start load(struct store *s, struct cluster_meta *ret_meta)
{
    struct cluster *c = cluster_new(&CLUSTER_LIMITS_DEFAULT);
    struct store_start start;
    int quarantined;
    MUST(store_load(s, c, &start, &quarantined, &test_err));
    if (ret_meta)
        *ret_meta = *cluster_meta(c);
    cluster_free(c);
    return start;
}

static struct store_start open_and_load(const char *dir)
{
    struct store *s = open_or_fail(dir);
    struct store_start start = load(s, NULL);
    store_close(s);
    return start;
}

static void test_a_new_database(void **state)
{
    (void)state;
    char *dir = dir_make();
    struct store *s = open_or_fail(dir);
    struct cluster_meta meta;
    load(s, &meta);
    assert_true(meta.id.v != 0);
    assert_int_equal(meta.next_job, 1);
    assert_int_equal(store_int(s, "PRAGMA application_id"), STORE_APPLICATION_ID);
    assert_int_equal(store_int(s, "PRAGMA user_version"), STORE_SCHEMA_VERSION);
    assert_int_equal(store_int(s, "PRAGMA foreign_keys"), 1);
    assert_int_equal(store_int(s, "PRAGMA synchronous"), 2);
    assert_int_equal(
        store_int(s, "SELECT count(*) FROM pragma_table_list WHERE NOT strict AND type = 'table'"
                     " AND name NOT LIKE 'sqlite_%'"),
        0);
    assert_int_equal(
        store_int(s, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'"), 1);
    struct stat st;
    assert_int_equal(stat(s->reserve_path, &st), 0);
    assert_int_equal(st.st_size, STORE_RESERVE_BYTES);
    uint64_t id = meta.id.v;
    store_close(s);
    s = open_or_fail(dir);
    load(s, &meta);
    assert_true(meta.id.v == id);
    store_close(s);
    dir_remove(dir);
}

static void test_a_job_without_specification_is_refused(void **state)
{
    (void)state;
    struct rng r = {1};
    char *dir = dir_make();
    struct store *s = open_or_fail(dir);
    struct job j = any_job(&r, 1);
    struct outcome o = {.jobs = &j, .jobs_count = 1};
    struct store_batch *b = store_batch_new();
    store_batch_add(b, &o);
    assert_true(store_commit(s, b, &test_err) < 0);
    assert_int_equal(store_int(s, "SELECT count(*) FROM job"), 0);
    add_zero_spec(b); // the order within a batch is free
    MUST(store_commit(s, b, &test_err));
    assert_int_equal(store_int(s, "SELECT count(*) FROM job"), 1);
    store_batch_free(b);
    job_row_clear(&j);
    store_close(s);
    dir_remove(dir);
}

static void test_one_process_at_a_time(void **state)
{
    (void)state;
    char *dir = dir_make();
    int ready[2], leave[2];
    char byte;
    assert_int_equal(pipe(ready) | pipe(leave), 0);
    pid_t child = fork();
    if (child == 0) {
        struct store *s = NULL;
        close(leave[1]);
        bool opened = store_open(dir, &s, NULL) == 0;
        if (write(ready[1], opened ? "y" : "n", 1) != 1 || read(leave[0], &byte, 1) != 0)
            _exit(2);
        _exit(0); // without closing: the lock goes with the process
    }
    close(leave[0]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_refused(dir, E_EXISTS);
    AUTO_FREE char *pid = xasprintf("process %d", (int)child);
    assert_message(pid);
    close(leave[1]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct store *s = open_or_fail(dir);
    assert_refused(dir, E_EXISTS);
    store_close(s);
    close(ready[0]);
    dir_remove(dir);
}

static void test_no_directory(void **state)
{
    (void)state;
    char *dir = dir_make();
    AUTO_FREE char *missing = xasprintf("%s/missing", dir);
    assert_refused(missing, E_NOT_FOUND);
    file_write(dir, "file", "", 0);
    AUTO_FREE char *file = xasprintf("%s/file", dir);
    assert_refused(file, E_INVALID);
    if (geteuid() != 0) {
        assert_int_equal(chmod(dir, 0500), 0);
        assert_refused(dir, E_DENIED);
        assert_int_equal(chmod(dir, 0700), 0);
    }
    dir_remove(dir);
}

// A database with content, its log written back.
static char *make_database(void)
{
    struct rng r = {9};
    char *dir = dir_make();
    struct store *s = open_or_fail(dir);
    enum { JOBS = 200 };
    struct job *jobs = xcalloc(JOBS, sizeof *jobs);
    for (uint64_t i = 0; i < JOBS; i++)
        jobs[i] = any_job(&r, i + 1);
    struct outcome o = {.jobs = jobs, .jobs_count = JOBS};
    commit_outcome(s, &o);
    jobs_clear(jobs, JOBS);
    free(jobs);
    store_close(s);
    return dir;
}

static void assert_unchanged(const char *dir, const char *before, size_t len)
{
    size_t after_len;
    AUTO_FREE char *after = file_read(dir, "muster.db", &after_len);
    assert_int_equal(after_len, len);
    assert_memory_equal(after, before, len);
}

static void test_damage_is_found_and_left_alone(void **state)
{
    (void)state;
    // Where, and what is written there: the header, a page's structure, a whole page, the end.
    char *dir = make_database();
    size_t len;
    AUTO_FREE char *good = file_read(dir, "muster.db", &len);
    const struct {
        size_t at, count;
    } damages[] = {{0, 16}, {4096, 16}, {8 * 4096, 4096}, {100, 3996}, {20 * 4096, 200}};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        AUTO_FREE char *bad = xmemdup(good, len);
        struct rng r = {i};
        any_bytes(&r, bad + damages[i].at, damages[i].count);
        file_write(dir, "muster.db", bad, len);
        assert_refused(dir, E_CORRUPT);
        assert_unchanged(dir, bad, len);
    }
    file_write(dir, "muster.db", good, len - 4096 * 3);
    assert_refused(dir, E_CORRUPT);
    assert_unchanged(dir, good, len - 4096 * 3);
    file_write(dir, "muster.db", "hello, this is no database at all", 33);
    assert_refused(dir, E_CORRUPT);
    assert_unchanged(dir, "hello, this is no database at all", 33);
    file_write(dir, "muster.db", good, len);
    store_close(open_or_fail(dir));
    dir_remove(dir);
}

static void test_a_leftover_log_does_not_flow_into_a_damaged_file(void **state)
{
    (void)state;
    char *dir = dir_make(), *copy = dir_make();
    store_close(open_or_fail(dir)); // writes all pages back
    struct store *s = open_or_fail(dir);
    struct rng r = {4};
    struct node n = any_node(&r, 1);
    struct outcome o = {.nodes = &n, .nodes_count = 1};
    commit_outcome(s, &o);
    size_t len, wal_len;
    AUTO_FREE char *db = file_read(dir, "muster.db", &len);
    AUTO_FREE char *wal = file_read(dir, "muster.db-wal", &wal_len);
    assert_true(wal_len > 0);
    store_close(s);
    memset(db + 4096, 0xee, 64); // the page of a table that the log does not hold
    file_write(copy, "muster.db", db, len);
    file_write(copy, "muster.db-wal", wal, wal_len);
    assert_refused(copy, E_CORRUPT);
    assert_unchanged(copy, db, len);
    dir_remove(dir);
    dir_remove(copy);
}

// ---- versions ----

static void run_sql(const char *dir, const char *sql)
{
    AUTO_FREE char *path = xasprintf("%s/muster.db", dir);
    struct db db = {0};
    MUST(db_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL, &db, &test_err));
    MUST(db_exec(&db, sql, &test_err));
    db_close(&db);
}

static void test_foreign_and_newer_databases(void **state)
{
    (void)state;
    size_t len;
    char *dir = dir_make();
    run_sql(dir, "CREATE TABLE other (x)");
    AUTO_FREE char *other = file_read(dir, "muster.db", &len);
    assert_refused(dir, E_CORRUPT);
    assert_message("another program");
    assert_unchanged(dir, other, len);
    dir_remove(dir);

    dir = make_database();
    AUTO_FREE char *sql = xasprintf("PRAGMA user_version = %d", STORE_SCHEMA_VERSION + 1);
    run_sql(dir, sql);
    AUTO_FREE char *newer = file_read(dir, "muster.db", &len);
    assert_refused(dir, E_VERSION);
    assert_message("newer");
    assert_unchanged(dir, newer, len);
    dir_remove(dir);
}

static int create_v1(struct db *db, struct err *err)
{
    return db_exec(db, "CREATE TABLE t (a INTEGER) STRICT; INSERT INTO t VALUES (7)", err);
}

static int create_v3(struct db *db, struct err *err)
{
    return db_exec(db, "CREATE TABLE t (a INTEGER, b INTEGER, c INTEGER) STRICT", err);
}

static int try_schema(const char *dir, const struct store_schema *schema)
{
    struct store *s = NULL;
    int rc = store_open_vfs(dir, NULL, schema, &s, &test_err);
    store_close(s);
    return rc;
}

static void test_older_versions_are_brought_up(void **state)
{
    (void)state;
    static const struct store_upgrade steps[] = {
        {2, "ALTER TABLE t ADD COLUMN c INTEGER; UPDATE t SET c = b + 1", NULL},
        {1, "ALTER TABLE t ADD COLUMN b INTEGER; UPDATE t SET b = a + 1", NULL},
        {3, "UPDATE t SET a = 0; UPDATE missing SET a = 1", NULL},
    };
    const struct store_schema v1 = {1, create_v1, NULL, 0}, v3 = {3, create_v3, steps, 2},
                              gap = {3, create_v3, steps, 1}, broken = {4, create_v3, steps, 3};
    char *dir = dir_make();
    MUST(try_schema(dir, &v1));
    assert_int_equal(try_schema(dir, &gap), E_VERSION);
    AUTO_FREE char *path = xasprintf("%s/muster.db.v1", dir);
    assert_int_equal(unlink(path), 0); // the copy is made before the first step
    MUST(try_schema(dir, &v3));
    assert_int_equal(access(path, F_OK), 0);
    run_sql(dir, "CREATE TABLE ok AS SELECT 1 FROM t WHERE a = 7 AND b = 8 AND c = 9;"
                 "CREATE TABLE must (x CHECK (x = 1)); INSERT INTO must SELECT count(*) FROM ok");
    assert_int_equal(try_schema(dir, &v1), E_VERSION);
    assert_true(try_schema(dir, &broken) < 0); // nothing of a step that fails stays
    run_sql(dir, "INSERT INTO must SELECT count(*) FROM t WHERE a = 7");
    assert_message("cannot"); // of the broken one
    MUST(try_schema(dir, &v3));
    dir_remove(dir);
}

// What version 4 brought.
#define DROP_V4                                                                            \
    "ALTER TABLE meta ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;"                      \
    "ALTER TABLE meta DROP COLUMN next_class; ALTER TABLE job DROP COLUMN class;"          \
    "DROP INDEX event_wait; ALTER TABLE event DROP COLUMN class; DROP TABLE wait;"         \
    "ALTER TABLE job DROP COLUMN nice; DROP TABLE tally;"                                  \
    "ALTER TABLE job DROP COLUMN queue; ALTER TABLE job DROP COLUMN account;"              \
    "ALTER TABLE job DROP COLUMN user; ALTER TABLE job DROP COLUMN qos;"                   \
    "ALTER TABLE job DROP COLUMN attained_ms; ALTER TABLE job DROP COLUMN promoted_ms;"    \
    "ALTER TABLE job DROP COLUMN waits_since_ms;"                                          \
    "DROP TABLE settings; DROP TABLE qos; DROP TABLE account; DROP TABLE user;"            \
    "DROP TABLE queue; DROP TABLE reservation;"                                            \
    "ALTER TABLE meta DROP COLUMN next_selector; DROP TABLE selector;"                     \
    "ALTER TABLE job DROP COLUMN cpu_milli; ALTER TABLE job DROP COLUMN gpu_milli;"        \
    "ALTER TABLE job DROP COLUMN tasks_per_node; ALTER TABLE job DROP COLUMN exclusive;"   \
    "ALTER TABLE job DROP COLUMN spread; ALTER TABLE job DROP COLUMN need;"                \
    "ALTER TABLE job DROP COLUMN prefer; ALTER TABLE job DROP COLUMN reservation;"         \
    "ALTER TABLE placement DROP COLUMN pool;"                                              \
    "ALTER TABLE placement DROP COLUMN cpu_milli;"                                         \
    "ALTER TABLE placement DROP COLUMN gpu_shares; ALTER TABLE node DROP COLUMN labels;"   \
    "ALTER TABLE node DROP COLUMN gpu_model; ALTER TABLE node DROP COLUMN gpu_memory_mib;" \
    "ALTER TABLE node DROP COLUMN switch_path; ALTER TABLE node DROP COLUMN numa_cores;"   \
    "ALTER TABLE node DROP COLUMN gpu_numa; ALTER TABLE node DROP COLUMN told_labels;"     \
    "ALTER TABLE node DROP COLUMN set_labels; ALTER TABLE job DROP COLUMN depends;"        \
    "ALTER TABLE job DROP COLUMN begin_ms; ALTER TABLE job DROP COLUMN deadline_ms;"       \
    "ALTER TABLE job DROP COLUMN array_limit; ALTER TABLE job DROP COLUMN array_begun;"    \
    "ALTER TABLE job DROP COLUMN cancel_if_never; ALTER TABLE job DROP COLUMN name_key;"   \
    "ALTER TABLE job DROP COLUMN begun;"

static void test_version_1_is_brought_up(void **state)
{
    (void)state;
    char *dir = make_database();
    run_sql(dir, "ALTER TABLE meta DROP COLUMN next_port;"
                 "ALTER TABLE placement DROP COLUMN port;" DROP_V4
                 "ALTER TABLE meta DROP COLUMN blocked; PRAGMA user_version = 1");
    struct store *s = open_or_fail(dir);
    assert_int_equal(store_int(s, "PRAGMA user_version"), STORE_SCHEMA_VERSION);
    assert_int_equal(store_int(s, "SELECT next_class + next_port FROM meta"), 0);
    assert_int_equal(store_int(s, "SELECT count(*) FROM placement WHERE port = 0"),
                     store_int(s, "SELECT count(*) FROM placement"));
    store_close(s);
    open_and_load(dir);
    dir_remove(dir);
}

// ---- the term ----

static void test_the_term_rises_with_each_start(void **state)
{
    (void)state;
    char *dir = dir_make();
    uint64_t nonces[3];
    for (uint64_t i = 1; i <= 3; i++) {
        struct store_start start = open_and_load(dir);
        size_t len;
        AUTO_FREE char *file = file_read(dir, "term", &len);
        assert_int_equal(start.term, i);
        assert_false(start.hold);
        assert_int_equal(start.same_boot, i > 1);
        assert_int_equal(strtoull(file, NULL, 10), i);
        nonces[i - 1] = start.nonce;
    }
    assert_true(nonces[0] != nonces[1] && nonces[1] != nonces[2]);
    struct store *s = open_or_fail(dir);
    assert_int_equal(store_int(s, "SELECT term FROM meta"), 3);
    assert_true((uint64_t)store_int(s, "SELECT nonce FROM meta") == nonces[2]);
    store_close(s);
    dir_remove(dir);
}

static void test_an_older_copy_is_held(void **state)
{
    (void)state;
    char *dir = dir_make();
    size_t len;
    open_and_load(dir);
    AUTO_FREE char *backup = file_read(dir, "muster.db", &len);
    open_and_load(dir);
    open_and_load(dir);
    file_write(dir, "muster.db", backup, len);
    for (int i = 0; i < 2; i++) { // and it stays so
        struct store_start start = open_and_load(dir);
        assert_true(start.hold);
        assert_int_equal(start.term_seen, 3);
        assert_int_equal(start.term, 1);
    }
    AUTO_FREE char *file = file_read(dir, "term", &len);
    assert_string_equal(file, "3\n");
    // An operator accepts it.
    struct store *s = open_or_fail(dir);
    struct cluster_meta meta;
    load(s, &meta);
    meta.term = 4;
    struct outcome o = {.meta = meta, .meta_changed = true};
    commit_outcome(s, &o);
    MUST(store_write_term_file(s, meta.term, &test_err));
    store_close(s);
    struct store_start start = open_and_load(dir);
    assert_false(start.hold);
    assert_int_equal(start.term, 5);
    dir_remove(dir);
}

static void test_hold_lasts_until_accepted(void **state)
{
    (void)state;
    char *dir = dir_make();
    open_and_load(dir);
    run_sql(dir, "UPDATE meta SET recovery_hold = 1, term_seen = 40");
    struct store_start start = open_and_load(dir);
    assert_true(start.hold);
    assert_int_equal(start.term, 1);
    assert_int_equal(start.term_seen, 40);
    dir_remove(dir);
}

static void test_a_damaged_term_file_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "x\n", "12", "12x\n", "-1\n", "99999999999999999999\n"};
    char *dir = dir_make();
    open_and_load(dir);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        file_write(dir, "term", bad[i], strlen(bad[i]));
        struct store *s = open_or_fail(dir);
        struct cluster *c = cluster_new(&CLUSTER_LIMITS_DEFAULT);
        struct store_start start;
        int quarantined;
        assert_int_equal(store_load(s, c, &start, &quarantined, &test_err), E_CORRUPT);
        assert_message("term");
        cluster_free(c);
        store_close(s);
    }
    AUTO_FREE char *path = xasprintf("%s/term", dir);
    assert_int_equal(unlink(path), 0); // as the message says
    assert_int_equal(open_and_load(dir).term, 2);
    dir_remove(dir);
}

static void test_another_boot_forgets_times_of_its_clock(void **state)
{
    (void)state;
    char *dir = dir_make();
    struct rng r = {2};
    struct store *s = open_or_fail(dir);
    struct node n = any_node(&r, 1);
    n.unreachable_since_ms = 5000;
    struct outcome o = {.nodes = &n, .nodes_count = 1};
    commit_outcome(s, &o);
    load(s, NULL);
    commit_outcome(s, &o);
    assert_true(load(s, NULL).same_boot);
    assert_int_equal(store_int(s, "SELECT unreachable_since_ms FROM node"), 5000);
    MUST(db_exec(&s->db, "UPDATE boot SET boot_id = 'another'", &test_err));
    assert_false(load(s, NULL).same_boot);
    // A crash here must not leave the old time to a start that finds the same boot.
    assert_int_equal(store_int(s, "SELECT unreachable_since_ms FROM node"), 0);
    assert_true(load(s, NULL).same_boot);
    store_close(s);
    dir_remove(dir);
}

int main(void)
{
    log_init("test", LOG_LEVEL_ERROR + 1, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_database),
        cmocka_unit_test(test_a_job_without_specification_is_refused),
        cmocka_unit_test(test_one_process_at_a_time),
        cmocka_unit_test(test_no_directory),
        cmocka_unit_test(test_damage_is_found_and_left_alone),
        cmocka_unit_test(test_a_leftover_log_does_not_flow_into_a_damaged_file),
        cmocka_unit_test(test_foreign_and_newer_databases),
        cmocka_unit_test(test_older_versions_are_brought_up),
        cmocka_unit_test(test_version_1_is_brought_up),
        cmocka_unit_test(test_the_term_rises_with_each_start),
        cmocka_unit_test(test_an_older_copy_is_held),
        cmocka_unit_test(test_hold_lasts_until_accepted),
        cmocka_unit_test(test_a_damaged_term_file_is_refused),
        cmocka_unit_test(test_another_boot_forgets_times_of_its_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
