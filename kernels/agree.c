#include "kernels/agree.h"

#include "kernels/exits.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int tasks_find(struct tasks *ret)
{
    MPI_Comm host;
    int place;
    MPI_Comm_rank(MPI_COMM_WORLD, &ret->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ret->count);
    const char *want = getenv("MUSTER_TASKS");
    if (want && strtol(want, NULL, 10) != ret->count) {
        fprintf(stderr,
                "muster-ml: MPI found %d task(s) where %s were started: the ranks did not find "
                "each other. Submit with --mpi pmix.\n",
                ret->count, want);
        return EXIT_ALONE;
    }
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
    MPI_Comm_rank(host, &place);
    MPI_Comm_free(&host);
    ret->keeper = place == 0;
    return EXIT_OK;
}

int tasks_same(const struct tasks *t, uint32_t sum, const char *path, struct err *err)
{
    uint32_t first = sum;
    char host[64] = "";
    MPI_Bcast(&first, 1, MPI_UINT32_T, 0, MPI_COMM_WORLD);
    if (first == sum)
        return 0;
    gethostname(host, sizeof host - 1);
    return fail(err, E_CORRUPT,
                "task %d on %s reads other data in \"%s\" than task 0. Every node needs the same "
                "files.",
                t->rank, host, path);
}

bool tasks_fail(const struct tasks *t, int rc, const struct err *err)
{
    int mine = rc ? t->rank : t->count, first;
    MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (first == t->rank)
        fprintf(stderr, "muster-ml: %s\n", err->message);
    return first < t->count;
}
