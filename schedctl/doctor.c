#include "common/alloc.h"
#include "common/units.h"
#include "schedctl/ctl.h"
#include "schedctl/daemon.h"
#include "schedctl/present.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

enum { FILES_LEAST = 1024, PROCESSES_LEAST = 1024, DISK_LEAST_MIB = 1024 };

// A finding of the doctor: fine, worth knowing, or to be mended.
enum finding { FINDING_OK, FINDING_NOTE, FINDING_PROBLEM };
static const char *const FINDING_WORDS[] = {"ok", "note", "problem"};

struct doctor {
    struct ctl *ctl;
    json_t *findings;
    size_t problems;
};

static void find(struct doctor *d, enum finding kind, const char *remedy, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void find(struct doctor *d, enum finding kind, const char *remedy, const char *fmt, ...)
{
    AUTO(text) struct text t = {0};
    va_list ap;
    va_start(ap, fmt);
    text_vaddf(&t, fmt, ap);
    va_end(ap);
    d->problems += kind == FINDING_PROBLEM;
    json_array_append_new(d->findings, json_pack("{s:s,s:s,s:s}", "finding", FINDING_WORDS[kind],
                                                 "text", text_str(&t), "remedy", remedy));
}

static void check_nodes(struct doctor *d)
{
    struct err err;
    json_t *answer = NULL, *node;
    size_t i, up = 0;
    if (client_get(d->ctl->client, "/v1/nodes", &answer, &err)) {
        find(d, FINDING_PROBLEM, "", "the nodes cannot be listed: %s", err.message);
        return;
    }
    const json_t *nodes = json_object_get(answer, "nodes");
    json_array_foreach(nodes, i, node)
    {
        const char *state = get_str(node, "state"), *name = get_str(node, "name");
        if (strcmp(state, "up") == 0)
            up++;
        else if (strncmp(state, "drain", 5) == 0)
            find(d, FINDING_NOTE, "`schedctl node resume` lets it take jobs again.",
                 "node %s is %s: %s", name, state, reason_of(node));
        else
            find(d, FINDING_PROBLEM,
                 "See that its machine and its muster-agent run; the agent's log says more. If the "
                 "machine is off for good: `schedctl node fence`.",
                 "node %s is %s%s%s", name, state, *reason_of(node) ? ": " : "", reason_of(node));
    }
    if (json_array_size(nodes) == 0)
        find(d, FINDING_PROBLEM, "Start a muster-agent for each node.", "there is no node");
    else
        find(d, FINDING_OK, "", "%zu of %zu nodes are up", up, json_array_size(nodes));
    json_decref(answer);
}

static void check_scheduler(struct doctor *d)
{
    struct err err;
    json_t *c = NULL;
    if (ctl_connect(d->ctl, &err) || client_get(d->ctl->client, "/v1/cluster", &c, &err)) {
        find(d, FINDING_PROBLEM, "", "%s", err.message);
        return;
    }
    find(d, FINDING_OK, "", "the scheduler in %s answers", d->ctl->dir);
    if (strcmp(get_str(c, "version"), MUSTER_VERSION))
        find(d, FINDING_NOTE, "Use programs of one version.",
             "the scheduler is of version %s, schedctl of %s", get_str(c, "version"),
             MUSTER_VERSION);
    if (strcmp(get_str(c, "state"), "ok"))
        find(d, FINDING_PROBLEM,
             "It starts and ends nothing. Check that the database is the right one, then `schedctl "
             "recover --accept`.",
             "the cluster is in state %s", get_str(c, "state"));
    json_decref(c);
    check_nodes(d);
}

static void check_limit(struct doctor *d, int which, const char *what, rlim_t least)
{
    struct rlimit r;
    if (getrlimit((__rlimit_resource_t)which, &r))
        return;
    if (r.rlim_max != RLIM_INFINITY && r.rlim_max < least)
        find(d, FINDING_PROBLEM, "Raise it in /etc/security/limits.conf or in the unit file.",
             "the limit on %s is %" PRIu64, what, (uint64_t)r.rlim_max);
    else
        find(d, FINDING_OK, "", "the limit on %s is high enough", what);
}

static void check_clock(struct doctor *d)
{
    struct timex t = {0};
    if (adjtimex(&t) == TIME_ERROR)
        find(d, FINDING_NOTE,
             "Times shown to people may be wrong; nothing else depends on them. chrony or "
             "systemd-timesyncd set the clock.",
             "the machine's clock is not synchronised");
    else
        find(d, FINDING_OK, "", "the machine's clock is synchronised");
}

static void check_cgroups(struct doctor *d)
{
    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
        find(d, FINDING_OK, "", "cgroup v2 is mounted");
    else if (access("/sys/fs/cgroup/memory", F_OK) == 0)
        find(d, FINDING_OK, "", "cgroup v1 with the memory controller is mounted");
    else
        find(d, FINDING_NOTE,
             "Tasks are tracked by session and ancestry then, and their memory is watched instead "
             "of limited. Mount cgroup v2 for more.",
             "no cgroups are found");
}

static void check_disk(struct doctor *d)
{
    struct statvfs fs;
    AUTO(text) struct text left = {0};
    if (statvfs(d->ctl->dir, &fs)) {
        find(d, FINDING_PROBLEM, "Name the cluster's directory with --dir or MUSTER_HOME.",
             "the directory %s cannot be looked at: %s", d->ctl->dir, strerror(errno));
        return;
    }
    int64_t mib = (int64_t)(fs.f_bavail * fs.f_frsize / (1024 * 1024));
    text_add_size_mib(&left, mib);
    if (mib < DISK_LEAST_MIB)
        find(d, FINDING_PROBLEM, "Make room: without it no job can be taken and output is lost.",
             "only %s are free on the disk of %s", text_str(&left), d->ctl->dir);
    else
        find(d, FINDING_OK, "", "%s are free on the disk of %s", text_str(&left), d->ctl->dir);
}

static void check_programs(struct doctor *d)
{
    static const char *const names[] = {"muster-scheduler", "muster-agent", "muster-shepherd"};
    struct err err;
    for (size_t i = 0; i < COUNT(names); i++) {
        AUTO_FREE char *path = NULL;
        if (daemon_find(names[i], &path, &err))
            find(d, FINDING_PROBLEM, "", "%s", err.message);
    }
    AUTO_FREE char *beside = daemon_beside("muster-pmix.so");
    AUTO_FREE char *installed = daemon_beside("../lib/muster/muster-pmix.so");
    if ((beside && access(beside, R_OK) == 0) || (installed && access(installed, R_OK) == 0))
        find(d, FINDING_OK, "", "the MPI plugin is there");
    else
        find(d, FINDING_PROBLEM,
             "Build it with libpmix installed (`make deps all`), or submit with --mpi none.",
             "the MPI plugin muster-pmix.so is not beside schedctl: MPI jobs cannot start");
}

static void print(const json_t *findings)
{
    size_t i;
    json_t *f;
    json_array_foreach(findings, i, f)
    {
        const char *text = get_str(f, "text"), *end = text + strlen(text);
        printf("%-8s %s%s\n", get_str(f, "finding"), text, end > text && end[-1] == '.' ? "" : ".");
        if (*get_str(f, "remedy"))
            printf("%-8s %s\n", "", get_str(f, "remedy"));
    }
}

static int run_doctor(struct ctl *ctl)
{
    struct doctor d = {.ctl = ctl, .findings = json_array()};
    check_scheduler(&d);
    check_programs(&d);
    check_disk(&d);
    check_cgroups(&d);
    check_limit(&d, RLIMIT_NOFILE, "open files", FILES_LEAST);
    check_limit(&d, RLIMIT_NPROC, "processes", PROCESSES_LEAST);
    check_clock(&d);
    if (ctl->json)
        ctl_print_json(d.findings);
    else
        print(d.findings);
    json_decref(d.findings);
    return d.problems ? CTL_FAILED : CTL_OK;
}

const struct verb verb_doctor = {
    .name = "doctor",
    .usage = "[--dir DIR]",
    .summary = "look for what is wrong here, and say how to mend it",
    .text = "Exit code 0 if no problem was found, else 1.",
    .examples = {{"doctor", "Before asking somebody else."}},
    .run = run_doctor,
};
