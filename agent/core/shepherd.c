#include "agent/core/shepherd.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/planted.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

// Leftover processes of tasks that have all ended by themselves get this long after SIGTERM.
static const int64_t leftover_grace_ms = 1000;

void shepherd_init(struct shepherd *s)
{
    *s = (struct shepherd){.left_rank = -1,
                           .limit_at_ms = INT64_MAX,
                           .kill_at_ms = INT64_MAX,
                           .look_at_ms = INT64_MAX};
}

void shepherd_fini(struct shepherd *s)
{
    free(s->tasks);
    s->tasks = NULL;
}

static void out(struct shepherd *s, enum shepherd_output_kind kind)
{
    CHECK(s->outputs_count < SHEPHERD_OUTPUTS_MAX);
    s->outputs[s->outputs_count++] = kind;
}

static void move(struct shepherd *s, enum shepherd_phase to)
{
    CHECKF(to > s->phase, "shepherd: %d -> %d", (int)s->phase, (int)to);
    s->phase = to;
    if (to != SHEPHERD_PREPARING && to != SHEPHERD_STARTING && to != SHEPHERD_ENDED)
        out(s, SHEPHERD_OUT_REPORT);
}

static void kill_now(struct shepherd *s, int64_t now_ms)
{
    s->killed = true;
    s->kill_at_ms = INT64_MAX;
    out(s, SHEPHERD_OUT_KILL);
    out(s, SHEPHERD_OUT_LOOK);
    s->look_at_ms = now_ms + SHEPHERD_LOOK_MS;
}

// Begins to end what runs. A second call can only shorten the grace.
static void end_within(struct shepherd *s, int64_t now_ms, int64_t grace_ms)
{
    bool first = s->phase != SHEPHERD_ENDING;
    if (s->phase == SHEPHERD_ENDED || s->killed)
        return;
    if (first)
        move(s, SHEPHERD_ENDING);
    s->limit_at_ms = INT64_MAX;
    if (grace_ms <= 0) {
        kill_now(s, now_ms);
        return;
    }
    if (first) {
        out(s, SHEPHERD_OUT_TERM);
        out(s, SHEPHERD_OUT_LOOK);
        s->look_at_ms = now_ms + SHEPHERD_LOOK_MS;
    }
    if (now_ms + grace_ms < s->kill_at_ms)
        s->kill_at_ms = now_ms + grace_ms;
}

// A rank that writes to one that is gone dies of it, and may be seen first. What we did not do to
// the other one ourselves is the cause.
static bool is_cause(const struct shepherd *s, struct reason why)
{
    if (s->verdict.code != REASON_SIGNALLED || s->verdict.a != SIGPIPE || !s->order.pmix)
        return false;
    if (why.code == REASON_SIGNALLED)
        return why.a != SIGPIPE && why.a != SIGTERM && !(why.a == SIGKILL && s->killed);
    return why.code == REASON_MPI_ABORTED;
}

static void condemn(struct shepherd *s, int64_t now_ms, struct reason why, const char *detail,
                    int64_t grace_ms)
{
    bool news = s->verdict.code == REASON_NONE || is_cause(s, why);
    if (news && s->phase < SHEPHERD_ENDED) {
        // Tasks that all ended well before the word came have succeeded.
        bool done = s->started && s->left == 0;
        if (!done || (why.code != REASON_CANCELLED && why.code != REASON_PREEMPTED)) {
            s->verdict = why;
            snprintf(s->detail, sizeof s->detail, "%s", detail ? detail : "");
        }
    }
    end_within(s, now_ms, grace_ms);
}

static void take_order(struct shepherd *s, const struct shepherd_order *order)
{
    if (s->phase != SHEPHERD_IDLE) {
        out(s, SHEPHERD_OUT_REPORT);
        return;
    }
    s->order = *order;
    s->tasks = xcalloc((size_t)order->tasks, sizeof *s->tasks);
    s->left = order->tasks;
    move(s, SHEPHERD_PREPARING);
    out(s, SHEPHERD_OUT_PREPARE);
}

// An order or a GO may have lain in a socket while everything here stood still.
static void start(struct shepherd *s, int64_t now_ms, bool late)
{
    if (late) {
        condemn(s, now_ms, (struct reason){.code = REASON_LEASE_EXPIRED}, NULL, 0);
        return;
    }
    move(s, SHEPHERD_STARTING);
    out(s, SHEPHERD_OUT_START);
}

static void started(struct shepherd *s, int64_t now_ms)
{
    s->started = true;
    for (int32_t i = 0; i < s->order.tasks; i++)
        s->tasks[i].running = !s->tasks[i].exited;
    if (s->order.time_limit_ms)
        s->limit_at_ms = now_ms + s->order.time_limit_ms;
    move(s, SHEPHERD_RUNNING);
}

static bool any_connected(const struct shepherd *s)
{
    for (int32_t i = 0; i < s->order.tasks; i++)
        if (s->tasks[i].connected)
            return true;
    return false;
}

// What a task's end says about the attempt; NONE if it is a success.
static struct reason judge_exit(const struct shepherd *s, int32_t task)
{
    const struct shepherd_task *t = &s->tasks[task];
    int64_t rank = s->order.first_rank + task;
    if (t->signal)
        return (struct reason){.code = REASON_SIGNALLED, .a = t->signal, .b = rank};
    if (t->exit_code)
        return (struct reason){.code = REASON_TASK_FAILED, .a = t->exit_code, .b = rank};
    if (t->connected && !t->finalized)
        return (struct reason){.code = REASON_MPI_NOT_FINALISED, .b = rank};
    return (struct reason){.code = REASON_NONE};
}

// Tasks in MPI_Init wait for every rank: one that ended before is missed for ever, on whatever
// node.
static void judge_left(struct shepherd *s, int64_t now_ms)
{
    if (s->left_rank < 0 || !any_connected(s))
        return;
    struct reason why = {.code = REASON_MPI_NOT_INITIALISED, .b = s->left_rank};
    condemn(s, now_ms, why, NULL, s->order.grace_ms);
}

static void rank_left(struct shepherd *s, int64_t now_ms, int32_t rank)
{
    if (s->left_rank >= 0 || s->phase >= SHEPHERD_ENDING)
        return;
    s->left_rank = rank;
    out(s, SHEPHERD_OUT_LEFT);
    judge_left(s, now_ms);
}

static void task_exit(struct shepherd *s, int64_t now_ms, const struct shepherd_input *in)
{
    CHECK(in->task >= 0 && in->task < s->order.tasks);
    struct shepherd_task *t = &s->tasks[in->task];
    if (t->exited)
        return;
    t->exited = true;
    t->running = false;
    t->exit_code = in->exit_code;
    t->signal = in->signal;
    s->left--;
    struct reason why = judge_exit(s, in->task);
    if (why.code)
        condemn(s, now_ms, why, NULL, s->order.grace_ms);
    else if (s->order.pmix && !t->connected)
        rank_left(s, now_ms, s->order.first_rank + in->task);
    if (s->left == 0) {
        if (s->phase == SHEPHERD_ENDING)
            out(s, SHEPHERD_OUT_LOOK);
        int64_t grace =
            s->order.grace_ms < leftover_grace_ms ? s->order.grace_ms : leftover_grace_ms;
        end_within(s, now_ms, grace);
    }
}

static void empty(struct shepherd *s)
{
    if (s->phase != SHEPHERD_ENDING || (s->started && s->left && !PLANTED(END_BEFORE_LAST)))
        return;
    if (!s->verdict.code)
        s->verdict = (struct reason){.code = REASON_EXITED};
    s->look_at_ms = s->kill_at_ms = s->limit_at_ms = INT64_MAX;
    move(s, SHEPHERD_ENDED);
    out(s, SHEPHERD_OUT_END);
}

static void tick(struct shepherd *s, int64_t now_ms)
{
    if (now_ms >= s->limit_at_ms) {
        struct reason why = {.code = REASON_TIME_LIMIT, .a = s->order.time_limit_ms};
        condemn(s, now_ms, why, NULL, s->order.grace_ms);
    }
    if (s->phase != SHEPHERD_ENDING)
        return;
    if (now_ms >= s->kill_at_ms) {
        kill_now(s, now_ms);
    } else if (now_ms >= s->look_at_ms) {
        if (s->killed)
            out(s, SHEPHERD_OUT_KILL);
        out(s, SHEPHERD_OUT_LOOK);
        s->look_at_ms = now_ms + SHEPHERD_LOOK_MS;
    }
}

void shepherd_step(struct shepherd *s, int64_t now_ms, const struct shepherd_input *in)
{
    s->outputs_count = 0;
    switch (in->kind) {
    case SHEPHERD_IN_ORDER:
        take_order(s, &in->order);
        break;
    case SHEPHERD_IN_READY:
        if (s->phase != SHEPHERD_PREPARING)
            break;
        if (s->order.prepare)
            move(s, SHEPHERD_PREPARED);
        else
            start(s, now_ms, in->late);
        break;
    case SHEPHERD_IN_PREPARE_FAILED:
        condemn(s, now_ms, (struct reason){.code = REASON_PREPARE_FAILED}, in->detail, 0);
        break;
    case SHEPHERD_IN_PORT_TAKEN:
        condemn(s, now_ms, (struct reason){.code = REASON_PORT_TAKEN, .a = in->port}, NULL, 0);
        break;
    case SHEPHERD_IN_GO:
        if (s->phase == SHEPHERD_PREPARED)
            start(s, now_ms, in->late);
        else
            out(s, SHEPHERD_OUT_REPORT);
        break;
    case SHEPHERD_IN_STARTED:
        if (s->phase == SHEPHERD_STARTING)
            started(s, now_ms);
        break;
    case SHEPHERD_IN_START_FAILED:
        condemn(s, now_ms, (struct reason){.code = REASON_START_FAILED}, in->detail, 0);
        break;
    case SHEPHERD_IN_KILL:
        s->called_off = true;
        condemn(s, now_ms, in->reason, in->detail, s->started ? in->grace_ms : 0);
        break;
    case SHEPHERD_IN_TASK_EXIT:
        task_exit(s, now_ms, in);
        break;
    case SHEPHERD_IN_ABORT: {
        int64_t rank = s->order.first_rank + in->task;
        struct reason why = {.code = REASON_MPI_ABORTED, .a = in->exit_code, .b = rank};
        condemn(s, now_ms, why, NULL, s->order.grace_ms);
        break;
    }
    case SHEPHERD_IN_CONNECTED:
        s->tasks[in->task].connected = true;
        judge_left(s, now_ms);
        break;
    case SHEPHERD_IN_FINALIZED:
        s->tasks[in->task].finalized = true;
        break;
    case SHEPHERD_IN_SPAWN: {
        int64_t rank = s->order.first_rank + in->task;
        struct reason why = {.code = REASON_MPI_SPAWN, .b = rank};
        condemn(s, now_ms, why, NULL, s->order.grace_ms);
        break;
    }
    case SHEPHERD_IN_LEFT:
        if (s->order.pmix)
            rank_left(s, now_ms, in->rank);
        break;
    case SHEPHERD_IN_OUT_OF_MEMORY: {
        int64_t rank = s->order.first_rank + (in->task < 0 ? 0 : in->task);
        struct reason why = {REASON_OUT_OF_MEMORY, {0}, in->used_mib, in->limit_mib, rank};
        condemn(s, now_ms, why, NULL, 0);
        break;
    }
    case SHEPHERD_IN_FENCE_FAILED:
        condemn(s, now_ms, (struct reason){.code = REASON_PARTNER_ENDED}, in->detail,
                s->order.grace_ms);
        break;
    case SHEPHERD_IN_DEADLINE:
        if (PLANTED(ONE_KEEPER))
            break;
        condemn(s, now_ms, (struct reason){.code = REASON_LEASE_EXPIRED}, NULL, 0);
        break;
    case SHEPHERD_IN_EMPTY:
        empty(s);
        break;
    case SHEPHERD_IN_TICK:
        tick(s, now_ms);
        break;
    }
}

bool shepherd_is_well(const struct shepherd *s)
{
    return s->verdict.code == REASON_NONE && !s->called_off;
}

int64_t shepherd_wake_at_ms(const struct shepherd *s)
{
    int64_t at = s->limit_at_ms < s->kill_at_ms ? s->limit_at_ms : s->kill_at_ms;
    return s->look_at_ms < at ? s->look_at_ms : at;
}
