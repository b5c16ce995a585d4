// Ending an attempt: signals, the look whether anything is left, and the END that says so.
#include "agent/host/procs.h"
#include "agent/shepherd/channel.h"
#include "agent/shepherd/output.h"
#include "agent/shepherd/pmix.h"
#include "agent/shepherd/run.h"

#include "common/alloc.h"
#include "common/log.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { PROCS_MAX = 32768 };

static size_t everything(struct run *r, pid_t *pids)
{
    size_t n = r->cgroup ? cgroup_members(r->cgroups, r->cgroup, pids, PROCS_MAX) : 0;
    n = n < PROCS_MAX ? n : PROCS_MAX;
    if (procs_no_child())
        return n;
    size_t more = procs_descendants(getpid(), pids + n, PROCS_MAX - n);
    return n + more < PROCS_MAX ? n + more : PROCS_MAX;
}

void ending_signal(struct run *r, int signal)
{
    AUTO_FREE pid_t *pids = xcalloc(PROCS_MAX, sizeof *pids);
    size_t n = everything(r, pids);
    for (size_t i = 0; i < n; i++)
        kill(pids[i], signal);
    if (signal == SIGTERM)
        for (size_t i = 0; i < n; i++)
            kill(pids[i], SIGCONT); // a stopped process cannot heed it
}

void ending_kill(struct run *r)
{
    if (r->cgroup)
        cgroup_kill(r->cgroups, r->cgroup);
    ending_signal(r, SIGKILL);
}

bool ending_empty(struct run *r)
{
    pid_t pid;
    if (r->cgroup && cgroup_members(r->cgroups, r->cgroup, &pid, 1))
        return false;
    return procs_no_child(); // a subreaper without a child has no descendant
}

static int64_t usec_ms(struct timeval t)
{
    return (int64_t)t.tv_sec * 1000 + t.tv_usec / 1000;
}

static void fill_result(const struct run *r, int32_t i, Muster__TaskResult *out)
{
    const struct task *t = &r->tasks[i];
    muster__task_result__init(out);
    out->rank = (uint32_t)(r->first_rank + i);
    out->exit_code = t->exit_code;
    out->signal = t->signal;
    out->user_ms = usec_ms(t->usage.ru_utime);
    out->system_ms = usec_ms(t->usage.ru_stime);
    out->peak_kib = t->usage.ru_maxrss;
    out->started_at_ms = t->started_at_ms;
    out->ended_at_ms = t->ended_at_ms;
}

static void pack(struct run *r, Muster__End *end)
{
    struct err err;
    Muster__FromShepherd message = MUSTER__FROM_SHEPHERD__INIT;
    message.body_case = MUSTER__FROM_SHEPHERD__BODY_END;
    message.end = end;
    AUTO_FREE uint8_t *file = xmalloc(muster__end__get_packed_size(end));
    size_t len = muster__end__pack(end, file);
    if (attempt_end_write(r->run_dir, r->id, file, len, &err))
        log_error("shepherd", "end_not_kept", "%s", err.message);
    r->end = xmalloc(muster__from_shepherd__get_packed_size(&message));
    r->end_len = muster__from_shepherd__pack(&message, r->end);
}

void ending_report(struct run *r)
{
    Muster__AttemptId id = MUSTER__ATTEMPT_ID__INIT;
    Muster__Reason reason = MUSTER__REASON__INIT;
    Muster__End end = MUSTER__END__INIT;
    id.cluster = r->id.cluster.v;
    id.job_uid = r->id.job.v;
    id.number = r->id.number;
    reason.word = (char *)reason_word(r->core.verdict.code);
    reason.a = r->core.verdict.a;
    reason.b = r->core.verdict.b;
    reason.c = r->core.verdict.c;
    reason.detail = r->core.detail;
    end.attempt = &id;
    end.reason = &reason;
    end.started = r->core.started;
    size_t count = r->core.started ? (size_t)r->tasks_count : 0;
    AUTO_FREE Muster__TaskResult *results = xcalloc(count + 1, sizeof *results);
    AUTO_FREE Muster__TaskResult **list = xcalloc(count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        fill_result(r, (int32_t)i, &results[i]);
        list[i] = &results[i];
    }
    end.n_tasks = count;
    end.tasks = list;
    for (int32_t i = 0; i < r->tasks_count; i++) {
        for (int k = 0; k < 2; k++) {
            output_close(r->tasks[i].streams[k]);
            r->tasks[i].streams[k] = NULL;
        }
        channel_end(r->tasks[i].channel);
    }
    channels_send(r, true);
    if (r->pmix)
        pmix_close(r->pmix);
    channels_newest(r, &end);
    pack(r, &end);
    channels_newest_free(&end);
    peer_send_bytes(r, r->end, r->end_len);
}
