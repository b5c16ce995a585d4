#include "common/alloc.h"
#include "common/clock.h"
#include "schedctl/ctl.h"
#include "schedctl/lockfile.h"
#include "schedctl/orphans.h"
#include "schedctl/pause.h"
#include "schedctl/private.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
    AGENT_GRACE_MS = 15000, // tasks get their grace time
    AGENT_NOW_MS = 300,     // between the two signals that mean "at once"
    AGENT_LAST_MS = 10000,  // after the second signal
    SHEPHERD_GRACE_MS = 15000,
    STOP_MS = 5000, // from SIGTERM to SIGKILL, without tasks to wait for
    AGAIN_MS = 250,
    PAUSE_MS = 20,
};

static size_t held(const struct private_paths *locks)
{
    size_t n = 0;
    for (size_t i = 0; i < locks->count; i++)
        n += lockfile_held(locks->items[i], NULL);
    return n;
}

static size_t signal_all(const struct private_paths *locks, int signal)
{
    size_t n = 0;
    for (size_t i = 0; i < locks->count; i++)
        n += lockfile_signal(locks->items[i], signal);
    return n;
}

// true: none is held any more.
static bool wait_free(const struct private_paths *locks, int64_t most_ms)
{
    int64_t end = clock_boot_ms() + most_ms;
    while (held(locks)) {
        if (clock_boot_ms() > end)
            return false;
        pause_ms(PAUSE_MS);
    }
    return true;
}

// Signals, waits, and kills what is left; true: none is held any more. SIGTERM is repeated: a
// shepherd that has ended its tasks goes at the second one, where no agent takes its report.
static bool stop(const struct private_paths *locks, int64_t grace_ms)
{
    int64_t end = clock_boot_ms() + grace_ms;
    do {
        if (signal_all(locks, SIGTERM) == 0 || wait_free(locks, AGAIN_MS))
            return held(locks) == 0;
    } while (clock_boot_ms() < end);
    signal_all(locks, SIGKILL);
    return wait_free(locks, STOP_MS);
}

// Agents end their tasks and themselves at SIGUSR1, at once when it comes again.
static bool stop_agents(const struct private_paths *agents, bool now)
{
    if (signal_all(agents, SIGUSR1) == 0 || wait_free(agents, now ? AGENT_NOW_MS : AGENT_GRACE_MS))
        return stop(agents, STOP_MS);
    signal_all(agents, SIGUSR1);
    return wait_free(agents, AGENT_LAST_MS) || stop(agents, STOP_MS);
}

static int take_down(struct ctl *ctl, size_t *ret_stopped, struct err *err)
{
    struct private_paths agents, shepherds, scheduler;
    private_paths_find(ctl->dir, "nodes/*/lock", &agents);
    private_paths_find(ctl->dir, "scheduler/lock", &scheduler);
    *ret_stopped = held(&agents) + held(&scheduler);
    bool now = args_has(&ctl->args, "now");
    bool down = stop_agents(&agents, now);
    // shepherds are left where an agent had died
    private_paths_find(ctl->dir, "nodes/*/run/*/*.lock", &shepherds);
    *ret_stopped += held(&shepherds);
    down = stop(&shepherds, now ? STOP_MS : SHEPHERD_GRACE_MS) && down;
    orphans_kill(&shepherds);
    // after the agents, so that the ends of the jobs are on record
    down = stop(&scheduler, STOP_MS) && down;
    size_t left = held(&agents) + held(&shepherds) + held(&scheduler);
    private_paths_free(&agents);
    private_paths_free(&shepherds);
    private_paths_free(&scheduler);
    if (!down)
        return fail(err, E_SYSTEM,
                    "%zu process%s cannot be ended. `schedctl cluster status` names them.", left,
                    left == 1 ? "" : "es");
    return 0;
}

static int run_cluster_down(struct ctl *ctl)
{
    struct err err;
    struct private_cluster p;
    int lock;
    size_t stopped = 0;
    if (private_load(ctl->dir, &p, &err)) {
        if (err.code == E_NOT_FOUND)
            return complain(CTL_USAGE, "%s. Name its directory with --dir or MUSTER_HOME.",
                            err.message);
        return report(&err);
    }
    if (private_lock(ctl->dir, &lock, &err))
        return report(&err);
    int rc = take_down(ctl, &stopped, &err);
    close(lock);
    if (rc)
        return report(&err);
    if (ctl->json)
        printf("{\n  \"stopped\": %zu\n}\n", stopped);
    else if (stopped)
        printf("The cluster in %s is down.\n", ctl->dir);
    else
        printf("The cluster in %s was not running.\n", ctl->dir);
    return CTL_OK;
}

static const struct opt OPTIONS[] = {
    {0, "now", NULL, "end tasks without their grace time"},
};

const struct verb verb_cluster_down = {
    .name = "cluster down",
    .usage = "[--dir DIR] [--now]",
    .summary = "end a private cluster with everything that runs in it",
    .text = "Tasks get SIGTERM and their grace time, at most 15 s. Pending jobs stay in the "
            "database: `schedctl cluster up` goes on with them.",
    .options = {{OPTIONS, COUNT(OPTIONS)}},
    .examples = {{"cluster down --dir ~/muster", "Tasks may still save what they have."},
                 {"cluster down --now", "At once."}},
    .run = run_cluster_down,
};
