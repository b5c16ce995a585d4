// Workloads of the Pollux paper (Qiao et al., OSDI 2021): when a training was submitted, of which
// model, with how many replicas; a task of a core and a GPU for each replica.
//
// The files hold no run times: there they follow from models of each application's throughput.
// Here a job gets the GPU time of its application's size class in the paper's table 1 (the
// geometric middle of small: up to 1 hour, medium: to 10, large: to 100, extra large: to 1,000
// GPU-hours) over its replicas, unless the file has a column `duration` in seconds.
#include "simulate/formats.h"

#include "scheduler/core/job.h"

#include <string.h>

enum { POLLUX_NAME, POLLUX_TIME, POLLUX_APPLICATION, POLLUX_REPLICAS, POLLUX_DURATION };
static const struct column COLUMNS[] = {{"name", true},
                                        {"time", true},
                                        {"application", true},
                                        {"num_replicas", true},
                                        {"duration", false}};

static const struct {
    const char *application;
    int64_t gpu_ms; // 0.316, 3.16, 31.6, 316 hours
} SIZES[] = {
    {"cifar10", 1138420}, {"ncf", 1138420},      {"deepspeech2", 11384200},
    {"bert", 11384200},   {"yolov3", 113841996}, {"imagenet", 1138419958},
};

static int64_t gpu_ms_of(const char *application)
{
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
        if (strcmp(application, SIZES[i].application) == 0)
            return SIZES[i].gpu_ms;
    return 0;
}

static void pollux_row(struct reader *r)
{
    int64_t at_ms, replicas, run_ms;
    const char *application = reader_text(r, POLLUX_APPLICATION);
    if (!reader_milli(r, POLLUX_TIME, "the time", 0, INT64_C(10) << 40, -1, &at_ms) ||
        !reader_int(r, POLLUX_REPLICAS, "the number of replicas", 1, JOB_TASKS_MAX, 0, &replicas) ||
        !reader_milli(r, POLLUX_DURATION, "the duration", 0, INT64_C(10) << 40, -1, &run_ms))
        return;
    if (at_ms < 0 || !replicas) {
        reader_complain(r, 0, "its time or its number of replicas is missing");
        return;
    }
    int64_t gpu_ms = gpu_ms_of(application);
    if (run_ms < 0 && !gpu_ms) {
        reader_complain(r, reader_place(r, POLLUX_APPLICATION),
                        "the run time of the application \"%.40s\" is unknown; a column "
                        "\"duration\" can tell it",
                        application);
        return;
    }
    if (run_ms < 0)
        r->trace->assumption =
            "The trace holds no run times: each job was given the GPU time of its application's "
            "size class (docs/simulate.md).";
    struct trace_job job = {
        .name = reader_name(r, reader_text(r, POLLUX_NAME)),
        .submit_ms = at_ms,
        .run_ms = run_ms >= 0 ? run_ms : gpu_ms / replicas,
        .tasks = (int32_t)replicas,
        .cpu_milli = 1000,
        .gpus = 1,
        .queue = intern(&r->trace->names, application),
    };
    reader_job(r, &job);
}

const struct format format_pollux = {
    .name = "pollux",
    .what = "a Pollux CSV",
    .delimiter = ',',
    .columns = COLUMNS,
    .columns_count = sizeof COLUMNS / sizeof *COLUMNS,
    .row = pollux_row,
};
