// The agent's journal on real files: what is read back, what a torn tail and a flipped bit do, a
// full disk, a failing fsync, a lost file; and what a restarted agent makes of it all.
#include "agent/shell/node.h"
#include "common/alloc.h"
#include "tests/unit/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CLUSTER = 0xc1, JOURNAL_MAX = 64 << 10 };

static char top[] = "/dev/shm/muster-journal-XXXXXX";

static struct attempt_id id(uint64_t job)
{
    return (struct attempt_id){{CLUSTER}, {job}, 1};
}

static char *path_of(const char *name)
{
    return xasprintf("%s/%s", top, name);
}

static bool exists(const char *name)
{
    AUTO_FREE char *path = path_of(name);
    return access(path, F_OK) == 0;
}

// ---- an agent's start, as far as its journal goes ----

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

// Restarts: the next agent over the same directory.
static struct node *node_again(struct node *n, const char *boot_id)
{
    node_end(n);
    return node_open(boot_id);
}

static int setup(void **state)
{
    (void)state;
    return temp_dir_make(top);
}

static int teardown(void **state)
{
    (void)state;
    umount(top); // if a test left it
    return temp_dir_remove(top);
}

// ---- records ----

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

static void append_end(struct node *n, uint64_t job)
{
    Muster__JournalRecord record = MUSTER__JOURNAL_RECORD__INIT;
    Muster__End end = MUSTER__END__INIT;
    Muster__Reason reason = MUSTER__REASON__INIT;
    Muster__AttemptId a = wire_id(job);
    reason.word = (char *)"task_failed";
    reason.a = 3;
    reason.detail = (char *)"why";
    end.attempt = &a;
    end.started = true;
    end.reason = &reason;
    record.body_case = MUSTER__JOURNAL_RECORD__BODY_END;
    record.end = &end;
    append(n, &record);
}

static void append_ack(struct node *n, uint64_t job)
{
    Muster__JournalRecord record = MUSTER__JOURNAL_RECORD__INIT;
    Muster__EndAck ack = MUSTER__END_ACK__INIT;
    Muster__AttemptId a = wire_id(job);
    ack.attempt = &a;
    record.body_case = MUSTER__JOURNAL_RECORD__BODY_END_ACK;
    record.end_ack = &ack;
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
    AUTO_FREE char *path = path_of("journal");
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

// With `size` beyond the bytes the rest are zeros, as in the reserve.
static void write_journal(const uint8_t *bytes, size_t len, size_t size)
{
    AUTO_FREE char *path = path_of("journal");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

// Offsets at which records end, [0] = 0; the last is the length.
static size_t record_ends(const uint8_t *bytes, size_t len, size_t ret[16])
{
    size_t count = 0;
    ret[count++] = 0;
    for (size_t at = 0; at < len;) {
        at += 8 + (size_t)(bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16);
        ret[count++] = at;
    }
    assert_int_equal(ret[count - 1], len);
    return count;
}

// A header, a term and three orders, of which the second has ended.
static uint8_t *sample(size_t *ret_len)
{
    struct node *n = node_open("boot-1");
    append_term(n, 5);
    append_order(n, 1);
    append_order(n, 2);
    append_end(n, 2);
    append_order(n, 3);
    node_end(n);
    return read_journal(ret_len);
}

// ---- reading back ----

static void what_was_written_is_read_back(void **state)
{
    (void)state;
    struct node *n = node_open("boot-1");
    assert_int_equal(agent_count(n->core), 0);
    append_term(n, 5);
    append_order(n, 1);
    append_order(n, 2);
    append_order(n, 3);
    append_end(n, 2);
    append_end(n, 3);
    append_ack(n, 3);
    for (int i = 0; i < 3; i++) { // each start writes it anew
        n = node_again(n, "boot-1");
        assert_true(n->journal_intact);
        assert_int_equal(agent_cluster(n->core).v, CLUSTER);
        assert_int_equal(agent_term_seen(n->core), 5);
        assert_int_equal(agent_nonce_seen(n->core), 0x5555555555555555);
        assert_int_equal(agent_count(n->core), 2);
        assert_int_equal(phase(n, 1), ATTEMPT_ORDERED);
        const struct agent_attempt *t = agent_find(n->core, id(1));
        assert_int_equal(t->order.lease_ms, 30000);
        assert_true(coreset_has(&t->order.held.cores, 1));
        assert_int_equal(coreset_count(&t->order.held.cores), 1);
        assert_memory_equal(held_find(n, id(1))->launch->spec.data, "abc", 3);
        t = agent_find(n->core, id(2));
        assert_int_equal(t->phase, ATTEMPT_ENDED);
        assert_true(t->started);
        assert_int_equal(t->end.code, REASON_TASK_FAILED);
        assert_int_equal(t->end.a, 3);
        assert_string_equal(t->detail, "why");
        assert_null(held_find(n, id(3)));
    }
    node_end(n);
}

static void a_restart_shrinks_it_to_what_is_true(void **state)
{
    (void)state;
    size_t before, after;
    struct node *n = node_open("boot-1");
    append_term(n, 1);
    for (uint64_t job = 1; job <= 50; job++) {
        append_order(n, job);
        append_end(n, job);
        append_ack(n, job);
    }
    free(read_journal(&before));
    n = node_again(n, "boot-1");
    free(read_journal(&after));
    assert_true(after * 20 < before);
    node_end(n);
}

// Appends what came and went until the journal is due to be written anew, and lets that happen.
static void let_it_grow(struct node *n)
{
    static char detail[4096];
    memset(detail, 'x', sizeof detail - 1);
    for (int i = 0; i < 600; i++) {
        Muster__JournalRecord record = MUSTER__JOURNAL_RECORD__INIT;
        Muster__End end = MUSTER__END__INIT;
        Muster__Reason reason = MUSTER__REASON__INIT;
        Muster__AttemptId a = wire_id(1000);
        reason.word = (char *)"exited";
        reason.detail = detail;
        end.attempt = &a;
        end.reason = &reason;
        record.body_case = MUSTER__JOURNAL_RECORD__BODY_END;
        record.end = &end;
        append(n, &record);
    }
    append_ack(n, 1000);
    journal_flush(n);
    uv_run(n->loop, UV_RUN_DEFAULT);
}

static void a_journal_that_has_grown_is_written_anew(void **state)
{
    (void)state;
    size_t len;
    struct node *n = node_open("boot-1");
    append_term(n, 5);
    append_order(n, 1);
    append_order(n, 2);
    append_end(n, 2);
    n = node_again(n, "boot-1");
    for (int i = 0; i < 3; i++) {
        let_it_grow(n);
        free(read_journal(&len));
        assert_true(len < 1000);
    }
    append_order(n, 3); // into the new file
    journal_flush(n);
    uv_run(n->loop, UV_RUN_DEFAULT);
    n = node_again(n, "boot-1");
    assert_true(n->journal_intact);
    assert_int_equal(agent_term_seen(n->core), 5);
    assert_int_equal(agent_count(n->core), 3);
    assert_int_equal(phase(n, 2), ATTEMPT_ENDED);
    assert_int_equal(phase(n, 3), ATTEMPT_ORDERED);
    node_end(n);
}

// The process dies with the new file written and not yet in its place.
static void a_crash_while_it_is_written_anew_loses_nothing(void **state)
{
    (void)state;
    struct node *n = node_open("boot-1");
    append_term(n, 5);
    append_order(n, 1);
    n = node_again(n, "boot-1");
    size_t len;
    AUTO_FREE uint8_t *bytes = read_journal(&len);
    AUTO_FREE char *spare = path_of("journal.spare");
    node_end(n);
    for (size_t cut = 0; cut <= len; cut += 7) {
        int fd = open(spare, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(pwrite(fd, bytes, cut, 0), (ssize_t)cut);
        close(fd);
        n = node_open("boot-1");
        assert_true(n->journal_intact);
        assert_int_equal(agent_count(n->core), 1);
        assert_int_equal(phase(n, 1), ATTEMPT_ORDERED);
        node_end(n);
    }
}

static void a_flush_releases_what_waits_for_the_disk(void **state)
{
    (void)state;
    struct node *n = node_open("boot-1");
    struct waiting_output *w = xcalloc(1, sizeof *w);
    w->o = (struct agent_output){.kind = AGENT_OUT_FORGET, .id = id(1)};
    w->record = 900;
    held_add(n, id(1));
    TAILQ_INSERT_TAIL(&n->waiting, w, link);
    Muster__JournalRecord record = MUSTER__JOURNAL_RECORD__INIT;
    Muster__JournalTerm term = MUSTER__JOURNAL_TERM__INIT;
    term.cluster = CLUSTER;
    term.term = 1;
    record.body_case = MUSTER__JOURNAL_RECORD__BODY_TERM;
    record.term = &term;
    journal_append(n->journal, &record, 899);
    journal_flush(n);
    uv_run(n->loop, UV_RUN_DEFAULT);
    assert_non_null(held_find(n, id(1))); // 899 is on disk, 900 is not
    journal_append(n->journal, &record, 900);
    assert_non_null(held_find(n, id(1)));
    journal_flush(n);
    assert_non_null(held_find(n, id(1)));
    uv_run(n->loop, UV_RUN_DEFAULT);
    assert_null(held_find(n, id(1)));
    node_end(n);
}

// ---- damage ----

static void a_tail_torn_anywhere_is_cut_off(void **state)
{
    (void)state;
    size_t len, ends[16];
    AUTO_FREE uint8_t *bytes = sample(&len);
    size_t count = record_ends(bytes, len, ends);
    assert_int_equal(count, 7);
    for (int reserve = 0; reserve < 2; reserve++)
        for (size_t cut = 0; cut < len; cut++) {
            size_t whole = 0;
            while (ends[whole + 1] <= cut)
                whole++;
            write_journal(bytes, cut, reserve ? len + 100000 : cut);
            struct node *n = node_open("boot-1");
            if (!n->journal_intact)
                fail_msg("cut at %zu, reserve %d: not intact", cut, reserve);
            assert_int_equal(agent_term_seen(n->core), whole >= 2 ? 5 : 0);
            assert_int_equal(phase(n, 1), whole >= 3 ? ATTEMPT_ORDERED : ATTEMPT_PHASE_COUNT);
            assert_int_equal(phase(n, 2), whole >= 5   ? ATTEMPT_ENDED
                                          : whole >= 4 ? ATTEMPT_ORDERED
                                                       : ATTEMPT_PHASE_COUNT);
            assert_int_equal(phase(n, 3), ATTEMPT_PHASE_COUNT);
            append_order(n, 9); // it can be written on
            n = node_again(n, "boot-1");
            assert_true(n->journal_intact);
            assert_int_equal(phase(n, 9), ATTEMPT_ORDERED);
            node_end(n);
        }
    assert_false(exists("journal.damaged"));
}

static void a_flipped_bit_anywhere_is_noticed(void **state)
{
    (void)state;
    size_t len, ends[16];
    AUTO_FREE uint8_t *bytes = sample(&len);
    size_t count = record_ends(bytes, len, ends);
    for (size_t at = 0; at < len; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1 << bit);
            write_journal(bytes, len, len + 100000);
            bytes[at] ^= (uint8_t)(1 << bit);
            struct node *n = node_open("boot-1");
            // A longer last record cannot be told from one that is cut off.
            bool last_length = at >= ends[count - 2] && at < ends[count - 2] + 4;
            if (n->journal_intact && !last_length)
                fail_msg("bit %d of byte %zu of %zu was not noticed", bit, at, len);
            assert_true(n->journal_intact || exists("journal.damaged"));
            assert_true(agent_count(n->core) <= 3);
            // What was before it is known.
            assert_int_equal(agent_term_seen(n->core), at >= ends[2] ? 5 : 0);
            assert_true(at < ends[3] || phase(n, 1) != ATTEMPT_PHASE_COUNT);
            node_end(n);
        }
}

static void noise_does_no_harm(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    uint32_t x = 1;
    for (int i = 0; i < 300; i++) {
        for (size_t k = 0; k < sizeof bytes; k++) {
            x = x * 1664525 + 1013904223;
            bytes[k] = (uint8_t)(x >> 24);
        }
        write_journal(bytes, sizeof bytes, sizeof bytes);
        struct node *n = node_open("boot-1");
        assert_int_equal(agent_count(n->core), 0);
        node_end(n);
    }
}

static void a_live_shepherd_of_a_damaged_journal_is_one_attempt(void **state)
{
    (void)state;
    size_t len, ends[16];
    struct err err;
    int lock;
    AUTO_FREE uint8_t *bytes = sample(&len);
    record_ends(bytes, len, ends);
    struct node *n = node_begin("boot-1");
    assert_int_equal(attempt_lock_take(n->run_dir, id(1), &lock, &err), 0);
    int lock3;
    assert_int_equal(attempt_lock_take(n->run_dir, id(3), &lock3, &err), 0);
    node_end(n);
    bytes[ends[3] + 9] ^= 1; // the order of job 2: 1 stands before it, 3 is lost after it
    write_journal(bytes, len, len);
    n = node_open("boot-1");
    assert_false(n->journal_intact);
    assert_int_equal(agent_count(n->core), 2);
    assert_int_equal(phase(n, 1), ATTEMPT_FORKED);
    assert_int_equal(agent_find(n->core, id(1))->order.lease_ms, 30000);
    assert_int_equal(phase(n, 3), ATTEMPT_FORKED);
    assert_int_equal(agent_find(n->core, id(3))->order.lease_ms, -1); // until it says its order
    n = node_again(n, "boot-1"); // what it said is still not known
    assert_false(n->journal_intact);
    n = node_again(n, "boot-2"); // and no longer of interest
    assert_true(n->journal_intact);
    node_end(n);
    close(lock);
    close(lock3);
}

// ---- what became of an order ----

static void an_order_is_judged_by_its_lock(void **state)
{
    (void)state;
    struct err err;
    int lock[4];
    struct node *n = node_open("boot-1");
    append_term(n, 1);
    for (uint64_t job = 0; job < 4; job++) {
        append_order(n, job + 1);
        assert_int_equal(attempt_lock_take(n->run_dir, id(job + 1), &lock[job], &err), 0);
    }
    // 1 lives; 2 took the order and died; 3 died before; 4 left word of its end.
    assert_int_equal(attempt_lock_mark_ordered(lock[1], &err), 0);
    assert_int_equal(attempt_lock_mark_ordered(lock[3], &err), 0);
    Muster__End end = MUSTER__END__INIT;
    uint8_t packed[64];
    Muster__AttemptId a = wire_id(4);
    Muster__Reason reason = MUSTER__REASON__INIT;
    reason.word = (char *)"exited";
    end.attempt = &a;
    end.reason = &reason;
    end.started = true;
    assert_int_equal(
        attempt_end_write(n->run_dir, id(4), packed, muster__end__pack(&end, packed), &err), 0);
    for (int i = 1; i < 4; i++)
        close(lock[i]);
    n = node_again(n, "boot-1");
    assert_int_equal(phase(n, 1), ATTEMPT_FORKED);
    assert_int_equal(phase(n, 2), ATTEMPT_ENDING);
    assert_int_equal(agent_find(n->core, id(2))->end.code, REASON_SHEPHERD_LOST);
    assert_int_equal(phase(n, 3), ATTEMPT_ORDERED);
    assert_int_equal(phase(n, 4), ATTEMPT_ENDED);
    assert_int_equal(agent_find(n->core, id(4))->end.code, REASON_EXITED);
    attempt_files_remove(n->run_dir, id(4));
    n = node_again(n, "boot-1"); // the word of its end is in the journal by now
    assert_int_equal(phase(n, 4), ATTEMPT_ENDED);
    node_end(n);
    close(lock[0]);
}

static void a_deadline_is_read_and_never_invented(void **state)
{
    (void)state;
    struct err err;
    volatile int64_t *word;
    struct node *n = node_open("boot-1");
    append_term(n, 1);
    append_order(n, 1);
    append_order(n, 2);
    assert_int_equal(attempt_deadline_open(n->run_dir, id(1), true, 123456, &word, &err), 0);
    attempt_deadline_close(word);
    n = node_again(n, "boot-1");
    assert_int_equal(agent_find(n->core, id(1))->deadline_ms, 123456);
    assert_int_equal(agent_find(n->core, id(2))->deadline_ms, 0); // passed
    node_end(n);
}

static void a_reboot_ends_orders_for_good(void **state)
{
    (void)state;
    struct node *n = node_open("boot-1");
    append_term(n, 1);
    append_order(n, 1);
    append_order(n, 2);
    append_end(n, 2);
    for (int i = 0; i < 2; i++) { // the second start is of the same boot as the first
        n = node_again(n, "boot-2");
        const struct agent_attempt *t = agent_find(n->core, id(1));
        assert_int_equal(t->phase, ATTEMPT_ENDED);
        assert_int_equal(t->end.code, REASON_NODE_REBOOTED);
        assert_true(t->started);
        assert_int_equal(agent_find(n->core, id(2))->end.code, REASON_TASK_FAILED);
    }
    node_end(n);
}

static void a_lost_journal_finds_its_shepherds(void **state)
{
    (void)state;
    struct err err;
    int lives, died;
    struct node *n = node_open("boot-1");
    agent_load_term(n->core, (struct cluster_id){CLUSTER}, 1, 11);
    restore_keep_cluster(n);
    assert_int_equal(attempt_lock_take(n->run_dir, id(1), &lives, &err), 0);
    assert_int_equal(attempt_lock_take(n->run_dir, id(2), &died, &err), 0);
    assert_int_equal(attempt_lock_mark_ordered(died, &err), 0);
    close(died);
    node_end(n);
    AUTO_FREE char *path = path_of("journal");
    assert_int_equal(unlink(path), 0);
    n = node_begin("boot-1");
    n->journal_intact = false; // the state directory is old and has none
    assert_int_equal(journal_open(n, &err), 0);
    assert_false(n->journal_intact);
    assert_int_equal(agent_cluster(n->core).v, CLUSTER);
    assert_int_equal(agent_count(n->core), 2);
    assert_int_equal(phase(n, 1), ATTEMPT_FORKED);
    assert_int_equal(phase(n, 2), ATTEMPT_ENDING); // its tasks are swept
    assert_true(exists("journal"));
    node_end(n);
    close(lives);
}

// ---- a bad disk ----

// Runs this program again with a word for main(), and returns its exit status.
static int run_again(const char *what)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(quiet, 2);
        execl("/proc/self/exe", "agent_journal", what, top, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void write_beyond_the_limit(void)
{
    struct rlimit limit = {6000, 6000};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    struct node *n = node_open("boot-1");
    for (uint64_t job = 1; job < 1000; job++)
        append_order(n, job);
}

static void what_cannot_be_written_ends_the_agent(void **state)
{
    (void)state;
    assert_int_equal(run_again("write-beyond"), 1);
    struct node *n = node_open("boot-1");
    assert_true(n->journal_intact);
    assert_true(agent_count(n->core) > 50); // all that fitted; the torn one is cut off
    for (uint64_t job = 1; job <= agent_count(n->core); job++)
        assert_int_equal(phase(n, job), ATTEMPT_ORDERED);
    node_end(n);
}

// The journal's descriptor becomes a pipe, which cannot be synced.
static void break_sync(void)
{
    struct node *n = node_open("boot-1");
    append_order(n, 1);
    int pair[2], fd = -1;
    char link[64], path[512];
    for (int i = 3; i < 64 && fd < 0; i++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", i);
        ssize_t len = readlink(link, path, sizeof path - 1);
        path[len > 0 ? len : 0] = 0;
        if (strstr(path, "/journal"))
            fd = i;
    }
    if (fd < 0 || pipe(pair) || dup2(pair[0], fd) < 0)
        _exit(3);
    journal_flush(n);
    uv_run(n->loop, UV_RUN_DEFAULT);
}

static void a_failing_fsync_ends_the_agent(void **state)
{
    (void)state;
    assert_int_equal(run_again("break-sync"), 1);
}

static void a_full_disk_is_said_and_the_old_journal_kept(void **state)
{
    (void)state;
    size_t before, after;
    if (mount("tmpfs", top, "tmpfs", 0, "size=6m")) {
        print_message("skipped: cannot mount: %s\n", strerror(errno));
        skip();
    }
    struct node *n = node_open("boot-1");
    append_term(n, 1);
    append_order(n, 1);
    node_end(n);
    AUTO_FREE uint8_t *was = read_journal(&before);
    n = node_begin("boot-1");
    struct err err = {0};
    assert_int_equal(journal_open(n, &err), E_NO_SPACE); // it wants its reserve of 4 MiB
    assert_non_null(strstr(err.message, "is full"));
    node_end(n);
    AUTO_FREE uint8_t *is = read_journal(&after);
    assert_int_equal(after, before);
    assert_memory_equal(is, was, before);
    assert_int_equal(umount(top), 0);
}

static void fill_disk(void)
{
    static char block[4096];
    AUTO_FREE char *path = path_of("fill");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, block, sizeof block) > 0)
        ;
    close(fd);
}

static void a_disk_that_fills_up_stops_neither_start_nor_work(void **state)
{
    (void)state;
    if (mount("tmpfs", top, "tmpfs", 0, "size=10m")) {
        print_message("skipped: cannot mount: %s\n", strerror(errno));
        skip();
    }
    struct node *n = node_open("boot-1");
    append_term(n, 1);
    append_order(n, 1);
    fill_disk();
    n = node_again(n, "boot-1");
    for (int i = 0; i < 3; i++)
        let_it_grow(n);
    append_end(n, 1);
    n = node_again(n, "boot-1");
    assert_true(n->journal_intact);
    assert_int_equal(phase(n, 1), ATTEMPT_ENDED);
    node_end(n);
    assert_int_equal(umount(top), 0);
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        snprintf(top, sizeof top, "%s", argv[2]);
        if (strcmp(argv[1], "write-beyond") == 0)
            write_beyond_the_limit();
        else
            break_sync();
        return 77; // it should not have come to this
    }
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(what_was_written_is_read_back),
        STORY(a_restart_shrinks_it_to_what_is_true),
        STORY(a_journal_that_has_grown_is_written_anew),
        STORY(a_crash_while_it_is_written_anew_loses_nothing),
        STORY(a_flush_releases_what_waits_for_the_disk),
        STORY(a_tail_torn_anywhere_is_cut_off),
        STORY(a_flipped_bit_anywhere_is_noticed),
        STORY(noise_does_no_harm),
        STORY(a_live_shepherd_of_a_damaged_journal_is_one_attempt),
        STORY(an_order_is_judged_by_its_lock),
        STORY(a_deadline_is_read_and_never_invented),
        STORY(a_reboot_ends_orders_for_good),
        STORY(a_lost_journal_finds_its_shepherds),
        STORY(what_cannot_be_written_ends_the_agent),
        STORY(a_failing_fsync_ends_the_agent),
        STORY(a_full_disk_is_said_and_the_old_journal_kept),
        STORY(a_disk_that_fills_up_stops_neither_start_nor_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
