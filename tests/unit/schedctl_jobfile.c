// Job files: what is taken, and the exact words and place of every refusal.
#include "common/alloc.h"
#include "common/text.h"
#include "schedctl/jobfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void taken(const char *yaml, const char *json)
{
    struct err err = {0};
    json_t *request = json_object();
    if (jobfile_parse("job.yaml", yaml, strlen(yaml), request, &err))
        fail_msg("%s", err.message);
    AUTO_FREE char *got = json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(got, json);
    json_decref(request);
}

static void refused(const char *yaml, const char *message)
{
    struct err err = {0};
    json_t *request = json_object();
    assert_int_equal(jobfile_parse("job.yaml", yaml, strlen(yaml), request, &err), E_INVALID);
    assert_string_equal(err.message, message);
    json_decref(request);
}

static void every_key(void **state)
{
    (void)state;
    taken("argv: [./train, --steps, \"100\", '']\n",
          "{\"argv\":[\"./train\",\"--steps\",\"100\",\"\"]}");
    taken("# a comment\n"
          "name: hello\ntasks: 4\nnodes: 2\ncpus: 3\ngpus: 1\nmemory: 2GiB\ntime: 1h30m\n"
          "grace: 5s\non_lost: requeue:10m\nmax_attempts: 3\npriority: -7\nhold: true\nmpi: none\n"
          "array: 0-9\ncwd: /tmp\nqueue: night\noutput_limit: 1MiB\nbind: false\n"
          "allow_unsatisfiable: false\n"
          "env: {A: b, C: 'd e', E: }\n"
          "script: |\n  echo $A\n  exit 3\n",
          "{\"allow_unsatisfiable\":false,\"argv\":[\"/bin/sh\",\"-c\",\"echo $A\\nexit 3\\n\"],"
          "\"array\":\"0-9\",\"bind\":false,\"cpus\":3,\"cwd\":\"/tmp\","
          "\"env\":{\"A\":\"b\",\"C\":\"d e\",\"E\":\"\"},\"gpus\":1,\"grace_ms\":5000,"
          "\"hold\":true,\"max_attempts\":3,\"memory_mib\":2048,\"mpi\":\"none\","
          "\"name\":\"hello\",\"nodes\":2,\"on_lost\":\"requeue:10m\",\"output_limit\":1048576,"
          "\"priority\":-7,\"queue\":\"night\",\"tasks\":4,\"time_limit_ms\":5400000}");
    taken("argv: [a]\ncpus: 1.5\ngpus: 0.25\ntasks_per_node: 2\nspread: true\nexclusive: false\n"
          "constraint: zone=a & !spot\nprefer: gpu.model=A100|H100\n",
          "{\"argv\":[\"a\"],\"constraint\":\"zone=a & !spot\",\"cpus\":1.5,"
          "\"exclusive\":false,\"gpus\":0.25,\"prefer\":\"gpu.model=A100|H100\","
          "\"spread\":true,\"tasks_per_node\":2}");
    taken("argv:\n- sh\n- -c\n- \"a\\nb\"\n", "{\"argv\":[\"sh\",\"-c\",\"a\\nb\"]}");
    taken("time: 00:01:30\nargv: [a]\n", "{\"argv\":[\"a\"],\"time_limit_ms\":90000}");
}

static void wrong_keys(void **state)
{
    (void)state;
    refused("argv: [a]\ngpus: 1.5\n",
            "job.yaml:2:7: \"gpus\" 1.5: a task has whole GPUs or a share of one. Use a share "
            "below 1, or a whole number.");
    refused("argv: [a]\ncpus: 0\n", "job.yaml:2:7: \"cpus\" 0 is out of range. Use 0.001 to 1024.");
    refused("argv: [a]\ncpus: 0.0005\n",
            "job.yaml:2:7: \"cpus\" \"0.0005\" has more than three decimals. Round it.");
    refused("argv: [a]\ncpus: half\n",
            "job.yaml:2:7: \"cpus\" \"half\" is not a number such as 2 or 0.5");
    refused("argv: [a]\ncpus: '0.5'\n",
            "job.yaml:2:7: \"cpus\" must be a number such as 2 or 0.5, without quotes");
    refused("name: x\ntasks: 4\nmemmory: 2GiB\n",
            "job.yaml:3:1: unknown key \"memmory\". Did you mean \"memory\"?");
    refused("argv: [a]\nmemory_mib: 2\n",
            "job.yaml:2:1: unknown key \"memory_mib\". Did you mean \"memory\"?");
    refused("argv: [a]\nxyzzy: 2\n",
            "job.yaml:2:1: unknown key \"xyzzy\". `schedctl submit --help` lists them.");
    refused("argv: [a]\ntasks: 1\n\ntasks: 2\n", "job.yaml:4:1: key \"tasks\" is there twice");
    refused("argv: [a]\nscript: b\n",
            "job.yaml:2:1: both \"argv\" and \"script\" are given. Use one of them.");
    refused("env: {A: b, A: c}\nargv: [a]\n", "job.yaml:1:13: variable \"A\" is set twice");
    refused("env: {A=B: c}\nargv: [a]\n", "job.yaml:1:7: \"A=B\" is no name of a variable");
    refused("[a, b]: c\n", "job.yaml:1:1: a key must be a word");
    refused("tasks: 3\n", "job.yaml:1:1: there is no program. Add argv or script.");
}

static void wrong_values(void **state)
{
    (void)state;
    refused("tasks: four\n", "job.yaml:1:8: \"tasks\" \"four\" is not a whole number");
    refused("tasks: 0\n", "job.yaml:1:8: \"tasks\" 0 is out of range. Use 1 to 65536.");
    refused("tasks: '4'\n", "job.yaml:1:8: \"tasks\" must be a number, without quotes");
    refused("tasks: [4]\n", "job.yaml:1:8: \"tasks\" must be a number");
    refused("argv: [a]\ntasks:\n", "job.yaml:2:1: \"tasks\" has no value. It must be a number.");
    refused("memory: 2048\n", "job.yaml:1:9: \"memory\" \"2048\" has no unit. Write it with KiB, "
                              "MiB, GiB or TiB, e.g. 512MiB.");
    refused("memory: {a: b}\n", "job.yaml:1:9: \"memory\" must be a size such as 2GiB");
    refused("time: soon\n", "job.yaml:1:7: \"time\" \"soon\" is not a duration. Write it as 90s, "
                            "15m, 2h, 1h30m or 01:30:00.");
    refused("time: 0\n", "job.yaml:1:7: \"time\" \"0\" is too short");
    refused("hold: yes\n", "job.yaml:1:7: \"hold\" \"yes\" is neither true nor false");
    refused("mpi: openmpi\n",
            "job.yaml:1:6: \"mpi\" \"openmpi\" is unknown. Use auto, pmix or none.");
    refused("on_lost: requeue:9s\n",
            "job.yaml:1:10: \"on_lost\" \"requeue:9s\" is too short. Use at least requeue:10s.");
    refused("on_lost: give-up\n",
            "job.yaml:1:10: \"on_lost\" \"give-up\" is unknown. Use wait or requeue:10m.");
    refused("argv: ./train\n",
            "job.yaml:1:7: \"argv\" must be a list of strings, as [./train, --steps, \"100\"]");
    refused("argv: [a, [b]]\n", "job.yaml:1:11: \"argv\" must be a list of strings");
    refused("argv: []\n", "job.yaml:1:7: \"argv\" is empty");
    refused("script: ''\n", "job.yaml:1:9: \"script\" is empty");
    refused("env: [A]\n", "job.yaml:1:6: \"env\" must be a mapping of names to values");
    refused("name: \"a\\0b\"\n", "job.yaml:1:7: \"name\" holds a NUL character");
}

static void wrong_documents(void **state)
{
    (void)state;
    refused("", "job.yaml:1:1: the file is empty. It needs argv or script.");
    refused("- a\n", "job.yaml:1:1: a job file is a mapping: lines of \"key: value\", with argv or "
                     "script");
    refused("argv: [a]\n---\nargv: [b]\n",
            "job.yaml:2:1: a second document begins. One file is one job.");
    refused("name: &x a\nargv: [*x]\n",
            "job.yaml:2:8: aliases are not taken in job files. Write the value again.");
    refused("tasks: !!int 4\n",
            "job.yaml:1:14: tags (\"!\") are not taken in job files. Quote the value instead.");
}

static void wrong_bytes(void **state)
{
    (void)state;
    refused("name: gr\xc3\xb6\xffx\n", "job.yaml:1:10: not UTF-8 text");
    refused("name: \xc0\xaf\n", "job.yaml:1:7: not UTF-8 text");         // overlong
    refused("name: \xed\xa0\x80\n", "job.yaml:1:7: not UTF-8 text");     // a surrogate
    refused("name: \xf4\x90\x80\x80\n", "job.yaml:1:7: not UTF-8 text"); // above U+10FFFF
    refused("name: \xe2\x82", "job.yaml:1:7: not UTF-8 text");           // cut off
    refused("argv: [a]\nname: a\x1b\n", "job.yaml:2:8: a control character is there");
    refused("# x\n%time: 5 \xff \n", "job.yaml:2:1: directives (\"%\") are not taken in job files");
    taken("argv: [gr\xc3\xb6\xc3\x9f\x65r, \xf0\x9f\x98\x80]\n",
          "{\"argv\":[\"gr\xc3\xb6\xc3\x9f\x65r\",\"\xf0\x9f\x98\x80\"]}");
}

// The library finds these; its words may change, the place must be there.
static void malformed(void **state)
{
    (void)state;
    static const char *const yamls[] = {"argv: [a\n", "a: b: c\n", "\"\n", "argv: [a]\n\tname: x\n",
                                        "argv: [a] b\n"};
    for (size_t i = 0; i < sizeof yamls / sizeof *yamls; i++) {
        struct err err = {0};
        int line, column;
        json_t *request = json_object();
        assert_int_equal(jobfile_parse("job.yaml", yamls[i], strlen(yamls[i]), request, &err),
                         E_INVALID);
        if (sscanf(err.message, "job.yaml:%d:%d: ", &line, &column) != 2 || line < 1 || column < 1)
            fail_msg("%s", err.message);
        json_decref(request);
    }
}

static void too_large(void **state)
{
    (void)state;
    struct err err;
    json_t *request = json_object();
    char *big = xcalloc(JOBFILE_MAX + 1, 1);
    memset(big, '#', JOBFILE_MAX + 1);
    assert_int_equal(jobfile_parse("job.yaml", big, JOBFILE_MAX + 1, request, &err), E_TOO_LARGE);
    assert_string_equal(err.message, "job.yaml: a job file has at most 1048576 bytes");
    free(big);
    json_decref(request);
}

static void the_example_is_taken(void **state)
{
    (void)state;
    struct err err = {0};
    json_t *request = json_object();
    if (jobfile_load("etc/example-job.yaml", request, &err))
        fail_msg("%s", err.message);
    assert_int_equal(json_integer_value(json_object_get(request, "tasks")), 2);
    assert_int_equal(json_integer_value(json_object_get(request, "memory_mib")), 64);
    assert_string_equal(json_string_value(json_object_get(request, "on_lost")), "requeue:10m");
    json_decref(request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key),    cmocka_unit_test(wrong_keys),
        cmocka_unit_test(wrong_values), cmocka_unit_test(wrong_documents),
        cmocka_unit_test(malformed),    cmocka_unit_test(wrong_bytes),
        cmocka_unit_test(too_large),    cmocka_unit_test(the_example_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
