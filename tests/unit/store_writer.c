// The writer thread: what it reports as durable is there, in order, also for other connections; a
// failure stops it for good.
#include "tests/unit/store_fixture.h"

#include "common/clock.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

struct loop {
    char *dir;
    struct store *s;
    struct store_writer *w;
    int event_fd;
};

static void signal_loop(void *arg)
{
    const struct loop *l = arg;
    uint64_t one = 1;
    CHECK(write(l->event_fd, &one, sizeof one) == sizeof one);
}

static int set_up(void **state)
{
    struct loop *l = xcalloc(1, sizeof *l);
    l->dir = dir_make();
    l->s = open_or_fail(l->dir);
    l->event_fd = eventfd(0, EFD_CLOEXEC);
    l->w = store_writer_start(l->s, signal_loop, l);
    *state = l;
    return 0;
}

static int tear_down(void **state)
{
    struct loop *l = *state;
    store_writer_stop(l->w);
    store_close(l->s);
    close(l->event_fd);
    dir_remove(l->dir);
    free(l);
    return 0;
}

// Waits until done() was called since the last look.
static void wait_done(struct loop *l)
{
    uint64_t count;
    struct pollfd p = {.fd = l->event_fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 60000), 1);
    assert_int_equal(read(l->event_fd, &count, sizeof count), sizeof count);
}

static struct store_batch *job_batch(uint64_t id)
{
    struct job j = {.id = {id}, .uid = {id}, .req = {.tasks = 1, .cpus = 1}};
    struct outcome o = {
        .jobs = &j, .jobs_count = 1, .meta = {.id = {1}, .next_job = id + 1}, .meta_changed = true};
    struct store_batch *b = store_batch_new();
    add_zero_spec(b);
    store_batch_add(b, &o);
    return b;
}

static int64_t reader_int(struct store_reader *r, const char *sql)
{
    int64_t v;
    MUST(db_int(&r->db, sql, &v, &test_err));
    return v;
}

static void test_batches_become_durable_in_order(void **state)
{
    enum { BATCHES = 3000 };
    struct loop *l = *state;
    struct store_reader *r;
    uint64_t finished = 0, last = 0, looks = 0;
    MUST(store_reader_open(l->dir, &r, &test_err));
    for (uint64_t i = 1; i <= BATCHES; i++)
        assert_int_equal(store_writer_submit(l->w, job_batch(i)), i);
    while (finished < BATCHES) {
        wait_done(l);
        MUST(store_writer_finished(l->w, &finished, &test_err));
        assert_true(finished >= last);
        assert_true((uint64_t)reader_int(r, "SELECT count(*) FROM job") >= finished);
        assert_true((uint64_t)reader_int(r, "SELECT next_job - 1 FROM meta") >= finished);
        last = finished;
        looks++;
    }
    assert_int_equal(reader_int(r, "SELECT count(*) FROM job"), BATCHES);
    print_message("# %d batches in at most %" PRIu64 " commits\n", BATCHES, looks);
    assert_true(looks < BATCHES / 2); // they shared transactions
    store_reader_close(r);
}

static void test_stopping_writes_what_waits(void **state)
{
    struct loop *l = *state;
    for (uint64_t i = 1; i <= 100; i++)
        store_writer_submit(l->w, job_batch(i));
    store_writer_stop(l->w);
    l->w = NULL;
    assert_int_equal(store_int(l->s, "SELECT count(*) FROM job"), 100);
}

static void test_nothing_is_written_after_a_failure(void **state)
{
    struct loop *l = *state;
    uint64_t finished = 0;
    struct job j = {.id = {2}, .uid = {2}, .spec = {{9}}}; // its specification is not there
    struct outcome o = {.jobs = &j, .jobs_count = 1};
    struct store_batch *bad = store_batch_new();
    store_batch_add(bad, &o);
    store_writer_submit(l->w, job_batch(1));
    while (finished < 1) {
        wait_done(l);
        MUST(store_writer_finished(l->w, &finished, &test_err));
    }
    store_writer_submit(l->w, bad);
    store_writer_submit(l->w, job_batch(3));
    wait_done(l);
    test_err = (struct err){0};
    assert_true(store_writer_finished(l->w, &finished, &test_err) < 0);
    assert_true(test_err.message[0]);
    assert_int_equal(finished, 1);
    MUST(store_writer_finished(l->w, &finished, &test_err)); // told once
    assert_int_equal(finished, 1);
    store_writer_submit(l->w, job_batch(4));
    store_writer_stop(l->w);
    l->w = NULL;
    assert_int_equal(store_int(l->s, "SELECT max(id) FROM job"), 1);
}

// Readers in other threads see whole transactions only.
static void *read_while_written(void *arg)
{
    struct loop *l = arg;
    struct store_reader *r = NULL;
    int64_t last = 0;
    if (store_reader_open(l->dir, &r, NULL))
        return "cannot open";
    for (int i = 0; i < 300; i++) {
        int64_t n, matches;
        if (db_exec(&r->db, "BEGIN", NULL) ||
            db_int(&r->db, "SELECT next_job - 1 FROM meta", &n, NULL) ||
            db_int(&r->db, "SELECT count(*) FROM job", &matches, NULL))
            return "cannot read";
        db_rollback(&r->db);
        if (n != matches || n < last)
            return "half a transaction";
        last = n;
    }
    struct text t = {0};
    struct job_filter f = {.uid = -1};
    if (query_jobs(r, &f, &t, NULL))
        return "cannot list";
    text_free(&t);
    store_reader_close(r);
    return NULL;
}

static void test_readers_see_whole_transactions(void **state)
{
    struct loop *l = *state;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_while_written, l), 0);
    for (uint64_t i = 1; i <= 400; i++)
        store_writer_submit(l->w, job_batch(i));
    for (int i = 0; i < 2; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        if (wrong)
            fail_msg("%s", (const char *)wrong);
    }
}

// A hundred thousand waiting jobs: through batches into the table, into a core, into an answer.
static void test_many_jobs(void **state)
{
    enum { JOBS = 100000, A_BATCH = 1000 };
    struct loop *l = *state;
    uint64_t finished = 0;
    int64_t begin = clock_boot_ms();
    for (uint64_t first = 1; first <= JOBS; first += A_BATCH) {
        struct job *jobs = xcalloc(A_BATCH, sizeof *jobs);
        for (uint64_t i = 0; i < A_BATCH; i++)
            jobs[i] = (struct job){.id = {first + i},
                                   .uid = {first + i},
                                   .request_id = {1, first + i},
                                   .req = {.tasks = 1, .cpus = 1},
                                   .reason = {.code = REASON_PRIORITY}};
        struct outcome o = {.jobs = jobs,
                            .jobs_count = A_BATCH,
                            .meta = {.id = {1}, .next_job = first + A_BATCH},
                            .meta_changed = true};
        struct store_batch *b = store_batch_new();
        add_zero_spec(b);
        store_batch_add(b, &o);
        store_writer_submit(l->w, b);
        free(jobs);
    }
    while (finished < JOBS / A_BATCH) {
        wait_done(l);
        MUST(store_writer_finished(l->w, &finished, &test_err));
    }
    int64_t written = clock_boot_ms();
    struct cluster *c = cluster_new(&CLUSTER_LIMITS_DEFAULT);
    struct cluster_meta meta;
    int quarantined;
    MUST(store_load_rows(l->s, c, &meta, &quarantined, &test_err));
    int64_t loaded = clock_boot_ms();
    assert_int_equal(cluster_live(c), JOBS);
    assert_int_equal(quarantined, 0);
    struct store_reader *r;
    struct text t = {0};
    struct job_filter f = {.uid = -1, .state = "live"};
    MUST(store_reader_open(l->dir, &r, &test_err));
    MUST(query_jobs(r, &f, &t, &test_err));
    int64_t listed = clock_boot_ms();
    print_message("# %d jobs: written in %" PRId64 " ms, loaded in %" PRId64
                  " ms, listed in %" PRId64 " ms (%zu MB)\n",
                  JOBS, written - begin, loaded - written, listed - loaded, t.len / 1000000);
    text_free(&t);
    store_reader_close(r);
    cluster_free(c);
}

#define WITH_WRITER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    log_init("test", LOG_LEVEL_ERROR + 1, false);
    const struct CMUnitTest tests[] = {
        WITH_WRITER(test_batches_become_durable_in_order),
        WITH_WRITER(test_stopping_writes_what_waits),
        WITH_WRITER(test_nothing_is_written_after_a_failure),
        WITH_WRITER(test_readers_see_whole_transactions),
        WITH_WRITER(test_many_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
