// What a task finds in its environment: the job's own, then what Muster tells, then defaults.
#include "agent/shepherd/channel.h"
#include "agent/shepherd/run.h"

#include "common/alloc.h"
#include "common/coreset.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t count(char **env)
{
    size_t n = 0;
    while (env[n])
        n++;
    return n;
}

static char **find(char **env, const char *name)
{
    size_t len = strlen(name);
    for (; *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return env;
    return NULL;
}

static void append(char ***env, char *entry)
{
    size_t n = count(*env);
    *env = xreallocarray(*env, n + 2, sizeof **env);
    (*env)[n] = entry;
    (*env)[n + 1] = NULL;
}

// Takes the entry "NAME=VALUE".
static void set_entry(char ***env, char *entry)
{
    AUTO_FREE char *name = xstrndup(entry, strcspn(entry, "="));
    char **old = find(*env, name);
    if (!old) {
        append(env, entry);
        return;
    }
    free(*old);
    *old = entry;
}

static void set(char ***env, const char *name, const char *value)
{
    set_entry(env, xasprintf("%s=%s", name, value));
}

static void set_number(char ***env, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    set(env, name, text);
}

void environment_default(char ***env, const char *name, const char *value)
{
    if (!find(*env, name))
        set(env, name, value);
}

// Another launcher's words would mislead the program.
static bool inherited(const char *entry)
{
    static const char *const prefixes[] = {"PMIX_", "SLURM_", "FLUX_", "OMPI_COMM_WORLD_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static char *node_list(const Muster__Launch *l)
{
    AUTO(text) struct text t = {0};
    for (size_t i = 0; i < l->n_nodes; i++)
        text_addf(&t, "%s%s", i ? "," : "", l->nodes[i]->node);
    return text_take(&t);
}

static int64_t all_tasks(const Muster__Launch *l)
{
    int64_t n = 0;
    for (size_t i = 0; i < l->n_nodes; i++)
        n += l->nodes[i]->tasks;
    return n;
}

// Where rank 0 listens, as the other nodes reach it. Agents that link by Unix sockets, and the
// tasks of one node, are on one machine.
static void set_master(const struct run *r, char ***env)
{
    const Muster__NodePart *first = r->launch->nodes[0];
    const char *colon = strrchr(first->address, ':');
    bool here = r->launch->n_nodes == 1 || r->order->shared_host || !colon;
    AUTO_FREE char *host =
        here ? xstrdup("127.0.0.1") : xstrndup(first->address, (size_t)(colon - first->address));
    if (!first->port)
        return; // ordered by a scheduler that gives out none
    set(env, "MASTER_ADDR", host);
    set_number(env, "MASTER_PORT", first->port);
    // Else Gloo takes the address of the host's name, which on a laptop may be anything.
    if (r->order->shared_host)
        environment_default(env, "GLOO_SOCKET_IFNAME", "lo");
}

static int64_t cpu_milli(const Muster__Launch *l)
{
    return (int64_t)l->cpus_per_task * 1000 + l->cpu_milli_per_task;
}

// A part of a core is one thread's.
static int64_t whole_cpus(const Muster__Launch *l)
{
    return (cpu_milli(l) + 999) / 1000;
}

// Devices "NAME=...", and how much of them is the task's. CUDA's percentage is heard by an MPS
// server alone.
static void set_gpus(char ***env, const Muster__Launch *l, const char *devices)
{
    char percent[16];
    set_entry(env, xstrdup(devices));
    set_number(env, "MUSTER_GPU_MILLI", (int64_t)l->gpus_per_task * 1000 + l->gpu_milli_per_task);
    if (!l->gpu_milli_per_task || strncmp(devices, "CUDA_", 5) != 0)
        return;
    snprintf(percent, sizeof percent, "%u",
             l->gpu_milli_per_task < 10 ? 1 : l->gpu_milli_per_task / 10);
    environment_default(env, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", percent);
}

static void set_place(struct run *r, char ***env, int32_t i)
{
    const Muster__Launch *l = r->launch;
    AUTO_FREE char *nodes = node_list(l);
    int64_t rank = r->first_rank + i, tasks = all_tasks(l);
    set_number(env, "MUSTER_JOB_ID", (int64_t)l->job_id);
    set_number(env, "MUSTER_TASK", rank);
    set_number(env, "MUSTER_TASKS", tasks);
    set_number(env, "MUSTER_LOCAL_RANK", i);
    set(env, "MUSTER_NODE", r->node);
    set(env, "MUSTER_NODES", nodes);
    set_number(env, "MUSTER_CPUS", whole_cpus(l));
    set_number(env, "MUSTER_CPU_MILLI", cpu_milli(l));
    set_number(env, "MUSTER_REPORT_FD", CHANNEL_FD);
    set_number(env, "RANK", rank);
    set_number(env, "WORLD_SIZE", tasks);
    set_number(env, "LOCAL_RANK", i);
    set_master(r, env);
    if (l->is_array)
        set_number(env, "MUSTER_ARRAY_INDEX", l->array_element);
    char threads[16];
    snprintf(threads, sizeof threads, "%" PRId64, whole_cpus(l));
    environment_default(env, "OMP_NUM_THREADS", threads);
    if ((size_t)i < r->order->n_gpu_devices && *r->order->gpu_devices[i])
        set_gpus(env, l, r->order->gpu_devices[i]);
}

char **environment_make(struct run *r, int32_t i)
{
    char **env = xcalloc(1, sizeof *env);
    for (size_t k = 0; k < r->spec->n_env; k++)
        if (!inherited(r->spec->env[k]))
            append(&env, xstrdup(r->spec->env[k]));
    char token[ATTEMPT_TOKEN_MAX];
    attempt_token(r->id, token);
    set(&env, "MUSTER_ATTEMPT", token);
    set_number(&env, "MUSTER_ATTEMPT_NUMBER", r->id.number);
    set_place(r, &env, i);
    return env;
}

void environment_free(char **env)
{
    for (char **e = env; e && *e; e++)
        free(*e);
    free(env);
}
