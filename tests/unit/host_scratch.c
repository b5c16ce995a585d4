// Scratch directories: made for one user, removed without ever following a link.
#include "agent/host/scratch.h"
#include "common/alloc.h"
#include "common/text.h"
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
#include <sys/wait.h>
#include <unistd.h>

// A directory that stands for /tmp and /dev/shm, and one that must stay as it is.
struct place {
    char top[64], precious[128], victim[160];
    struct scratch s;
};

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static int setup(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    snprintf(p->top, sizeof p->top, "/tmp/muster-scratch-XXXXXX");
    if (temp_dir_make(p->top))
        return -1;
    snprintf(p->s.dir, sizeof p->s.dir, "%s/muster-0/a.1.n1", p->top);
    snprintf(p->s.shm, sizeof p->s.shm, "%s/shm-a.1.n1", p->top);
    snprintf(p->precious, sizeof p->precious, "%s/precious", p->top);
    snprintf(p->victim, sizeof p->victim, "%s/victim", p->precious);
    mkdir(p->precious, 0700);
    touch(p->victim);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    int rc = temp_dir_remove(p->top);
    free(p);
    return rc;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void in(const char *dir, const char *name, char ret[512])
{
    assert_in_range(snprintf(ret, 512, "%s/%s", dir, name), 1, 511);
}

static void names_tell_attempt_node_and_user(void **state)
{
    (void)state;
    struct attempt_id id = {{0xc1}, {0xab}, 2};
    struct scratch s = scratch_name(id, "n1", 1000);
    assert_string_equal(s.dir, "/tmp/muster-1000/00000000000000ab.2.n1");
    assert_string_equal(s.shm, "/dev/shm/muster-00000000000000ab.2.n1");
    // Room for a socket's name below it: at most 107 bytes in all.
    char longest[64];
    memset(longest, 'n', 63);
    longest[63] = 0;
    s = scratch_name((struct attempt_id){{1}, {UINT64_MAX}, UINT32_MAX}, longest, UINT32_MAX);
    assert_true(strlen(s.dir) < SCRATCH_PATH_MAX - 1 && strlen(s.shm) < SCRATCH_PATH_MAX - 1);
}

static void what_is_made_is_private_and_removed_whole(void **state)
{
    struct place *p = *state;
    struct err err;
    struct stat st;
    char path[512];
    AUTO(text) struct text deep = {0};
    for (int i = 0; i < 2; i++) { // making it again is no error
        assert_int_equal(scratch_make(&p->s, &err), 0);
        assert_int_equal(stat(p->s.dir, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);
        assert_int_equal(stat(p->s.shm, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);
    }
    in(p->s.dir, "file", path);
    touch(path);
    in(p->s.shm, ".hidden", path);
    touch(path);
    text_add(&deep, p->s.dir);
    for (int i = 0; i < 60; i++) {
        text_add(&deep, "/d");
        assert_int_equal(mkdir(text_str(&deep), 0700), 0);
    }
    text_add(&deep, "/file");
    touch(text_str(&deep));
    in(p->s.dir, "closed", path);
    assert_int_equal(mkdir(path, 0), 0);
    scratch_remove(&p->s);
    assert_false(exists(p->s.dir));
    assert_false(exists(p->s.shm));
    *strrchr(p->s.dir, '/') = 0;
    assert_false(exists(p->s.dir)); // the last one out
    assert_true(exists(p->victim));
}

static void another_attempts_directory_stays(void **state)
{
    struct place *p = *state;
    struct err err;
    struct scratch other = p->s;
    snprintf(other.dir, sizeof other.dir, "%s/muster-0/b.1.n1", p->top);
    snprintf(other.shm, sizeof other.shm, "%s/shm-b.1.n1", p->top);
    assert_int_equal(scratch_make(&p->s, &err), 0);
    assert_int_equal(scratch_make(&other, &err), 0);
    scratch_remove(&p->s);
    assert_false(exists(p->s.dir));
    assert_true(exists(other.dir) && exists(other.shm));
    scratch_remove(&p->s); // nothing there: nothing happens
    scratch_remove(&other);
    assert_false(exists(other.dir) || exists(other.shm));
}

static void links_inside_are_removed_and_not_followed(void **state)
{
    struct place *p = *state;
    struct err err;
    char path[512];
    assert_int_equal(scratch_make(&p->s, &err), 0);
    in(p->s.dir, "to-dir", path);
    assert_int_equal(symlink(p->precious, path), 0);
    in(p->s.shm, "to-file", path);
    assert_int_equal(symlink(p->victim, path), 0);
    in(p->s.shm, "dangling", path);
    assert_int_equal(symlink("/nowhere", path), 0);
    scratch_remove(&p->s);
    assert_false(exists(p->s.dir) || exists(p->s.shm));
    assert_true(exists(p->victim));
}

static void a_link_in_the_place_of_the_directory_is_not_followed(void **state)
{
    struct place *p = *state;
    struct err err;
    assert_int_equal(scratch_make(&p->s, &err), 0);
    assert_int_equal(rmdir(p->s.dir), 0);
    assert_int_equal(rmdir(p->s.shm), 0);
    assert_int_equal(symlink(p->precious, p->s.dir), 0);
    assert_int_equal(symlink(p->precious, p->s.shm), 0);
    scratch_remove(&p->s);
    assert_true(exists(p->victim));
    assert_false(exists(p->s.dir) || exists(p->s.shm));
}

// The user owns the directory of its attempts and may put a link there after the start.
static void a_link_in_the_place_of_the_users_directory_is_not_followed(void **state)
{
    struct place *p = *state;
    char users[SCRATCH_PATH_MAX], same_name[512], path[512];
    snprintf(users, sizeof users, "%s", p->s.dir);
    *strrchr(users, '/') = 0;
    in(p->precious, "a.1.n1", same_name);
    assert_int_equal(mkdir(same_name, 0700), 0);
    in(same_name, "file", path);
    touch(path);
    assert_int_equal(symlink(p->precious, users), 0);
    scratch_remove(&p->s);
    assert_true(exists(path));
    assert_true(exists(p->victim));
}

static void a_name_that_somebody_else_holds_is_refused(void **state)
{
    struct place *p = *state;
    struct err err;
    char users[SCRATCH_PATH_MAX];
    snprintf(users, sizeof users, "%s", p->s.dir);
    *strrchr(users, '/') = 0;
    assert_int_equal(symlink(p->precious, users), 0);
    assert_int_equal(scratch_make(&p->s, &err), E_DENIED);
    assert_non_null(strstr(err.message, "belongs to somebody else"));
    assert_int_equal(unlink(users), 0);
    assert_int_equal(symlink(p->precious, p->s.shm), 0);
    assert_int_equal(scratch_make(&p->s, &err), E_DENIED);
    assert_int_equal(unlink(p->s.shm), 0);
    touch(p->s.shm);
    assert_int_equal(scratch_make(&p->s, &err), E_DENIED);
    assert_int_equal(unlink(p->s.shm), 0);
    if (geteuid() == 0) {
        assert_int_equal(mkdir(p->s.shm, 0777), 0);
        assert_int_equal(chown(p->s.shm, 65534, 65534), 0);
        assert_int_equal(scratch_make(&p->s, &err), E_DENIED);
        assert_int_equal(rmdir(p->s.shm), 0);
        assert_int_equal(chown(users, 65534, 65534), 0);
        assert_int_equal(scratch_make(&p->s, &err), E_DENIED);
        assert_int_equal(chown(users, 0, 0), 0);
    }
    assert_int_equal(scratch_make(&p->s, &err), 0);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_tell_attempt_node_and_user),
        STORY(what_is_made_is_private_and_removed_whole),
        STORY(another_attempts_directory_stays),
        STORY(links_inside_are_removed_and_not_followed),
        STORY(a_link_in_the_place_of_the_directory_is_not_followed),
        STORY(a_link_in_the_place_of_the_users_directory_is_not_followed),
        STORY(a_name_that_somebody_else_holds_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
