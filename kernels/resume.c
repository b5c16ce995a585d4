// Checkpoints of a training: written by the first task of each host, read by whichever has the
// newest, given to all.
#include "common/clock.h"
#include "kernels/trainer.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

static int exit_of(enum errcode code)
{
    return code == E_REFUSED ? EXIT_FENCED : code == E_EXISTS ? EXIT_USAGE : EXIT_DATA;
}

// The exit code that the first task with a failure has, on every task.
static int verdict(const struct trainer *t, int rc, const struct err *err)
{
    int code = rc ? exit_of(err->code) : 0, worst;
    bool failed = tasks_fail(&t->tasks, rc, err);
    MPI_Allreduce(&code, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    return failed ? worst : EXIT_OK;
}

static int read_checkpoint(struct trainer *t, struct progress *p, struct err *err)
{
    struct safetensors s;
    int rc = safetensors_read(t->keeper.path, &s, err);
    if (rc)
        return rc;
    rc = model_restore(&s, t->keeper.path, t->net, err);
    if (rc == 0)
        rc = model_resume(&s, t->keeper.path, &t->corpus, &t->optimiser, p, err);
    safetensors_free(&s);
    return rc;
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
    int rc = t->keeper.there ? read_checkpoint(t, &p, &err) : 0;
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
        printf("resumed from the checkpoint of step %" PRId64 "\n", t->progress.step);
    return EXIT_OK;
}

int trainer_resume(struct trainer *t)
{
    struct err err;
    t->saved_ms = clock_boot_ms();
    if (!t->o->checkpoint)
        return EXIT_OK;
    int rc = t->tasks.keeper ? keeper_open(&t->keeper, t->o->checkpoint, t->o->resume, &err) : 0;
    int code = verdict(t, rc, &err);
    return code ? code : take_newest(t);
}

int trainer_checkpoint(struct trainer *t)
{
    struct err err;
    struct safetensors s;
    int rc = 0;
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
