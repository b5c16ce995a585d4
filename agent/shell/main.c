// muster-agent: one a node. See --help; the loop is in turn.c.
#include "agent/shell/node.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/labels.h"
#include "common/log.h"
#include "common/units.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

const char *argp_program_version = "muster-agent " MUSTER_VERSION;

struct options {
    const char *dir, *name, *resources, *socket, *run_dir, *sysroot, *switch_path;
    struct text labels;
    int64_t spool_mib; // 0: the default
    enum log_level level;
    bool json, inventory;
};

static const struct argp_option option_list[] = {
    {"dir", 'd', "DIR", 0, "state of the cluster (default /var/lib/muster)", 0},
    {"name", 'n', "NAME", 0, "the node's name (default: the host's)", 0},
    {"resources", 'r', "LIST", 0,
     "what may be given out: cores=0-3,memory=8GiB,gpus=1 (or gpu-list=2-3); for GPUs that are "
     "only "
     "declared gpu.model=A100,gpu.memory=40GiB too",
     0},
    {"label", 'L', "LABEL", 0,
     "a label of the node, zone=a or spot, for jobs to choose by; may be repeated", 0},
    {"switch", 'w', "PATH", 0, "the switches above the node, from the top: spine1/rack3", 0},
    {"scheduler", 's', "SOCKET", 0, "the scheduler's socket (default DIR/scheduler.sock)", 0},
    {"run-dir", 'R', "DIR", 0, "locks and deadlines (default in the state directory)", 0},
    {"spool-limit", 'o', "SIZE", 0,
     "keep so much output of ended attempts (default a tenth of the file system, at most 10GiB)",
     0},
    {"log", 'l', "LEVEL", 0, "debug, info, warning or error", 0},
    {"log-json", 'j', 0, 0, "log as JSON objects", 0},
    {"inventory", 'i', 0, 0, "print what the machine has, as JSON, and end", 0},
    {"sysroot", 'S', "DIR", 0, "with --inventory: a recorded tree of /proc and /sys", 0},
    {0},
};

static bool is_switch_path(const char *path)
{
    enum { PATH_MOST = 95 };
    size_t len = strlen(path);
    if (!len || len > PATH_MOST || path[0] == '/' || path[len - 1] == '/' || strstr(path, "//"))
        return false;
    for (const char *c = path; *c; c++)
        if (!label_char(*c))
            return false;
    return true;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    struct err err;
    switch (key) {
    case 'd':
        o->dir = arg;
        break;
    case 'n':
        o->name = arg;
        break;
    case 'r':
        o->resources = arg;
        break;
    case 's':
        o->socket = arg;
        break;
    case 'L':
        text_addf(&o->labels, "%s%s", o->labels.len ? "," : "", arg);
        if (labels_check(text_str(&o->labels), "--label", &err))
            argp_error(state, "%s", err.message);
        break;
    case 'w':
        if (!is_switch_path(arg))
            argp_error(state, "--switch takes names joined by /, such as spine1/rack3, not \"%s\"",
                       arg);
        o->switch_path = arg;
        break;
    case 'R':
        o->run_dir = arg;
        break;
    case 'o':
        if (parse_size_mib(arg, "--spool-limit", &o->spool_mib, &err))
            argp_error(state, "%s", err.message);
        break;
    case 'l':
        if (!log_level_parse(arg, &o->level))
            argp_error(state, "--log takes debug, info, warning or error, not \"%s\"", arg);
        break;
    case 'j':
        o->json = true;
        break;
    case 'i':
        o->inventory = true;
        break;
    case 'S':
        o->sysroot = arg;
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "there is no argument \"%s\"", arg);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp arguments = {
    option_list,
    parse_option,
    NULL,
    "Runs the tasks of one node.\v"
    "SIGTERM ends the agent and leaves the tasks running; a new agent finds them again. SIGUSR1 "
    "ends "
    "the node: every task, with its grace time (a second SIGUSR1: at once), then the agent.\n\n"
    "Exit status: 0 ended as asked, 1 failure, 2 usage, 3 another agent holds the state directory.",
    NULL,
    NULL,
    NULL};

static int make_dir(const char *path, mode_t mode, struct err *err)
{
    if (mkdir(path, mode) && errno != EEXIST)
        return fail(err, E_IO, "cannot make \"%s\": %m", path);
    return 0;
}

static int make_dirs(struct node *n, const struct options *o, struct err *err)
{
    struct sockaddr_un limit;
    AUTO_FREE char *nodes = xasprintf("%s/nodes", o->dir);
    AUTO_FREE char *run = xasprintf("%s/nodes/%s/run", o->dir, o->name);
    n->dir = xasprintf("%s/nodes/%s", o->dir, o->name);
    n->spool_dir = xasprintf("%s/spool", n->dir);
    n->run_dir = o->run_dir ? xstrdup(o->run_dir) : xasprintf("%s/%s", run, n->boot_id);
    n->peer_path = xasprintf("%s/peer.sock", n->dir);
    size_t longest =
        strlen(n->peer_path) > strlen(n->socket) ? strlen(n->peer_path) : strlen(n->socket);
    if (longest >= sizeof limit.sun_path)
        return fail(
            err, E_TOO_LARGE,
            "the path \"%s\" is too long for a Unix socket (%zu bytes, at most %zu). Choose "
            "a shorter directory.",
            n->peer_path, longest, sizeof limit.sun_path - 1);
    int rc = make_dir(o->dir, 0755, err);
    if (rc == 0)
        rc = make_dir(nodes, 0755, err);
    if (rc == 0)
        rc = make_dir(n->dir, 0755, err);
    if (rc == 0)
        rc = make_dir(n->spool_dir, 0755, err);
    if (rc == 0 && !o->run_dir)
        rc = make_dir(run, 0755, err);
    if (rc == 0)
        rc = make_dir(n->run_dir, 0755, err);
    return rc;
}

static int lock_dir(const struct node *n, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/lock", n->dir);
    char pid[32];
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail(err, E_IO, "cannot open \"%s\": %m", path);
    if (flock(fd, LOCK_EX | LOCK_NB))
        return fail(err, E_EXISTS, "another agent holds \"%s\". There is one agent a node.",
                    n->dir);
    int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)len, 0) != len)
        return fail(err, E_IO, "cannot write \"%s\": %m", path);
    return 0; // held for life
}

// The state directory's random id, made once. A node that has one has had a journal.
static int read_state_id(struct node *n, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/id", n->dir);
    AUTO_FREE char *journal = xasprintf("%s/journal", n->dir);
    FILE *f = fopen(path, "re");
    bool known = f && fscanf(f, "%" SCNx64, &n->state_id) == 1 && n->state_id;
    if (f)
        fclose(f);
    n->journal_intact = !known || access(journal, F_OK) == 0;
    if (known)
        return 0;
    if (getrandom(&n->state_id, sizeof n->state_id, 0) != sizeof n->state_id)
        return fail(err, E_SYSTEM, "no random numbers: %m");
    f = fopen(path, "we");
    bool written = f && fprintf(f, "%016" PRIx64 "\n", n->state_id) > 0 && fflush(f) == 0 &&
                   fsync(fileno(f)) == 0;
    if (f)
        fclose(f);
    return written ? 0 : fail(err, E_IO, "cannot write \"%s\": %m", path);
}

static void on_heartbeat(uv_timer_t *timer)
{
    node_step(timer->data, &(struct agent_input){.kind = AGENT_IN_HEARTBEAT});
    samples_flush(timer->data);
}

// ---- signals ----

static uv_signal_t signals[3];
static uv_timer_t leaving;
static int leaving_ticks;

static void on_stop(uv_signal_t *handle, int number)
{
    struct node *n = handle->data;
    log_info("agent", "stops", "signal %d; tasks go on", number);
    journal_close(n->journal);
    _exit(0);
}

static bool all_ended(const struct node *n)
{
    for (size_t i = 0; i < agent_count(n->core); i++)
        if (agent_at(n->core, i)->phase != ATTEMPT_ENDED)
            return false;
    return TAILQ_EMPTY(&n->waiting);
}

// Ends when everything has ended, and the scheduler has heard of it or does not listen (2 s).
static void on_leaving(uv_timer_t *timer)
{
    struct node *n = timer->data;
    if (!all_ended(n))
        return;
    bool told = agent_count(n->core) == 0 && link_idle(n);
    if (told || ++leaving_ticks > 40 || !agent_session(n->core)) {
        log_info("agent", "ends", "the node has no task left");
        journal_close(n->journal);
        cgroup_host_retire(n->cgroups);
        _exit(0);
    }
}

static void on_end(uv_signal_t *handle, int number)
{
    struct node *n = handle->data;
    (void)number;
    struct agent_input in = {.kind = AGENT_IN_STOP, .grace_ms = n->stopping ? 0 : -1};
    n->stopping = true;
    node_step(n, &in);
    uv_timer_start(&leaving, on_leaving, 0, 50);
}

static void start_signals(struct node *n)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};
    for (int i = 0; i < 3; i++) {
        uv_signal_init(n->loop, &signals[i]);
        signals[i].data = n;
        uv_signal_start(&signals[i], i < 2 ? on_stop : on_end, numbers[i]);
    }
    uv_timer_init(n->loop, &leaving);
    leaving.data = n;
}

static int start(struct node *n, const struct options *o, struct err *err)
{
    clock_boot_id(n->boot_id);
    int rc = make_dirs(n, o, err);
    if (rc == 0)
        rc = lock_dir(n, err);
    if (rc == 0)
        rc = read_state_id(n, err);
    if (rc == 0)
        rc = machine_read("", &n->machine, err);
    if (rc == 0)
        rc = machine_declare(&n->machine, o->resources, err);
    if (rc)
        return rc;
    AUTO_FREE char *topology = xasprintf("%s/topology.xml", n->run_dir);
    machine_save_topology(&n->machine, topology);
    n->loop = uv_default_loop();
    n->core = agent_new();
    agent_give(n->core, &(struct agent_given){.cores = n->machine.given_cores,
                                              .gpus = n->machine.given_gpus,
                                              .memory_mib = n->machine.given_memory_mib});
    n->zygotes = zygotes_new();
    start_signals(n);
    uv_timer_init(n->loop, &n->heartbeat);
    n->heartbeat.data = n;
    uv_timer_start(&n->heartbeat, on_heartbeat, 1000, 1000);
    rc = node_timer_start(n, err);
    if (rc == 0)
        rc = journal_open(n, err);
    if (rc == 0)
        rc = peers_start(n, err);
    if (rc)
        return rc;
    agent_start(n->core, clock_boot_ms());
    node_perform(n);
    retention_start(n, o->spool_mib << 20);
    return link_start(n, err);
}

static int print_inventory(const struct options *o, struct err *err)
{
    struct machine m;
    AUTO(text) struct text json = {0};
    int rc = machine_read(o->sysroot ? o->sysroot : "", &m, err);
    if (rc)
        return rc;
    rc = machine_declare(&m, o->resources, err);
    machine_json(&m, "not started", &json);
    if (rc == 0)
        puts(text_str(&json));
    machine_free(&m);
    return rc;
}

static bool is_node_name(const char *s)
{
    return *s && *s != '.' && *s != '-' && strlen(s) <= 63 &&
           !s[strspn(s, "abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-_.")];
}

int main(int argc, char **argv)
{
    static struct node node;
    struct node *n = &node;
    struct err err;
    char host[65];
    gethostname(host, sizeof host);
    host[strcspn(host, ".")] = 0;
    struct options o = {.dir = "/var/lib/muster", .name = host, .level = LOG_LEVEL_INFO};
    argp_err_exit_status = 2;
    argp_parse(&arguments, argc, argv, 0, NULL, &o);
    log_init("muster-agent", o.level, o.json);
    if (!is_node_name(o.name)) {
        fprintf(stderr, "muster-agent: \"%s\" is no node name. Use letters, digits, - _ . (63).\n",
                o.name);
        return 2;
    }
    if (o.inventory) {
        if (print_inventory(&o, &err) == 0)
            return 0;
        fprintf(stderr, "muster-agent: %s\n", err.message);
        return err.code == E_INVALID ? 2 : 1;
    }
    signal(SIGPIPE, SIG_IGN);
    n->name = o.name;
    n->labels = text_str(&o.labels);
    n->switch_path = o.switch_path ? o.switch_path : "";
    n->socket = o.socket ? o.socket : xasprintf("%s/scheduler.sock", o.dir);
    TAILQ_INIT(&n->held);
    TAILQ_INIT(&n->waiting);
    TAILQ_INIT(&n->samples);
    if (start(n, &o, &err)) {
        fprintf(stderr, "muster-agent: %s\n", err.message);
        return err.code == E_EXISTS ? 3 : err.code == E_INVALID ? 2 : 1;
    }
    uv_run(n->loop, UV_RUN_DEFAULT);
    return 0;
}
