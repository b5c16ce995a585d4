#include "kernels/train.h"

#include "common/alloc.h"
#include "kernels/evaluate.h"
#include "kernels/shard.h"
#include "kernels/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS_MIN = 16 }; // of a pass, so that judging is not done one by one

static void on_stop(int number)
{
    (void)number;
    trainer_stop();
}

// ---- making ----

static int check_batch(const struct trainer *t, struct err *err)
{
    if ((size_t)t->o->batch > t->corpus.train.count)
        return fail(err, E_INVALID, "--batch %" PRId64 " exceeds the %zu training samples",
                    t->o->batch, t->corpus.train.count);
    return 0;
}

static int make_network(struct trainer *t, size_t rows, struct err *err)
{
    int rc = check_batch(t, err);
    if (rc == 0)
        rc = network_new(t->o->recipe, corpus_input(&t->corpus), t->corpus.classes, rows,
                         t->corpus.time_max, &t->net, err);
    return rc;
}

static int64_t epoch_steps(const struct trainer *t)
{
    return ((int64_t)t->corpus.train.count + t->o->batch - 1) / t->o->batch;
}

static void make_rest(struct trainer *t, size_t rows)
{
    network_init(t->net, t->o->seed);
    optimiser_init(&t->optimiser, t->o->optimiser, network_params_count(t->net), t->o->rate,
                   t->o->momentum);
    t->exchange = exchange_new(MPI_COMM_WORLD, EXCHANGE_BUCKET_BYTES);
    t->feeder.mean = t->corpus.mean;
    t->feeder.deviation = t->corpus.deviation;
    feeder_init(&t->feeder, network_input(t->net), rows, t->corpus.time_max);
    metrics_init(&t->metrics, t->corpus.classes);
    t->order = xcalloc(t->corpus.train.count, sizeof *t->order);
    t->grad = xcalloc(rows * t->corpus.classes, sizeof *t->grad);
    t->progress = (struct progress){.batch = t->o->batch, .seed = t->o->seed};
    t->steps = epoch_steps(t) * t->o->epochs;
    if (t->o->steps && t->o->steps < t->steps)
        t->steps = t->o->steps;
}

static int make(struct trainer *t)
{
    struct err err;
    int rc = t->tasks.rank == 0 && t->o->save ? safetensors_try(t->o->save, &err) : 0;
    if (tasks_fail(&t->tasks, rc, &err))
        return EXIT_FAILED;
    rc = corpus_read(&t->o->data, &t->corpus, &err);
    if (tasks_fail(&t->tasks, rc, &err))
        return EXIT_DATA;
    rc = tasks_same(&t->tasks, corpus_sum(&t->corpus), t->o->data.dir, &err);
    if (tasks_fail(&t->tasks, rc, &err))
        return EXIT_DATA;
    size_t rows = ((size_t)t->o->batch + (size_t)t->tasks.count - 1) / (size_t)t->tasks.count;
    rows = rows < ROWS_MIN ? ROWS_MIN : rows;
    rc = make_network(t, rows, &err);
    if (tasks_fail(&t->tasks, rc, &err))
        return EXIT_USAGE;
    make_rest(t, rows);
    report_init(&t->report, t->tasks.rank, t->tasks.count, t->o->json);
    return EXIT_OK;
}

static void clear(struct trainer *t)
{
    corpus_free(&t->corpus);
    feeder_fini(&t->feeder);
    network_free(t->net);
    optimiser_fini(&t->optimiser);
    exchange_free(t->exchange);
    metrics_fini(&t->metrics);
    keeper_close(&t->keeper);
    free(t->order);
    free(t->grad);
}

// ---- epochs ----

static bool enough(const struct trainer *t)
{
    return t->stopped || t->progress.step >= t->steps;
}

// The rest of an epoch from the step on at which the training stands.
static int epoch(struct trainer *t, int64_t number)
{
    size_t batch = (size_t)t->o->batch, count = t->corpus.train.count;
    size_t first = (size_t)(t->progress.step % epoch_steps(t)) * batch;
    int code = EXIT_OK;
    shard_permute(t->order, count, t->o->seed, (uint64_t)number);
    for (; first < count && !enough(t) && code == EXIT_OK; first += batch) {
        size_t len = count - first < batch ? count - first : batch;
        struct report_step s = {.epoch = number + 1, .epochs = t->o->epochs, .steps = t->steps};
        trainer_step(t, first, len, &s);
        if (!isfinite(s.loss))
            return trainer_diverged(t, "the loss");
        s.step = t->progress.step;
        report_step(&t->report, &s);
        if (t->checkpoint_due)
            code = trainer_checkpoint(t);
    }
    return code;
}

static void judge(struct trainer *t, const struct dataset *d)
{
    evaluate(t->net, &t->feeder, d, t->o->loss, t->exchange, t->tasks.rank, t->tasks.count,
             &t->metrics);
}

static int run_epochs(struct trainer *t)
{
    const struct dataset *watched = t->corpus.dev.count ? &t->corpus.dev : &t->corpus.test;
    while (!enough(t)) {
        int64_t number = t->progress.step / epoch_steps(t);
        int code = epoch(t, number);
        if (code)
            return code;
        // First: who asked for a stop may not wait for more.
        code = trainer_checkpoint(t);
        if (code || t->stopped)
            return code;
        judge(t, watched);
        if (!isfinite(metrics_loss(&t->metrics)))
            return trainer_diverged(t, "the loss");
        report_epoch(&t->report, number + 1, t->o->epochs, t->corpus.dev.count ? "dev" : "test",
                     metrics_loss(&t->metrics), metrics_accuracy(&t->metrics));
    }
    return EXIT_OK;
}

static const char *class_of(const void *corpus, size_t k, char number[static 24])
{
    return corpus_class(corpus, k, number);
}

static int save(struct trainer *t)
{
    struct err err;
    struct safetensors s;
    int rc = 0;
    if (t->tasks.rank == 0 && t->o->save) {
        model_pack(t->net, &t->corpus, NULL, NULL, &s);
        rc = safetensors_write(t->o->save, &s, &err);
        safetensors_free(&s);
    }
    return tasks_fail(&t->tasks, rc, &err) ? EXIT_FAILED : EXIT_OK;
}

static int run(struct trainer *t)
{
    int code = run_epochs(t);
    if (code)
        return code;
    if (t->stopped) {
        report_end_line(&t->report);
        if (t->tasks.rank == 0)
            fprintf(stderr, "muster-ml: stopped as asked after step %" PRId64 "%s\n",
                    t->progress.step, t->o->checkpoint ? ", with a checkpoint" : "");
        return EXIT_STOPPED;
    }
    code = save(t);
    judge(t, &t->corpus.test);
    if (!isfinite(metrics_loss(&t->metrics)))
        return trainer_diverged(t, "the loss");
    report_end(&t->report, &t->metrics, class_of, &t->corpus, network_params(t->net),
               network_params_count(t->net));
    return code;
}

static void introduce(struct trainer *t)
{
    AUTO(text) struct text t1 = {0};
    corpus_remarks(&t->corpus, &t1);
    if (t->tasks.rank == 0 && t1.len)
        fputs(text_str(&t1), stderr);
    if (t->tasks.rank || t->o->json)
        return;
    text_clear(&t1);
    network_summary(t->net, &t1);
    text_addf(&t1, "%zu training samples, %zu classes, %d task%s\n", t->corpus.train.count,
              t->corpus.classes, t->tasks.count, t->tasks.count == 1 ? "" : "s");
    fputs(text_str(&t1), stdout);
    fflush(stdout);
}

int train(const struct train_options *o)
{
    struct trainer t = {.o = o};
    int code = tasks_find(&t.tasks);
    if (code)
        return code;
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    code = make(&t);
    if (code == EXIT_OK) {
        introduce(&t);
        code = trainer_resume(&t);
    }
    if (code == EXIT_OK)
        code = run(&t);
    clear(&t);
    return code;
}
