// The readers of workloads and clusters take any bytes: what comes of them keeps its bounds, what
// could not be read is named.
#include "common/alloc.h"
#include "common/check.h"
#include "scheduler/core/cluster.h"
#include "simulate/nodes.h"
#include "simulate/trace.h"

#include <string.h>

static void check_complaints(const struct complaints *c)
{
    for (size_t i = 0; i < c->count && i < COMPLAINTS_KEPT; i++)
        CHECK(strncmp(c->first[i], "in:", 3) == 0);
}

static void check_trace(const struct trace *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct trace_job *j = &t->jobs[i];
        CHECK(j->submit_ms >= (i ? t->jobs[i - 1].submit_ms : 0));
        CHECK(j->tasks >= 1 && j->tasks <= JOB_TASKS_MAX && j->cpu_milli >= 0);
        CHECK(j->gpus >= 0 && j->gpus <= 64 && j->gpu_milli >= 0 && j->gpu_milli < 1000);
        CHECK(j->run_ms >= 0 || !t->timed);
        CHECK(j->limit_ms >= 0 && j->memory_mib >= 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    AUTO(trace) struct trace t = {0};
    AUTO(node_list) struct node_list n = {0};
    AUTO(node_list) struct node_list told = {0};
    if (trace_parse("in", data, size, &t, &err)) {
        CHECK(strncmp(err.message, "\"in\" ", 5) == 0);
    } else {
        CHECK(t.count);
        check_trace(&t);
        nodes_of_trace(&t, &told, &err);
    }
    check_complaints(&t.bad);
    if (nodes_of_memory("in", data, size, &n, &err))
        CHECK(strncmp(err.message, "\"in\" ", 5) == 0);
    for (size_t i = 0; i < n.count; i++)
        CHECK(n.items[i].cores >= 1 && n.items[i].cores <= CORESET_MAX && n.items[i].gpus >= 0 &&
              strlen(n.items[i].name) <= NODE_NAME_MAX);
    check_complaints(&n.bad);
    return 0;
}
