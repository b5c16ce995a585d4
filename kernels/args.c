#include "kernels/args.h"

#include "common/units.h"
#include "kernels/onednn.h"

#include <cblas.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int64_t arg_whole(struct argp_state *state, const char *name, const char *arg, int64_t min,
                  int64_t max)
{
    struct err err;
    int64_t v = 0;
    if (parse_int(arg, name, min, max, &v, &err))
        argp_error(state, "%s", err.message);
    return v;
}

float arg_real(struct argp_state *state, const char *name, const char *arg, float max)
{
    char *end;
    float v = strtof(arg, &end);
    if (end == arg || *end || !(v >= 0) || v > max)
        argp_error(state, "%s \"%s\" is not a number from 0 to %g", name, arg, (double)max);
    return v;
}

enum loss_kind arg_loss(struct argp_state *state, const char *arg)
{
    if (strcmp(arg, "cross-entropy") != 0 && strcmp(arg, "mse") != 0)
        argp_error(state, "there is no loss \"%s\". There are cross-entropy and mse.", arg);
    return strcmp(arg, "mse") == 0 ? LOSS_MSE : LOSS_CROSS_ENTROPY;
}

bool arg_json(struct argp_state *state, const char *arg)
{
    if (strcmp(arg, "json") != 0 && strcmp(arg, "text") != 0)
        argp_error(state, "--log takes text or json, not \"%s\"", arg);
    return strcmp(arg, "json") == 0;
}

bool args_speaks(void)
{
    const char *rank = getenv("PMIX_RANK"); // MPI is not yet asked
    return !rank || strcmp(rank, "0") == 0;
}

void args_parse(const struct argp *parser, int argc, char **argv, void *input)
{
    int kept = -1, nowhere = -1;
    if (!args_speaks()) {
        kept = dup(STDERR_FILENO);
        nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    }
    if (nowhere >= 0)
        dup2(nowhere, STDERR_FILENO);
    argp_parse(parser, argc, argv, 0, NULL, input);
    if (nowhere >= 0) {
        dup2(kept, STDERR_FILENO);
        close(nowhere);
        close(kept);
    }
}

void set_threads(int64_t wanted)
{
    const char *cpus = getenv("MUSTER_CPUS");
    if (wanted < 1)
        wanted = cpus ? strtol(cpus, NULL, 10) : 1;
    if (wanted < 1)
        wanted = 1;
    onednn_set_threads((int)wanted);
    openblas_set_num_threads((int)wanted);
}
