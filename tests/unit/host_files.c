// What an agent and a shepherd share on tmpfs: names, the lock, the deadline, the end.
#include "agent/host/attempt_files.h"
#include "common/alloc.h"
#include "tests/unit/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct attempt_id id = {{0xc1}, {0xab}, 3};
static char dir[] = "/dev/shm/muster-files-XXXXXX";

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

static char *path_of(const char *suffix)
{
    return xasprintf("%s/00000000000000ab.3.%s", dir, suffix);
}

static void put(const char *suffix, const char *text)
{
    AUTO_FREE char *path = path_of(suffix);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

// ---- names ----

static void names_and_tokens_are_as_documented(void **state)
{
    (void)state;
    char name[ATTEMPT_NAME_MAX], token[ATTEMPT_TOKEN_MAX];
    attempt_name(id, name);
    assert_string_equal(name, "00000000000000ab.3");
    attempt_token(id, token);
    assert_string_equal(token, "00000000000000c1-00000000000000ab-3");
    struct attempt_id most = {{UINT64_MAX}, {UINT64_MAX}, UINT32_MAX};
    attempt_name(most, name);
    assert_string_equal(name, "ffffffffffffffff.4294967295");
    attempt_token(most, token);
    assert_string_equal(token, "ffffffffffffffff-ffffffffffffffff-4294967295");
}

static void names_are_parsed_back_and_others_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "00000000000000ab",
                                      "00000000000000ab.",
                                      "00000000000000ab.3x",
                                      "00000000000000ab.3.lock",
                                      "00000000000000abc.3",
                                      "xyz.3",
                                      ".3"};
    struct job_uid uid = {5};
    uint32_t number = 5;
    assert_true(attempt_name_parse("00000000000000ab.3", &uid, &number));
    assert_int_equal(uid.v, 0xab);
    assert_int_equal(number, 3);
    assert_true(attempt_name_parse("ffffffffffffffff.4294967295", &uid, &number));
    assert_true(uid.v == UINT64_MAX && number == UINT32_MAX);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (attempt_name_parse(bad[i], &uid, &number))
            fail_msg("\"%s\" was taken for a name", bad[i]);
    assert_true(uid.v == UINT64_MAX && number == UINT32_MAX); // untouched
}

static void a_node_name_too_long_for_an_address_is_refused(void **state)
{
    (void)state;
    struct sockaddr_un address;
    socklen_t len;
    struct err err;
    char node[80];
    assert_int_equal(attempt_address(id, "n1", &address, &len, &err), 0);
    assert_int_equal(address.sun_family, AF_UNIX);
    assert_int_equal(address.sun_path[0], 0); // abstract
    assert_string_equal(address.sun_path + 1, "muster/00000000000000c1/n1/00000000000000ab.3");
    assert_int_equal(len, offsetof(struct sockaddr_un, sun_path) + 1 +
                              strlen("muster/00000000000000c1/n1/00000000000000ab.3"));
    struct attempt_id most = {{UINT64_MAX}, {UINT64_MAX}, UINT32_MAX};
    memset(node, 'n', sizeof node);
    for (size_t i = 79; i > 0; i--) {
        node[i] = 0;
        int rc = attempt_address(most, node, &address, &len, &err);
        assert_int_equal(rc, i <= 54 ? 0 : E_INVALID);
        assert_true(rc || len <= sizeof address);
    }
    memset(node, 'n', 79);
    attempt_address(most, node, &address, &len, &err);
    assert_non_null(strstr(err.message, "too long"));
}

// ---- the lock ----

static enum attempt_lock_state look(pid_t *ret_pid)
{
    enum attempt_lock_state state;
    struct err err;
    assert_int_equal(attempt_lock_look(dir, id, &state, ret_pid, &err), 0);
    return state;
}

static void a_lock_tells_how_far_its_shepherd_came(void **state)
{
    (void)state;
    struct err err;
    pid_t pid;
    int fd, other;
    assert_int_equal(look(&pid), ATTEMPT_LOCK_ABSENT);
    put("lock", ""); // as the agent makes it for another user
    assert_int_equal(look(&pid), ATTEMPT_LOCK_ABSENT);
    assert_int_equal(pid, 0);
    assert_int_equal(attempt_lock_take(dir, id, &fd, &err), 0);
    assert_int_equal(look(&pid), ATTEMPT_LOCK_HELD);
    assert_int_equal(pid, getpid());
    assert_int_equal(attempt_lock_take(dir, id, &other, &err), E_EXISTS);
    close(fd);
    assert_int_equal(look(&pid), ATTEMPT_LOCK_LEFT);
    assert_int_equal(pid, getpid());
    assert_int_equal(attempt_lock_take(dir, id, &fd, &err), 0); // nothing was started: again
    assert_int_equal(attempt_lock_mark_ordered(fd, &err), 0);
    assert_int_equal(look(&pid), ATTEMPT_LOCK_HELD);
    close(fd);
    assert_int_equal(look(&pid), ATTEMPT_LOCK_ORDERED);
    assert_int_equal(pid, getpid());
    assert_int_equal(attempt_lock_take(dir, id, &fd, &err), E_EXISTS); // never twice
    assert_non_null(strstr(err.message, "took the order"));
    attempt_files_remove(dir, id);
    assert_int_equal(look(&pid), ATTEMPT_LOCK_ABSENT);
}

static void tasks_do_not_inherit_the_lock(void **state)
{
    (void)state;
    struct err err;
    pid_t pid;
    int fd, pair[2];
    assert_int_equal(attempt_lock_take(dir, id, &fd, &err), 0);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    pid_t task = fork();
    if (task == 0) {
        alarm(60);
        execl("/bin/sleep", "sleep", "600", (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    assert_int_equal(read(pair[0], &(char){0}, 1), 0); // it has exec'ed
    close(pair[0]);
    assert_int_equal(look(&pid), ATTEMPT_LOCK_HELD);
    close(fd); // the shepherd dies; its task lives on
    assert_int_equal(look(&pid), ATTEMPT_LOCK_LEFT);
    kill(task, SIGKILL);
    assert_int_equal(waitpid(task, NULL, 0), task);
}

static void a_look_does_not_disturb_who_takes_it(void **state)
{
    (void)state;
    struct err err;
    pid_t looker, pid;
    put("lock", "");
    looker = fork();
    if (looker == 0) {
        alarm(60);
        for (;;)
            look(&pid);
    }
    for (int i = 0; i < 5000; i++) {
        int fd;
        assert_int_equal(attempt_lock_take(dir, id, &fd, &err), 0);
        close(fd);
    }
    kill(looker, SIGKILL);
    assert_int_equal(waitpid(looker, NULL, 0), looker);
}

static void only_one_of_many_shepherds_gets_it(void **state)
{
    (void)state;
    enum { MANY = 8 };
    pid_t pids[MANY];
    int go[2], got = 0;
    struct err err;
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    for (int i = 0; i < MANY; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            int fd;
            close(go[1]);
            if (read(go[0], &(char){0}, 1) != 0 || attempt_lock_take(dir, id, &fd, &err))
                _exit(1);
            attempt_lock_mark_ordered(fd, &err);
            _exit(0); // gone at once: the others may come after it, and still must not
        }
    }
    close(go[0]);
    close(go[1]); // all at once
    for (int i = 0; i < MANY; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        got += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    assert_int_equal(got, 1);
}

static void a_lock_of_another_user_is_made_for_it(void **state)
{
    (void)state;
    struct err err;
    struct stat st;
    AUTO_FREE char *path = path_of("lock");
    assert_int_equal(attempt_lock_prepare(dir, id, geteuid(), &err), 0);
    assert_int_equal(access(path, F_OK), -1); // the shepherd makes it
    if (geteuid() == 0) {
        assert_int_equal(attempt_lock_prepare(dir, id, 65534, &err), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_uid, 65534);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

// ---- the deadline ----

static void a_deadline_is_one_word_seen_by_both(void **state)
{
    (void)state;
    struct err err;
    volatile int64_t *agent, *shepherd, *again;
    assert_int_equal(attempt_deadline_open(dir, id, false, 0, &shepherd, &err), E_NOT_FOUND);
    assert_int_equal(attempt_deadline_open(dir, id, true, INT64_MAX, &agent, &err), 0);
    assert_int_equal(attempt_deadline_open(dir, id, false, 0, &shepherd, &err), 0);
    assert_true(attempt_deadline_get(shepherd) == INT64_MAX);
    attempt_deadline_set(agent, 123456789012345);
    assert_true(attempt_deadline_get(shepherd) == 123456789012345);
    attempt_deadline_close(agent);
    // A restarted agent reads it and invents none.
    assert_int_equal(attempt_deadline_open(dir, id, true, 7, &again, &err), 0);
    assert_true(attempt_deadline_get(again) == 123456789012345);
    attempt_deadline_close(again);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        attempt_deadline_set(shepherd, 1); // it is mapped read-only
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(attempt_deadline_get(shepherd) == 123456789012345);
    attempt_deadline_close(shepherd);
    attempt_deadline_close(NULL);
}

static void half_a_deadline_is_none(void **state)
{
    (void)state;
    struct err err;
    volatile int64_t *word;
    put("deadline", "123"); // a crash between making and writing it
    assert_int_equal(attempt_deadline_open(dir, id, false, 0, &word, &err), E_IO);
    assert_int_equal(attempt_deadline_open(dir, id, true, 77, &word, &err), 0);
    assert_true(attempt_deadline_get(word) == 77);
    attempt_deadline_close(word);
}

// ---- the end ----

static void an_end_is_whole_or_not_there(void **state)
{
    (void)state;
    struct err err;
    uint8_t *bytes = NULL, many[5000];
    size_t len = 0;
    AUTO_FREE char *temp = path_of("end.new");
    assert_int_equal(attempt_end_read(dir, id, &bytes, &len, &err), E_NOT_FOUND);
    assert_null(bytes);
    put("end.new", "half"); // a crash while it was written
    assert_int_equal(attempt_end_read(dir, id, &bytes, &len, &err), E_NOT_FOUND);
    memset(many, 7, sizeof many);
    assert_int_equal(attempt_end_write(dir, id, many, sizeof many, &err), 0);
    assert_int_equal(attempt_end_write(dir, id, "end", 3, &err), 0);
    assert_int_equal(access(temp, F_OK), -1);
    assert_int_equal(attempt_end_read(dir, id, &bytes, &len, &err), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(bytes, "end", 3);
    free(bytes);
    attempt_files_remove(dir, id);
    assert_int_equal(attempt_end_read(dir, id, &bytes, &len, &err), E_NOT_FOUND);
}

// The run directory is the agent's: a user's shepherd cannot make a file in it.
static void a_shepherd_of_another_user_leaves_word_too(void **state)
{
    (void)state;
    struct err err;
    uint8_t *bytes;
    size_t len;
    if (geteuid() != 0) {
        print_message("skipped: needs root\n");
        skip();
    }
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(attempt_lock_prepare(dir, id, 65534, &err), 0);
    assert_int_equal(attempt_end_read(dir, id, &bytes, &len, &err), E_NOT_FOUND);
    pid_t pid = fork();
    if (pid == 0) {
        int fd;
        bool good = setgid(65534) == 0 && setuid(65534) == 0 &&
                    attempt_lock_take(dir, id, &fd, &err) == 0 &&
                    attempt_lock_mark_ordered(fd, &err) == 0 &&
                    attempt_end_write(dir, id, "the end", 7, &err) == 0;
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(attempt_lock_prepare(dir, id, 65534, &err), 0); // takes nothing away
    assert_int_equal(attempt_end_read(dir, id, &bytes, &len, &err), 0);
    assert_int_equal(len, 7);
    assert_memory_equal(bytes, "the end", 7);
    free(bytes);
    AUTO_FREE char *path = path_of("end");
    int fd = open(path, O_WRONLY | O_CLOEXEC); // as it is before its first byte
    assert_int_equal(pwrite(fd, "", 1, 0), 1);
    close(fd);
    assert_int_equal(attempt_end_read(dir, id, &bytes, &len, &err), E_NOT_FOUND);
}

static void an_end_is_no_link_to_elsewhere(void **state)
{
    (void)state;
    struct err err;
    uint8_t *bytes;
    size_t len;
    AUTO_FREE char *path = path_of("end");
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(attempt_end_read(dir, id, &bytes, &len, &err), E_IO);
    AUTO_FREE char *nowhere = xasprintf("%s/nowhere", dir);
    assert_int_equal(attempt_end_write(nowhere, id, "end", 3, &err), E_IO);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_tokens_are_as_documented),
        cmocka_unit_test(names_are_parsed_back_and_others_refused),
        cmocka_unit_test(a_node_name_too_long_for_an_address_is_refused),
        STORY(a_lock_tells_how_far_its_shepherd_came),
        STORY(tasks_do_not_inherit_the_lock),
        STORY(a_look_does_not_disturb_who_takes_it),
        STORY(only_one_of_many_shepherds_gets_it),
        STORY(a_lock_of_another_user_is_made_for_it),
        STORY(a_deadline_is_one_word_seen_by_both),
        STORY(half_a_deadline_is_none),
        STORY(an_end_is_whole_or_not_there),
        STORY(a_shepherd_of_another_user_leaves_word_too),
        STORY(an_end_is_no_link_to_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
