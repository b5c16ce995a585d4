#include "kernels/keeper.h"

#include "common/alloc.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

struct claim {
    char job[64];
    int64_t attempt, step; // step -1: nothing was written
};

// Without a job: a number that no other training has which runs now; on all hosts of mpirun one.
static int64_t outside(void)
{
    const char *world = getenv("PMIX_NAMESPACE");
    return world ? (int64_t)crc32_z(0, (const Bytef *)world, strlen(world)) : getpid();
}

// MUSTER_ATTEMPT is CLUSTER-JOB-NUMBER.
static void take_attempt(struct keeper *k)
{
    const char *token = getenv("MUSTER_ATTEMPT"), *dash = token ? strrchr(token, '-') : NULL;
    if (!dash || (size_t)(dash - token) >= sizeof k->job) {
        k->attempt = outside();
        return;
    }
    memcpy(k->job, token, (size_t)(dash - token));
    k->attempt = strtol(dash + 1, NULL, 10);
}

// ---- under the lock ----

static int lock(const struct keeper *k, int *ret, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/lock", k->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || flock(fd, LOCK_EX)) {
        int rc = fail(err, E_IO, "cannot lock \"%s\": %m", path);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *ret = fd;
    return 0;
}

static struct claim read_claim(const struct keeper *k)
{
    AUTO_FREE char *path = xasprintf("%s/claim", k->dir);
    struct claim c = {.step = -1};
    FILE *f = fopen(path, "re");
    if (!f)
        return c;
    if (fscanf(f, "%63s %" SCNd64 " %" SCNd64, c.job, &c.attempt, &c.step) != 3)
        c = (struct claim){.step = -1};
    fclose(f);
    if (strcmp(c.job, "-") == 0)
        c.job[0] = '\0';
    return c;
}

static int write_claim(const struct keeper *k, int64_t step, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/claim", k->dir), *temp = xasprintf("%s.new", path);
    FILE *f = fopen(temp, "we");
    bool good = f && fprintf(f, "%s %" PRId64 " %" PRId64 "\n", *k->job ? k->job : "-", k->attempt,
                             step) > 0;
    good = good && fflush(f) == 0 && fsync(fileno(f)) == 0;
    if (f && fclose(f))
        good = false;
    if (!good || rename(temp, path))
        return fail(err, errno == ENOSPC ? E_NO_SPACE : E_IO, "cannot write \"%s\": %m", path);
    return 0;
}

static bool same_job(const struct keeper *k, const struct claim *c)
{
    return *k->job && strcmp(k->job, c->job) == 0;
}

static int fenced(const struct keeper *k, const struct claim *c, struct err *err)
{
    if (!same_job(k, c))
        return fail(err, E_REFUSED,
                    "another training keeps \"%s\" now: this one may no longer write there",
                    k->dir);
    return fail(err, E_REFUSED,
                "attempt %" PRId64 " of this job keeps \"%s\": attempt %" PRId64
                " may no longer write there",
                c->attempt, k->dir, k->attempt);
}

static int claim(struct keeper *k, bool resume, struct err *err)
{
    struct claim c = read_claim(k);
    k->there = access(k->path, F_OK) == 0;
    k->ours = same_job(k, &c);
    if (k->ours && c.attempt > k->attempt)
        return fenced(k, &c, err);
    if (k->there && !k->ours && !resume)
        return fail(
            err, E_EXISTS,
            "\"%s\" holds the checkpoint of another training. Go on from it with --resume, or "
            "name another directory.",
            k->dir);
    return write_claim(k, k->there ? c.step : -1, err);
}

// ---- the outside ----

static char *path_in(const char *dir)
{
    return xasprintf("%s/checkpoint.safetensors", dir);
}

char *keeper_find(const char *dir)
{
    AUTO_FREE char *path = path_in(dir);
    return access(path, F_OK) ? NULL : TAKE(path);
}

int keeper_open(struct keeper *k, const char *dir, bool resume, struct err *err)
{
    int fd = -1;
    *k = (struct keeper){.dir = xstrdup(dir), .path = path_in(dir)};
    take_attempt(k);
    if (mkdir(dir, 0777) && errno != EEXIST)
        return fail(err, E_IO, "cannot make the directory \"%s\": %m", dir);
    int rc = lock(k, &fd, err);
    if (rc)
        return rc;
    rc = claim(k, resume, err);
    close(fd);
    return rc;
}

void keeper_close(struct keeper *k)
{
    free(k->dir);
    free(k->path);
    *k = (struct keeper){0};
}

static int save(struct keeper *k, const struct safetensors *s, int64_t step, struct err *err)
{
    struct claim c = read_claim(k);
    if (strcmp(c.job, k->job) != 0 || c.attempt != k->attempt)
        return fenced(k, &c, err);
    if (c.step == step) // another host that shares the directory was first
        return 0;
    int rc = safetensors_write(k->path, s, err);
    return rc ? rc : write_claim(k, step, err);
}

int keeper_save(struct keeper *k, const struct safetensors *s, int64_t step, struct err *err)
{
    int fd = -1, rc = lock(k, &fd, err);
    if (rc)
        return rc;
    rc = save(k, s, step, err);
    close(fd);
    return rc;
}
