// muster-ml: the bundled training, an ordinary MPI program. Runs under Muster, mpirun, or alone.
#include "common/alloc.h"
#include "common/units.h"
#include "kernels/train.h"

#include <argp.h>
#include <cblas.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *argp_program_version = "muster-ml " MUSTER_VERSION;

enum {
    KEY_EPOCHS = 256,
    KEY_STEPS,
    KEY_SEED,
    KEY_MODEL,
    KEY_OPTIMIZER,
    KEY_MOMENTUM,
    KEY_SAVE,
    KEY_LOG,
    KEY_THREADS,
    KEY_HIDDEN
};

struct arguments {
    struct train_options train;
    const char *data;
    int64_t threads;
};

static const struct argp_option option_list[] = {
    {"model", KEY_MODEL, "NAME", 0, "the model: mlp", 0},
    {"data", 'd', "DIR", 0,
     "directory of train-images-idx3-ubyte.gz and the other three "
     "(default /usr/share/datasets/fashion-mnist)",
     0},
    {"hidden", KEY_HIDDEN, "N,...", 0, "hidden layers' sizes (default 128)", 0},
    {"epochs", KEY_EPOCHS, "N", 0, "passes over the training data (default 3)", 0},
    {"steps", KEY_STEPS, "N", 0, "stop after so many steps", 0},
    {"batch", 'b', "N", 0, "samples of a step over all tasks (default 256)", 0},
    {"optimizer", KEY_OPTIMIZER, "NAME", 0, "adam (default) or sgd", 0},
    {"lr", 'l', "RATE", 0, "learning rate (default 0.001 for adam, 0.1 for sgd)", 0},
    {"momentum", KEY_MOMENTUM, "M", 0, "of sgd (default 0.9)", 0},
    {"seed", KEY_SEED, "N", 0, "of initialisation and order (default 1)", 0},
    {"save", KEY_SAVE, "FILE", 0, "write the parameters as safetensors", 0},
    {"log", KEY_LOG, "FORM", 0, "text (default) or json", 0},
    {"threads", KEY_THREADS, "N", 0, "threads of the products (default $MUSTER_CPUS or 1)", 0},
    {0},
};

static int64_t whole(struct argp_state *state, const char *name, const char *arg, int64_t min,
                     int64_t max)
{
    struct err err;
    int64_t v = 0;
    if (parse_int(arg, name, min, max, &v, &err))
        argp_error(state, "%s", err.message);
    return v;
}

static float real(struct argp_state *state, const char *name, const char *arg)
{
    char *end;
    float v = strtof(arg, &end);
    if (end == arg || *end || !(v >= 0) || v > 1000)
        argp_error(state, "%s \"%s\" is not a number from 0 to 1000", name, arg);
    return v;
}

static void take_hidden(struct argp_state *state, struct train_options *t, const char *arg)
{
    AUTO_FREE char *copy = xstrdup(arg);
    char *rest = copy, *word;
    t->hidden_count = 0;
    while ((word = strsep(&rest, ","))) {
        if (t->hidden_count == HIDDEN_MAX)
            argp_error(state, "--hidden has more than %d layers", HIDDEN_MAX);
        t->hidden[t->hidden_count++] = whole(state, "--hidden", word, 1, 1 << 20);
    }
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;
    struct train_options *t = &a->train;
    switch (key) {
    case KEY_MODEL:
        if (strcmp(arg, "mlp") != 0)
            argp_error(state, "there is no model \"%s\". The one there is is mlp.", arg);
        break;
    case 'd':
        a->data = arg;
        break;
    case KEY_HIDDEN:
        take_hidden(state, t, arg);
        break;
    case KEY_EPOCHS:
        t->epochs = whole(state, "--epochs", arg, 1, 1000000);
        break;
    case KEY_STEPS:
        t->steps = whole(state, "--steps", arg, 1, INT64_C(1) << 40);
        break;
    case 'b':
        t->batch = whole(state, "--batch", arg, 1, 1 << 20);
        break;
    case KEY_OPTIMIZER:
        if (strcmp(arg, "sgd") != 0 && strcmp(arg, "adam") != 0)
            argp_error(state, "there is no optimizer \"%s\". There are adam and sgd.", arg);
        t->optimiser = strcmp(arg, "sgd") == 0 ? OPTIMISER_SGD : OPTIMISER_ADAM;
        break;
    case 'l':
        t->rate = real(state, "--lr", arg);
        break;
    case KEY_MOMENTUM:
        t->momentum = real(state, "--momentum", arg);
        break;
    case KEY_SEED:
        t->seed = (uint64_t)whole(state, "--seed", arg, 0, INT64_MAX);
        break;
    case KEY_SAVE:
        t->save = arg;
        break;
    case KEY_LOG:
        if (strcmp(arg, "json") != 0 && strcmp(arg, "text") != 0)
            argp_error(state, "--log takes text or json, not \"%s\"", arg);
        t->json = strcmp(arg, "json") == 0;
        break;
    case KEY_THREADS:
        a->threads = whole(state, "--threads", arg, 1, 1024);
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "there is no argument \"%s\"", arg);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp train_arguments = {
    option_list,
    parse_option,
    NULL,
    "Trains a classifier on images, data-parallel over the tasks of an MPI job.\v"
    "Examples:\n"
    "  muster-ml train --model mlp\n"
    "  schedctl run -n 2 -N 2 -- muster-ml train --model mlp --epochs 5\n"
    "  mpirun -np 2 muster-ml train --hidden 256,128 --save model.safetensors\n\n"
    "The same seed and number of tasks give the same parameters, bit for bit; the samples of a "
    "step "
    "do not depend on the number of tasks.\n\n"
    "Exit status: 0 trained, 1 failure, 2 usage, 3 bad data, 4 the tasks did not find each other, "
    "143 stopped by SIGTERM.",
    NULL,
    NULL,
    NULL};

static const char usage[] = "usage: muster-ml train [OPTION...]\n"
                            "       muster-ml --help | --version | train --help\n";

static int run_train(int argc, char **argv)
{
    struct arguments a = {
        .train = {.hidden = {128},
                  .hidden_count = 1,
                  .epochs = 3,
                  .batch = 256,
                  .seed = 1,
                  .optimiser = OPTIMISER_ADAM,
                  .momentum = 0.9f},
        .data = "/usr/share/datasets/fashion-mnist",
    };
    const char *cpus = getenv("MUSTER_CPUS");
    a.threads = cpus ? strtol(cpus, NULL, 10) : 1;
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = "muster-ml train";
    argp_parse(&train_arguments, argc, argv, 0, NULL, &a);
    AUTO_FREE char *p1 = xasprintf("%s/train-images-idx3-ubyte.gz", a.data);
    AUTO_FREE char *p2 = xasprintf("%s/train-labels-idx1-ubyte.gz", a.data);
    AUTO_FREE char *p3 = xasprintf("%s/t10k-images-idx3-ubyte.gz", a.data);
    AUTO_FREE char *p4 = xasprintf("%s/t10k-labels-idx1-ubyte.gz", a.data);
    a.train.train_images = p1;
    a.train.train_labels = p2;
    a.train.test_images = p3;
    a.train.test_labels = p4;
    openblas_set_num_threads(a.threads > 0 ? (int)a.threads : 1);
    MPI_Init(NULL, NULL);
    int rc = train(&a.train);
    MPI_Finalize();
    return rc;
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "train") == 0)
        return run_train(argc - 1, argv + 1);
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0)) {
        puts(argp_program_version);
        return 0;
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc >= 2)
        fprintf(stderr, "muster-ml: there is no verb \"%s\". Did you mean \"train\"?\n", argv[1]);
    fputs(usage, stderr);
    return EXIT_USAGE;
}
