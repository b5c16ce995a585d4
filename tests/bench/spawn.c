// spawn WORKERS COUNT PROGRAM [ARGUMENTS]: COUNT runs of a program, WORKERS at a time.
//
// Each worker is a thread that calls posix_spawn() and waits for the end: the least that starting a
// program costs here. Prints one JSON object with the runs a second and the duration of one run
// (median, 99th percentile). A run that fails ends it with exit code 1. The programs' stdout is
// thrown away.
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum { WORKERS_MAX = 64, COUNT_MAX = 1 << 20 };

extern char **environ;

static char **program;
static long count;
static atomic_long next;
static double took_ms[COUNT_MAX];
static posix_spawn_file_actions_t quiet;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *work(void *unused)
{
    (void)unused;
    for (long i; (i = atomic_fetch_add(&next, 1)) < count;) {
        pid_t pid;
        int status;
        double start = now_s();
        int code = posix_spawnp(&pid, program[0], &quiet, NULL, program, environ);
        if (code)
            errx(1, "%s: %s", program[0], strerror(code));
        if (waitpid(pid, &status, 0) != pid)
            err(1, "waitpid");
        if (status)
            errx(1, "%s ended with status %d", program[0], status);
        took_ms[i] = (now_s() - start) * 1000;
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    pthread_t threads[WORKERS_MAX];
    if (argc < 4)
        errx(2, "usage: spawn WORKERS COUNT PROGRAM [ARGUMENTS]");
    long workers = strtol(argv[1], NULL, 10);
    count = strtol(argv[2], NULL, 10);
    program = argv + 3;
    if (workers < 1 || workers > WORKERS_MAX || count < 1 || count > COUNT_MAX)
        errx(2, "WORKERS must be 1 to %d, COUNT 1 to %d", WORKERS_MAX, COUNT_MAX);
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    double start = now_s();
    for (long i = 0; i < workers; i++)
        if (pthread_create(&threads[i], NULL, work, NULL))
            errx(1, "cannot start a thread");
    for (long i = 0; i < workers; i++)
        pthread_join(threads[i], NULL);
    double seconds = now_s() - start;
    qsort(took_ms, (size_t)count, sizeof *took_ms, compare);
    printf("{\"count\":%ld,\"seconds\":%.6f,\"per_s\":%.2f,\"p50_ms\":%.4f,\"p99_ms\":%.4f}\n",
           count, seconds, (double)count / seconds, took_ms[count / 2], took_ms[count * 99 / 100]);
    return 0;
}
