// Checkpoints of a training: written by the first task of each host, read by whichever has the
// newest, given to all.
#include "common/alloc.h"
#include "common/clock.h"
#include "kernels/trainer.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>

static int exit_of(enum errcode code)
{
    return code == E_REFUSED ? EXIT_FENCED : code == E_EXISTS ? EXIT_USAGE : EXIT_DATA;
}

// The exit code that the first task with a failure has, on every task.
static int verdict(struct trainer *t, int rc, const struct err *err)
{
    if (rc)
        report_end_line(&t->report);
    int code = rc ? exit_of(err->code) : 0, worst;
    bool failed = tasks_fail(&t->tasks, rc, err);
    MPI_Allreduce(&code, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    return failed ? worst : EXIT_OK;
}

// What is wrong with a checkpoint, and what to do.
static int advise(struct err *err, const char *advice)
{
    struct err why = *err;
    return fail(err, why.code, "%s. %s", why.message, advice);
}

static int read_checkpoint(struct trainer *t, const char *path, struct progress *p, struct err *err)
{
    struct safetensors s;
    int rc = safetensors_read(path, &s, err);
    if (rc)
        return rc == E_CORRUPT ? advise(err, "Remove the file to begin anew.") : rc;
    rc = model_restore(&s, path, t->net, err);
    if (rc == 0)
        rc = model_resume(&s, path, &t->corpus, &t->optimiser, p, err);
    safetensors_free(&s);
    return rc ? advise(err, "Train as it was begun, or name another directory.") : 0;
}

static void give(float *p, size_t count, int from)
{
    for (size_t at = 0; p && at < count; at += INT_MAX / 2) {
        size_t n = count - at < INT_MAX / 2 ? count - at : INT_MAX / 2;
        MPI_Bcast(p + at, (int)n, MPI_FLOAT, from, MPI_COMM_WORLD);
    }
}

// From the task that has the newest to all.
static void spread(struct trainer *t, int from)
{
    uint64_t numbers[] = {(uint64_t)t->progress.step, t->optimiser.step};
    MPI_Bcast(numbers, 2, MPI_UINT64_T, from, MPI_COMM_WORLD);
    t->progress.step = (int64_t)numbers[0];
    t->optimiser.step = numbers[1];
    give(network_params(t->net), network_params_count(t->net), from);
    give(t->optimiser.m, t->optimiser.count, from);
    give(t->optimiser.v, t->optimiser.count, from);
}

static int take_newest(struct trainer *t)
{
    struct err err;
    struct progress p = t->progress;
    struct {
        long step;
        int rank;
    } mine = {-1, t->tasks.rank}, newest;
    int rc = t->keeper.there ? read_checkpoint(t, t->keeper.path, &p, &err) : 0;
    int code = verdict(t, rc, &err);
    if (code)
        return code;
    if (t->keeper.there)
        mine.step = p.step;
    MPI_Allreduce(&mine, &newest, 1, MPI_LONG_INT, MPI_MAXLOC, MPI_COMM_WORLD);
    if (newest.step < 0)
        return EXIT_OK;
    t->progress = p;
    spread(t, newest.rank);
    if (t->tasks.rank == 0)
        printf(t->o->json ? "{\"resumed_from_step\":%" PRId64 "}\n"
                          : "resumed from the checkpoint of step %" PRId64 "\n",
               t->progress.step);
    return EXIT_OK;
}

// Of another training: before it is claimed, so that a mistake does not take it from its owner.
static int check_other(struct trainer *t)
{
    struct err err;
    struct progress p = t->progress;
    AUTO_FREE char *path = t->tasks.keeper ? keeper_find(t->o->checkpoint) : NULL;
    int rc = path ? read_checkpoint(t, path, &p, &err) : 0;
    return verdict(t, rc, &err);
}

int trainer_resume(struct trainer *t)
{
    struct err err;
    t->saved_ms = clock_boot_ms();
    if (!t->o->checkpoint)
        return EXIT_OK;
    int code = t->o->resume ? check_other(t) : EXIT_OK;
    if (code)
        return code;
    int rc = t->tasks.keeper ? keeper_open(&t->keeper, t->o->checkpoint, t->o->resume, &err) : 0;
    code = verdict(t, rc, &err);
    return code ? code : take_newest(t);
}

static bool all_finite(const float *p, size_t count)
{
    float sum = 0; // of zeros, unless one is infinite or no number
    for (size_t i = 0; i < count; i++)
        sum += p[i] * 0;
    return isfinite(sum);
}

int trainer_checkpoint(struct trainer *t)
{
    struct err err;
    struct safetensors s;
    int rc = 0;
    if (!all_finite(network_params(t->net), network_params_count(t->net)))
        return trainer_diverged(t, "a parameter");
    if (!t->o->checkpoint)
        return EXIT_OK;
    if (t->tasks.keeper) {
        model_pack(t->net, &t->corpus, &t->optimiser, &t->progress, &s);
        rc = keeper_save(&t->keeper, &s, t->progress.step, &err);
        safetensors_free(&s);
    }
    t->saved_ms = clock_boot_ms();
    return verdict(t, rc, &err);
}
