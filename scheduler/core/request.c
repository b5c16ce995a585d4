#include "scheduler/core/job.h"
#include "scheduler/core/node.h"

const char *request_wrong(const struct request *r)
{
    if (r->tasks < 1 || r->tasks > JOB_TASKS_MAX)
        return "tasks must be 1 to 65536";
    if (r->nodes < 0 || r->nodes > r->tasks)
        return "nodes must be at most the number of tasks";
    if (r->tasks_per_node < 0)
        return "tasks a node must not be negative";
    if (r->nodes && r->tasks_per_node && (int64_t)r->nodes * r->tasks_per_node < r->tasks)
        return "so many nodes with so many tasks each do not hold all tasks";
    if (r->nodes && r->spread)
        return "spread is for a job that does not say how many nodes it needs";
    if (r->cpu_milli < 0 || r->cpu_milli > 999)
        return "a part of a core is 0 to 999 thousandths";
    if (r->cpus < (r->cpu_milli ? 0 : 1) || r->cpus > CORESET_MAX)
        return "cpus must be 1 to 1024";
    if (r->gpus < 0 || r->gpus > NODE_GPUS_MAX)
        return "gpus must be 0 to 64";
    if (r->gpu_milli < 0 || r->gpu_milli > 999)
        return "a share of a GPU is 1 to 999 thousandths";
    if (r->gpus && r->gpu_milli)
        return "a task has whole GPUs or a share of one, not both";
    if (r->memory_mib < 0 || r->memory_mib > INT64_C(1) << 40)
        return "memory is out of range";
    if (r->time_limit_ms < 0 || r->grace_ms < 0)
        return "a duration is negative";
    return NULL;
}
