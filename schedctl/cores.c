#include "schedctl/cores.h"

#include <sched.h>
#include <stdio.h>

// Whether cpu is the first hardware thread of its core. Unknown counts as a core.
static int is_first_thread(unsigned cpu)
{
    char path[96];
    unsigned first = cpu;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%u", &first) != 1)
        first = cpu;
    if (f)
        fclose(f);
    return first == cpu;
}

int64_t cores_here(void)
{
    cpu_set_t set;
    int64_t cores = 0;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        cores += CPU_ISSET(cpu, &set) && is_first_thread(cpu);
    return cores ? cores : 1;
}

int64_t cores_first(int64_t node, int64_t nodes, int64_t cpus, int64_t here)
{
    int64_t first = (node - 1) * cpus;
    if (nodes * cpus > here)
        first += here;
    return first + cpus <= CORES_MAX ? first : CORES_MAX - cpus;
}
