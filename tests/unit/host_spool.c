// The spool's bound: the oldest go first, what is held or young stays, links are not followed.
#include "agent/host/attempt_files.h"
#include "agent/host/spool.h"
#include "common/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/temp_dir.h"

static char dir[] = "/tmp/muster-spool-XXXXXX";
enum { FILE_BYTES = 8192 };

static char *path_of(uint64_t job)
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name((struct attempt_id){{1}, {job}, 1}, name);
    return xasprintf("%s/%s", dir, name);
}

// An attempt that wrote so many bytes so long ago.
static void make(uint64_t job, int64_t age_s)
{
    static char bytes[FILE_BYTES];
    AUTO_FREE char *path = path_of(job);
    AUTO_FREE char *file = xasprintf("%s/3.out", path);
    struct timespec at[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};
    assert_int_equal(mkdir(path, 0700), 0);
    int fd = open(file, O_WRONLY | O_CREAT, 0600);
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
    fsync(fd); // blocks are allocated
    futimens(fd, at);
    close(fd);
    assert_int_equal(utimensat(AT_FDCWD, path, at, 0), 0);
}

static bool there(uint64_t job)
{
    AUTO_FREE char *path = path_of(job);
    return access(path, F_OK) == 0;
}

static struct spool_trimmed trim(int64_t bytes, size_t attempts, const struct attempt_id *held,
                                 size_t count)
{
    struct spool_limit limit = {bytes, attempts, 60};
    struct spool_trimmed t;
    struct err err;
    if (spool_trim(dir, &limit, held, count, &t, &err))
        fail_msg("%s", err.message);
    return t;
}

static int setup(void **state)
{
    (void)state;
    return temp_dir_make(dir);
}

static int teardown(void **state)
{
    (void)state;
    return temp_dir_remove(dir);
}

static void oldest_first(void **state)
{
    struct spool_trimmed t;
    (void)state;
    for (uint64_t job = 1; job <= 10; job++)
        make(job, 1000 - (int64_t)job);
    t = trim(INT64_MAX, 100, NULL, 0);
    assert_int_equal(t.attempts, 10);
    assert_int_equal(t.removed, 0);
    assert_true(t.bytes >= 10 * FILE_BYTES);
    int64_t one = t.bytes / 10;
    t = trim(4 * one, 100, NULL, 0);
    assert_int_equal(t.removed, 6);
    assert_true(!there(6) && there(7) && t.bytes <= 4 * one);
    t = trim(INT64_MAX, 3, NULL, 0);
    assert_true(t.removed == 1 && !there(7) && there(8));
}

static void held_and_young_stay(void **state)
{
    (void)state;
    struct attempt_id held[] = {{{1}, {99}, 1}, {{1}, {1}, 1}};
    make(1, 5000);
    make(2, 4000);
    make(3, 10);
    struct spool_trimmed t = trim(0, 0, held, 2);
    assert_true(there(1) && !there(2) && there(3));
    assert_int_equal(t.removed, 1);
    t = trim(0, 0, NULL, 0);
    assert_true(!there(1) && there(3));
}

// A task owns its files, and so their times.
static void a_time_that_has_not_come_keeps_nothing(void **state)
{
    (void)state;
    make(1, -1000000);
    make(2, 5000);
    struct spool_trimmed t = trim(INT64_MAX, 1, NULL, 0);
    assert_true(!there(1) && there(2));
    assert_int_equal(t.removed, 1);
}

static void links_and_strangers(void **state)
{
    (void)state;
    AUTO_FREE char *path = path_of(1), *in = xasprintf("%s/link", path);
    AUTO_FREE char *outside = xasprintf("%s/keep-me", dir), *file = xasprintf("%s/f", outside);
    assert_int_equal(mkdir(outside, 0700), 0);
    close(open(file, O_WRONLY | O_CREAT, 0600));
    make(1, 5000);
    assert_int_equal(symlink(outside, in), 0);
    struct timespec at[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    utimensat(AT_FDCWD, in, at, AT_SYMLINK_NOFOLLOW);
    utimensat(AT_FDCWD, path, at, 0);
    trim(0, 0, NULL, 0);
    assert_false(there(1));
    assert_int_equal(access(file, F_OK), 0); // neither followed nor taken for an attempt
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(oldest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(held_and_young_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(a_time_that_has_not_come_keeps_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(links_and_strangers, setup, teardown),
    };
    return cmocka_run_group_tests_name("host_spool", tests, NULL, NULL);
}
