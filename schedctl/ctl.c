#include "schedctl/ctl.h"

#include "common/alloc.h"
#include "schedctl/help.h"
#include "schedctl/verbs.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int choose_dir(struct ctl *ctl, struct err *err)
{
    const char *dir = args_value(&ctl->args, "dir");
    if (dir && !*dir)
        return fail(err, E_INVALID, "option --dir needs the name of a directory");
    if (!dir)
        dir = getenv("MUSTER_HOME");
    if (!dir || !*dir)
        dir = "/var/lib/muster";
    char *real = realpath(dir, NULL);
    ctl->dir = real ? real : xstrdup(dir);
    return 0;
}

static int choose_output(struct ctl *ctl, struct err *err)
{
    const char *format = args_value(&ctl->args, "output");
    bool has_csv = ctl->args.verb->csv;
    ctl->csv = has_csv && format && strcmp(format, "csv") == 0;
    if (format && !ctl->csv && strcmp(format, "json") && strcmp(format, "table"))
        return fail(err, E_INVALID, "output format \"%.64s\" is unknown. Use %sjson or table.",
                    format, has_csv ? "csv, " : "");
    ctl->json = format && strcmp(format, "json") == 0;
    return 0;
}

int ctl_connect(struct ctl *ctl, struct err *err)
{
    return client_open(ctl->dir, &ctl->client, err);
}

void ctl_print_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
    putchar('\n');
}

static int perform(struct ctl *ctl)
{
    struct err err;
    if (choose_dir(ctl, &err) || choose_output(ctl, &err))
        return report(&err);
    if (args_has(&ctl->args, "help") && ctl->args.verb != &verb_help) {
        help_verb(ctl->args.verb);
        return CTL_OK;
    }
    return ctl->args.verb->run(ctl);
}

int ctl_main(char **argv)
{
    struct err err;
    struct ctl ctl = {0};
    setlocale(LC_CTYPE, "");
    if (args_parse(argv + 1, &ctl.args, &err))
        return report(&err);
    int rc = perform(&ctl);
    client_free(&ctl.client);
    args_free(&ctl.args);
    free(ctl.dir);
    if ((fflush(stdout) || ferror(stdout)) && rc == CTL_OK)
        rc = complain(CTL_FAILED, "cannot write the output: %s", strerror(errno));
    return rc;
}
