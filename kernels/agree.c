#include "kernels/agree.h"

#include "kernels/exits.h"

#include <stdio.h>
#include <stdlib.h>

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

bool tasks_fail(const struct tasks *t, int rc, const struct err *err)
{
    int mine = rc ? t->rank : t->count, first;
    MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (first == t->rank)
        fprintf(stderr, "muster-ml: %s\n", err->message);
    return first < t->count;
}
