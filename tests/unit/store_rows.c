// What is stored is what is loaded; what makes no sense is left out, and nothing else.
#include "tests/unit/store_fixture.h"

enum { ROUNDS = 20, JOBS = 60, NODES = 12 };

struct world {
    struct cluster_meta meta;
    struct node nodes[NODES];
    struct job jobs[JOBS];
    struct placement parts[NODES];
    struct wait waits[JOBS + 1];
    size_t waits_count;
};

static void make_world(struct world *w, struct rng *r)
{
    w->meta = (struct cluster_meta){.id = {rng_next(r)},
                                    .term = rng_below(r, 1000),
                                    .nonce = rng_next(r),
                                    .next_job = JOBS + 1 + rng_below(r, 1000),
                                    .next_node = NODES + 1,
                                    .next_placement = rng_next(r),
                                    .next_session = rng_next(r),
                                    .next_event = rng_next(r),
                                    .term_seen = rng_next(r)};
    for (uint32_t i = 0; i < NODES; i++)
        w->nodes[i] = any_node(r, i + 1);
    for (uint64_t i = 0; i < JOBS; i++)
        w->jobs[i] = any_job(r, i + 1);
    w->meta.next_class = JOBS + 1;
    w->waits_count = 0;
    for (uint64_t i = 0; i <= JOBS; i++) { // row 0 is the queue's
        struct job *j = i ? &w->jobs[i - 1] : NULL;
        if (j && (j->state != JOB_PENDING || j->held || j->cancelled || j->array_count))
            continue;
        if (j)
            j->class_id.v = i;
        w->waits[w->waits_count++] = (struct wait){
            .id = {i}, .reason = any_reason(r), .since_ms = any_int(r), .starts_ms = any_int(r)};
    }
    for (uint32_t i = 0; i < NODES; i++) {
        struct job_id job = {chance(r, 4) ? 0 : rng_below(r, JOBS) + 1};
        w->parts[i] = any_placement(r, i + 1, job, (struct node_id){i + 1});
        if (job.v) { // the loader compares them
            w->parts[i].uid = w->jobs[job.v - 1].uid;
            w->parts[i].attempt = w->jobs[job.v - 1].attempt;
        }
    }
}

static struct outcome outcome_of(const struct world *w)
{
    return (struct outcome){.jobs = w->jobs,
                            .jobs_count = JOBS,
                            .nodes = w->nodes,
                            .nodes_count = NODES,
                            .placements = w->parts,
                            .placements_count = NODES,
                            .waits = w->waits,
                            .waits_count = w->waits_count,
                            .meta = w->meta,
                            .meta_changed = true};
}

static bool has_part(const struct world *w, struct job_id id)
{
    for (size_t i = 0; i < NODES; i++)
        if (w->parts[i].job.v == id.v)
            return true;
    return false;
}

// The core's own text of all stored state, made without the store.
static char *expected_dump(const struct world *w)
{
    struct cluster *c = cluster_new(&CLUSTER_LIMITS_DEFAULT);
    struct text t = {0};
    cluster_load_meta(c, &w->meta);
    for (size_t i = 0; i < NODES; i++)
        MUST(cluster_load_node(c, &w->nodes[i], &test_err));
    for (size_t i = 0; i < w->waits_count; i++)
        MUST(cluster_load_wait(c, &w->waits[i], &test_err));
    for (size_t i = 0; i < JOBS; i++)
        if (!job_state_ended(w->jobs[i].state) || has_part(w, w->jobs[i].id))
            MUST(cluster_load_job(c, &w->jobs[i], &test_err));
    for (size_t i = 0; i < NODES; i++)
        MUST(cluster_load_placement(c, &w->parts[i], &test_err));
    cluster_dump(c, &t);
    cluster_free(c);
    return text_take(&t);
}

static char *loaded_dump(struct store *s, int *ret_quarantined)
{
    struct cluster *c = cluster_new(&CLUSTER_LIMITS_DEFAULT);
    struct cluster_meta meta;
    struct text t = {0};
    MUST(store_load_rows(s, c, &meta, ret_quarantined, &test_err));
    cluster_dump(c, &t);
    cluster_free(c);
    return text_take(&t);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct rng r = {seed};
        char *dir = dir_make();
        struct store *s = open_or_fail(dir);
        struct world *w = xcalloc(1, sizeof *w);
        int quarantined;
        for (int again = 0; again < 2; again++) { // the second time every row exists
            make_world(w, &r);
            struct outcome o = outcome_of(w);
            commit_outcome(s, &o);
            AUTO_FREE char *expected = expected_dump(w);
            AUTO_FREE char *loaded = loaded_dump(s, &quarantined);
            assert_string_equal(loaded, expected);
            assert_int_equal(quarantined, 0);
            store_close(s);
            s = open_or_fail(dir);
            AUTO_FREE char *reopened = loaded_dump(s, &quarantined);
            assert_string_equal(reopened, expected);
            jobs_clear(w->jobs, JOBS);
        }
        free(w);
        store_close(s);
        dir_remove(dir);
    }
}

static void test_ended_jobs_stay_as_history(void **state)
{
    (void)state;
    struct rng r = {7};
    char *dir = dir_make();
    struct store *s = open_or_fail(dir);
    struct world *w = xcalloc(1, sizeof *w);
    make_world(w, &r);
    for (size_t i = 0; i < JOBS; i++)
        w->jobs[i].state = JOB_COMPLETED;
    struct outcome o = outcome_of(w);
    commit_outcome(s, &o);
    assert_int_equal(store_int(s, "SELECT count(*) FROM job"), JOBS);
    struct cluster *c = cluster_new(&CLUSTER_LIMITS_DEFAULT);
    struct cluster_meta meta;
    int quarantined;
    MUST(store_load_rows(s, c, &meta, &quarantined, &test_err));
    size_t with_parts = 0;
    for (size_t i = 0; i < JOBS; i++)
        with_parts += has_part(w, w->jobs[i].id);
    assert_int_equal(cluster_live(c), with_parts);
    cluster_free(c);
    jobs_clear(w->jobs, JOBS);
    free(w);
    store_close(s);
    dir_remove(dir);
}

static void test_the_last_row_of_a_batch_counts(void **state)
{
    (void)state;
    struct rng r = {3};
    char *dir = dir_make();
    struct store *s = open_or_fail(dir);
    struct node n = any_node(&r, 1);
    struct job j = any_job(&r, 1);
    struct placement p = any_placement(&r, 1, j.id, n.id), q = p;
    struct cluster_meta meta = {.id = {5}, .next_job = 2, .term = 1};
    struct outcome first = {.jobs = &j,
                            .jobs_count = 1,
                            .nodes = &n,
                            .nodes_count = 1,
                            .placements = &p,
                            .placements_count = 1,
                            .meta = meta,
                            .meta_changed = true};
    struct store_batch *b = store_batch_new();
    add_zero_spec(b);
    store_batch_add(b, &first);
    n.cores = 77;
    j.priority = 1234;
    q.id = 2;
    meta.term = 9;
    uint64_t gone = 1;
    struct outcome second = {.jobs = &j,
                             .jobs_count = 1,
                             .nodes = &n,
                             .nodes_count = 1,
                             .placements = &q,
                             .placements_count = 1,
                             .placements_gone = &gone,
                             .placements_gone_count = 1,
                             .meta = meta,
                             .meta_changed = true};
    store_batch_add(b, &second);
    job_row_clear(&j); // copies are deep
    MUST(store_commit(s, b, &test_err));
    store_batch_free(b);
    assert_int_equal(store_int(s, "SELECT priority FROM job WHERE id = 1"), 1234);
    assert_int_equal(store_int(s, "SELECT cores FROM node WHERE id = 1"), 77);
    assert_int_equal(store_int(s, "SELECT term FROM meta"), 9);
    assert_int_equal(store_int(s, "SELECT count(*) FROM placement"), 1);
    assert_int_equal(store_int(s, "SELECT id FROM placement"), 2);
    gone = 2;
    struct outcome third = {.placements_gone = &gone, .placements_gone_count = 1};
    commit_outcome(s, &third);
    assert_int_equal(store_int(s, "SELECT count(*) FROM placement"), 0);
    store_close(s);
    dir_remove(dir);
}

static void test_events_and_tasks(void **state)
{
    (void)state;
    struct rng r = {5};
    char *dir = dir_make();
    struct store *s = open_or_fail(dir);
    struct job j = any_job(&r, 1);
    struct node n = any_node(&r, 1);
    struct event events[EVENT_KIND_COUNT];
    for (int i = 0; i < EVENT_KIND_COUNT; i++)
        events[i] = (struct event){.id = (uint64_t)i,
                                   .kind = (enum event_kind)i,
                                   .at_ms = 1000 + i,
                                   .job = {1},
                                   .attempt = 2,
                                   .node = {1},
                                   .cores = coreset_first(3),
                                   .gpus = UINT64_C(1) << 63,
                                   .memory_mib = 55,
                                   .text = "it's said"};
    struct task_row task = {.job = {1},
                            .attempt = 2,
                            .node = {1},
                            .result = {.rank = 3,
                                       .exit_code = 137,
                                       .signal = 9,
                                       .user_ms = 12,
                                       .system_ms = -1,
                                       .peak_kib = 0,
                                       .started_at_ms = 100,
                                       .ended_at_ms = 200}};
    struct outcome o = {.jobs = &j,
                        .jobs_count = 1,
                        .nodes = &n,
                        .nodes_count = 1,
                        .events = events,
                        .events_count = EVENT_KIND_COUNT,
                        .tasks = &task,
                        .tasks_count = 1};
    commit_outcome(s, &o);
    // Notes are for the log alone.
    assert_int_equal(store_int(s, "SELECT count(*) FROM event"), EVENT_KIND_COUNT - 1);
    assert_int_equal(
        store_int(s, "SELECT count(*) FROM event WHERE job = 1 AND attempt = 2 AND node = 1"
                     " AND cores = '0-2' AND gpus = -9223372036854775808 AND memory_mib = 55"
                     " AND text = 'it''s said' AND at_ms = 1000 + id"),
        EVENT_KIND_COUNT - 1);
    assert_int_equal(store_int(s, "SELECT id FROM event WHERE kind = 'job_placed'"),
                     EVENT_JOB_PLACED);
    assert_int_equal(
        store_int(s, "SELECT count(*) FROM task WHERE job = 1 AND attempt = 2 AND rank = 3"
                     " AND node = 1 AND exit_code = 137 AND signal = 9 AND user_ms = 12"
                     " AND system_ms IS NULL AND peak_kib = 0 AND started_at_ms = 100"
                     " AND ended_at_ms = 200"),
        1);
    job_row_clear(&j);
    store_close(s);
    dir_remove(dir);
}

// ---- damaged records ----

struct damage {
    const char *sql;
    int quarantined;
    int jobs_left, nodes_drained;
};

// Node 1 .. 3; job 1 runs on node 1 and 2, job 2 on node 3, job 3 waits, job 4 is an array and job
// 5 its element.
static void make_small(struct store *s)
{
    struct node n[3] = {0};
    struct job j[5] = {0};
    struct placement p[3] = {0};
    for (uint32_t i = 0; i < 3; i++) {
        n[i] = (struct node){.id = {i + 1}, .cores = 4};
        snprintf(n[i].name, sizeof n[i].name, "n%u", i + 1);
        p[i] = (struct placement){.id = i + 1,
                                  .job = {i < 2 ? 1 : 2},
                                  .uid = {i < 2 ? 1 : 2},
                                  .attempt = 1,
                                  .node = {i + 1},
                                  .tasks = 1,
                                  .cores = coreset_first(2)};
    }
    for (uint64_t i = 0; i < 5; i++)
        j[i] = (struct job){.id = {i + 1},
                            .uid = {i + 1},
                            .req = {.tasks = i ? 1 : 2, .cpus = 2},
                            .attempt = i < 2,
                            .state = i < 2 ? JOB_RUNNING : JOB_PENDING};
    j[3].array_count = 10;
    j[3].array_next = j[3].array_live = 1;
    j[4].array.v = 4;
    struct outcome o = {.jobs = j,
                        .jobs_count = 5,
                        .nodes = n,
                        .nodes_count = 3,
                        .placements = p,
                        .placements_count = 3,
                        .meta = {.id = {1}, .next_job = 6, .next_node = 4},
                        .meta_changed = true};
    commit_outcome(s, &o);
}

static int drained_nodes(const struct cluster *c)
{
    int drained = 0;
    for (uint32_t i = 1; i <= 3; i++) {
        const struct node *n = cluster_node(c, (struct node_id){i});
        assert_non_null(n);
        drained += n->drain;
    }
    return drained;
}

static void test_damaged_records_are_left_out(void **state)
{
    (void)state;
    static const struct damage damages[] = {
        {"SELECT 1", 0, 5, 0},
        {"UPDATE job SET state = 'sleeping' WHERE id = 3", 1, 4, 0},
        {"UPDATE job SET reason = 'moon' WHERE id = 3", 1, 4, 0},
        {"UPDATE job SET spec = x'00' WHERE id = 3", 1, 4, 0},
        {"UPDATE job SET tasks = 99999999999 WHERE id = 3", 1, 4, 0},
        {"UPDATE job SET tasks = 0 WHERE id = 3", 1, 4, 0},
        {"UPDATE job SET held = 2 WHERE id = 3", 1, 4, 0},
        {"UPDATE job SET owner_uid = -1 WHERE id = 3", 1, 4, 0},
        {"UPDATE job SET array_next = 11 WHERE id = 4", 2, 3, 0},    // and its element
        {"UPDATE job SET state = 'sleeping' WHERE id = 1", 3, 4, 0}, // and its placements
        {"UPDATE placement SET state = 'there' WHERE id = 1", 3, 4, 0},
        {"UPDATE placement SET cores = '0-' WHERE id = 1", 3, 4, 0},
        {"UPDATE placement SET node = 9 WHERE id = 2", 3, 4, 0},
        {"UPDATE placement SET node = 1 WHERE id = 2", 3, 4, 0}, // its cores are taken there
        {"UPDATE placement SET node = 1 WHERE id = 3", 2, 4, 0},
        {"UPDATE placement SET attempt = 2 WHERE id = 3", 2, 4, 0},
        {"UPDATE placement SET uid = 77 WHERE id = 3", 2, 4, 0},
        {"UPDATE node SET cores = -1 WHERE id = 2", 1, 5, 1},
        {"UPDATE node SET name = '' WHERE id = 2", 1, 5, 1},
        {"UPDATE node SET cores = 1025 WHERE id = 2", 1, 5, 1},
        {"DELETE FROM node WHERE id = 2", 1, 5, 1},
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        char *dir = dir_make();
        struct store *s = open_or_fail(dir);
        make_small(s);
        MUST(db_exec(&s->db, "PRAGMA foreign_keys = OFF", &test_err));
        MUST(db_exec(&s->db, damages[i].sql, &test_err));
        struct cluster *c = cluster_new(&CLUSTER_LIMITS_DEFAULT);
        struct store_start start;
        int quarantined = -1;
        MUST(store_load(s, c, &start, &quarantined, &test_err));
        if (quarantined != damages[i].quarantined || (int)cluster_live(c) != damages[i].jobs_left ||
            drained_nodes(c) != damages[i].nodes_drained)
            fail_msg("%s: %d quarantined, %zu jobs", damages[i].sql, quarantined, cluster_live(c));
        cluster_start(c, (struct now){1000, 1000}, start.term, start.nonce, start.same_boot,
                      start.hold, start.term_seen);
        cluster_check(c);
        cluster_free(c);
        store_close(s);
        dir_remove(dir);
    }
}

int main(void)
{
    log_init("test", LOG_LEVEL_ERROR + 1, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_ended_jobs_stay_as_history),
        cmocka_unit_test(test_the_last_row_of_a_batch_counts),
        cmocka_unit_test(test_events_and_tasks),
        cmocka_unit_test(test_damaged_records_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
