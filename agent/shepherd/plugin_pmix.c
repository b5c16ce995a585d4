// The PMIx server of one attempt on one node: the one file that knows libpmix (and hands it hwloc's
// topology). Built as muster-pmix.so.
//
// PMIx's callbacks run on its own thread: each copies what it was told into the mailbox and wakes
// the shepherd. Facts about libpmix 4.2 that shape this file: without PMIX_NODE_MAP and
// PMIX_PROC_MAP MPI_Init fails; the default gds uses process-shared locks that a killed client can
// leave locked, so the server uses hash; teardown may hang after a killed client, so nothing is
// torn down.
#include "agent/shepherd/plugin.h"

#include "common/alloc.h"
#include "common/text.h"

#include <hwloc.h>
#include <pmix.h>
#include <pmix_server.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct mail {
    struct plugin_event event;
    STAILQ_ENTRY(mail) link;
};

// A fence's completion, kept until the shepherd has the data of all nodes.
struct fence_token {
    pmix_modex_cbfunc_t done;
    void *done_arg;
    char *data;
};

struct server {
    struct plugin_job job;
    pmix_nspace_t nspace;
    uint32_t ranks;
    hwloc_topology_t topology;
    char *locality;
    uint32_t *tasks, *first_rank;
    char *dir;
    pthread_mutex_t lock;
    STAILQ_HEAD(, mail) mail;
};

static struct server *the_server; // PMIx's callbacks carry no pointer of ours

static int pmix_fail(struct err *err, const char *what, pmix_status_t rc)
{
    return fail(err, E_SYSTEM, "PMIx: %s: %s", what, PMIx_Error_string(rc));
}

static bool good(pmix_status_t rc)
{
    return rc == PMIX_SUCCESS || rc == PMIX_OPERATION_SUCCEEDED;
}

static void post(const struct plugin_event *event)
{
    struct server *s = the_server;
    struct mail *m = xcalloc(1, sizeof *m);
    m->event = *event;
    pthread_mutex_lock(&s->lock);
    STAILQ_INSERT_TAIL(&s->mail, m, link);
    pthread_mutex_unlock(&s->lock);
    s->job.wake(s->job.arg);
}

// ---- callbacks, on PMIx's thread ----

static pmix_status_t on_connected(const pmix_proc_t *proc, void *object, pmix_info_t info[],
                                  size_t ninfo, pmix_op_cbfunc_t done, void *done_arg)
{
    (void)object;
    (void)info;
    (void)ninfo;
    (void)done; // NULL in 4.2: the answer is the return value
    (void)done_arg;
    post(&(struct plugin_event){.kind = PLUGIN_CONNECTED, .rank = proc->rank});
    return PMIX_OPERATION_SUCCEEDED;
}

static pmix_status_t on_finalized(const pmix_proc_t *proc, void *object, pmix_op_cbfunc_t done,
                                  void *done_arg)
{
    (void)object;
    (void)done;
    (void)done_arg;
    post(&(struct plugin_event){.kind = PLUGIN_FINALIZED, .rank = proc->rank});
    return PMIX_OPERATION_SUCCEEDED;
}

static pmix_status_t on_abort(const pmix_proc_t *proc, void *object, int status,
                              const char *message, pmix_proc_t procs[], size_t nprocs,
                              pmix_op_cbfunc_t done, void *done_arg)
{
    (void)object;
    (void)message;
    (void)procs;
    (void)nprocs;
    (void)done;
    (void)done_arg;
    post(&(struct plugin_event){.kind = PLUGIN_ABORT, .rank = proc->rank, .code = status});
    return PMIX_OPERATION_SUCCEEDED;
}

// Only the root of the spawning communicator would hear of the refusal, the others wait for it: the
// shepherd ends them all.
static pmix_status_t on_spawn(const pmix_proc_t *proc, const pmix_info_t info[], size_t ninfo,
                              const pmix_app_t apps[], size_t napps, pmix_spawn_cbfunc_t done,
                              void *done_arg)
{
    (void)info;
    (void)ninfo;
    (void)apps;
    (void)napps;
    (void)done;
    (void)done_arg;
    post(&(struct plugin_event){.kind = PLUGIN_SPAWN, .rank = proc->rank});
    return PMIX_ERR_NOT_SUPPORTED;
}

static uint64_t hash_add(uint64_t h, const void *p, size_t len)
{
    const unsigned char *b = p;
    for (size_t i = 0; i < len; i++)
        h = (h ^ b[i]) * UINT64_C(0x100000001b3); // FNV-1a
    return h;
}

static size_t node_of(const struct server *s, uint32_t rank)
{
    size_t i = 0;
    while (i + 1 < s->job.nodes_count && rank >= s->first_rank[i] + s->tasks[i])
        i++;
    return i;
}

// The set of processes: its name, and the nodes they are on, in order.
static void name_set(const struct server *s, const pmix_proc_t *procs, size_t count,
                     struct plugin_event *e)
{
    AUTO_FREE bool *on = xcalloc(s->job.nodes_count, sizeof *on);
    e->collective = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < count; i++) {
        e->collective = hash_add(e->collective, &procs[i].rank, sizeof procs[i].rank);
        bool all = procs[i].rank == PMIX_RANK_WILDCARD;
        for (size_t k = 0; all && k < s->job.nodes_count; k++)
            on[k] = true;
        if (!all)
            on[node_of(s, procs[i].rank)] = true;
    }
    e->nodes = xcalloc(s->job.nodes_count, sizeof *e->nodes);
    for (size_t k = 0; k < s->job.nodes_count; k++)
        if (on[k])
            e->nodes[e->nodes_count++] = (uint32_t)k;
}

static pmix_status_t on_fence(const pmix_proc_t procs[], size_t nprocs, const pmix_info_t info[],
                              size_t ninfo, char *data, size_t ndata, pmix_modex_cbfunc_t done,
                              void *done_arg)
{
    struct plugin_event e = {.kind = PLUGIN_FENCE};
    struct fence_token *t = xcalloc(1, sizeof *t);
    for (size_t i = 0; i < ninfo; i++)
        if (PMIX_CHECK_KEY(&info[i], PMIX_LOCAL_COLLECTIVE_STATUS) &&
            info[i].value.data.status != PMIX_SUCCESS) {
            pmix_status_t rc = info[i].value.data.status;
            free(t);
            free(data);
            done(rc, NULL, 0, done_arg, NULL, NULL);
            return PMIX_SUCCESS;
        }
    t->done = done;
    t->done_arg = done_arg;
    name_set(the_server, procs, nprocs, &e);
    e.data = xmemdup(data ? data : "", ndata);
    e.len = ndata;
    e.token = t;
    free(data); // ours to free
    post(&e);
    return PMIX_SUCCESS;
}

static pmix_server_module_t module = {
    .client_connected2 = on_connected,
    .client_finalized = on_finalized,
    .abort = on_abort,
    .fence_nb = on_fence,
    .spawn = on_spawn,
};

// ---- starting the server ----

static void load_text(pmix_info_t *info, const char *key, const char *value)
{
    PMIX_INFO_LOAD(info, key, value, PMIX_STRING);
}

static void load_u32(pmix_info_t *info, const char *key, uint32_t value)
{
    PMIX_INFO_LOAD(info, key, &value, PMIX_UINT32);
}

static void load_u16(pmix_info_t *info, const char *key, uint16_t value)
{
    PMIX_INFO_LOAD(info, key, &value, PMIX_UINT16);
}

static void load_bool(pmix_info_t *info, const char *key, bool value)
{
    PMIX_INFO_LOAD(info, key, &value, PMIX_BOOL);
}

static int init_server(struct server *s, struct err *err)
{
    pmix_info_t info[8];
    pmix_rank_t rank = (pmix_rank_t)s->job.node_index;
    AUTO_FREE char *name = xasprintf("%s.server", s->job.nspace);
    pmix_topology_t topology = {.source = (char *)"hwloc", .topology = s->topology};
    size_t n = 0;
    setenv("PMIX_MCA_gds", "hash", 1);
    load_text(&info[n++], PMIX_SERVER_NSPACE, name);
    PMIX_INFO_LOAD(&info[n], PMIX_SERVER_RANK, &rank, PMIX_PROC_RANK);
    n++;
    load_text(&info[n++], PMIX_SERVER_TMPDIR, s->job.dir);
    load_text(&info[n++], PMIX_SYSTEM_TMPDIR, s->job.dir);
    load_text(&info[n++], PMIX_HOSTNAME, s->job.node);
    load_bool(&info[n++], PMIX_SERVER_TOOL_SUPPORT, false);
    PMIX_INFO_LOAD(&info[n], PMIX_TOPOLOGY2, &topology, PMIX_TOPO);
    n++;
    load_bool(&info[n++], PMIX_SERVER_SHARE_TOPOLOGY, true);
    pmix_status_t rc = PMIx_server_init(&module, info, n);
    unsetenv("PMIX_MCA_gds"); // for the server only
    return good(rc) ? 0 : pmix_fail(err, "the server does not start", rc);
}

// From the file, in under a millisecond, or from the machine, which takes ten and many more on a
// large one.
static int load_topology(struct server *s, const char *path)
{
    if (hwloc_topology_init(&s->topology))
        return -1;
    hwloc_topology_set_io_types_filter(s->topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (path && hwloc_topology_set_xml(s->topology, path))
        return -1;
    if (path)
        hwloc_topology_set_flags(s->topology, HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM);
    return hwloc_topology_load(s->topology);
}

static int read_topology(struct server *s, struct err *err)
{
    if (load_topology(s, s->job.topology) == 0)
        return 0;
    hwloc_topology_destroy(s->topology);
    if (load_topology(s, NULL))
        return fail(err, E_SYSTEM, "hwloc cannot read the machine's topology");
    return 0;
}

// Only a server that runs can name it.
static void name_locality(struct server *s)
{
    pmix_cpuset_t set = {.source = (char *)"hwloc",
                         .bitmap =
                             hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(s->topology))};
    char *locality = NULL;
    if (good(PMIx_server_generate_locality_string(&set, &locality)) && locality)
        s->locality = xstrdup(locality);
    free(locality);
    hwloc_bitmap_free(set.bitmap);
}

// ---- the namespace ----

static void make_maps(const struct server *s, struct text *nodes, struct text *ranks)
{
    for (size_t i = 0; i < s->job.nodes_count; i++) {
        text_addf(nodes, "%s%s", i ? "," : "", s->job.nodes[i]);
        for (uint32_t k = 0; k < s->tasks[i]; k++)
            text_addf(ranks, "%s%u", k ? "," : i ? ";" : "", s->first_rank[i] + k);
    }
}

static void proc_data(const struct server *s, pmix_info_t *info, uint32_t rank)
{
    size_t node = node_of(s, rank);
    uint16_t local = (uint16_t)(rank - s->first_rank[node]);
    bool here = node == s->job.node_index;
    size_t n = here && s->locality ? 10 : 9, i = 0;
    pmix_data_array_t *array = xcalloc(1, sizeof *array);
    PMIX_DATA_ARRAY_CONSTRUCT(array, n, PMIX_INFO);
    pmix_info_t *p = array->array;
    PMIX_INFO_LOAD(&p[i], PMIX_RANK, &rank, PMIX_PROC_RANK);
    i++;
    load_u32(&p[i++], PMIX_APPNUM, 0);
    pmix_rank_t leader = 0;
    PMIX_INFO_LOAD(&p[i], PMIX_APPLDR, &leader, PMIX_PROC_RANK);
    i++;
    PMIX_INFO_LOAD(&p[i], PMIX_GLOBAL_RANK, &rank, PMIX_PROC_RANK);
    i++;
    PMIX_INFO_LOAD(&p[i], PMIX_APP_RANK, &rank, PMIX_PROC_RANK);
    i++;
    load_u16(&p[i++], PMIX_LOCAL_RANK, local);
    load_u16(&p[i++], PMIX_NODE_RANK, local);
    load_u32(&p[i++], PMIX_NODEID, (uint32_t)node);
    load_text(&p[i++], PMIX_HOSTNAME, s->job.nodes[node]);
    if (i < n)
        load_text(&p[i++], PMIX_LOCALITY_STRING, s->locality);
    memset(info, 0, sizeof *info);
    PMIX_LOAD_KEY(info->key, PMIX_PROC_DATA);
    info->value.type = PMIX_DATA_ARRAY;
    info->value.data.darray = array;
}

static void local_peers(const struct server *s, struct text *t)
{
    size_t here = s->job.node_index;
    for (uint32_t k = 0; k < s->tasks[here]; k++)
        text_addf(t, "%s%u", k ? "," : "", s->first_rank[here] + k);
}

static void load_map(pmix_info_t *info, const char *key, char *regex)
{
    PMIX_INFO_LOAD(info, key, regex, PMIX_REGEX);
}

static size_t job_info(const struct server *s, pmix_info_t *info, char *nodes, char *ranks)
{
    uint32_t here = s->tasks[s->job.node_index];
    AUTO(text) struct text peers = {0};
    char id[32];
    size_t n = 0;
    local_peers(s, &peers);
    snprintf(id, sizeof id, "%llu", (unsigned long long)s->job.job_id);
    load_map(&info[n++], PMIX_NODE_MAP, nodes);
    load_map(&info[n++], PMIX_PROC_MAP, ranks);
    load_u32(&info[n++], PMIX_JOB_SIZE, s->ranks);
    load_u32(&info[n++], PMIX_UNIV_SIZE, s->ranks);
    load_u32(&info[n++], PMIX_MAX_PROCS, s->ranks);
    load_u32(&info[n++], PMIX_NUM_NODES, (uint32_t)s->job.nodes_count);
    load_u32(&info[n++], PMIX_JOB_NUM_APPS, 1);
    load_u32(&info[n++], PMIX_LOCAL_SIZE, here);
    load_u32(&info[n++], PMIX_NODE_SIZE, here);
    load_text(&info[n++], PMIX_JOBID, s->job.nspace);
    load_text(&info[n++], PMIX_LOCAL_PEERS, text_str(&peers));
    load_text(&info[n++], PMIX_TMPDIR, s->job.dir);
    load_text(&info[n++], PMIX_NSDIR, s->job.dir);
    load_bool(&info[n++], PMIX_TDIR_RMCLEAN, true);
    for (uint32_t r = 0; r < s->ranks; r++)
        proc_data(s, &info[n++], r);
    return n;
}

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    pmix_status_t status;
};

static void on_done(pmix_status_t status, void *arg)
{
    struct wait *w = arg;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    w->status = status;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static pmix_status_t await(struct wait *w, pmix_status_t rc)
{
    if (rc != PMIX_SUCCESS)
        return rc; // done at once, or failed: no callback follows
    pthread_mutex_lock(&w->lock);
    while (!w->done)
        pthread_cond_wait(&w->cond, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return w->status;
}

#define WAIT_INIT                                                           \
    {                                                                       \
        .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER \
    }

static int register_namespace(struct server *s, struct err *err)
{
    AUTO(text) struct text nodes = {0};
    AUTO(text) struct text ranks = {0};
    char *node_map = NULL, *proc_map = NULL;
    struct wait w = WAIT_INIT;
    make_maps(s, &nodes, &ranks);
    pmix_status_t rc = PMIx_generate_regex(text_str(&nodes), &node_map);
    if (good(rc))
        rc = PMIx_generate_ppn(text_str(&ranks), &proc_map);
    if (!good(rc))
        return pmix_fail(err, "the node map cannot be made", rc);
    pmix_info_t *info = xcalloc(s->ranks + 16, sizeof *info);
    size_t n = job_info(s, info, node_map, proc_map);
    rc = PMIx_server_register_nspace(s->nspace, (int)s->tasks[s->job.node_index], info, n, on_done,
                                     &w);
    rc = await(&w, rc);
    free(node_map);
    free(proc_map);
    return good(rc) ? 0 : pmix_fail(err, "the namespace is not accepted", rc);
}

// ---- what the shepherd calls ----

static int plugin_open(const struct plugin_job *job, void **ret, struct err *err)
{
    struct server *s = xcalloc(1, sizeof *s);
    s->job = *job;
    s->tasks = xmemdup(job->tasks, job->nodes_count * sizeof *s->tasks);
    s->first_rank = xmemdup(job->first_rank, job->nodes_count * sizeof *s->first_rank);
    char **names = xcalloc(job->nodes_count, sizeof *names);
    for (size_t i = 0; i < job->nodes_count; i++) {
        names[i] = xstrdup(job->nodes[i]);
        s->ranks += job->tasks[i];
    }
    s->job.nodes = (const char *const *)names;
    PMIX_LOAD_NSPACE(s->nspace, job->nspace);
    pthread_mutex_init(&s->lock, NULL);
    STAILQ_INIT(&s->mail);
    the_server = s;
    int rc = read_topology(s, err);
    if (rc == 0)
        rc = init_server(s, err);
    if (rc == 0)
        name_locality(s);
    if (rc == 0)
        rc = register_namespace(s, err);
    if (rc == 0)
        *ret = s;
    return rc;
}

static int plugin_task(void *server, uint32_t rank, char ***ret_env, struct err *err)
{
    struct server *s = server;
    struct wait w = WAIT_INIT;
    pmix_proc_t proc;
    PMIX_LOAD_PROCID(&proc, s->nspace, rank);
    pmix_status_t rc =
        PMIx_server_register_client(&proc, s->job.uid, s->job.gid, NULL, on_done, &w);
    rc = await(&w, rc);
    char **env = xcalloc(1, sizeof *env);
    if (good(rc))
        rc = PMIx_server_setup_fork(&proc, &env);
    if (!good(rc)) {
        free(env);
        return pmix_fail(err, "a rank is not accepted", rc);
    }
    *ret_env = env;
    return 0;
}

static bool plugin_next(void *server, struct plugin_event *ret)
{
    struct server *s = server;
    pthread_mutex_lock(&s->lock);
    struct mail *m = STAILQ_FIRST(&s->mail);
    if (m)
        STAILQ_REMOVE_HEAD(&s->mail, link);
    pthread_mutex_unlock(&s->lock);
    if (!m)
        return false;
    *ret = m->event;
    free(m);
    return true;
}

static void on_released(void *arg)
{
    struct fence_token *t = arg;
    free(t->data);
    free(t);
}

static void plugin_fence_done(void *server, void *token, const uint8_t *data, size_t len,
                              bool failed)
{
    struct fence_token *t = token;
    (void)server;
    t->data = failed ? NULL : xmemdup(data, len);
    t->done(failed ? PMIX_ERR_LOST_CONNECTION : PMIX_SUCCESS, t->data, failed ? 0 : len,
            t->done_arg, on_released, t);
}

const struct plugin_ops muster_pmix_plugin = {
    .version = PLUGIN_VERSION,
    .open = plugin_open,
    .task = plugin_task,
    .next = plugin_next,
    .fence_done = plugin_fence_done,
};
