#include "schedctl/args.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/text.h"
#include "schedctl/suggest.h"
#include "schedctl/verbs.h"

#include <stdlib.h>
#include <string.h>

static void keep(struct args *a, const struct opt *o, const char *value)
{
    VEC_RESERVE(a->options, a->options_count, a->options_cap);
    a->options[a->options_count++] = (struct args_option){o, value};
}

static int unknown_option(const struct verb *v, const char *name, struct err *err)
{
    struct suggest s = suggest_begin(name);
    for (size_t l = 0; l < VERB_OPT_LISTS + 1; l++) {
        const struct opt_list *list = l < VERB_OPT_LISTS ? &v->options[l] : &global_options;
        for (size_t i = 0; i < list->count; i++)
            if (list->items[i].name)
                suggest_offer(&s, list->items[i].name);
    }
    if (s.best)
        return fail(err, E_INVALID, "%s has no option \"--%.64s\". Did you mean \"--%s\"?", v->name,
                    name, s.best);
    return fail(err, E_INVALID, "%s has no option \"--%.64s\". `schedctl %s --help` lists them.",
                v->name, name, v->name);
}

// argv[0] is "--name" or "--name=value"; returns the words used.
static int parse_long(struct args *a, const struct verb *v, char **argv, struct err *err)
{
    const char *word = argv[0] + 2, *equals = strchr(word, '=');
    AUTO_FREE char *name = equals ? xstrndup(word, (size_t)(equals - word)) : xstrdup(word);
    const struct opt *o = verb_option(v, name);
    if (!o)
        return unknown_option(v, name, err);
    if (!o->argument) {
        if (equals)
            return fail(err, E_INVALID, "option --%s takes no value", name);
        keep(a, o, NULL);
        return 1;
    }
    if (equals) {
        keep(a, o, equals + 1);
        return 1;
    }
    if (!argv[1])
        return fail(err, E_INVALID, "option --%s needs a value: --%s %s", name, name, o->argument);
    keep(a, o, argv[1]);
    return 2;
}

// argv[0] is "-abc", "-n4" or "-n"; returns the words used.
static int parse_short(struct args *a, const struct verb *v, char **argv, struct err *err)
{
    for (const char *p = argv[0] + 1; *p; p++) {
        const struct opt *o = verb_option_letter(v, *p);
        if (!o)
            return fail(err, E_INVALID,
                        "%s has no option \"-%c\". `schedctl %s --help` lists them.", v->name, *p,
                        v->name);
        if (!o->argument) {
            keep(a, o, NULL);
            continue;
        }
        if (p[1]) {
            keep(a, o, p + 1);
            return 1;
        }
        if (!argv[1])
            return fail(err, E_INVALID, "option -%c needs a value: --%s %s", *p, o->name,
                        o->argument);
        keep(a, o, argv[1]);
        return 2;
    }
    return 1;
}

static int parse_option(struct args *a, const struct verb *v, char **argv, struct err *err)
{
    return argv[0][1] == '-' ? parse_long(a, v, argv, err) : parse_short(a, v, argv, err);
}

static int check_operands(const struct args *a, struct err *err)
{
    const struct verb *v = a->verb;
    size_t n = a->operands_count;
    if (args_has(a, "help"))
        return 0;
    if (n < (size_t)v->operands_min)
        return fail(err, E_INVALID, "%s needs more: schedctl %s %.*s", v->name, v->name,
                    (int)strcspn(v->usage, "\n"), v->usage);
    if (v->operands_max >= 0 && n > (size_t)v->operands_max) {
        if (v->program && !a->program)
            return fail(err, E_INVALID,
                        "unexpected \"%.64s\". Put \"--\" before the program: `schedctl %s "
                        "[OPTIONS] -- %.64s %.64s`.",
                        a->operands[v->operands_max], v->name, a->operands[0], a->operands[1]);
        return fail(err, E_INVALID, "unexpected \"%.64s\": schedctl %s %.*s",
                    a->operands[v->operands_max], v->name, (int)strcspn(v->usage, "\n"), v->usage);
    }
    return 0;
}

// Global options before the verb; returns the words used.
static int parse_before(struct args *a, char **argv, struct err *err)
{
    int i = 0;
    while (argv[i] && argv[i][0] == '-' && argv[i][1]) {
        if (strcmp(argv[i], "--version") == 0) {
            a->verb = &verb_version;
            return i + 1;
        }
        int used = parse_option(a, &verb_help, argv + i, err);
        if (used < 0)
            return used;
        i += used;
    }
    if (!argv[i])
        a->verb = &verb_help;
    return i;
}

static void add_operand(struct args *a, char *word)
{
    VEC_RESERVE(a->operands, a->operands_count, a->operands_cap);
    a->operands[a->operands_count++] = word;
}

// The verb; returns the words used. "job --help" is "help job".
static int parse_verb(struct args *a, char **argv, struct err *err)
{
    int words;
    bool helps = argv[1] && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (helps && verb_is_group(argv[0])) {
        a->verb = &verb_help;
        add_operand(a, argv[0]);
        return 2;
    }
    int rc = verb_find(argv, &a->verb, &words, err);
    return rc ? rc : words;
}

static int parse(char **argv, struct args *a, struct err *err)
{
    int i = parse_before(a, argv, err), words = 0;
    if (i < 0)
        return i;
    if (!a->verb && (words = parse_verb(a, argv + i, err)) < 0)
        return words;
    i += words;
    while (argv[i]) {
        if (strcmp(argv[i], "--") == 0) {
            if (!a->verb->program)
                return fail(err, E_INVALID, "%s takes no program after \"--\"", a->verb->name);
            a->program = argv + i + 1;
            break;
        }
        if (argv[i][0] == '-' && argv[i][1]) {
            int used = parse_option(a, a->verb, argv + i, err);
            if (used < 0)
                return used;
            i += used;
            continue;
        }
        add_operand(a, argv[i++]);
    }
    return check_operands(a, err);
}

int args_parse(char **argv, struct args *ret, struct err *err)
{
    struct args a = {0};
    int rc = parse(argv, &a, err);
    if (rc) {
        args_free(&a);
        return rc;
    }
    *ret = a;
    return 0;
}

void args_free(struct args *a)
{
    free(a->options);
    free(a->operands);
    *a = (struct args){0};
}

const char *args_value(const struct args *a, const char *name)
{
    const char *value = NULL;
    CHECKF(verb_option(a->verb, name), "%s has no option %s", a->verb->name, name);
    for (size_t i = 0; i < a->options_count; i++)
        if (strcmp(a->options[i].opt->name, name) == 0)
            value = a->options[i].value;
    return value;
}

bool args_has(const struct args *a, const char *name)
{
    CHECKF(verb_option(a->verb, name), "%s has no option %s", a->verb->name, name);
    for (size_t i = 0; i < a->options_count; i++)
        if (strcmp(a->options[i].opt->name, name) == 0)
            return true;
    return false;
}
