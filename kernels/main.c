// muster-ml: the bundled compute, an ordinary MPI program. Runs under Muster, mpirun, or alone.
#include "kernels/args.h"
#include "kernels/exits.h"

#include <stdio.h>
#include <string.h>

const char *argp_program_version = "muster-ml " MUSTER_VERSION;

static const struct {
    const char *name, *what;
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"train", "train a classifier on images or texts", train_main},
    {"eval", "judge a saved model on a test set", eval_main},
};
enum { VERBS = sizeof verbs / sizeof *verbs };

static void usage(FILE *to)
{
    fputs("usage: muster-ml VERB [OPTION...]\n\n", to);
    for (size_t i = 0; i < VERBS; i++)
        fprintf(to, "  %-8s %s\n", verbs[i].name, verbs[i].what);
    fputs("\n`muster-ml VERB --help` shows a verb's options, with examples.\n", to);
}

int main(int argc, char **argv)
{
    const char *word = argc >= 2 ? argv[1] : "";
    for (size_t i = 0; i < VERBS; i++)
        if (strcmp(word, verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) {
        puts(argp_program_version);
        return EXIT_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) {
        usage(stdout);
        return EXIT_OK;
    }
    if (*word && args_speaks())
        fprintf(stderr, "muster-ml: there is no verb \"%s\".\n", word);
    if (args_speaks())
        usage(stderr);
    return EXIT_USAGE;
}
