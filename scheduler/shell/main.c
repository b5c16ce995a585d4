// muster-scheduler: the one controller. See --help; the heart is turn.c.
#include "scheduler/shell/server.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/units.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

const char *argp_program_version = "muster-scheduler " MUSTER_VERSION;

struct options {
    const char *dir, *socket;
    enum log_level level;
    bool json;
    int64_t heartbeat_ms;
};

static const struct argp_option option_list[] = {
    {"dir", 'd', "DIR", 0, "state of the cluster (default /var/lib/muster)", 0},
    {"socket", 's', "PATH", 0, "where to listen (default DIR/scheduler.sock)", 0},
    {"heartbeat", 'b', "TIME", 0, "period of the agents' heartbeats (default 1s)", 0},
    {"log", 'l', "LEVEL", 0, "debug, info, warning or error", 0},
    {"log-json", 'j', 0, 0, "log as JSON objects", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    struct err err;
    switch (key) {
    case 'd':
        o->dir = arg;
        break;
    case 's':
        o->socket = arg;
        break;
    case 'b':
        if (parse_duration_ms(arg, "--heartbeat", &o->heartbeat_ms, &err))
            argp_error(state, "%s", err.message);
        if (o->heartbeat_ms < 50 || o->heartbeat_ms > 60000)
            argp_error(state, "--heartbeat must be 50ms to 1m");
        break;
    case 'l':
        if (!log_level_parse(arg, &o->level))
            argp_error(state, "--log takes debug, info, warning or error, not \"%s\"", arg);
        break;
    case 'j':
        o->json = true;
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
    "Keeps a cluster's nodes and jobs and decides what runs where.\v"
    "SIGTERM ends the scheduler; what runs goes on, and a new scheduler finds it again.\n\n"
    "Exit status: 0 ended as asked, 1 failure, 2 usage, 3 another scheduler holds the directory, 4 "
    "the database is damaged or of a newer version.",
    NULL,
    NULL,
    NULL};

static int make_dir(const char *path, mode_t mode, struct err *err)
{
    if (mkdir(path, mode) && errno != EEXIST)
        return fail(err, E_IO, "cannot make \"%s\": %m", path);
    return 0;
}

// Random, made with the database, mode 0600.
static int read_secret(struct server *s, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/secret", s->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool ok = fd >= 0;
    if (ok && read(fd, &s->secret, sizeof s->secret) != sizeof s->secret)
        ok = getrandom(&s->secret, sizeof s->secret, 0) == sizeof s->secret &&
             pwrite(fd, &s->secret, sizeof s->secret, 0) == sizeof s->secret && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok ? 0 : fail(err, E_IO, "cannot read or write \"%s\": %m", path);
}

// systemd's Type=notify.
static void notify_ready(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    static const char word[] = "READY=1";
    if (!path || strlen(path) >= sizeof a.sun_path)
        return;
    memcpy(a.sun_path, path, strlen(path));
    if (*path == '@')
        a.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd >= 0 && sendto(fd, word, sizeof word - 1, 0, (struct sockaddr *)&a, len) < 0)
        log_warning("scheduler", "notify", "%s", strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct server *s = signal->data;
    log_info("scheduler", "stops", "signal %d; what runs goes on", number);
    turn_stop(s);
    http_stop(s);
    metrics_stop(s->metrics); // not freed: questions may be under way
    store_close(s->store);
    _exit(0);
}

static int load(struct server *s, struct err *err)
{
    struct store_start start;
    int quarantined = 0;
    s->cluster = cluster_new(&s->limits);
    int rc = store_load(s->store, s->cluster, &start, &quarantined, err);
    if (rc)
        return rc;
    if (quarantined)
        log_error("store", "quarantined", "%d damaged records were left out", quarantined);
    struct now now = {clock_boot_ms(), clock_wall_ms()};
    cluster_start(s->cluster, now, start.term, start.nonce, start.same_boot, start.hold,
                  start.term_seen);
    return 0;
}

static int start(struct server *s, const struct options *o, struct err *err)
{
    static uv_signal_t signals[2];
    int rc = make_dir(o->dir, 0755, err);
    if (rc == 0)
        rc = make_dir(s->dir, 0700, err); // it holds every job's environment
    if (rc == 0)
        rc = store_open(s->dir, &s->store, err);
    if (rc == 0)
        s->metrics = metrics_open(s->dir, 0);
    if (rc == 0)
        rc = read_secret(s, err);
    if (rc == 0)
        rc = load(s, err);
    if (rc == 0)
        rc = turn_start(s, err);
    if (rc == 0)
        rc = http_start(s, err);
    for (int i = 0; rc == 0 && i < 2; i++) {
        uv_signal_init(s->loop, &signals[i]);
        signals[i].data = s;
        uv_signal_start(&signals[i], on_signal, i ? SIGINT : SIGTERM);
    }
    return rc;
}

int main(int argc, char **argv)
{
    static struct server server;
    struct server *s = &server;
    struct err err;
    struct options o = {.dir = "/var/lib/muster", .level = LOG_LEVEL_INFO, .heartbeat_ms = 1000};
    argp_err_exit_status = 2;
    argp_parse(&arguments, argc, argv, 0, NULL, &o);
    log_init("muster-scheduler", o.level, o.json);
    signal(SIGPIPE, SIG_IGN);
    s->loop = uv_default_loop();
    s->dir = xasprintf("%s/scheduler", o.dir);
    s->socket = o.socket ? xstrdup(o.socket) : xasprintf("%s/scheduler.sock", o.dir);
    s->limits = CLUSTER_LIMITS_DEFAULT;
    s->limits.heartbeat_ms = o.heartbeat_ms;
    if (start(s, &o, &err)) {
        fprintf(stderr, "muster-scheduler: %s\n", err.message);
        return err.code == E_EXISTS ? 3 : err.code == E_CORRUPT || err.code == E_VERSION ? 4 : 1;
    }
    log_info("scheduler", "ready", "%s", s->socket);
    notify_ready();
    uv_run(s->loop, UV_RUN_DEFAULT);
    return 0;
}
