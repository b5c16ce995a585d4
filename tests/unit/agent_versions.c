// Journals of older and newer agents, on real files.
#include "agent/shell/node.h"
#include "common/alloc.h"
#include "tests/unit/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLUSTER = 0xc1, JOURNAL_MAX = 64 << 10 };

static char top[] = "/dev/shm/muster-versions-XXXXXX";

static struct attempt_id id(uint64_t job)
{
    return (struct attempt_id){{CLUSTER}, {job}, 1};
}

static struct node *node_begin(const char *boot_id)
{
    struct node *n = xcalloc(1, sizeof *n);
    n->loop = xcalloc(1, sizeof *n->loop);
    uv_loop_init(n->loop);
    n->name = "n1";
    n->dir = xstrdup(top);
    n->run_dir = xasprintf("%s/run-%s", top, boot_id);
    mkdir(n->run_dir, 0755);
    snprintf(n->boot_id, sizeof n->boot_id, "%s", boot_id);
    n->state_id = 7;
    n->journal_intact = true;
    n->core = agent_new();
    TAILQ_INIT(&n->held);
    TAILQ_INIT(&n->waiting);
    return n;
}

static struct node *node_open(const char *boot_id)
{
    struct node *n = node_begin(boot_id);
    struct err err = {0};
    if (journal_open(n, &err))
        fail_msg("%s", err.message);
    agent_check(n->core);
    return n;
}

static void node_end(struct node *n)
{
    if (n->journal)
        journal_close(n->journal);
    while (!TAILQ_EMPTY(&n->held))
        held_remove(n, TAILQ_FIRST(&n->held));
    uv_run(n->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(n->loop), 0);
    free(n->loop);
    agent_free(n->core);
    free(n->dir);
    free(n->run_dir);
    free(n);
}

static int setup(void **state)
{
    (void)state;
    return temp_dir_make(top);
}

static int teardown(void **state)
{
    (void)state;
    return temp_dir_remove(top);
}

static void append(struct node *n, Muster__JournalRecord *record)
{
    static uint64_t number;
    journal_append(n->journal, record, ++number);
}

static Muster__AttemptId wire_id(uint64_t job)
{
    Muster__AttemptId a = MUSTER__ATTEMPT_ID__INIT;
    a.cluster = CLUSTER;
    a.job_uid = job;
    a.number = 1;
    return a;
}

static void append_term(struct node *n, uint64_t number)
{
    Muster__JournalRecord record = MUSTER__JOURNAL_RECORD__INIT;
    Muster__JournalTerm term = MUSTER__JOURNAL_TERM__INIT;
    term.cluster = CLUSTER;
    term.term = number;
    term.nonce = number * 0x1111111111111111; // no byte is zero: a cut shows
    record.body_case = MUSTER__JOURNAL_RECORD__BODY_TERM;
    record.term = &term;
    append(n, &record);
}

static void append_order(struct node *n, uint64_t job)
{
    Muster__JournalRecord record = MUSTER__JOURNAL_RECORD__INIT;
    Muster__Launch launch = MUSTER__LAUNCH__INIT;
    Muster__Resources held = MUSTER__RESOURCES__INIT;
    Muster__AttemptId a = wire_id(job);
    char cores[8];
    snprintf(cores, sizeof cores, "%u", (unsigned)job);
    held.cores = cores;
    launch.attempt = &a;
    launch.job_id = job;
    launch.lease_ms = 30000;
    launch.spec = (ProtobufCBinaryData){3, (uint8_t *)"abc"};
    launch.resources = &held;
    record.body_case = MUSTER__JOURNAL_RECORD__BODY_ORDER;
    record.order = &launch;
    append(n, &record);
}

static enum attempt_phase phase(struct node *n, uint64_t job)
{
    const struct agent_attempt *t = agent_find(n->core, id(job));
    return t ? t->phase : ATTEMPT_PHASE_COUNT;
}

// The bytes of the journal without its reserve of zeros.
static uint8_t *read_journal(size_t *ret_len)
{
    AUTO_FREE char *path = xasprintf("%s/journal", top);
    uint8_t *bytes = xcalloc(1, JOURNAL_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, bytes, JOURNAL_MAX);
    close(fd);
    assert_true(n > 0);
    while (n && !bytes[n - 1])
        n--;
    *ret_len = (size_t)n;
    return bytes;
}

static void append_header(struct node *n, uint32_t version)
{
    Muster__JournalRecord record = MUSTER__JOURNAL_RECORD__INIT;
    Muster__JournalHeader header = MUSTER__JOURNAL_HEADER__INIT;
    header.state_id = 7;
    header.boot_id = (char *)"boot-1";
    header.cluster = CLUSTER;
    header.version = version;
    record.body_case = MUSTER__JOURNAL_RECORD__BODY_HEADER;
    record.header = &header;
    append(n, &record);
}

static void append_parts(struct node *n, uint64_t job)
{
    Muster__JournalRecord record = MUSTER__JOURNAL_RECORD__INIT;
    Muster__Launch launch = MUSTER__LAUNCH__INIT;
    Muster__Resources held = MUSTER__RESOURCES__INIT;
    Muster__AttemptId a = wire_id(job);
    uint32_t gpus[] = {0, 5}, milli[] = {250, 1000};
    held.pool = (char *)"2-3";
    held.cpu_milli = 1500;
    held.n_gpus = held.n_gpu_milli = 2;
    held.gpus = gpus;
    held.gpu_milli = milli;
    launch.attempt = &a;
    launch.resources = &held;
    record.body_case = MUSTER__JOURNAL_RECORD__BODY_ORDER;
    record.order = &launch;
    append(n, &record);
}

static void parts_and_shares_are_read_back(void **state)
{
    (void)state;
    struct node *n = node_open("boot-1");
    append_term(n, 5);
    append_parts(n, 1);
    node_end(n);
    for (int i = 0; i < 2; i++) { // as it was written, and written anew
        n = node_open("boot-1");
        const struct agent_held *h = &agent_find(n->core, id(1))->order.held;
        struct coreset pool = coreset_first(4), below = coreset_first(2);
        coreset_subtract(&pool, &below);
        assert_true(coreset_equal(&h->pool, &pool) && coreset_empty(&h->cores));
        assert_int_equal(h->cpu_milli, 1500);
        assert_int_equal(h->gpus, 1 << 0 | 1 << 5);
        assert_int_equal(h->gpu_milli[0], 250);
        assert_int_equal(h->gpu_milli[5], 0); // whole
        node_end(n);
    }
}

static void an_older_journal_is_read(void **state)
{
    (void)state;
    struct node *n = node_open("boot-1");
    append_header(n, 0);
    append_term(n, 5);
    append_order(n, 1);
    node_end(n);
    n = node_open("boot-1");
    assert_int_equal(n->journal_version, 0);
    assert_int_equal(phase(n, 1), ATTEMPT_ORDERED);
    assert_true(coreset_has(&agent_find(n->core, id(1))->order.held.cores, 1));
    node_end(n);
    n = node_open("boot-1");
    assert_int_equal(n->journal_version, JOURNAL_VERSION);
    assert_int_equal(phase(n, 1), ATTEMPT_ORDERED);
    node_end(n);
}

static void a_newer_journal_is_left_alone(void **state)
{
    (void)state;
    struct err err = {0};
    size_t before, after;
    struct node *n = node_open("boot-1");
    append_term(n, 5);
    append_order(n, 1);
    append_header(n, JOURNAL_VERSION + 1);
    node_end(n);
    AUTO_FREE uint8_t *was = read_journal(&before);
    n = node_begin("boot-1");
    assert_int_equal(journal_open(n, &err), E_REFUSED);
    assert_non_null(strstr(err.message, "newer agent"));
    node_end(n);
    AUTO_FREE uint8_t *is = read_journal(&after);
    assert_int_equal(before, after);
    assert_memory_equal(was, is, before);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(parts_and_shares_are_read_back),
        STORY(an_older_journal_is_read),
        STORY(a_newer_journal_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
