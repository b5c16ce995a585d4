#include "schedctl/exits.h"
#include "schedctl/help.h"

#include <string.h>

// Text in which nothing is taken as a request or an escape.
static void add_plain(struct text *t, const char *s)
{
    bool begin = true;
    for (; *s; s++) {
        if (begin && (*s == '.' || *s == '\''))
            text_add(t, "\\&");
        begin = *s == '\n';
        if (*s == '\\')
            text_add(t, "\\e");
        else if (*s == '-')
            text_add(t, "\\-");
        else
            text_addc(t, *s);
    }
}

static void add_options(struct text *t, const struct opt_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct opt *o = &list->items[i];
        if (!o->name)
            continue;
        text_add(t, ".TP\n\\fB");
        if (o->letter)
            text_addf(t, "\\-%c\\fR, \\fB", o->letter);
        text_add(t, "\\-\\-");
        add_plain(t, o->name);
        text_add(t, "\\fR");
        if (o->argument) {
            text_add(t, " \\fI");
            add_plain(t, o->argument);
            text_add(t, "\\fR");
        }
        text_addc(t, '\n');
        add_plain(t, o->help);
        text_addc(t, '\n');
    }
}

static void add_verb(struct text *t, const struct verb *v)
{
    text_add(t, ".SS ");
    add_plain(t, v->name);
    text_addc(t, '\n');
    for (const char *u = v->usage;; u++) {
        size_t len = strcspn(u, "\n");
        text_add(t, "\\fBschedctl ");
        add_plain(t, v->name);
        text_add(t, "\\fR ");
        for (size_t i = 0; i < len; i++)
            add_plain(t, (char[]){u[i], 0});
        text_add(t, "\n.br\n");
        u += len;
        if (!*u)
            break;
    }
    text_add(t, ".PP\n");
    text_addc(t, v->summary[0] >= 'a' && v->summary[0] <= 'z' ? (char)(v->summary[0] - 32)
                                                              : v->summary[0]);
    add_plain(t, v->summary + 1);
    text_add(t, ".\n");
    if (v->text) {
        add_plain(t, v->text);
        text_addc(t, '\n');
    }
    for (size_t l = 0; l < VERB_OPT_LISTS; l++)
        add_options(t, &v->options[l]);
    for (size_t i = 0; i < VERB_EXAMPLES && v->examples[i].command; i++) {
        text_add(t, ".PP\n.EX\n    schedctl ");
        add_plain(t, v->examples[i].command);
        text_add(t, "\n.EE\n");
        add_plain(t, v->examples[i].what);
        text_addc(t, '\n');
    }
}

void help_man(struct text *t)
{
    text_add(t, ".TH SCHEDCTL 1 \"\" \"Muster " MUSTER_VERSION "\" \"Muster\"\n"
                ".SH NAME\nschedctl \\- speak with a Muster cluster\n"
                ".SH SYNOPSIS\n\\fBschedctl\\fR [\\fB\\-\\-dir\\fR \\fIDIR\\fR] "
                "[\\fB\\-o\\fR json|table] \\fIVERB\\fR [\\fIARGUMENTS\\fR]\n"
                ".SH OPTIONS OF EVERY VERB\n");
    add_options(t, &global_options);
    text_add(t, ".SH VERBS\n");
    for (size_t i = 0; verbs[i]; i++)
        add_verb(t, verbs[i]);
    text_add(t, ".SH EXIT STATUS\n");
#define X(name, value, doc) text_addf(t, ".TP\n\\fB%d\\fR\n%s\n", value, doc);
    EXIT_TABLE(X)
#undef X
    text_add(t, ".PP\n\\fBschedctl run\\fR ends with the exit code of its job: that of the first "
                "task that did not end with 0, 128 + N if signal N killed it, 1 if the job ended "
                "without either.\n"
                ".SH ENVIRONMENT\n.TP\n\\fBMUSTER_HOME\\fR\nThe cluster's directory where "
                "\\-\\-dir is not given.\n");
}
