// The command line: verbs, options, suggestions, help.
#include "common/alloc.h"
#include "schedctl/args.h"
#include "schedctl/exits.h"
#include "schedctl/help.h"
#include "schedctl/suggest.h"
#include "schedctl/verbs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define PARSE(a, err, ...) args_parse((char *[]){__VA_ARGS__, NULL}, (a), (err))

static void refused(char **argv, const char *message)
{
    struct args a;
    struct err err;
    assert_int_equal(args_parse(argv, &a, &err), E_INVALID);
    assert_string_equal(err.message, message);
}
#define REFUSED(message, ...) refused((char *[]){__VA_ARGS__, NULL}, message)

static void distances(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("", ""), 0);
    assert_int_equal(suggest_distance("", "abc"), 3);
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
    assert_int_equal(suggest_distance("shwo", "show"), 1); // swapped neighbours are one mistake
    assert_int_equal(suggest_distance("ca", "abc"), 3);    // optimal string alignment, not 2
    assert_int_equal(suggest_distance("on_lost", "ON-LOST"), 0);
    char long_word[SUGGEST_LEN_MAX + 2];
    memset(long_word, 'a', sizeof long_word - 1);
    long_word[sizeof long_word - 1] = 0;
    assert_int_equal(suggest_distance(long_word, "a"), SIZE_MAX);
}

static void mistyped_verbs(void **state)
{
    (void)state;
    REFUSED("there is no verb \"jbos\". Did you mean \"jobs\"?", "jbos");
    REFUSED("there is no verb \"job shwo\". Did you mean \"job show\"?", "job", "shwo", "17");
    REFUSED("there is no verb \"cancel\". Did you mean \"job cancel\"?", "cancel", "17");
    REFUSED("there is no verb \"nod\". Did you mean \"nodes\"?", "nod");
    REFUSED("there is no verb \"jbo\". Did you mean \"job show\"?", "jbo", "show", "17");
    REFUSED("there is no verb \"xyzzy\". `schedctl help` lists them.", "xyzzy");
    REFUSED("\"cluster\" needs one of: up, down, status, settings, set.", "cluster");
    REFUSED("there is no verb \"cluster xyzzy\". \"cluster\" takes one of: up, down, status, "
            "settings, set.",
            "cluster", "xyzzy");
}

static void mistyped_options(void **state)
{
    (void)state;
    REFUSED("submit has no option \"--taks\". Did you mean \"--tasks\"?", "submit", "--taks", "3");
    REFUSED("submit has no option \"--max_attempt\". Did you mean \"--max-attempts\"?", "submit",
            "--max_attempt=3");
    REFUSED("jobs has no option \"--xyzzy\". `schedctl jobs --help` lists them.", "jobs",
            "--xyzzy");
    REFUSED("jobs has no option \"-z\". `schedctl jobs --help` lists them.", "jobs", "-z");
    REFUSED("option --all takes no value", "jobs", "--all=3");
    REFUSED("option --tasks needs a value: --tasks N", "submit", "--tasks");
    REFUSED("option -n needs a value: --tasks N", "submit", "-n");
}

static void operands(void **state)
{
    (void)state;
    REFUSED("job show needs more: schedctl job show JOB...", "job", "show");
    REFUSED("unexpected \"5\". Put \"--\" before the program: `schedctl run [OPTIONS] -- sleep 5`.",
            "run", "sleep", "5");
    REFUSED("unexpected \"x\": schedctl version ", "version", "x");
    REFUSED("jobs takes no program after \"--\"", "jobs", "--", "ls");
}

static void forms_of_options(void **state)
{
    (void)state;
    struct args a;
    struct err err;
    assert_int_equal(PARSE(&a, &err, "--dir", "/d", "submit", "-n4", "--cpus=2", "--name", "x",
                           "-t", "1h", "--hold", "--", "prog", "-n", "--", "y"),
                     0);
    assert_ptr_equal(a.verb, &verb_submit);
    assert_string_equal(args_value(&a, "dir"), "/d");
    assert_string_equal(args_value(&a, "tasks"), "4");
    assert_string_equal(args_value(&a, "cpus"), "2");
    assert_string_equal(args_value(&a, "name"), "x");
    assert_string_equal(args_value(&a, "time"), "1h");
    assert_null(args_value(&a, "memory"));
    assert_true(args_has(&a, "hold"));
    assert_false(args_has(&a, "env-all"));
    assert_string_equal(a.program[0], "prog");
    assert_string_equal(a.program[1], "-n");
    assert_string_equal(a.program[2], "--");
    assert_string_equal(a.program[3], "y");
    assert_null(a.program[4]);
    args_free(&a);
}

static void options_and_operands_mix(void **state)
{
    (void)state;
    struct args a;
    struct err err;
    assert_int_equal(PARSE(&a, &err, "logs", "17", "-fl", "--task", "-1", "--dir=/d"), 0);
    assert_ptr_equal(a.verb, &verb_logs);
    assert_int_equal(a.operands_count, 1);
    assert_string_equal(a.operands[0], "17");
    assert_true(args_has(&a, "follow"));
    assert_true(args_has(&a, "label"));
    assert_string_equal(args_value(&a, "task"), "-1");
    args_free(&a);
    assert_int_equal(PARSE(&a, &err, "submit", "-", "-n", "1", "-n", "2"), 0);
    assert_string_equal(a.operands[0], "-");
    assert_string_equal(args_value(&a, "tasks"), "2"); // the last one counts
    args_free(&a);
}

static void without_a_verb(void **state)
{
    (void)state;
    struct args a;
    struct err err;
    assert_int_equal(args_parse((char *[]){NULL}, &a, &err), 0);
    assert_ptr_equal(a.verb, &verb_help);
    args_free(&a);
    assert_int_equal(PARSE(&a, &err, "--help"), 0);
    assert_ptr_equal(a.verb, &verb_help);
    args_free(&a);
    assert_int_equal(PARSE(&a, &err, "--version"), 0);
    assert_ptr_equal(a.verb, &verb_version);
    args_free(&a);
    assert_int_equal(PARSE(&a, &err, "job", "show", "--help"), 0); // no operand is asked for
    args_free(&a);
    assert_int_equal(PARSE(&a, &err, "job", "--help"), 0);
    assert_ptr_equal(a.verb, &verb_help);
    assert_string_equal(a.operands[0], "job");
    args_free(&a);
}

static const struct opt *opt_at(const struct verb *v, size_t l, size_t i)
{
    const struct opt_list *list = l < VERB_OPT_LISTS ? &v->options[l] : &global_options;
    return i < list->count ? &list->items[i] : NULL;
}

// No verb has two options of one name or letter, and each is explained with an example.
static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; verbs[i]; i++) {
        const struct verb *v = verbs[i];
        assert_non_null(v->run);
        assert_non_null(v->examples[0].command);
        for (size_t e = 0; e < VERB_EXAMPLES && v->examples[e].command; e++)
            assert_int_equal(strncmp(v->examples[e].command, v->name, strlen(v->name)), 0);
        for (size_t l = 0; l <= VERB_OPT_LISTS; l++)
            for (size_t o = 0; opt_at(v, l, o); o++) {
                const struct opt *opt = opt_at(v, l, o);
                if (!opt->name)
                    continue;
                assert_ptr_equal(verb_option(v, opt->name), opt);
                if (opt->letter)
                    assert_ptr_equal(verb_option_letter(v, opt->letter), opt);
            }
    }
}

static void help_fits_a_terminal(void **state)
{
    (void)state;
    for (size_t i = 0; verbs[i]; i++) {
        AUTO(text) struct text t = {0};
        help_verb_text(verbs[i], &t);
        assert_int_equal(strncmp(text_str(&t), "schedctl ", 9), 0);
        assert_non_null(strstr(text_str(&t), "--help"));
        for (const char *p = text_str(&t); *p;) {
            size_t len = strcspn(p, "\n");
            if (len > 80)
                fail_msg("%s: %.*s", verbs[i]->name, (int)len, p);
            p += len + (p[len] != 0);
        }
    }
}

static void help_of_a_group_has_its_verbs(void **state)
{
    (void)state;
    AUTO(text) struct text t = {0};
    help_group_text("node", &t);
    for (size_t i = 0; verbs[i]; i++)
        assert_int_equal(strstr(text_str(&t), verbs[i]->summary) != NULL,
                         strncmp(verbs[i]->name, "node ", 5) == 0);
    assert_non_null(strstr(text_str(&t), "schedctl node show n1\n"));
}

static void manual_has_every_verb(void **state)
{
    (void)state;
    AUTO(text) struct text t = {0};
    help_man(&t);
    for (size_t i = 0; verbs[i]; i++) {
        AUTO(text) struct text heading = {0};
        text_add(&heading, "\n.SS ");
        for (const char *p = verbs[i]->name; *p; p++)
            text_addf(&heading, "%s%c", *p == '-' ? "\\" : "", *p);
        text_addc(&heading, '\n');
        assert_non_null(strstr(text_str(&t), text_str(&heading)));
    }
}

static void exit_codes(void **state)
{
    (void)state;
    assert_int_equal(exit_of(E_IO), 1);
    assert_int_equal(exit_of(E_INVALID), 2);
    assert_int_equal(exit_of(E_TOO_LARGE), 2);
    assert_int_equal(exit_of(E_UNREACHABLE), 3);
    assert_int_equal(exit_of(E_REFUSED), 4);
    assert_int_equal(exit_of(E_DENIED), 4);
    assert_int_equal(exit_of(E_NOT_FOUND), 5);
    assert_int_equal(exit_of(E_TIMEOUT), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances),
        cmocka_unit_test(mistyped_verbs),
        cmocka_unit_test(mistyped_options),
        cmocka_unit_test(operands),
        cmocka_unit_test(forms_of_options),
        cmocka_unit_test(options_and_operands_mix),
        cmocka_unit_test(without_a_verb),
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(help_fits_a_terminal),
        cmocka_unit_test(help_of_a_group_has_its_verbs),
        cmocka_unit_test(manual_has_every_verb),
        cmocka_unit_test(exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
