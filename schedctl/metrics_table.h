// What a job's tasks reported, for people.
#pragma once

#include <jansson.h>
#include <stdbool.h>

// answer: of GET /v1/jobs/JOB/metrics, with the samples of those tasks that are shown. all: every
// task, else the first one that reports.
void metrics_table_print(const char *job, const json_t *answer, bool all);
