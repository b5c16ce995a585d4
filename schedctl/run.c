#include "common/alloc.h"
#include "common/clock.h"
#include "schedctl/ctl.h"
#include "schedctl/follow.h"
#include "schedctl/interrupt.h"
#include "schedctl/jobname.h"
#include "schedctl/present.h"
#include "schedctl/progress.h"
#include "schedctl/request.h"
#include "schedctl/statusline.h"
#include "schedctl/submit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    STATUS_LEAST_MS = 10,
    STATUS_MOST_MS = 1000,
    LOST_MOST_MS = 60000,  // a scheduler that restarts is waited for
    DRAIN_MOST_MS = 10000, // last output after the end
    WAIT_ROUND_S = 30,
    WAIT_SHOWN_MS = 1000,
};

struct run {
    struct ctl *ctl;
    int wake_fd;
    char *id;
    struct follow follow;
    struct statusline status;
    int64_t waits_since_ms; // 0: it does not wait
    json_t *job;            // as last seen
    bool waiting;           // the long poll is under way
    bool cancelled;         // we asked for it, and it was heard
    bool told_cancel;
    int64_t status_at_ms, status_every; // next look at the job
    int64_t lost_since_ms;              // 0: the scheduler answers
};

// A remark beside the status line; it ends the line of an output that did not.
#define TELL(r, ...) \
    (statusline_clear(&(r)->status), remark(__VA_ARGS__), (r)->follow.mid_line = false)

// Why it does not start yet, once that has lasted.
static void show_wait(struct run *r)
{
    struct err err;
    json_t *why = NULL;
    int64_t now = clock_boot_ms();
    if (!r->waits_since_ms)
        r->waits_since_ms = now;
    if (now - r->waits_since_ms < WAIT_SHOWN_MS || r->follow.mid_line || !isatty(STDERR_FILENO))
        return;
    AUTO_FREE char *path = job_path(r->id, "/why");
    if (client_get(r->ctl->client, path, &why, &err))
        return;
    AUTO_FREE char *text = xasprintf("job %s %s", r->id, reason_of(why));
    statusline_show(&r->status, text);
    json_decref(why);
}

static void show_progress(struct run *r)
{
    AUTO(text) struct text t = {0};
    progress_text(json_object_get(r->job, "metrics"), PROGRESS_BAR, &t);
    if (!t.len || r->follow.mid_line)
        return;
    AUTO_FREE char *text = xasprintf("job %s  %s", r->id, text_str(&t));
    statusline_show(&r->status, text);
}

// Takes what the scheduler said about the job; owns `job`.
static void learn(struct run *r, json_t *job)
{
    int64_t attempt = get_int(job, "attempt");
    bool placed = strcmp(get_str(job, "state"), "pending") != 0;
    json_decref(r->job);
    r->job = job;
    r->lost_since_ms = 0;
    if (placed && r->waits_since_ms) {
        statusline_clear(&r->status);
        text_clear(&r->status.text);
        r->waits_since_ms = 0;
    }
    if (!placed || attempt == 0 || attempt == r->follow.attempt)
        return;
    if (r->follow.attempt)
        TELL(r, "job %s: attempt %" PRId64 " begins", r->id, attempt);
    follow_attempt(&r->follow, attempt);
    r->status_every = STATUS_MOST_MS;
}

// A scheduler that is away is waited for; anything else is final.
static int tolerate(struct run *r, int rc, struct err *err)
{
    int64_t now = clock_boot_ms();
    if (rc != E_UNREACHABLE)
        return rc;
    if (r->lost_since_ms == 0) {
        r->lost_since_ms = now;
        TELL(r, "job %s: the scheduler does not answer; trying again", r->id);
    }
    if (now - r->lost_since_ms > LOST_MOST_MS)
        return fail(err, E_UNREACHABLE,
                    "the scheduler has been away for %d s. The job goes on without it: "
                    "`schedctl logs -f %s` follows it when the scheduler is back.",
                    LOST_MOST_MS / 1000, r->id);
    interrupt_pause(r->wake_fd, 200);
    return 0;
}

static int look(struct run *r, struct err *err)
{
    json_t *job = NULL;
    int64_t now = clock_boot_ms();
    if (now < r->status_at_ms)
        return 0;
    r->status_at_ms = now + r->status_every;
    if (r->status_every < STATUS_MOST_MS)
        r->status_every *= 2;
    AUTO_FREE char *path = job_path(r->id, "");
    int rc = client_get(r->ctl->client, path, &job, err);
    if (rc)
        return tolerate(r, rc, err);
    learn(r, job);
    if (strcmp(get_str(job, "state"), "pending") == 0)
        show_wait(r);
    else if (strcmp(get_str(job, "state"), "running") == 0)
        show_progress(r);
    return 0;
}

// Until something happens or something is due.
static int rest(struct run *r, struct err *err)
{
    bool done;
    json_t *job = NULL;
    int64_t now = clock_boot_ms();
    int most = r->status_at_ms > now ? (int)(r->status_at_ms - now) : 0;
    if (r->follow.attempt)
        most = follow_due_ms(&r->follow, most);
    if (!r->waiting) {
        AUTO_FREE char *round = xasprintf("?wait=%d", WAIT_ROUND_S);
        AUTO_FREE char *path = job_path(r->id, round);
        client_wait_start(r->ctl->client, path);
        r->waiting = true;
    }
    int rc = client_wait_poll(r->ctl->client, r->wake_fd, most, &done, &job, err);
    if (!done)
        return 0;
    r->waiting = false;
    if (rc)
        return tolerate(r, rc, err);
    learn(r, job);
    return 0;
}

static int cancel(struct run *r, struct err *err)
{
    AUTO_FREE char *path = job_path(r->id, "/cancel");
    if (!r->told_cancel)
        TELL(r, "job %s is being cancelled; interrupt again to leave it", r->id);
    r->told_cancel = true;
    int rc = client_post(r->ctl->client, path, NULL, NULL, err);
    r->cancelled = rc == 0 || rc == E_REFUSED; // refused: it has ended meanwhile
    return r->cancelled ? 0 : tolerate(r, rc, err);
}

// The output that is left when the job has ended.
static int drain(struct run *r, struct err *err)
{
    int64_t give_up = clock_boot_ms() + DRAIN_MOST_MS;
    if (!r->follow.attempt)
        return 0;
    r->follow.final = true;
    follow_hurry(&r->follow);
    for (;;) {
        int rc = follow_pump(&r->follow, err);
        if (rc)
            return rc;
        if (follow_ended(&r->follow))
            return 0;
        if (clock_boot_ms() > give_up || interrupt_count > 1) {
            TELL(r,
                 "the end of the output is not there yet: `schedctl logs %s --all` shows it later",
                 r->id);
            return 0;
        }
        interrupt_pause(r->wake_fd, follow_due_ms(&r->follow, STATUS_MOST_MS));
    }
}

static int follow_job(struct run *r, struct err *err)
{
    int rc = 0;
    while (!rc && !(r->job && state_ended(get_str(r->job, "state")))) {
        if (interrupt_count > 1)
            return 0;
        interrupt_clear(r->wake_fd);
        if (interrupt_count && !r->cancelled)
            rc = cancel(r, err);
        if (!rc)
            rc = rest(r, err);
        if (!rc)
            rc = look(r, err);
        if (!rc && r->follow.attempt) {
            rc = follow_pump(&r->follow, err);
            if (rc)
                rc = tolerate(r, rc, err);
            else if (!r->follow.mid_line)
                statusline_again(&r->status);
        }
    }
    statusline_free(&r->status); // what follows is the end
    return rc ? rc : drain(r, err);
}

// The exit code of a job that failed: its own, or that of the first task with one.
static int failed_code(const json_t *job)
{
    size_t i;
    json_t *t;
    int64_t code = get_int(job, "exit_code");
    json_array_foreach(json_object_get(job, "task_results"), i, t)
    {
        if (code)
            break;
        code = get_int(t, "signal") ? 128 + get_int(t, "signal") : get_int(t, "exit_code");
    }
    return code > 0 && code < 256 ? (int)code : CTL_FAILED;
}

static int conclude(struct run *r)
{
    const char *state = r->job ? get_str(r->job, "state") : "";
    if (!state_ended(state)) {
        remark("job %s may still be ending. Look with `schedctl job show %s`.", r->id, r->id);
        return 130;
    }
    if (strcmp(state, "completed") == 0)
        return CTL_OK;
    const char *code = get_str(json_object_get(r->job, "reason"), "code");
    if (strcmp(code, "exited"))
        remark("job %s %s%s%s", r->id, state, *reason_of(r->job) ? ": " : "", reason_of(r->job));
    return strcmp(state, "failed") == 0 ? failed_code(r->job) : CTL_FAILED;
}

// On a failure after submission: the job is ended if its output has no reader any more.
static int abandon(struct run *r, const struct err *why)
{
    struct err err;
    if (why->code == E_IO && !r->cancelled)
        cancel(r, &err);
    return report(why);
}

static int begin(struct run *r, struct err *err)
{
    json_t *request = NULL, *answer = NULL;
    struct ctl *ctl = r->ctl;
    int rc = request_build(&ctl->args, &request, err);
    if (!rc && json_object_get(request, "array"))
        rc = fail(err, E_INVALID, "run follows one job, not an array. Use `schedctl submit`.");
    if (!rc)
        rc = ctl_connect(ctl, err);
    if (!rc) {
        client_stop_when(ctl->client, &interrupt_count, 2);
        rc = submit_request(ctl, request, &answer, err);
    }
    if (!rc) {
        int64_t tasks = get_int(request, "tasks");
        r->id = xasprintf("%" PRId64, get_int(answer, "id"));
        r->follow = (struct follow){.client = ctl->client,
                                    .job = r->id,
                                    .label = args_has(&ctl->args, "label"),
                                    .status = &r->status,
                                    .tail = -1};
        follow_streams(&r->follow, 0, tasks ? tasks : 1, FOLLOW_BOTH);
        r->status_every = STATUS_LEAST_MS;
        r->status_at_ms = clock_boot_ms() + STATUS_LEAST_MS;
    }
    json_decref(request);
    json_decref(answer);
    return rc;
}

static int run_run(struct ctl *ctl)
{
    struct err err;
    struct run r = {.ctl = ctl};
    int code;
    // before the submission: an interrupt during it cancels the job when its id is known
    r.wake_fd = interrupt_catch();
    if (begin(&r, &err)) {
        code = report(&err);
    } else {
        int rc = follow_job(&r, &err);
        statusline_free(&r.status);
        code = rc && interrupt_count < 2 ? abandon(&r, &err) : conclude(&r);
    }
    follow_free(&r.follow);
    json_decref(r.job);
    free(r.id);
    return code;
}

static const struct opt OPTIONS[] = {
    {'l', "label", NULL, "begin each line of output with \"[task] \""},
};

const struct verb verb_run = {
    .name = "run",
    .usage = "[OPTIONS] -- PROGRAM [ARGUMENTS]\nFILE [OPTIONS]",
    .operands_max = 1,
    .program = true,
    .summary = "submit a job, show its output, end as it does",
    .text = "The tasks' stdout and stderr come out here. The exit code is the job's (see `schedctl "
            "help exit-codes`). An interrupt (SIGINT, SIGTERM or SIGHUP) cancels the job: "
            "its tasks get SIGTERM and their grace time. A second one leaves it. Input is not "
            "passed on.",
    .options = {{OPTIONS, COUNT(OPTIONS)}, {request_options, REQUEST_OPTIONS_COUNT}},
    .examples = {{"run -- hostname", "One task somewhere."},
                 {"run -n 4 --label -- sh -c 'echo rank $RANK'", "Four tasks, each line labelled."},
                 {"run --memory 2GiB -t 10m -- ./train", "With a memory and a time limit."}},
    .run = run_run,
};
