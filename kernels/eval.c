// muster-ml eval: judges a saved model on a test set.
#include "common/alloc.h"
#include "kernels/agree.h"
#include "kernels/args.h"
#include "kernels/evaluate.h"
#include "kernels/exits.h"
#include "kernels/model.h"

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

enum { KEY_LOG = 256, KEY_THREADS, KEY_LOSS, ROWS = 256 };

struct arguments {
    const char *model;
    struct corpus_options data;
    enum loss_kind loss;
    int64_t threads;
    bool json;
};

struct judge {
    const struct arguments *a;
    struct tasks tasks;
    struct safetensors file;
    struct corpus corpus;
    struct network *net;
};

static const struct argp_option option_list[] = {
    {"data", 'd', "DIR", 0,
     "directory with t10k-images-idx3-ubyte[.gz] and t10k-labels-idx1-ubyte[.gz], or test.txt[.gz] "
     "(default /usr/share/datasets/fashion-mnist)",
     0},
    {"loss", KEY_LOSS, "NAME", 0, "cross-entropy (default) or mse", 0},
    {"log", KEY_LOG, "FORM", 0, "text (default) or json", 0},
    {"threads", KEY_THREADS, "N", 0, "of each task (default $MUSTER_CPUS or 1)", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case 'd':
        a->data.dir = arg;
        break;
    case KEY_LOSS:
        a->loss = arg_loss(state, arg);
        break;
    case KEY_LOG:
        a->json = arg_json(state, arg);
        break;
    case KEY_THREADS:
        a->threads = arg_whole(state, "--threads", arg, 1, 1024);
        break;
    case ARGP_KEY_ARG:
        if (a->model)
            argp_error(state, "there is no second argument \"%s\"", arg);
        a->model = arg;
        break;
    case ARGP_KEY_END:
        if (!a->model)
            argp_error(state, "name the model's file");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp parser = {
    option_list,
    parse_option,
    "MODEL",
    "Judges a model that muster-ml train has saved (--save, or a checkpoint) on a test set: loss, "
    "accuracy, precision, recall and F1 by class, confusion matrix.\v"
    "Examples:\n"
    "  muster-ml eval model.safetensors\n"
    "  muster-ml eval news.safetensors --data news --log json\n"
    "  schedctl run -n 4 -- muster-ml eval model.safetensors\n\n"
    "Exit status: 0 judged, 2 usage, 3 data or model that cannot be used, 4 the tasks did not find "
    "each other.",
    NULL,
    NULL,
    NULL};

static int load(struct judge *j, struct err *err)
{
    const char *path = j->a->model, *recipe;
    struct shape input, have;
    int rc = safetensors_read(path, &j->file, err);
    if (rc == 0)
        rc = model_corpus(&j->file, path, &j->corpus, &input, &recipe, err);
    if (rc == 0)
        rc = corpus_read_test(&j->a->data, &j->corpus, err);
    if (rc)
        return rc;
    have = corpus_input(&j->corpus);
    if (have.height != input.height || have.width != input.width)
        return fail(err, E_INVALID,
                    "\"%s\" is made for images of %zu x %zu; \"%s\" holds %zu x %zu", path,
                    input.height, input.width, j->a->data.dir, have.height, have.width);
    rc = network_new(recipe, input, j->corpus.classes, ROWS, j->corpus.time_max, &j->net, err);
    return rc ? rc : model_restore(&j->file, path, j->net, err);
}

static const char *class_of(const void *corpus, size_t k, char number[static 24])
{
    return corpus_class(corpus, k, number);
}

static void show(const struct judge *j, const struct metrics *m)
{
    AUTO(text) struct text t = {0};
    corpus_remarks(&j->corpus, &t);
    fputs(text_str(&t), stderr);
    text_clear(&t);
    if (j->a->json) {
        metrics_json(m, class_of, &j->corpus, &t);
    } else {
        metrics_table(m, class_of, &j->corpus, &t);
        text_addf(&t, "test loss %.4f\ntest accuracy %.1f %%\n", metrics_loss(m),
                  metrics_accuracy(m));
    }
    fputs(text_str(&t), stdout);
}

static int judge_all(struct judge *j)
{
    int code = EXIT_OK;
    struct metrics m;
    struct feeder f = {.mean = j->corpus.mean, .deviation = j->corpus.deviation};
    struct exchange *x = exchange_new(MPI_COMM_WORLD, EXCHANGE_BUCKET_BYTES);
    metrics_init(&m, j->corpus.classes);
    feeder_init(&f, network_input(j->net), ROWS, j->corpus.time_max);
    evaluate(j->net, &f, &j->corpus.test, j->a->loss, x, j->tasks.rank, j->tasks.count, &m);
    if (!isfinite(metrics_loss(&m)))
        code = EXIT_DATA;
    if (j->tasks.rank == 0 && code == EXIT_OK)
        show(j, &m);
    else if (j->tasks.rank == 0)
        fprintf(stderr, "muster-ml: \"%s\" puts out what is no finite number: it is damaged\n",
                j->a->model);
    feeder_fini(&f);
    metrics_fini(&m);
    exchange_free(x);
    return code;
}

static int run(const struct arguments *a)
{
    struct judge j = {.a = a};
    struct err err;
    int code = tasks_find(&j.tasks);
    if (code)
        return code;
    if (tasks_fail(&j.tasks, load(&j, &err), &err) ||
        tasks_fail(&j.tasks, tasks_same(&j.tasks, corpus_sum(&j.corpus), a->data.dir, &err), &err))
        code = EXIT_DATA;
    else
        code = judge_all(&j);
    network_free(j.net);
    corpus_free(&j.corpus);
    safetensors_free(&j.file);
    return code;
}

int eval_main(int argc, char **argv)
{
    struct arguments a = {.data = {.dir = "/usr/share/datasets/fashion-mnist"}};
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = "muster-ml eval";
    args_parse(&parser, argc, argv, &a);
    set_threads(a.threads);
    MPI_Init(NULL, NULL);
    int rc = run(&a);
    MPI_Finalize();
    return rc;
}
