#include "agent/shepherd/pmix.h"

#include "agent/host/scratch.h"
#include "agent/shepherd/plugin.h"
#include "common/alloc.h"
#include "common/log.h"

#include <dirent.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACK_MS = 1 }; // by then its clients have been answered

// A collective that waits for the other nodes.
struct waiting {
    uint64_t collective;
    uint32_t sequence;
    void *token;
};

struct pmix {
    struct run *run;
    const struct plugin_ops *ops;
    void *server;
    uv_async_t wake;
    uv_timer_t ack; // after a fence
    char *nspace;
    struct scratch scratch;
    struct waiting *waiting;
    size_t waiting_count, waiting_cap;
};

static int load(const struct plugin_ops **ret, struct err *err)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return fail(err, E_SYSTEM, "cannot find the shepherd's own binary: %m");
    self[n] = 0;
    *strrchr(self, '/') = 0;
    AUTO_FREE char *beside = xasprintf("%s/muster-pmix.so", self);
    AUTO_FREE char *lib = xasprintf("%s/../lib/muster/muster-pmix.so", self);
    void *handle = dlopen(beside, RTLD_NOW | RTLD_GLOBAL);
    if (!handle && access(beside, F_OK))
        handle = dlopen(lib, RTLD_NOW | RTLD_GLOBAL);
    if (!handle)
        return fail(err, E_NOT_FOUND,
                    "cannot load muster-pmix.so: %s. Install libpmix2 and libhwloc15.", dlerror());
    const struct plugin_ops *ops = dlsym(handle, PLUGIN_SYMBOL);
    if (!ops || ops->version != PLUGIN_VERSION)
        return fail(err, E_VERSION, "muster-pmix.so in \"%s\" is of another version", self);
    *ret = ops;
    return 0;
}

// ---- events of the server ----

static int32_t local_of(const struct run *r, uint32_t rank)
{
    int32_t local = (int32_t)rank - r->first_rank;
    return local >= 0 && local < r->tasks_count ? local : -1;
}

static void begin_fence(struct pmix *p, struct plugin_event *e)
{
    uint32_t sequence =
        fences_begin(p->run->fences, e->collective, e->nodes, e->nodes_count, e->data, e->len);
    VEC_RESERVE(p->waiting, p->waiting_count, p->waiting_cap);
    p->waiting[p->waiting_count++] = (struct waiting){e->collective, sequence, e->token};
}

static void take_event(struct pmix *p, struct plugin_event *e)
{
    struct run *r = p->run;
    int32_t local = local_of(r, e->rank);
    struct shepherd_input in = {.task = local, .exit_code = e->code};
    switch (e->kind) {
    case PLUGIN_CONNECTED:
        in.kind = SHEPHERD_IN_CONNECTED;
        break;
    case PLUGIN_FINALIZED:
        in.kind = SHEPHERD_IN_FINALIZED;
        break;
    case PLUGIN_ABORT:
        in.kind = SHEPHERD_IN_ABORT;
        break;
    case PLUGIN_SPAWN:
        in.kind = SHEPHERD_IN_SPAWN;
        break;
    case PLUGIN_FENCE:
        begin_fence(p, e);
        return;
    }
    if (local >= 0)
        run_step(r, in);
}

void pmix_take(struct pmix *p)
{
    struct plugin_event e;
    while (p->ops->next(p->server, &e)) {
        take_event(p, &e);
        free(e.nodes);
        free(e.data);
    }
    run_fences(p->run);
}

static void on_wake(uv_async_t *async)
{
    pmix_take(async->data);
}

static void wake(void *arg)
{
    uv_async_send(arg);
}

// MPI_Finalize sends its server two small messages in a row after its fence. By Nagle's rule the
// second waits for the acknowledgement of the first, which the kernel holds back for 40 ms, hoping
// for an answer to send it with: there is none. The sockets are PMIx's; nothing else here is TCP.
static void on_ack(uv_timer_t *timer)
{
    int yes = 1;
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *d;
    (void)timer;
    while (dir && (d = readdir(dir)))
        setsockopt((int)strtol(d->d_name, NULL, 10), IPPROTO_TCP, TCP_QUICKACK, &yes, sizeof yes);
    if (dir)
        closedir(dir);
}

// ---- what the shepherd calls ----

static int open_server(struct pmix *p, struct err *err)
{
    const Muster__Launch *l = p->run->launch;
    size_t n = l->n_nodes;
    AUTO_FREE const char **names = xcalloc(n, sizeof *names);
    AUTO_FREE uint32_t *first = xcalloc(n, sizeof *first);
    AUTO_FREE uint32_t *tasks = xcalloc(n, sizeof *tasks);
    for (size_t i = 0; i < n; i++) {
        names[i] = l->nodes[i]->node;
        first[i] = l->nodes[i]->first_rank;
        tasks[i] = l->nodes[i]->tasks;
    }
    AUTO_FREE char *topology = xasprintf("%s/topology.xml", p->run->run_dir);
    struct plugin_job job = {
        .nspace = p->nspace,
        .topology = topology,
        .dir = p->scratch.dir,
        .node = p->run->node,
        .nodes = names,
        .first_rank = first,
        .tasks = tasks,
        .nodes_count = n,
        .node_index = l->node_index,
        .job_id = l->job_id,
        .uid = geteuid(),
        .gid = getegid(),
        .wake = wake,
        .arg = &p->wake,
    };
    return p->ops->open(&job, &p->server, err);
}

int pmix_open(struct run *r, struct pmix **ret, struct err *err)
{
    struct pmix *p = xcalloc(1, sizeof *p);
    p->run = r;
    p->wake.data = p;
    p->nspace = xasprintf("muster-%" PRIu64 "-%u-%016" PRIx64, r->launch->job_id, r->id.number,
                          r->launch->secret);
    p->scratch = scratch_name(r->id, r->node, geteuid());
    uv_async_init(r->loop, &p->wake, on_wake);
    uv_timer_init(r->loop, &p->ack);
    r->fences = fences_new(r->launch->node_index);
    int rc = load(&p->ops, err);
    if (rc == 0)
        rc = scratch_make(&p->scratch, err);
    if (rc == 0)
        rc = open_server(p, err);
    if (rc) {
        scratch_remove(&p->scratch);
        return rc;
    }
    *ret = p;
    return 0;
}

static bool oversubscribed(const struct run *r)
{
    return r->order->shared_host || r->tasks_count > sysconf(_SC_NPROCESSORS_ONLN);
}

int pmix_task(struct pmix *p, int32_t local, char ***env, struct err *err)
{
    char **from_server;
    int rc = p->ops->task(p->server, (uint32_t)(p->run->first_rank + local), &from_server, err);
    if (rc)
        return rc;
    for (char **e = from_server; *e; e++) {
        char *equals = strchr(*e, '=');
        if (equals) {
            *equals = 0;
            environment_default(env, *e, equals + 1);
        }
    }
    environment_free(from_server);
    // The mark by which Open MPI 4.1 believes in a direct launch; without it each rank is alone.
    environment_default(env, "JSM_JSRUN_PORT", "0");
    if (access("/sys/class/infiniband", F_OK)) {
        environment_default(env, "OMPI_MCA_pml", "ob1");
        // Debian leaves out pt2pt, and with it one-sided communication over TCP.
        environment_default(env, "OMPI_MCA_osc", "^ucx");
    }
    environment_default(env, "OMPI_MCA_btl_vader_backing_directory", p->scratch.shm);
    environment_default(env, "OMPI_MCA_osc_sm_backing_directory", p->scratch.shm);
    environment_default(env, "OMPI_MCA_orte_tmpdir_base", p->scratch.dir);
    if (p->run->order->shared_host)
        environment_default(env, "OMPI_MCA_btl_tcp_if_include", "lo");
    if (oversubscribed(p->run))
        environment_default(env, "OMPI_MCA_mpi_yield_when_idle", "1");
    return 0;
}

void pmix_fence_done(struct pmix *p, uint64_t collective, uint32_t sequence, const uint8_t *data,
                     size_t len, bool failed)
{
    for (size_t i = 0; p && i < p->waiting_count; i++) {
        struct waiting *w = &p->waiting[i];
        if (w->collective != collective || w->sequence != sequence)
            continue;
        p->ops->fence_done(p->server, w->token, data, len, failed);
        uv_timer_start(&p->ack, on_ack, ACK_MS, 0);
        *w = p->waiting[--p->waiting_count];
        return;
    }
}

void pmix_close(struct pmix *p)
{
    while (p->waiting_count)
        pmix_fence_done(p, p->waiting[0].collective, p->waiting[0].sequence, NULL, 0, true);
    // libpmix can hang in its teardown, more often after a killed client; the process ends soon and
    // the kernel gives everything back. Only the files must go.
    scratch_remove(&p->scratch);
}
