// Pod lists of Alibaba's cluster openb (Weng et al., USENIX ATC 2023): a task a row, with
// thousandths of cores and, where num_gpu is 1, of a GPU. Lists without times are for --arrive.
#include "simulate/formats.h"

#include "scheduler/core/node.h"

#include <string.h>

// A selector of the core holds it.
enum { MODELS_MAX = 200 };

enum {
    OPENB_NAME,
    OPENB_CPU,
    OPENB_MEMORY,
    OPENB_GPUS,
    OPENB_GPU_MILLI,
    OPENB_SPEC,
    OPENB_QOS,
    OPENB_CREATED,
    OPENB_DELETED,
    OPENB_SCHEDULED,
};
static const struct column COLUMNS[] = {{"name", true},           {"cpu_milli", true},
                                        {"memory_mib", true},     {"num_gpu", true},
                                        {"gpu_milli", false},     {"gpu_spec", false},
                                        {"qos", false},           {"creation_time", false},
                                        {"deletion_time", false}, {"scheduled_time", false}};

static void openb_row(struct reader *r)
{
    int64_t cpu, memory, gpus, milli, created, deleted, scheduled;
    const int64_t years_s = INT64_C(1000) * 366 * 86400;
    if (!reader_int(r, OPENB_CPU, "cpu_milli", 0, 1024000, 0, &cpu) ||
        !reader_int(r, OPENB_MEMORY, "memory_mib", 0, INT64_C(1) << 40, 0, &memory) ||
        !reader_int(r, OPENB_GPUS, "num_gpu", 0, NODE_GPUS_MAX, 0, &gpus) ||
        !reader_int(r, OPENB_GPU_MILLI, "gpu_milli", 0, 1000, 0, &milli) ||
        !reader_int(r, OPENB_CREATED, "creation_time", 0, years_s, -1, &created) ||
        !reader_int(r, OPENB_DELETED, "deletion_time", 0, years_s, -1, &deleted) ||
        !reader_int(r, OPENB_SCHEDULED, "scheduled_time", 0, years_s, -1, &scheduled))
        return;
    if (strlen(reader_text(r, OPENB_SPEC)) > MODELS_MAX) {
        reader_complain(r, reader_place(r, OPENB_SPEC), "gpu_spec has more than %d characters",
                        MODELS_MAX);
        return;
    }
    bool shared = gpus == 1 && milli > 0 && milli < 1000;
    struct trace_job job = {
        .name = reader_name(r, reader_text(r, OPENB_NAME)),
        .submit_ms = created < 0 ? 0 : created * 1000,
        .run_ms = -1,
        .memory_mib = memory,
        .tasks = 1,
        .nodes = 1,
        .cpu_milli = (int32_t)cpu,
        .gpus = shared ? 0 : (int32_t)gpus,
        .gpu_milli = shared ? (int32_t)milli : 0,
        .models = intern(&r->trace->names, reader_text(r, OPENB_SPEC)),
        .queue = intern(&r->trace->names, reader_text(r, OPENB_QOS)),
    };
    int64_t began = scheduled < 0 ? created : scheduled;
    if (began >= 0 && deleted >= began)
        job.run_ms = (deleted - began) * 1000;
    else
        r->trace->timed = false;
    reader_job(r, &job);
}

const struct format format_openb = {
    .name = "openb",
    .what = "an openb pod list",
    .delimiter = ',',
    .columns = COLUMNS,
    .columns_count = sizeof COLUMNS / sizeof *COLUMNS,
    .row = openb_row,
};
