// Microsoft's Philly cluster (Jeon et al., USENIX ATC 2019) as a row a job: when it was submitted,
// how long it ran, on how many GPUs, in which virtual cluster. One task of a core and a GPU each.
#include "simulate/formats.h"

#include "scheduler/core/job.h"

#include <string.h>

enum { PHILLY_TIMESTAMP, PHILLY_DURATION, PHILLY_GPUS, PHILLY_CLUSTER };
static const struct column COLUMNS[] = {
    {"timestamp", true}, {"duration", true}, {"num_gpus", true}, {"cluster", false}};

static void philly_row(struct reader *r)
{
    int64_t at_s, run_ms, gpus;
    const char *at = reader_text(r, PHILLY_TIMESTAMP);
    if (!parse_timestamp(at, &at_s)) {
        reader_complain(r, reader_place(r, PHILLY_TIMESTAMP),
                        "the time \"%.40s\" is not like 2017-10-09 07:01:55", at);
        return;
    }
    if (!reader_milli(r, PHILLY_DURATION, "the duration", 0, INT64_C(10) << 40, -1, &run_ms) ||
        !reader_int(r, PHILLY_GPUS, "the number of GPUs", 1, JOB_TASKS_MAX, 0, &gpus))
        return;
    if (run_ms < 0 || !gpus) {
        reader_complain(r, 0, "its duration or its number of GPUs is missing");
        return;
    }
    struct trace_job job = {
        .submit_ms = at_s * 1000,
        .run_ms = run_ms,
        .tasks = (int32_t)gpus,
        .cpu_milli = 1000,
        .gpus = 1,
        .queue = intern(&r->trace->names, reader_text(r, PHILLY_CLUSTER)),
    };
    reader_job(r, &job);
}

const struct format format_philly = {
    .name = "philly",
    .what = "a Philly CSV",
    .delimiter = ',',
    .columns = COLUMNS,
    .columns_count = sizeof COLUMNS / sizeof *COLUMNS,
    .row = philly_row,
};
