// The deadline, the core's timers and, without a memory cgroup, the tasks' memory. One timerfd on
// CLOCK_BOOTTIME: time in suspend counts.
#include "agent/host/procs.h"
#include "agent/shepherd/run.h"

#include "common/alloc.h"
#include "common/clock.h"

#include <sys/timerfd.h>
#include <unistd.h>

enum { LOOK_AGAIN_MS = 1000, MEMORY_LOOK_MS = 200, PROCS_MAX = 4096 };

static bool watches_memory(const struct run *r)
{
    return r->launch && r->launch->memory_mib_per_task && r->core.phase == SHEPHERD_RUNNING &&
           !(r->cgroup && cgroup_features(r->cgroups).memory);
}

static void check_memory(struct run *r)
{
    AUTO_FREE pid_t *pids = xcalloc(PROCS_MAX, sizeof *pids);
    size_t n = procs_descendants(getpid(), pids, PROCS_MAX);
    int64_t used = procs_rss_kib(pids, n < PROCS_MAX ? n : PROCS_MAX) / 1024;
    int64_t limit = r->launch->memory_mib_per_task * r->tasks_count;
    if (used > limit)
        run_step(r, (struct shepherd_input){.kind = SHEPHERD_IN_OUT_OF_MEMORY,
                                            .task = -1,
                                            .used_mib = used,
                                            .limit_mib = limit});
}

void watch_arm(struct run *r)
{
    int64_t now = clock_boot_ms(), at = now + LOOK_AGAIN_MS;
    int64_t core = shepherd_wake_at_ms(&r->core);
    if (core < at)
        at = core;
    if (r->deadline && !r->deadline_passed && attempt_deadline_get(r->deadline) < at)
        at = attempt_deadline_get(r->deadline);
    if (watches_memory(r) && now + MEMORY_LOOK_MS < at)
        at = now + MEMORY_LOOK_MS;
    if (at <= now)
        at = now + 1;
    struct itimerspec when = {
        .it_value = {.tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000},
    };
    timerfd_settime(r->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

bool watch_late(const struct run *r)
{
    return r->deadline && attempt_deadline_get(r->deadline) <= clock_boot_ms();
}

static void on_timer(uv_poll_t *poll, int status, int events)
{
    struct run *r = poll->data;
    uint64_t times;
    (void)status;
    (void)events;
    if (read(r->timer_fd, &times, sizeof times) != sizeof times)
        return;
    if (watch_late(r) && !r->deadline_passed) {
        r->deadline_passed = true;
        run_step(r, (struct shepherd_input){.kind = SHEPHERD_IN_DEADLINE});
    }
    if (watches_memory(r))
        check_memory(r);
    tasks_reap(r);
    run_step(r, (struct shepherd_input){.kind = SHEPHERD_IN_TICK});
}

int watch_start(struct run *r, struct err *err)
{
    r->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (r->timer_fd < 0)
        return fail(err, E_SYSTEM, "cannot make a timer: %m");
    r->timer.data = r;
    uv_poll_init(r->loop, &r->timer, r->timer_fd);
    uv_poll_start(&r->timer, UV_READABLE, on_timer);
    watch_arm(r);
    return 0;
}
