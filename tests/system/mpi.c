// The MPI programs of the system tests, an ordinary mpicc program each, chosen by the first word:
//
//     good N FILE      checks of what MPI promises, N ranks a node; FILE for MPI-IO. Each rank
//                      prints "RANK/SIZE" and the checks that held.
//     meet DIR N       waits until N jobs are there, then works for a while
//     late DIR RANK    rank 0 waits for DIR/init before MPI_Init, RANK for DIR/finalize before
//                      MPI_Finalize
//     leave DIR        rank 1 waits for DIR/go and ends without MPI_Init
//     abort CODE, crash, exit, unfinished, early, stop, spawn, window     ends that are not good
#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LARGE = 1 << 18 }; // ints: more than any eager limit

static int rank, size;

static int number(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

static int sum_of_ranks(int n)
{
    return n * (n - 1) / 2;
}

static bool all(bool here)
{
    int mine = here, least;
    MPI_Allreduce(&mine, &least, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return least;
}

static bool reduce(void)
{
    int sum = 0;
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    return sum == sum_of_ranks(size);
}

// A token goes round and gathers the ranks, then a large message goes to each neighbour.
static bool ring(void)
{
    int next = (rank + 1) % size, before = (rank + size - 1) % size, token = 0;
    static int out[LARGE], in[LARGE];
    if (rank == 0)
        MPI_Send(&token, 1, MPI_INT, next, 1, MPI_COMM_WORLD);
    MPI_Recv(&token, 1, MPI_INT, before, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (rank) {
        token += rank;
        MPI_Send(&token, 1, MPI_INT, next, 1, MPI_COMM_WORLD);
    } else if (token != sum_of_ranks(size)) {
        return false;
    }
    for (int i = 0; i < LARGE; i++)
        out[i] = rank * 31 + i;
    MPI_Sendrecv(out, LARGE, MPI_INT, next, 2, in, LARGE, MPI_INT, before, 2, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
    for (int i = 0; i < LARGE; i++)
        if (in[i] != before * 31 + i)
            return false;
    return true;
}

static bool split(void)
{
    MPI_Comm half;
    int r, n, sum;
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, -rank, &half);
    MPI_Comm_rank(half, &r);
    MPI_Comm_size(half, &n);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, half);
    MPI_Comm_free(&half);
    int members = (size + 1 - rank % 2) / 2, expected = 0;
    for (int i = rank % 2; i < size; i += 2)
        expected += i;
    return n == members && sum == expected && r == members - 1 - rank / 2;
}

// The ranks of a node, and no others, share memory.
static bool shared(int per_node)
{
    MPI_Comm node;
    MPI_Win window;
    MPI_Aint bytes;
    int r, n, unit, *mine, *theirs;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &r);
    MPI_Comm_size(node, &n);
    MPI_Win_allocate_shared(sizeof *mine, sizeof *mine, MPI_INFO_NULL, node, &mine, &window);
    MPI_Win_fence(0, window);
    *mine = rank + 1000;
    MPI_Win_fence(0, window);
    MPI_Win_shared_query(window, (r + 1) % n, &bytes, &unit, &theirs);
    bool good = n == per_node && *theirs == rank - r + (r + 1) % n + 1000;
    MPI_Win_fence(0, window);
    MPI_Win_free(&window);
    MPI_Comm_free(&node);
    return good;
}

// One-sided: to the next rank, on whatever node, and a counter on rank 0.
static bool put(void)
{
    MPI_Win window;
    int *memory, one = 1, got, mine = rank + 1;
    MPI_Win_allocate(2 * sizeof *memory, sizeof *memory, MPI_INFO_NULL, MPI_COMM_WORLD, &memory,
                     &window);
    memory[0] = memory[1] = 0;
    MPI_Win_fence(0, window);
    MPI_Put(&mine, 1, MPI_INT, (rank + 1) % size, 0, 1, MPI_INT, window);
    MPI_Win_fence(0, window);
    bool held = memory[0] == (rank + size - 1) % size + 1;
    MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, window);
    MPI_Fetch_and_op(&one, &got, MPI_INT, 0, 1, MPI_SUM, window);
    MPI_Win_unlock(0, window);
    MPI_Barrier(MPI_COMM_WORLD);
    held &= got >= 0 && got < size && (rank || memory[1] == size);
    MPI_Win_free(&window);
    return held;
}

static bool file(const char *path)
{
    MPI_File f;
    int out[256], in[256], other = (rank + 1) % size;
    for (int i = 0; i < 256; i++)
        out[i] = rank * 1000 + i;
    if (MPI_File_open(MPI_COMM_WORLD, path, MPI_MODE_CREATE | MPI_MODE_RDWR, MPI_INFO_NULL, &f))
        return false;
    MPI_File_write_at_all(f, (MPI_Offset)sizeof out * rank, out, 256, MPI_INT, MPI_STATUS_IGNORE);
    MPI_File_sync(f);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_File_read_at_all(f, (MPI_Offset)sizeof in * other, in, 256, MPI_INT, MPI_STATUS_IGNORE);
    MPI_File_close(&f);
    for (int i = 0; i < 256; i++)
        if (in[i] != other * 1000 + i)
            return false;
    return true;
}

static void good(int per_node, const char *path)
{
    bool held[] = {reduce(), ring(), split(), shared(per_node), put(), file(path)};
    static const char *const names[] = {"reduce", "ring", "split", "shared", "put", "file"};
    char line[128];
    int n = snprintf(line, sizeof line, "%d/%d", rank, size);
    for (int i = 0; i < 6; i++)
        n += snprintf(line + n, sizeof line - (size_t)n, "%s%s", held[i] ? " " : " not-", names[i]);
    puts(line);
}

// ---- meeting ----

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void touch(const char *dir, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    close(open(path, O_WRONLY | O_CREAT, 0644));
}

static bool there(const char *dir, const char *name)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &st) == 0;
}

static void await(const char *dir, const char *name)
{
    while (!there(dir, name))
        pause_ms(10);
}

static void meet(const char *dir, int jobs)
{
    char name[32];
    for (int i = 1; rank == 0 && i <= jobs; i++) {
        snprintf(name, sizeof name, "job%d", i);
        if (number(getenv("MUSTER_JOB_ID")) % jobs == i % jobs)
            touch(dir, name);
        await(dir, name);
    }
    bool held = true;
    for (int i = 0; i < 200; i++)
        held &= reduce() && split();
    printf("%d/%d %s\n", rank, size, all(held) ? "met" : "wrong");
}

static void late_finalize(const char *dir, int who)
{
    bool held = true;
    for (int i = 0; i < 1000; i++)
        held &= reduce();
    if (rank == 0)
        touch(dir, "worked");
    if (rank == who)
        await(dir, "finalize");
    printf("%d/%d %s\n", rank, size, held ? "late" : "wrong");
}

// ---- bad ends ----

static void spawn(const char *self)
{
    MPI_Comm children;
    char *args[] = {(char *)"good", NULL};
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_spawn(self, args, 1, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &children, NULL);
    MPI_Barrier(MPI_COMM_WORLD);
    for (;;)
        pause();
}

static void end_badly(const char *what, const char *self, int code)
{
    MPI_Win window;
    int *memory;
    if (strcmp(what, "abort") == 0 && rank == size - 1)
        MPI_Abort(MPI_COMM_WORLD, code);
    if (strcmp(what, "exit") == 0 && rank == 0)
        exit(3);
    if (strcmp(what, "unfinished") == 0 && rank == size - 1)
        _exit(0);
    if (strcmp(what, "window") == 0)
        MPI_Win_allocate(1 << 20, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &memory, &window);
    if ((strcmp(what, "crash") == 0 || strcmp(what, "window") == 0) && rank == 0)
        raise(SIGSEGV);
    if (strcmp(what, "stop") == 0 && rank == size - 1)
        raise(SIGSTOP);
    if (strcmp(what, "spawn") == 0)
        spawn(self);
    MPI_Barrier(MPI_COMM_WORLD);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "", *where = argc > 2 ? argv[2] : "";
    if (strcmp(what, "early") == 0 && strcmp(getenv("RANK"), "1") == 0)
        return 0;
    if (strcmp(what, "late") == 0 && strcmp(getenv("RANK"), "0") == 0) {
        touch(where, "waits");
        await(where, "init");
    }
    if (strcmp(what, "leave") == 0 && strcmp(getenv("RANK"), "1") == 0) {
        touch(where, "waits");
        await(where, "go");
        return 0;
    }
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (strcmp(what, "good") == 0 && argc > 3)
        good(number(where), argv[3]);
    else if (strcmp(what, "meet") == 0 && argc > 3)
        meet(where, number(argv[3]));
    else if (strcmp(what, "late") == 0 && argc > 3)
        late_finalize(where, number(argv[3]));
    else
        end_badly(what, argv[0], number(where));
    MPI_Finalize();
    return 0;
}
