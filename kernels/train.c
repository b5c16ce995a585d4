#include "kernels/train.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "kernels/exchange.h"
#include "kernels/idx.h"
#include "kernels/loss.h"
#include "kernels/network.h"
#include "kernels/report.h"
#include "kernels/safetensors.h"
#include "kernels/shard.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct trainer {
    const struct train_options *o;
    int rank, tasks;
    struct dataset train, test;
    float mean, deviation; // of the training pixels
    struct network *net;
    struct optimiser optimiser;
    struct exchange *exchange;
    struct report report;
    uint32_t *order;
    float *x, *grad; // [batch_max][features], [batch_max][classes]
    uint8_t *labels; // [batch_max]
    size_t batch_max;
    int64_t step;
    bool stopped;
};

static volatile sig_atomic_t stop_wanted;

static void on_stop(int number)
{
    (void)number;
    stop_wanted = 1;
}

// ---- agreement ----

// All tasks fail when one does; the first of them says why.
static int agree(struct trainer *t, int rc, const struct err *err)
{
    int mine = rc ? t->rank : t->tasks, first;
    MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (first == t->rank)
        fprintf(stderr, "muster-ml: %s\n", err->message);
    return first < t->tasks;
}

// ---- data ----

static int check_data(const struct trainer *t, struct err *err)
{
    if (t->test.features != t->train.features)
        return fail(err, E_CORRUPT, "training images have %zu pixels and test images %zu",
                    t->train.features, t->test.features);
    if (t->test.classes > t->train.classes)
        return fail(err, E_CORRUPT,
                    "the test labels go up to %zu, the training labels only to %zu: label out of "
                    "range",
                    t->test.classes - 1, t->train.classes - 1);
    if ((size_t)t->o->batch > t->train.count)
        return fail(err, E_INVALID, "--batch %" PRId64 " exceeds the %zu training samples",
                    t->o->batch, t->train.count);
    return 0;
}

static int read_data(struct trainer *t, struct err *err)
{
    int rc = dataset_read(t->o->train_images, t->o->train_labels, &t->train, err);
    if (rc == 0)
        rc = dataset_read(t->o->test_images, t->o->test_labels, &t->test, err);
    return rc ? rc : check_data(t, err);
}

static void measure_pixels(struct trainer *t)
{
    uint64_t sum = 0, squares = 0;
    size_t n = t->train.count * t->train.features;
    for (size_t i = 0; i < n; i++) {
        sum += t->train.pixels[i];
        squares += (uint64_t)t->train.pixels[i] * t->train.pixels[i];
    }
    double mean = (double)sum / (double)n;
    double variance = (double)squares / (double)n - mean * mean;
    t->mean = (float)mean;
    t->deviation = variance > 0 ? (float)sqrt(variance) : 1.0f;
}

static void load_sample(struct trainer *t, const struct dataset *d, size_t from, size_t to)
{
    const uint8_t *p = d->pixels + from * d->features;
    float *x = t->x + to * d->features;
    for (size_t i = 0; i < d->features; i++)
        x[i] = ((float)p[i] - t->mean) / t->deviation;
    t->labels[to] = d->labels[from];
}

// ---- one step ----

static void bucket_done(void *arg, size_t offset, size_t count)
{
    struct trainer *t = arg;
    exchange_begin(t->exchange, network_grads(t->net), offset, count);
}

// The global batch order[first .. first + len). Returns its mean loss.
static double step(struct trainer *t, size_t first, size_t len)
{
    size_t part, n, classes = network_outputs(t->net);
    shard_part(len, (size_t)t->rank, (size_t)t->tasks, &part, &n);
    for (size_t i = 0; i < n; i++)
        load_sample(t, &t->train, t->order[first + part + i], i);
    const float *logits = network_forward(t->net, t->x, n);
    double sums[2] = {0, stop_wanted};
    sums[0] = loss_cross_entropy(logits, t->labels, n, classes, t->grad, NULL);
    network_backward(t->net, t->x, t->grad, n, bucket_done, t);
    exchange_finish(t->exchange);
    exchange_sum(t->exchange, sums, 2);
    optimiser_step(&t->optimiser, network_params(t->net), network_grads(t->net), 1.0f / (float)len);
    t->step++;
    t->stopped = sums[1] > 0;
    return sums[0] / (double)len;
}

static void evaluate(struct trainer *t, double *ret_loss, double *ret_accuracy)
{
    size_t first, len, classes = network_outputs(t->net);
    double sums[2] = {0, 0};
    shard_part(t->test.count, (size_t)t->rank, (size_t)t->tasks, &first, &len);
    for (size_t at = 0; at < len; at += t->batch_max) {
        size_t n = len - at < t->batch_max ? len - at : t->batch_max, correct;
        for (size_t i = 0; i < n; i++)
            load_sample(t, &t->test, first + at + i, i);
        const float *logits = network_forward(t->net, t->x, n);
        sums[0] += loss_cross_entropy(logits, t->labels, n, classes, NULL, &correct);
        sums[1] += (double)correct;
    }
    exchange_sum(t->exchange, sums, 2);
    *ret_loss = sums[0] / (double)t->test.count;
    *ret_accuracy = 100.0 * sums[1] / (double)t->test.count;
}

// ---- epochs ----

static bool enough(const struct trainer *t)
{
    return t->stopped || (t->o->steps && t->step >= t->o->steps);
}

static double epoch(struct trainer *t, int64_t number, int64_t steps_total)
{
    size_t batch = (size_t)t->o->batch, samples = 0;
    double loss = 0;
    shard_permute(t->order, t->train.count, t->o->seed, (uint64_t)number);
    for (size_t first = 0; first < t->train.count && !enough(t); first += batch) {
        size_t left = t->train.count - first, len = left < batch ? left : batch;
        double mean = step(t, first, len);
        loss += mean * (double)len;
        samples += len;
        report_step(&t->report, number + 1, t->o->epochs, t->step, steps_total, mean, len);
    }
    return samples ? loss / (double)samples : 0;
}

static int run(struct trainer *t, struct err *err)
{
    double test_loss = 0, accuracy = 0;
    int64_t an_epoch = ((int64_t)t->train.count + t->o->batch - 1) / t->o->batch;
    int64_t total = t->o->steps ? t->o->steps : an_epoch * t->o->epochs;
    for (int64_t e = 0; e < t->o->epochs && !enough(t); e++) {
        double train_loss = epoch(t, e, total);
        evaluate(t, &test_loss, &accuracy);
        report_epoch(&t->report, e + 1, t->o->epochs, train_loss, test_loss, accuracy);
    }
    report_end(&t->report, accuracy, network_params(t->net), network_params_count(t->net));
    int rc = t->rank == 0 && t->o->save ? safetensors_save(t->o->save, t->net, err) : 0;
    if (agree(t, rc, err))
        return EXIT_FAILED;
    if (t->stopped && t->rank == 0)
        fprintf(stderr, "muster-ml: stopped as asked after step %" PRId64 "\n", t->step);
    return t->stopped ? EXIT_STOPPED : EXIT_OK;
}

static void build(struct trainer *t)
{
    size_t in = t->train.features;
    t->batch_max = ((size_t)t->o->batch + (size_t)t->tasks - 1) / (size_t)t->tasks;
    if (t->batch_max < 64)
        t->batch_max = 64;
    t->net = network_new(t->batch_max);
    for (int i = 0; i < t->o->hidden_count; i++) {
        network_add_dense(t->net, in, (size_t)t->o->hidden[i]);
        network_add_relu(t->net);
        in = (size_t)t->o->hidden[i];
    }
    network_add_dense(t->net, in, t->train.classes);
    network_init(t->net, t->o->seed);
    optimiser_init(&t->optimiser, t->o->optimiser, network_params_count(t->net), t->o->rate,
                   t->o->momentum);
    t->exchange = exchange_new(MPI_COMM_WORLD);
    t->order = xcalloc(t->train.count, sizeof *t->order);
    t->x = xcalloc(t->batch_max * t->train.features, sizeof *t->x);
    t->grad = xcalloc(t->batch_max * t->train.classes, sizeof *t->grad);
    t->labels = xcalloc(t->batch_max, 1);
    report_init(&t->report, t->rank, t->tasks, t->o->json);
}

static void clear(struct trainer *t)
{
    dataset_free(&t->train);
    dataset_free(&t->test);
    network_free(t->net);
    optimiser_fini(&t->optimiser);
    if (t->exchange)
        exchange_free(t->exchange);
    free(t->order);
    free(t->x);
    free(t->grad);
    free(t->labels);
}

// A launcher that fails to connect the ranks leaves each of them alone with size 1.
static int check_size(const struct trainer *t)
{
    const char *want = getenv("MUSTER_TASKS");
    if (!want || strtol(want, NULL, 10) == t->tasks)
        return 0;
    fprintf(stderr,
            "muster-ml: MPI found %d task(s) where %s were started: the ranks did not find each "
            "other. Submit with --mpi pmix.\n",
            t->tasks, want);
    return EXIT_ALONE;
}

int train(const struct train_options *o)
{
    struct trainer t = {.o = o};
    struct err err = {0};
    MPI_Comm_rank(MPI_COMM_WORLD, &t.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &t.tasks);
    int rc = check_size(&t);
    if (rc)
        return rc;
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    if (agree(&t, read_data(&t, &err), &err)) {
        clear(&t);
        return EXIT_DATA;
    }
    measure_pixels(&t);
    build(&t);
    rc = run(&t, &err);
    clear(&t);
    return rc;
}
