// muster-ml train: its options.
#include "common/alloc.h"
#include "common/units.h"
#include "kernels/args.h"
#include "kernels/network.h"
#include "kernels/train.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_EPOCHS = 256,
    KEY_STEPS,
    KEY_SEED,
    KEY_MODEL,
    KEY_LAYERS,
    KEY_OPTIMIZER,
    KEY_MOMENTUM,
    KEY_SCHEDULE,
    KEY_SAVE,
    KEY_LOG,
    KEY_THREADS,
    KEY_HIDDEN,
    KEY_LOSS,
    KEY_TOKENS,
    KEY_VOCABULARY,
    KEY_LENGTH,
    KEY_CHECKPOINT,
    KEY_EVERY,
    KEY_RESUME
};

struct arguments {
    struct train_options train;
    char *recipe; // made from --hidden
    int64_t threads;
};

static const struct argp_option option_list[] = {
    {0, 0, 0, 0, "Model:", 1},
    {"model", KEY_MODEL, "NAME", 0, "mlp (default), cnn or lstm", 1},
    {"hidden", KEY_HIDDEN, "N,...", 0, "an mlp with these hidden layers", 1},
    {"layers", KEY_LAYERS, "LIST", 0, "a network of your own, see below", 1},
    {"loss", KEY_LOSS, "NAME", 0, "cross-entropy (default) or mse", 1},
    {0, 0, 0, 0, "Data:", 2},
    {"data", 'd', "DIR", 0,
     "directory of train-images-idx3-ubyte[.gz] and the other three, or of train.txt[.gz] and "
     "test.txt[.gz] (default /usr/share/datasets/fashion-mnist)",
     2},
    {"tokens", KEY_TOKENS, "WHAT", 0, "of texts: char (default) or word", 2},
    {"vocabulary", KEY_VOCABULARY, "N", 0, "at most so many tokens (default 20000)", 2},
    {"length", KEY_LENGTH, "N", 0, "at most so many tokens of a text (default 64)", 2},
    {0, 0, 0, 0, "Training:", 3},
    {"epochs", KEY_EPOCHS, "N", 0, "passes over the training data (default 3)", 3},
    {"steps", KEY_STEPS, "N", 0, "stop after so many steps", 3},
    {"batch", 'b', "N", 0, "samples of a step over all tasks (default 32)", 3},
    {"optimizer", KEY_OPTIMIZER, "NAME", 0, "adam (default) or sgd", 3},
    {"lr", 'l', "RATE", 0, "learning rate (default 0.002 for adam, 0.02 for sgd)", 3},
    {"schedule", KEY_SCHEDULE, "NAME", 0,
     "of the rate: linear, to 0 at the last step (default), or constant", 3},
    {"momentum", KEY_MOMENTUM, "M", 0, "of sgd (default 0.9)", 3},
    {"seed", KEY_SEED, "N", 0, "of initialisation and order (default 1)", 3},
    {"threads", KEY_THREADS, "N", 0, "of each task (default $MUSTER_CPUS or 1)", 3},
    {0, 0, 0, 0, "Results:", 4},
    {"save", KEY_SAVE, "FILE", 0, "write the trained model, for muster-ml eval", 4},
    {"checkpoint", KEY_CHECKPOINT, "DIR", 0,
     "keep a checkpoint there; the next attempt of the job goes on from it", 4},
    {"checkpoint-every", KEY_EVERY, "TIME", 0, "how often (default 30s)", 4},
    {"resume", KEY_RESUME, 0, 0, "go on from the checkpoint that another training left in DIR", 4},
    {"log", KEY_LOG, "FORM", 0, "text (default) or json", 4},
    {0},
};

static void take_model(struct argp_state *state, struct arguments *a, const char *arg)
{
    a->train.recipe = network_preset(arg);
    if (!a->train.recipe)
        argp_error(state, "there is no model \"%s\". There are mlp, cnn and lstm.", arg);
}

static void take_hidden(struct argp_state *state, struct arguments *a, const char *arg)
{
    AUTO_FREE char *copy = xstrdup(arg);
    AUTO(text) struct text t = {0};
    char *rest = copy, *word;
    while ((word = strsep(&rest, ",")))
        text_addf(&t, "dense:%d relu ", (int)arg_whole(state, "--hidden", word, 1, 1 << 20));
    text_add(&t, "dense:classes");
    free(a->recipe);
    a->train.recipe = a->recipe = text_take(&t);
}

static void take_optimizer(struct argp_state *state, struct train_options *t, const char *arg)
{
    if (strcmp(arg, "sgd") != 0 && strcmp(arg, "adam") != 0)
        argp_error(state, "there is no optimizer \"%s\". There are adam and sgd.", arg);
    t->optimiser = strcmp(arg, "sgd") == 0 ? OPTIMISER_SGD : OPTIMISER_ADAM;
}

static void take_schedule(struct argp_state *state, struct train_options *t, const char *arg)
{
    if (strcmp(arg, "linear") != 0 && strcmp(arg, "constant") != 0)
        argp_error(state, "there is no schedule \"%s\". There are linear and constant.", arg);
    t->schedule = strcmp(arg, "linear") == 0 ? SCHEDULE_LINEAR : SCHEDULE_CONSTANT;
}

static void take_tokens(struct argp_state *state, struct train_options *t, const char *arg)
{
    if (strcmp(arg, "char") != 0 && strcmp(arg, "word") != 0)
        argp_error(state, "--tokens takes char or word, not \"%s\"", arg);
    t->data.words = strcmp(arg, "word") == 0;
}

static void take_every(struct argp_state *state, struct train_options *t, const char *arg)
{
    struct err err;
    if (parse_duration_ms(arg, "--checkpoint-every", &t->checkpoint_ms, &err))
        argp_error(state, "%s", err.message);
}

static error_t parse_result(int key, char *arg, struct argp_state *state)
{
    struct train_options *t = &((struct arguments *)state->input)->train;
    switch (key) {
    case KEY_SAVE:
        t->save = arg;
        return 0;
    case KEY_CHECKPOINT:
        t->checkpoint = arg;
        return 0;
    case KEY_EVERY:
        take_every(state, t, arg);
        return 0;
    case KEY_RESUME:
        t->resume = true;
        return 0;
    case KEY_LOG:
        t->json = arg_json(state, arg);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "there is no argument \"%s\"", arg);
        return 0;
    case ARGP_KEY_END:
        if (t->resume && !t->checkpoint)
            argp_error(state, "--resume needs --checkpoint DIR");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;
    struct train_options *t = &a->train;
    switch (key) {
    case KEY_MODEL:
        take_model(state, a, arg);
        break;
    case KEY_HIDDEN:
        take_hidden(state, a, arg);
        break;
    case KEY_LAYERS:
        t->recipe = arg;
        break;
    case KEY_LOSS:
        t->loss = arg_loss(state, arg);
        break;
    case 'd':
        t->data.dir = arg;
        break;
    case KEY_TOKENS:
        take_tokens(state, t, arg);
        break;
    case KEY_VOCABULARY:
        t->data.vocabulary = (size_t)arg_whole(state, "--vocabulary", arg, 2, VOCABULARY_MAX);
        break;
    case KEY_LENGTH:
        t->data.steps = (size_t)arg_whole(state, "--length", arg, 1, 4096);
        break;
    case KEY_EPOCHS:
        t->epochs = arg_whole(state, "--epochs", arg, 1, 1000000);
        break;
    case KEY_STEPS:
        t->steps = arg_whole(state, "--steps", arg, 1, INT64_C(1) << 40);
        break;
    case 'b':
        t->batch = arg_whole(state, "--batch", arg, 1, 1 << 20);
        break;
    case KEY_OPTIMIZER:
        take_optimizer(state, t, arg);
        break;
    case KEY_SCHEDULE:
        take_schedule(state, t, arg);
        break;
    case 'l':
        t->rate = arg_real(state, "--lr", arg, 1000);
        if (!(t->rate > 0))
            argp_error(state, "--lr %s would learn nothing: give a rate above 0", arg);
        break;
    case KEY_MOMENTUM:
        t->momentum = arg_real(state, "--momentum", arg, 1);
        break;
    case KEY_SEED:
        t->seed = (uint64_t)arg_whole(state, "--seed", arg, 0, INT64_MAX);
        break;
    case KEY_THREADS:
        a->threads = arg_whole(state, "--threads", arg, 1, 1024);
        break;
    default:
        return parse_result(key, arg, state);
    }
    return 0;
}

static const char documentation[] =
    "Trains a classifier on images or texts, data-parallel over the tasks of an MPI job.\v"
    "Examples:\n"
    "  muster-ml train --model cnn\n"
    "  schedctl run -n 2 -N 2 -- muster-ml train --model cnn --epochs 5\n"
    "  schedctl submit -n 2 --on-lost requeue:30s -- \\\n"
    "      muster-ml train --model cnn --epochs 20 --checkpoint /shared/run1\n"
    "  mpirun -np 2 muster-ml train --model lstm --data news --save news.safetensors\n"
    "  muster-ml train --layers 'conv:8:5 tanh maxpool:2 dense:classes'\n\n"
    "A network is a list of layers, from the input on; the word \"classes\" is a number:\n";

static const char rest[] =
    "\nA text is a line TEXT<TAB>LABEL in UTF-8; the label is a number or a name from class.txt. "
    "Lines "
    "that cannot be used are skipped and counted; more than one in twenty is refused.\n\n"
    "The same seed and number of tasks and threads give the same parameters on processors of one "
    "kind, bit for bit; the samples of a step do not depend on the number of tasks.\n\n"
    "Exit status: 0 trained, 1 the training diverged or the model could not be written, 2 usage, 3 "
    "data or checkpoint that cannot be used, 4 the "
    "tasks did not find each other, 5 a later attempt of the job, or another training, keeps the "
    "checkpoint, 143 stopped "
    "by SIGTERM at the end of a step, with a checkpoint if there is a directory for it.";

static void parse(int argc, char **argv, struct arguments *a)
{
    AUTO(text) struct text doc = {0};
    text_add(&doc, documentation);
    network_help(&doc);
    text_add(&doc, rest);
    const struct argp parser = {option_list, parse_option, NULL, text_str(&doc), NULL, NULL, NULL};
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = "muster-ml train";
    args_parse(&parser, argc, argv, a);
}

int train_main(int argc, char **argv)
{
    struct arguments a = {
        .train = {.data = {.dir = "/usr/share/datasets/fashion-mnist",
                           .vocabulary = 20000,
                           .steps = 64},
                  .recipe = network_preset("mlp"),
                  .checkpoint_ms = 30000,
                  .epochs = 3,
                  .batch = 32,
                  .seed = 1,
                  .optimiser = OPTIMISER_ADAM,
                  .momentum = 0.9f},
    };
    parse(argc, argv, &a);
    set_threads(a.threads);
    MPI_Init(NULL, NULL);
    int rc = train(&a.train);
    MPI_Finalize();
    free(a.recipe);
    return rc;
}
