// gemm SECONDS: what one thread's single-precision matrix product of 1024 x 1024 reaches, by the
// fastest of the products in that time, as a JSON object {"gflop_per_s": N}. The limit that a
// training's arithmetic is held against.
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N = 1024 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static float a[N * N], b[N * N], c[N * N];
    double end = now() + (argc > 1 ? strtod(argv[1], NULL) : 1), best = 1e9;
    openblas_set_num_threads(1);
    for (int i = 0; i < N * N; i++) {
        a[i] = (float)(i % 7) / 7;
        b[i] = (float)(i % 5) / 5;
    }
    do {
        double begun = now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, a, N, b, N, 0, c, N);
        double took = now() - begun;
        best = took < best ? took : best;
    } while (now() < end);
    printf("{\"gflop_per_s\": %.2f}\n", 2.0 * N * N * N / best / 1e9);
    return 0;
}
