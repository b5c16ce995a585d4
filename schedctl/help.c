#include "schedctl/help.h"

#include "common/alloc.h"
#include "schedctl/ctl.h"
#include "schedctl/suggest.h"
#include "schedctl/verbs.h"

#include <stdio.h>
#include <string.h>

enum { HELP_WIDTH = 80, HELP_INDENT = 26 };

// Words of `s` in lines of HELP_WIDTH; the first line begins at column `at`, the others are
// indented.
static void wrap(struct text *t, const char *s, size_t at, size_t indent)
{
    size_t column = at;
    bool first = true;
    while (*s) {
        size_t len = strcspn(s, " \n");
        if (!first && column + 1 + len > HELP_WIDTH) {
            text_addf(t, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        text_addf(t, "%s%.*s", first ? "" : " ", (int)len, s);
        column += len + !first;
        first = false;
        s += len;
        if (*s == '\n') {
            text_addf(t, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        s += *s != 0;
    }
    text_addc(t, '\n');
}

static void add_options(struct text *t, const struct opt_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct opt *o = &list->items[i];
        if (!o->name)
            continue;
        size_t start = t->len;
        if (o->letter)
            text_addf(t, "  -%c, --%s", o->letter, o->name);
        else
            text_addf(t, "      --%s", o->name);
        if (o->argument)
            text_addf(t, " %s", o->argument);
        size_t used = t->len - start;
        if (used + 2 > HELP_INDENT)
            text_addf(t, "\n%*s", HELP_INDENT, "");
        else
            text_addf(t, "%*s", (int)(HELP_INDENT - used), "");
        wrap(t, o->help, HELP_INDENT, HELP_INDENT);
    }
}

static void add_example(struct text *t, const struct example *e)
{
    text_addf(t, "  schedctl %s\n      ", e->command);
    wrap(t, e->what, 6, 6);
}

void help_verb_text(const struct verb *v, struct text *t)
{
    text_addf(t, "schedctl %s - %s\n\nUsage:\n", v->name, v->summary);
    for (const char *u = v->usage;;) {
        size_t len = strcspn(u, "\n");
        text_addf(t, "  schedctl %s%s%.*s\n", v->name, len ? " " : "", (int)len, u);
        if (!u[len])
            break;
        u += len + 1;
    }
    if (v->text) {
        text_addc(t, '\n');
        wrap(t, v->text, 0, 0);
    }
    text_add(t, "\nOptions:\n");
    for (size_t l = 0; l < VERB_OPT_LISTS; l++)
        add_options(t, &v->options[l]);
    add_options(t, &global_options);
    text_add(t, "\nExamples:\n");
    for (size_t i = 0; i < VERB_EXAMPLES && v->examples[i].command; i++)
        add_example(t, &v->examples[i]);
}

void help_verb(const struct verb *v)
{
    AUTO(text) struct text t = {0};
    help_verb_text(v, &t);
    fputs(text_str(&t), stdout);
}

static bool in_group(const struct verb *v, const char *group)
{
    size_t len = strlen(group);
    return strncmp(v->name, group, len) == 0 && v->name[len] == ' ';
}

void help_group_text(const char *group, struct text *t)
{
    text_addf(t, "Usage:\n  schedctl %s VERB [ARGUMENTS]\n\nVerbs:\n", group);
    for (size_t i = 0; verbs[i]; i++)
        if (in_group(verbs[i], group))
            text_addf(t, "  %-16s%s\n", verbs[i]->name, verbs[i]->summary);
    text_add(t, "\nExamples:\n");
    for (size_t i = 0; verbs[i]; i++)
        if (in_group(verbs[i], group))
            add_example(t, &verbs[i]->examples[0]);
    text_addf(t, "\nMore: `schedctl %s VERB --help`.\n", group);
}

static void help_group(const char *group)
{
    AUTO(text) struct text t = {0};
    help_group_text(group, &t);
    fputs(text_str(&t), stdout);
}

static void overview(void)
{
    AUTO(text) struct text t = {0};
    text_add(&t, "schedctl - speak with a Muster cluster\n\nUsage:\n"
                 "  schedctl [--dir DIR] [-o json|table] VERB [ARGUMENTS]\n\nVerbs:\n");
    for (size_t i = 0; verbs[i]; i++)
        text_addf(&t, "  %-16s%s\n", verbs[i]->name, verbs[i]->summary);
    text_add(&t, "\nOptions of every verb:\n");
    add_options(&t, &global_options);
    text_add(&t, "\nMore: `schedctl VERB --help`, `schedctl help exit-codes`.\n\nTo begin:\n"
                 "  export MUSTER_HOME=$HOME/muster\n"
                 "  schedctl cluster up --nodes 2 --cpus 2\n"
                 "  schedctl run -n 2 -- hostname\n"
                 "  schedctl cluster down\n");
    fputs(text_str(&t), stdout);
}

static void exit_codes(void)
{
#define X(name, value, doc) printf("  %d  %s\n", value, doc);
    EXIT_TABLE(X)
#undef X
    puts(
        "\n`schedctl run` ends as its job did: with the exit code of the first task that did not\n"
        "end with 0, 128 + N if signal N killed it, 1 if the job ended without either (cancelled,\n"
        "timed out, lost). 130 after a second interrupt: the job may still be ending.");
}

static int run_help(struct ctl *ctl)
{
    struct args *a = &ctl->args;
    struct err err;
    const struct verb *v;
    int words;
    if (args_has(a, "man")) {
        AUTO(text) struct text t = {0};
        help_man(&t);
        fputs(text_str(&t), stdout);
        return CTL_OK;
    }
    if (a->operands_count == 0) {
        overview();
        return CTL_OK;
    }
    if (strcmp(a->operands[0], "exit-codes") == 0) {
        exit_codes();
        return CTL_OK;
    }
    if (a->operands_count == 1 && verb_is_group(a->operands[0])) {
        help_group(a->operands[0]);
        return CTL_OK;
    }
    char *words_of[3] = {a->operands[0], a->operands_count > 1 ? a->operands[1] : NULL, NULL};
    if (verb_find(words_of, &v, &words, &err))
        return report(&err);
    help_verb(v);
    return CTL_OK;
}

static const struct opt OPTIONS[] = {
    {0, "man", NULL, "print the manual page, for `man -l`"},
};

const struct verb verb_help = {
    .name = "help",
    .usage = "[VERB]\nexit-codes",
    .operands_max = 2,
    .summary = "explain a verb, or the exit codes",
    .options = {{OPTIONS, COUNT(OPTIONS)}},
    .examples = {{"help job wait", "The options of one verb, with examples."},
                 {"help exit-codes", "What scripts can rely on."}},
    .run = run_help,
};
