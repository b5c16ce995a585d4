// What an attempt needs on this machine: deadline, cgroup, spool, shepherd; and their end.
#include "agent/host/procs.h"
#include "agent/host/scratch.h"
#include "agent/shell/node.h"

#include "common/alloc.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROCS_MAX = 32768, SWEEP_AGAIN_MS = 50 };

static char *cgroup_base(const struct node *n)
{
    return xasprintf("muster/%016" PRIx64, agent_cluster(n->core).v);
}

char *attempt_cgroup(const struct node *n, struct attempt_id id)
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name(id, name);
    return xasprintf("%s.%s", n->name, name);
}

void node_open_cgroups(struct node *n)
{
    if (n->cgroups || !agent_cluster(n->core).v)
        return;
    AUTO_FREE char *base = cgroup_base(n);
    n->cgroups = cgroup_host_open("", base);
}

void attempt_adopt(struct node *n, struct attempt_id id, pid_t shepherd)
{
    AUTO_FREE char *name = attempt_cgroup(n, id);
    node_open_cgroups(n);
    if (n->cgroups)
        cgroup_adopt(n->cgroups, name, shepherd);
}

static bool cgroups_usable(const struct node *n)
{
    struct cgroup_features none = {0};
    struct cgroup_features f = n->cgroups ? cgroup_features(n->cgroups) : none;
    return f.memory || f.freezer || f.pids;
}

static int write_deadline(struct node *n, struct held *h, int64_t deadline_ms, struct err *err)
{
    if (!h->deadline) {
        int rc = attempt_deadline_open(n->run_dir, h->id, true, deadline_ms, &h->deadline, err);
        if (rc)
            return rc;
    }
    attempt_deadline_set(h->deadline, deadline_ms);
    return 0;
}

void attempt_deadline(struct node *n, struct attempt_id id, int64_t deadline_ms)
{
    struct held *h = held_find(n, id);
    struct err err;
    if (h && !h->released && write_deadline(n, h, deadline_ms, &err))
        log_error("attempt", "deadline", "%s", err.message);
}

static int make_spool(struct node *n, const struct held *h, struct err *err)
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name(h->id, name);
    AUTO_FREE char *path = xasprintf("%s/%s", n->spool_dir, name);
    if (mkdir(path, 0700) && errno != EEXIST)
        return fail(err, E_IO, "cannot make \"%s\": %m", path);
    if (h->launch->uid != geteuid() && chown(path, h->launch->uid, h->launch->gid))
        return fail(err, E_DENIED, "cannot give \"%s\" to user %u: %m", path, h->launch->uid);
    return 0;
}

static int make_cgroup(struct node *n, const struct held *h, struct err *err)
{
    if (!cgroups_usable(n))
        return 0;
    const Muster__NodePart *part = h->launch->nodes[h->launch->node_index];
    int64_t limit = h->launch->memory_mib_per_task * part->tasks;
    AUTO_FREE char *name = attempt_cgroup(n, h->id);
    int rc = cgroup_make(n->cgroups, name, limit, h->launch->uid, err);
    int64_t milli =
        (int64_t)part->tasks * (h->launch->cpus_per_task * 1000 + h->launch->cpu_milli_per_task);
    if (rc == 0)
        cgroup_weigh(n->cgroups, name, milli, h->launch->cpu_milli_per_task != 0, h->launch->uid);
    return rc;
}

// Without its deadline on tmpfs nothing is forked: nobody could end it in time.
static int fork_shepherd(struct node *n, struct held *h, int64_t deadline_ms, struct err *err)
{
    Muster__AttemptId id = MUSTER__ATTEMPT_ID__INIT;
    Muster__Fork order = MUSTER__FORK__INIT;
    id.cluster = h->id.cluster.v;
    id.job_uid = h->id.job.v;
    id.number = h->id.number;
    order.attempt = &id;
    order.run_dir = n->run_dir;
    order.spool_dir = n->spool_dir;
    order.node = (char *)n->name;
    int rc = write_deadline(n, h, deadline_ms, err);
    if (rc == 0)
        rc = make_spool(n, h, err);
    if (rc == 0)
        rc = make_cgroup(n, h, err);
    if (rc == 0)
        rc = attempt_lock_prepare(n->run_dir, h->id, h->launch->uid, err);
    if (rc == 0)
        rc = zygotes_fork(n, h->launch->uid, h->launch->gid, &order, err);
    return rc;
}

void attempt_fork(struct node *n, struct attempt_id id)
{
    struct held *h = held_find(n, id);
    struct agent_attempt *t = agent_find(n->core, id);
    struct err err;
    if (h && t && t->phase == ATTEMPT_ENDING) { // killed before its order was on disk
        shepherd_none(n, h);
        return;
    }
    if (!h || !h->launch || !t || t->phase != ATTEMPT_FORKED)
        return;
    node_open_cgroups(n);
    if (fork_shepherd(n, h, t->deadline_ms, &err)) {
        struct agent_input in = {.kind = AGENT_IN_FORK_FAILED, .id = id, .detail = err.message};
        node_step(n, &in);
        return;
    }
    h->tries = 0;
    held_retry(n, h, 1);
}

// The PUs of each task: cores of its own, and those that are shared where it has a part of one. The
// cores of a node that the attempt has for itself are all its tasks'.
static void split_cores(const struct machine *m, const Muster__Launch *l, char **cpus,
                        uint32_t tasks)
{
    struct agent_held held = order_of(l).held;
    uint32_t each = l->cpus_per_task, spare = coreset_count(&held.cores) / tasks;
    bool whole_node = coreset_count(&held.cores) > tasks * each && !held.cpu_milli;
    for (uint32_t i = 0; i < tasks; i++) {
        AUTO(text) struct text t = {0};
        struct coreset own = held.cores;
        if (!whole_node)
            own = coreset_slice(&held.cores, i * each, each);
        else if (spare)
            own = coreset_slice(&held.cores, i * spare, spare);
        coreset_union(&own, &held.pool);
        struct coreset pus = machine_pus(m, &own);
        text_add_coreset(&t, &pus);
        cpus[i] = text_take(&t);
    }
}

// Shares are taken from the first GPU that has enough left for one more task.
static void split_shares(const struct machine *m, const Muster__Launch *l, char **gpus,
                         uint32_t tasks)
{
    const Muster__Resources *r = l->resources;
    uint32_t left[AGENT_GPUS_MAX];
    size_t count = r->n_gpus < AGENT_GPUS_MAX ? r->n_gpus : AGENT_GPUS_MAX, g = 0;
    for (size_t i = 0; i < count; i++)
        left[i] = r->n_gpu_milli == r->n_gpus ? r->gpu_milli[i] : 1000;
    for (uint32_t i = 0; i < tasks; i++) {
        AUTO(text) struct text t = {0};
        while (g < count && left[g] < l->gpu_milli_per_task)
            g++;
        if (g < count) {
            left[g] -= l->gpu_milli_per_task;
            machine_gpu_environment(m, r->gpus + g, 1, &t);
        }
        gpus[i] = text_take(&t);
    }
}

static void split_gpus(const struct machine *m, const Muster__Launch *l, char **gpus,
                       uint32_t tasks)
{
    if (l->gpu_milli_per_task && l->resources) {
        split_shares(m, l, gpus, tasks);
        return;
    }
    for (uint32_t i = 0; i < tasks; i++) {
        AUTO(text) struct text g = {0};
        size_t from = (size_t)i * l->gpus_per_task;
        if (l->resources && from + l->gpus_per_task <= l->resources->n_gpus)
            machine_gpu_environment(m, l->resources->gpus + from, l->gpus_per_task, &g);
        gpus[i] = text_take(&g);
    }
}

void shepherd_order(struct node *n, struct held *h)
{
    if (!h->launch)
        return; // adopted: it has its order
    const Muster__Launch *l = h->launch;
    uint32_t tasks = l->nodes[l->node_index]->tasks;
    Muster__ShepherdOrder order = MUSTER__SHEPHERD_ORDER__INIT;
    Muster__ToShepherd message = MUSTER__TO_SHEPHERD__INIT;
    Muster__JobSpec *spec = muster__job_spec__unpack(NULL, l->spec.len, l->spec.data);
    bool bind = n->machine.bound && spec && !spec->no_bind;
    char **cpus = xcalloc(tasks + 1, sizeof *cpus), **gpus = xcalloc(tasks + 1, sizeof *gpus);
    for (uint32_t i = 0; i < tasks && !bind; i++)
        cpus[i] = xstrdup("");
    if (bind)
        split_cores(&n->machine, l, cpus, tasks);
    split_gpus(&n->machine, l, gpus, tasks);
    AUTO_FREE char *base = cgroup_base(n);
    AUTO_FREE char *name = attempt_cgroup(n, h->id);
    AUTO_FREE char *tasks_group = n->cgroups ? cgroup_tasks(n->cgroups, name, l->uid) : NULL;
    AUTO_FREE char *cgroup = xasprintf("%s:%s", base, tasks_group ? tasks_group : name);
    order.launch = h->launch;
    order.n_task_cpus = order.n_gpu_devices = tasks;
    order.task_cpus = cpus;
    order.gpu_devices = gpus;
    order.shared_host = l->n_nodes > 1;
    for (size_t i = 0; i < l->n_nodes; i++)
        if (*l->nodes[i]->address && l->nodes[i]->address[0] != '/')
            order.shared_host = false;
    if (cgroups_usable(n))
        order.cgroup = cgroup;
    message.body_case = MUSTER__TO_SHEPHERD__BODY_ORDER;
    message.order = &order;
    shepherd_send(h, &message);
    for (uint32_t i = 0; i < tasks; i++) {
        free(cpus[i]);
        free(gpus[i]);
    }
    free(cpus);
    free(gpus);
    if (spec)
        muster__job_spec__free_unpacked(spec, NULL);
}

// Kills whatever carries the attempt's token or is in its cgroup, until nothing is left.
void attempt_sweep(struct node *n, struct attempt_id id)
{
    struct held *h = held_add(n, id);
    AUTO_FREE pid_t *pids = xcalloc(PROCS_MAX, sizeof *pids);
    AUTO_FREE char *name = attempt_cgroup(n, id);
    char token[ATTEMPT_TOKEN_MAX];
    size_t left = 0;
    enum attempt_lock_state lock;
    pid_t pid;
    struct err err;
    node_open_cgroups(n);
    h->sweeping = true;
    // A shepherd that does not react is stopped or wedged: it goes too.
    if (attempt_lock_look(n->run_dir, id, &lock, &pid, &err) == 0 && lock == ATTEMPT_LOCK_HELD) {
        kill(pid, SIGKILL);
        left++;
    }
    if (n->cgroups) {
        cgroup_kill(n->cgroups, name);
        left += cgroup_members(n->cgroups, name, pids, PROCS_MAX);
    }
    attempt_token(id, token);
    size_t found = procs_with_token(token, n->name, pids, PROCS_MAX);
    for (size_t i = 0; i < found && i < PROCS_MAX; i++)
        kill(pids[i], SIGKILL);
    if (left + found) {
        held_retry(n, h, SWEEP_AGAIN_MS);
        return;
    }
    h->sweeping = false;
    node_step(n, &(struct agent_input){.kind = AGENT_IN_SWEPT, .id = id});
}

// The END is on disk: the shepherd may go, and with it what the attempt had here.
void attempt_release(struct node *n, struct attempt_id id)
{
    struct held *h = held_find(n, id);
    Muster__EndAck ack = MUSTER__END_ACK__INIT;
    Muster__ToShepherd message = MUSTER__TO_SHEPHERD__INIT;
    if (!h)
        return;
    h->released = true;
    retention_wanted(n);
    message.body_case = MUSTER__TO_SHEPHERD__BODY_END_ACK;
    message.end_ack = &ack;
    shepherd_send(h, &message);
    attempt_deadline_close(h->deadline);
    h->deadline = NULL;
    node_open_cgroups(n);
    if (n->cgroups) {
        AUTO_FREE char *name = attempt_cgroup(n, id);
        cgroup_remove(n->cgroups, name);
    }
    if (h->launch && h->launch->pmix) {
        struct scratch left = scratch_name(id, n->name, h->launch->uid);
        scratch_remove(&left);
    }
    attempt_files_remove(n->run_dir, id);
}
