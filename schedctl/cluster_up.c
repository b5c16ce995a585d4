#include "common/alloc.h"
#include "common/clock.h"
#include "common/units.h"
#include "schedctl/cores.h"
#include "schedctl/ctl.h"
#include "schedctl/daemon.h"
#include "schedctl/lockfile.h"
#include "schedctl/pause.h"
#include "schedctl/present.h"
#include "schedctl/private.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { UP_MOST_MS = 20000, UP_PAUSE_MS = 50 };

struct up {
    struct ctl *ctl;
    struct private_cluster p;
    char *scheduler, *agent; // programs
    struct daemon *daemons;  // 0: the scheduler, 1..: the agents
    bool made;               // the directory is new
};

static int64_t machine_memory_mib(void)
{
    return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGE_SIZE) / (1024 * 1024);
}

static int64_t at_least_one(int64_t n)
{
    return n > 0 ? n : 1;
}

static int int_flag(const struct args *a, const char *name, int64_t least, int64_t most,
                    int64_t *ret, struct err *err)
{
    const char *value = args_value(a, name);
    AUTO_FREE char *what = xasprintf("option --%s", name);
    return value ? parse_int(value, what, least, most, ret, err) : 0;
}

static int text_flags(const struct args *a, struct private_cluster *p, struct err *err)
{
    AUTO(text) struct text labels = {0};
    const char *model = args_value(a, "gpu-model");
    for (size_t i = 0; i < a->options_count; i++)
        if (strcmp(a->options[i].opt->name, "label") == 0)
            text_addf(&labels, "%s%s", labels.len ? "," : "", a->options[i].value);
    if (labels.len) {
        if (labels_check(text_str(&labels), "option --label", err))
            return E_INVALID;
        memset(p->labels, 0, sizeof p->labels);
        memcpy(p->labels, text_str(&labels), labels.len);
    }
    if (!model)
        return 0;
    if (strlen(model) >= sizeof p->gpu_model)
        return fail(err, E_INVALID, "option --gpu-model takes at most %zu characters",
                    sizeof p->gpu_model - 1);
    memset(p->gpu_model, 0, sizeof p->gpu_model);
    memcpy(p->gpu_model, model, strlen(model));
    return 0;
}

// The flags over `p`.
static int read_flags(const struct args *a, struct private_cluster *p, struct err *err)
{
    const char *memory = args_value(a, "memory");
    int rc = int_flag(a, "nodes", 1, PRIVATE_NODES_MAX, &p->nodes, err);
    if (!rc)
        rc = int_flag(a, "cpus", 1, 1024, &p->cpus, err);
    if (!rc)
        rc = int_flag(a, "gpus", 0, 64, &p->gpus, err);
    if (!rc && memory)
        rc = parse_size_mib(memory, "option --memory", &p->memory_mib, err);
    if (!rc)
        rc = text_flags(a, p, err);
    if (rc)
        return rc;
    if (!p->nodes)
        p->nodes = 1;
    if (!p->cpus)
        p->cpus = at_least_one(cores_here() / p->nodes);
    if (!p->memory_mib)
        p->memory_mib = at_least_one(machine_memory_mib() / p->nodes);
    return 0;
}

static int check_socket_paths(const char *dir, const struct private_cluster *p, struct err *err)
{
    AUTO_FREE char *api = xasprintf("%s/scheduler.sock", dir);
    AUTO_FREE char *peer = xasprintf("%s/nodes/n%" PRId64 "/peer.sock", dir, p->nodes);
    const char *longest = strlen(peer) > strlen(api) ? peer : api;
    size_t max = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (strlen(longest) > max)
        return fail(err, E_INVALID,
                    "the directory's path is too long: a socket in it would have %zu characters "
                    "(\"%.200s\"), and a Unix socket takes at most %zu. Use a shorter one.",
                    strlen(longest), longest, max);
    return 0;
}

static bool is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    bool empty = d != NULL;
    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            empty = false;
    if (d)
        closedir(d);
    return empty;
}

// Makes it with its parents.
static int make_dir(const char *dir, struct err *err)
{
    AUTO_FREE char *path = xstrdup(dir);
    for (char *p = path + 1;; p++) {
        if (*p != '/' && *p)
            continue;
        char c = *p;
        *p = 0;
        if (mkdir(path, c ? 0755 : 0700) && errno != EEXIST)
            return fail(err, E_INVALID, "cannot make the directory \"%.200s\": %s", path,
                        strerror(errno));
        *p = c;
        if (!c)
            return 0;
    }
}

static int compare(const struct up *u, const struct private_cluster *asked, struct err *err)
{
    const struct private_cluster *p = &u->p;
    if (memcmp(p, asked, sizeof *p) == 0)
        return 0;
    return fail(err, E_INVALID,
                "\"%.200s\" holds a cluster of other nodes: --nodes %" PRId64 " --cpus %" PRId64
                " --memory %" PRId64 "MiB --gpus %" PRId64 "%s%s%s%.64s"
                ". Leave the options out to start it again, or use another directory.",
                u->ctl->dir, p->nodes, p->cpus, p->memory_mib, p->gpus,
                p->labels[0] ? " --label " : "", p->labels, p->gpu_model[0] ? " --gpu-model " : "",
                p->gpu_model);
}

// The cluster that the directory holds, or a new one.
static int choose(struct up *u, struct err *err)
{
    struct ctl *ctl = u->ctl;
    struct stat st;
    struct private_cluster asked = {0};
    int rc = private_load(ctl->dir, &u->p, err);
    if (rc && rc != E_NOT_FOUND)
        return rc;
    if (!rc) {
        asked = u->p;
        rc = read_flags(&ctl->args, &asked, err);
        return rc ? rc : compare(u, &asked, err);
    }
    if (stat(ctl->dir, &st) == 0 && (!S_ISDIR(st.st_mode) || !is_empty(ctl->dir)))
        return fail(err, E_INVALID,
                    "\"%.200s\" is there already and is no private cluster. Use a new directory.",
                    ctl->dir);
    u->made = true;
    return read_flags(&ctl->args, &u->p, err);
}

static int prepare(struct up *u, int *ret_lock, struct err *err)
{
    struct ctl *ctl = u->ctl;
    int rc = choose(u, err);
    if (!rc && ctl->dir[0] != '/') {
        AUTO_FREE char *here = getcwd(NULL, 0);
        char *full = xasprintf("%s/%s", here ? here : "", ctl->dir);
        free(ctl->dir);
        ctl->dir = full;
    }
    if (!rc)
        rc = check_socket_paths(ctl->dir, &u->p, err);
    if (!rc)
        rc = daemon_find("muster-scheduler", &u->scheduler, err);
    if (!rc)
        rc = daemon_find("muster-agent", &u->agent, err);
    if (!rc && u->made)
        rc = make_dir(ctl->dir, err);
    if (!rc)
        rc = private_lock(ctl->dir, ret_lock, err);
    if (!rc && u->made)
        rc = private_save(ctl->dir, &u->p, err);
    return rc;
}

static int start_one(struct up *u, int64_t node, struct err *err)
{
    const char *dir = u->ctl->dir;
    AUTO_FREE char *lock = private_lock_path(dir, node);
    AUTO_FREE char *name = xasprintf("n%" PRId64, node);
    AUTO_FREE char *log = xasprintf("%s/%s.log", dir, node ? name : "scheduler");
    AUTO(text) struct text resources = {0};
    if (lockfile_held(lock, NULL))
        return 0;
    int64_t first = cores_first(node, u->p.nodes, u->p.cpus, cores_here());
    text_addf(&resources, "cores=%" PRId64 "-%" PRId64 ",memory=%" PRId64 "MiB", first,
              first + u->p.cpus - 1, u->p.memory_mib);
    if (u->p.gpus) // each node its own
        text_addf(&resources, ",gpu-list=%" PRId64 "-%" PRId64, (node - 1) * u->p.gpus,
                  node * u->p.gpus - 1);
    else
        text_add(&resources, ",gpus=0");
    if (u->p.gpu_model[0])
        text_addf(&resources, ",gpu.model=%s", u->p.gpu_model);
    char *scheduler[] = {u->scheduler, (char *)"--dir", (char *)dir, NULL};
    char *agent[] = {u->agent,
                     (char *)"--dir",
                     (char *)dir,
                     (char *)"--name",
                     name,
                     (char *)"--resources",
                     (char *)text_str(&resources),
                     u->p.labels[0] ? (char *)"--label" : NULL,
                     u->p.labels,
                     NULL};
    return daemon_start(node ? agent : scheduler, log, &u->daemons[node], err);
}

// Nodes of this cluster that take jobs or were drained by an operator; -1: no answer yet.
static int64_t nodes_up(struct up *u)
{
    json_t *answer = NULL, *node;
    struct err err;
    int64_t up = 0;
    size_t i;
    if (client_get(u->ctl->client, "/v1/nodes", &answer, &err))
        return -1;
    json_array_foreach(json_object_get(answer, "nodes"), i, node)
    {
        const char *state = get_str(node, "state");
        up += !strcmp(state, "up") || !strcmp(state, "draining") || !strcmp(state, "drained");
    }
    json_decref(answer);
    return up;
}

static bool in_recovery_hold(struct up *u)
{
    json_t *answer = NULL;
    struct err err;
    if (client_get(u->ctl->client, "/v1/cluster", &answer, &err))
        return false;
    bool hold = strcmp(get_str(answer, "state"), "recovery_hold") == 0;
    json_decref(answer);
    return hold;
}

static int give_up(struct up *u, const char *what, struct err *err)
{
    AUTO(text) struct text words = {0};
    for (int64_t i = 0; i <= u->p.nodes; i++)
        if (words.len < 600)
            daemon_last_words(&u->daemons[i], &words);
    // A cluster that has state may have tasks: its parts stay.
    for (int64_t i = u->p.nodes; i >= 0 && u->made; i--)
        daemon_stop(&u->daemons[i]);
    return fail(err, E_TIMEOUT, "%s; what was started %s.%.800s", what,
                u->made ? "is ended again" : "goes on: see `schedctl nodes`", text_str(&words));
}

static int wait_until_up(struct up *u, struct err *err)
{
    int64_t give_up_at = clock_boot_ms() + UP_MOST_MS, up = -1;
    for (;;) {
        for (int64_t i = 0; i <= u->p.nodes; i++)
            if (u->daemons[i].log && daemon_ended(&u->daemons[i]))
                return give_up(u, i ? "an agent ended early" : "the scheduler ended early", err);
        up = nodes_up(u);
        if (up >= u->p.nodes)
            return 0;
        if (up >= 0 && in_recovery_hold(u))
            return fail(err, E_REFUSED,
                        "the scheduler is in recovery hold: its database is older than the "
                        "cluster. Check the database, then `schedctl recover --accept`.");
        if (clock_boot_ms() > give_up_at)
            break;
        pause_ms(UP_PAUSE_MS);
    }
    AUTO_FREE char *what =
        up < 0 ? xasprintf("the scheduler did not answer within %d s", UP_MOST_MS / 1000)
               : xasprintf("%" PRId64 " of %" PRId64 " nodes are up after %d s", up, u->p.nodes,
                           UP_MOST_MS / 1000);
    return give_up(u, what, err);
}

static int start_all(struct up *u, struct err *err)
{
    int rc = start_one(u, 0, err);
    if (!rc)
        rc = ctl_connect(u->ctl, err);
    for (int64_t i = 1; i <= u->p.nodes && !rc; i++)
        rc = start_one(u, i, err);
    if (rc) {
        for (int64_t i = u->p.nodes; i >= 0; i--)
            daemon_stop(&u->daemons[i]);
        return rc;
    }
    return wait_until_up(u, err);
}

static void print(const struct up *u)
{
    AUTO(text) struct text memory = {0};
    const struct private_cluster *p = &u->p;
    bool started = false;
    for (int64_t i = 0; i <= p->nodes; i++)
        started = started || u->daemons[i].pid;
    text_add_size_mib(&memory, p->memory_mib);
    printf("The cluster in %s %s up: %" PRId64 " node%s with %" PRId64 " core%s and %s",
           u->ctl->dir, started ? "is" : "was already", p->nodes, p->nodes == 1 ? "" : "s", p->cpus,
           p->cpus == 1 ? "" : "s", text_str(&memory));
    if (p->gpus)
        printf(" and %" PRId64 " GPU%s", p->gpus, p->gpus == 1 ? "" : "s");
    printf("%s.\n", p->nodes == 1 ? "" : " each");
    const char *home = getenv("MUSTER_HOME");
    if (!home || strcmp(home, u->ctl->dir))
        printf("Next: export MUSTER_HOME=%s; schedctl run -- hostname\n", u->ctl->dir);
    else
        puts("Next: schedctl run -- hostname");
}

static int run_cluster_up(struct ctl *ctl)
{
    struct err err;
    struct up u = {.ctl = ctl};
    int lock = -1;
    int rc = prepare(&u, &lock, &err);
    if (!rc) {
        u.daemons = xcalloc((size_t)u.p.nodes + 1, sizeof *u.daemons);
        rc = start_all(&u, &err);
    }
    if (!rc && ctl->json)
        printf("{\n  \"dir\": \"%s\"\n}\n", ctl->dir);
    else if (!rc)
        print(&u);
    for (int64_t i = 0; u.daemons && i <= u.p.nodes; i++)
        daemon_free(&u.daemons[i]);
    free(u.daemons);
    free(u.scheduler);
    free(u.agent);
    if (lock >= 0)
        close(lock);
    return rc ? (int)report(&err) : CTL_OK;
}

static const struct opt OPTIONS[] = {
    {'N', "nodes", "N", "number of nodes, n1 to nN, all on this machine (1)"},
    {'c', "cpus", "N", "cores of each node (the machine's, shared out)"},
    {0, "memory", "SIZE", "memory of each node (the machine's, shared out)"},
    {0, "gpus", "N", "GPUs of each node (0)"},
    {0, "gpu-model", "NAME", "model of GPUs that are only declared"},
    {0, "label", "LABEL", "a label of each node, zone=a or spot; may be repeated"},
};

const struct verb verb_cluster_up = {
    .name = "cluster up",
    .usage = "[OPTIONS]",
    .summary = "start a private cluster in a directory, without privileges",
    .text = "Starts a scheduler and an agent for each node, in the background, and returns when "
            "all are up. Where a part runs already it is left alone. Called again without options "
            "it starts the same cluster with its jobs. Each node has cores of its own; more can be "
            "declared than the machine has, for tests: tasks are not bound to cores then.",
    .options = {{OPTIONS, COUNT(OPTIONS)}},
    .examples = {{"cluster up --dir ~/muster --nodes 4 --cpus 2", "Four nodes of two cores."},
                 {"cluster up --dir ~/muster", "The same again after `cluster down` or a reboot."}},
    .run = run_cluster_up,
};
