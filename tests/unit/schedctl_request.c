// From a command line to the API's JobRequest.
#include "common/alloc.h"
#include "schedctl/args.h"
#include "schedctl/client.h"
#include "schedctl/jobname.h"
#include "schedctl/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/schedctl_request.XXXXXX";

static int build(char **argv, json_t **ret, struct err *err)
{
    struct args a;
    assert_int_equal(args_parse(argv, &a, err), 0);
    int rc = request_build(&a, ret, err);
    args_free(&a);
    return rc;
}

static void built(char **argv, const char *json)
{
    struct err err = {0};
    json_t *request = NULL;
    if (build(argv, &request, &err))
        fail_msg("%s", err.message);
    AUTO_FREE char *got = json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(got, json);
    json_decref(request);
}
#define BUILT(json, ...) built((char *[]){"submit", __VA_ARGS__, NULL}, json)

static void refused(char **argv, const char *message)
{
    struct err err = {0};
    json_t *request = NULL;
    assert_int_equal(build(argv, &request, &err), E_INVALID);
    assert_string_equal(err.message, message);
}
#define REFUSED(message, ...) refused((char *[]){"submit", __VA_ARGS__, NULL}, message)

static void every_flag(void **state)
{
    (void)state;
    BUILT("{\"argv\":[\"true\"],\"cwd\":\"/\",\"env\":{\"PATH\":\"/usr/bin:/bin\"},"
          "\"request_id\":\"r1\"}",
          "--cwd", "/", "--request-id", "r1", "--", "true");
    setenv("FROM_HERE", "seen", 1);
    BUILT("{\"allow_unsatisfiable\":true,\"argv\":[\"sh\",\"-c\",\"exit 3\"],\"array\":\"0-9\","
          "\"bind\":false,\"cpus\":3,\"cwd\":\"/"
          "\",\"env\":{\"A\":\"b=c\",\"FROM_HERE\":\"seen\",\"PATH\":\"/p\"},"
          "\"gpus\":1,\"grace_ms\":5000,\"hold\":true,\"max_attempts\":3,\"memory_mib\":2048,"
          "\"mpi\":\"pmix\",\"name\":\"x\",\"nodes\":2,\"on_lost\":\"wait\","
          "\"output_limit\":1048576,\"priority\":5,\"queue\":\"q\",\"request_id\":\"r1\","
          "\"tasks\":4,\"time_limit_ms\":3600000}",
          "--cwd", "/", "--request-id", "r1", "-n", "4", "-N2", "-c", "3", "--gpus", "1",
          "--memory", "2GiB", "-t", "1h", "--name", "x", "-p", "5", "--hold", "--on-lost", "wait",
          "--max-attempts", "3", "--array", "0-9", "--mpi", "pmix", "--env", "A=b=c", "--env",
          "FROM_HERE", "--env", "PATH=/p", "--no-check", "--queue", "q", "--grace", "5s",
          "--allow-unsatisfiable", "--no-bind", "--output-limit", "1MiB", "--", "sh", "-c",
          "exit 3");
}

static void wrong_flags(void **state)
{
    (void)state;
    REFUSED("option --tasks \"x\" is not a whole number", "-n", "x", "--", "true");
    REFUSED("option --memory \"5\" has no unit. Write it with KiB, MiB, GiB or TiB, e.g. 512MiB.",
            "--memory", "5", "--", "true");
    REFUSED("option --on-lost \"requeue\" is unknown. Use wait or requeue:10m.", "--on-lost",
            "requeue", "--", "true");
    unsetenv("NOT_HERE");
    REFUSED("variable NOT_HERE is not set here. Set it, or write --env NOT_HERE=VALUE.", "--env",
            "NOT_HERE", "--", "true");
    REFUSED("option --env has no name before \"=\"", "--env", "=x", "--", "true");
    REFUSED("no program is named: schedctl submit -- PROGRAM [ARGUMENTS]", "-n", "3");
    REFUSED("no program is named: schedctl submit -- PROGRAM [ARGUMENTS]", "--");
    REFUSED("both a job file \"a.yaml\" and a program \"ls\" are named. Use one of them.", "a.yaml",
            "--", "ls");
    REFUSED("there is no job file \"sleep\". To run a program, put \"--\" before it: `schedctl "
            "submit -- sleep`.",
            "sleep");
    REFUSED("argument 1 of the program is not UTF-8 text", "--", "true", "\xff");
}

static void flags_override_the_file(void **state)
{
    (void)state;
    AUTO_FREE char *path = xasprintf("%s/job.yaml", dir);
    FILE *f = fopen(path, "w");
    fputs("argv: [\"true\"]\ntasks: 2\ncpus: 3\nenv: {A: file, B: file}\n", f);
    fclose(f);
    BUILT("{\"argv\":[\"true\"],\"cpus\":3,\"cwd\":\"/"
          "\",\"env\":{\"A\":\"flag\",\"B\":\"file\",\"PATH\":\"/usr/bin:/bin\"},"
          "\"request_id\":\"r\",\"tasks\":5}",
          path, "-n", "5", "--env", "A=flag", "--cwd", "/", "--request-id", "r");
    unlink(path);
}

static void directory_and_request_id(void **state)
{
    (void)state;
    struct err err;
    json_t *a = NULL, *b = NULL;
    AUTO_FREE char *here = getcwd(NULL, 0);
    assert_int_equal(build((char *[]){"submit", "--", "true", NULL}, &a, &err), 0);
    assert_int_equal(build((char *[]){"submit", "--", "true", NULL}, &b, &err), 0);
    assert_string_equal(json_string_value(json_object_get(a, "cwd")), here);
    const char *ia = json_string_value(json_object_get(a, "request_id"));
    const char *ib = json_string_value(json_object_get(b, "request_id"));
    assert_int_equal(strlen(ia), 32);
    assert_string_not_equal(ia, ib);
    json_decref(a);
    json_decref(b);
}

static void programs_are_looked_for(void **state)
{
    (void)state;
    AUTO_FREE char *file = xasprintf("%s/plain", dir), *said = NULL;
    FILE *f = fopen(file, "w");
    fclose(f);
    REFUSED("program \"no-such-program\" is not in PATH. Name it with its path, or add --no-check "
            "if only the nodes have it.",
            "--", "no-such-program");
    said = xasprintf("program \"%s/./plain\" cannot be run: it is not executable: chmod +x it. If "
                     "the nodes have "
                     "another one, add --no-check.",
                     dir);
    REFUSED(said, "--cwd", dir, "--", "./plain");
    REFUSED("program \"true\" is not in PATH. Name it with its path, or add --no-check if only the "
            "nodes have it.",
            "--env", "PATH=/no/such", "--", "true"); // the job's PATH counts
    REFUSED("program \"/tmp\" cannot be run: it is a directory. If the nodes have another one, add "
            "--no-check.",
            "--", "/tmp");
    REFUSED("directory \"/no/such\" does not exist here. If it does on the nodes, add --no-check.",
            "--cwd", "/no/such", "--", "true");
    REFUSED("the program's name is empty", "--", "");
    BUILT("{\"argv\":[\"no-such-program\"],\"cwd\":\"/no/such\",\"env\":{\"PATH\":\"/usr/bin:/"
          "bin\"},\"request_id\":\"r\"}",
          "--no-check", "--cwd", "/no/such", "--request-id", "r", "--", "no-such-program");
    chmod(file, 0700);
    AUTO_FREE char *json = xasprintf("{\"argv\":[\"./plain\"],\"cwd\":\"%s\",\"env\":{\"PATH\":\"/"
                                     "usr/bin:/bin\"},\"request_id\":\"r\"}",
                                     dir);
    BUILT(json, "--cwd", dir, "--request-id", "r", "--",
          "./plain"); // relative to the job's directory
    unlink(file);
}

static void too_large(void **state)
{
    (void)state;
    struct err err;
    json_t *request = NULL;
    char *big = xcalloc(CLIENT_REQUEST_MAX + 1, 1);
    memset(big, 'x', CLIENT_REQUEST_MAX);
    assert_int_equal(
        build((char *[]){"submit", "--cwd", "/", "--request-id", "r", "--", "true", big, NULL},
              &request, &err),
        E_TOO_LARGE);
    assert_string_equal(err.message,
                        "the request has 4194382 bytes; at most 4194304 can be sent. Put large "
                        "arguments and variables into a file that the job reads.");
    free(big);
}

static void names_of_jobs(void **state)
{
    (void)state;
    static const char *const good[] = {"1", "17", "17_0", "17_999999"};
    static const char *const bad[] = {
        "", "x", "17_", "_3", "17_x", "17x", "-1", "1 ", "1/2", "17_3_4", "12345678901234567890"};
    struct err err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(job_name_check(good[i], &err), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(job_name_check(bad[i], &err), E_INVALID);
}

static int make_dir(void **state)
{
    (void)state;
    return setenv("PATH", "/usr/bin:/bin", 1) || !mkdtemp(dir) ? -1 : 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flag),
        cmocka_unit_test(wrong_flags),
        cmocka_unit_test(flags_override_the_file),
        cmocka_unit_test(directory_and_request_id),
        cmocka_unit_test(programs_are_looked_for),
        cmocka_unit_test(too_large),
        cmocka_unit_test(names_of_jobs),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
