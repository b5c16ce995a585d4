// The smallest MPI program: each rank says when it came out of MPI_Init, in ns of CLOCK_MONOTONIC.
#include <mpi.h>
#include <stdio.h>
#include <time.h>

int main(int argc, char **argv)
{
    struct timespec now;
    MPI_Init(&argc, &argv);
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("init %lld\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec);
    MPI_Finalize();
    return 0;
}
