// The shepherd's life: lock, socket, order, and from then on what the core decides.
#include "agent/shepherd/run.h"

#include "agent/shepherd/channel.h"
#include "agent/shepherd/pmix.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ORPHAN_MS = 60000, // without an order for so long: nobody wants us
    RESEND_MS = 250,
};

// ---- performing what the core decided ----

static void report_with(struct run *r, Muster__Launch *launch)
{
    if (r->end) {
        peer_send_bytes(r, r->end, r->end_len);
        return;
    }
    static const Muster__AttemptState states[] = {
        [SHEPHERD_IDLE] = MUSTER__ATTEMPT_STATE__ORDERED,
        [SHEPHERD_PREPARING] = MUSTER__ATTEMPT_STATE__ORDERED,
        [SHEPHERD_PREPARED] = MUSTER__ATTEMPT_STATE__PREPARED,
        [SHEPHERD_STARTING] = MUSTER__ATTEMPT_STATE__RUNNING,
        [SHEPHERD_RUNNING] = MUSTER__ATTEMPT_STATE__RUNNING,
        [SHEPHERD_ENDING] = MUSTER__ATTEMPT_STATE__ENDING,
        [SHEPHERD_ENDED] = MUSTER__ATTEMPT_STATE__ENDED,
    };
    Muster__ShepherdStatus status = MUSTER__SHEPHERD_STATUS__INIT;
    Muster__FromShepherd message = MUSTER__FROM_SHEPHERD__INIT;
    status.state = states[r->core.phase];
    status.started = r->core.started;
    status.pid = (uint32_t)getpid();
    status.launch = launch;
    message.body_case = MUSTER__FROM_SHEPHERD__BODY_STATUS;
    message.status = &status;
    peer_send(r, &message);
}

static void report(struct run *r)
{
    report_with(r, NULL);
}

static void prepare(struct run *r)
{
    struct err err;
    uint32_t port = r->launch->node_index ? 0 : r->launch->nodes[0]->port;
    if (port && port_taken(port)) {
        run_step(r, (struct shepherd_input){.kind = SHEPHERD_IN_PORT_TAKEN, .port = port});
        return;
    }
    if (mkdir(r->work_dir, 0700) && errno != EEXIST)
        fail(&err, E_IO, "cannot make \"%s\": %m", r->work_dir);
    else if (!r->launch->pmix || pmix_open(r, &r->pmix, &err) == 0) {
        run_step(r, (struct shepherd_input){.kind = SHEPHERD_IN_READY, .late = watch_late(r)});
        return;
    }
    run_step(r, (struct shepherd_input){.kind = SHEPHERD_IN_PREPARE_FAILED, .detail = err.message});
}

static void send_frame(struct run *r, Muster__PeerFrame *frame)
{
    Muster__AttemptId id = MUSTER__ATTEMPT_ID__INIT;
    Muster__FromShepherd message = MUSTER__FROM_SHEPHERD__INIT;
    id.cluster = r->id.cluster.v;
    id.job_uid = r->id.job.v;
    id.number = r->id.number;
    frame->attempt = &id;
    frame->from = r->launch->node_index;
    message.body_case = MUSTER__FROM_SHEPHERD__BODY_PEER;
    message.peer = frame;
    peer_send(r, &message);
}

// Whom this node tells of a rank that has left and has not heard of it yet; from `i` on, -1:
// nobody.
static int64_t untold(const struct run *r, size_t i)
{
    size_t nodes = r->launch->node_index ? 1 : r->launch->n_nodes;
    for (; r->core.left_rank >= 0 && i < nodes; i++)
        if (i != r->launch->node_index && !r->told[i])
            return (int64_t)i;
    return -1;
}

static void tell_left(struct run *r)
{
    for (int64_t i = -1; (i = untold(r, (size_t)(i + 1))) >= 0;) {
        Muster__PeerFrame frame = MUSTER__PEER_FRAME__INIT;
        frame.to = (uint32_t)i;
        frame.left = (uint32_t)r->core.left_rank + 1;
        send_frame(r, &frame);
    }
}

// Does another node still need something of this one? What has succeeded is not over before: nobody
// could tell it later.
static bool owes(const struct run *r)
{
    return shepherd_is_well(&r->core) &&
           ((r->fences && fences_waiting(r->fences)) || untold(r, 0) >= 0);
}

static void perform(struct run *r, enum shepherd_output_kind what)
{
    switch (what) {
    case SHEPHERD_OUT_PREPARE:
        prepare(r);
        break;
    case SHEPHERD_OUT_START:
        tasks_start(r);
        break;
    case SHEPHERD_OUT_LEFT:
        tell_left(r);
        break;
    case SHEPHERD_OUT_REPORT:
        report(r);
        break;
    case SHEPHERD_OUT_TERM:
        ending_signal(r, SIGTERM);
        break;
    case SHEPHERD_OUT_KILL:
        ending_kill(r);
        break;
    case SHEPHERD_OUT_LOOK:
        tasks_reap(r);
        if (ending_empty(r) && !owes(r))
            run_step(r, (struct shepherd_input){.kind = SHEPHERD_IN_EMPTY});
        break;
    case SHEPHERD_OUT_END:
        ending_report(r);
        break;
    }
}

void run_step(struct run *r, struct shepherd_input in)
{
    enum shepherd_output_kind todo[SHEPHERD_OUTPUTS_MAX];
    shepherd_step(&r->core, clock_boot_ms(), &in);
    size_t count = r->core.outputs_count; // performing may step again
    memcpy(todo, r->core.outputs, sizeof todo);
    for (size_t i = 0; i < count; i++)
        perform(r, todo[i]);
    watch_arm(r);
}

// ---- what the agent says ----

static bool own(const struct run *r, const Muster__AttemptId *id)
{
    return id && id->cluster == r->id.cluster.v && id->job_uid == r->id.job.v &&
           id->number == r->id.number;
}

static void open_cgroup(struct run *r, const char *word)
{
    const char *colon = strchr(word, ':'); // "<base>:<name>"
    if (!colon)
        return;
    AUTO_FREE char *base = xstrndup(word, (size_t)(colon - word));
    r->cgroups = cgroup_host_join("", base, colon + 1);
    r->cgroup = xstrdup(colon + 1);
}

// A copy that outlives the frame.
static bool keep_order(struct run *r, const Muster__ShepherdOrder *order)
{
    size_t len = muster__shepherd_order__get_packed_size(order);
    AUTO_FREE uint8_t *bytes = xmalloc(len);
    muster__shepherd_order__pack(order, bytes);
    r->order = muster__shepherd_order__unpack(NULL, len, bytes);
    r->launch = r->order ? r->order->launch : NULL;
    if (!r->launch || r->launch->node_index >= r->launch->n_nodes)
        return false;
    r->spec = muster__job_spec__unpack(NULL, r->launch->spec.len, r->launch->spec.data);
    if (!r->spec || !r->spec->n_argv)
        return false;
    const Muster__NodePart *part = r->launch->nodes[r->launch->node_index];
    r->tasks_count = (int32_t)part->tasks;
    r->first_rank = (int32_t)part->first_rank;
    r->tasks = xcalloc((size_t)r->tasks_count, sizeof *r->tasks);
    r->told = xcalloc(r->launch->n_nodes, sizeof *r->told);
    return r->tasks_count > 0;
}

static _Noreturn void leave(struct run *r)
{
    shepherd_fini(&r->core);
    _exit(0);
}

static void take_order(struct run *r, const Muster__ShepherdOrder *order)
{
    struct err err;
    if (r->core.phase != SHEPHERD_IDLE) {
        report(r);
        return;
    }
    if (!order->launch || !own(r, order->launch->attempt) || !keep_order(r, order)) {
        log_error("shepherd", "bad_order", "refused");
        leave(r);
    }
    if (attempt_deadline_open(r->run_dir, r->id, false, 0, &r->deadline, &err) ||
        attempt_lock_mark_ordered(r->lock_fd, &err)) {
        log_error("shepherd", "no_deadline", "%s", err.message);
        leave(r);
    }
    if (*r->order->cgroup)
        open_cgroup(r, r->order->cgroup);
    struct shepherd_input in = {.kind = SHEPHERD_IN_ORDER};
    in.order = (struct shepherd_order){.tasks = r->tasks_count,
                                       .first_rank = r->first_rank,
                                       .prepare = r->launch->prepare,
                                       .pmix = r->launch->pmix,
                                       .time_limit_ms = r->launch->time_limit_ms,
                                       .grace_ms = r->launch->grace_ms};
    run_step(r, in);
}

static void take_kill(struct run *r, const Muster__ShepherdKill *kill)
{
    if (r->core.phase == SHEPHERD_IDLE)
        leave(r); // no order was taken: nothing to end, nothing to tell
    struct shepherd_input in = {.kind = SHEPHERD_IN_KILL, .grace_ms = kill->grace_ms};
    enum reason_code code = kill->reason ? reason_parse(kill->reason->word) : REASON_COUNT;
    in.reason.code = code == REASON_COUNT || code == REASON_NONE ? REASON_PARTNER_ENDED : code;
    if (kill->reason) {
        in.reason.a = kill->reason->a;
        in.reason.b = kill->reason->b;
        in.reason.c = kill->reason->c;
        in.detail = kill->reason->detail;
    }
    run_step(r, in);
}

void run_fences(struct run *r)
{
    struct fence_output o;
    while (r->fences && fences_next(r->fences, &o)) {
        if (o.kind == FENCE_DONE) {
            pmix_fence_done(r->pmix, o.collective, o.sequence, o.bytes, o.len, false);
            continue;
        }
        Muster__PeerFrame frame = MUSTER__PEER_FRAME__INIT;
        frame.to = o.node;
        frame.payload = (ProtobufCBinaryData){o.len, (uint8_t *)o.bytes};
        send_frame(r, &frame);
    }
}

static void take_left(struct run *r, const Muster__PeerFrame *frame)
{
    Muster__PeerFrame answer = MUSTER__PEER_FRAME__INIT;
    r->told[frame->from] = true;
    run_step(r,
             (struct shepherd_input){.kind = SHEPHERD_IN_LEFT, .rank = (int32_t)(frame->left - 1)});
    answer.to = frame->from;
    answer.heard = true;
    send_frame(r, &answer);
}

static void take_peer(struct run *r, const Muster__PeerFrame *frame)
{
    struct err err;
    if (!r->fences || !own(r, frame->attempt) || frame->from >= r->launch->n_nodes)
        return;
    if (frame->left) {
        take_left(r, frame);
    } else if (frame->heard || frame->gone) {
        r->told[frame->from] = true;
        if (frame->gone)
            fences_gone(r->fences, frame->from);
    } else if (fences_receive(r->fences, frame->from, frame->payload.data, frame->payload.len,
                              &err)) {
        log_error("shepherd", "bad_fence", "%s", err.message);
    }
    run_fences(r);
    if (r->core.phase == SHEPHERD_ENDING && !owes(r))
        perform(r, SHEPHERD_OUT_LOOK);
}

void run_message(struct run *r, const Muster__ToShepherd *m)
{
    switch (m->body_case) {
    case MUSTER__TO_SHEPHERD__BODY_ORDER:
        take_order(r, m->order);
        break;
    case MUSTER__TO_SHEPHERD__BODY_GO:
        run_step(r, (struct shepherd_input){.kind = SHEPHERD_IN_GO, .late = watch_late(r)});
        break;
    case MUSTER__TO_SHEPHERD__BODY_KILL:
        take_kill(r, m->kill);
        break;
    case MUSTER__TO_SHEPHERD__BODY_END_ACK:
        if (r->end)
            leave(r);
        break;
    case MUSTER__TO_SHEPHERD__BODY_PEER:
        take_peer(r, m->peer);
        break;
    case MUSTER__TO_SHEPHERD__BODY__NOT_SET:
    case _MUSTER__TO_SHEPHERD__BODY__CASE_IS_INT_SIZE:
        break;
    }
}

void run_connected(struct run *r)
{
    channels_send(r, r->end != NULL); // before an END: nobody listens after it
    report_with(r, r->launch);
    if (r->launch && !r->end)
        tell_left(r);
    if (r->fences) {
        fences_resend(r->fences);
        run_fences(r);
    }
}

// ---- life ----

static void on_child(uv_signal_t *signal, int number)
{
    (void)number;
    tasks_reap(signal->data);
}

// SIGTERM to a shepherd ends its attempt: `cluster down` when the agent is gone.
static void on_terminate(uv_signal_t *signal, int number)
{
    struct run *r = signal->data;
    (void)number;
    if (r->core.phase == SHEPHERD_IDLE || r->end)
        leave(r);
    struct shepherd_input in = {.kind = SHEPHERD_IN_KILL,
                                .reason = {.code = REASON_NODE_STOPPED},
                                .grace_ms = r->core.order.grace_ms};
    run_step(r, in);
}

static void on_orphan(uv_timer_t *timer)
{
    struct run *r = timer->data;
    if (r->core.phase == SHEPHERD_IDLE)
        leave(r);
}

static void on_resend(uv_timer_t *timer)
{
    struct run *r = timer->data;
    if (r->launch && !r->end)
        tell_left(r);
    if (r->fences && fences_waiting(r->fences)) {
        fences_resend(r->fences);
        run_fences(r);
    }
}

static int begin(struct run *r, struct err *err)
{
    int rc = attempt_lock_take(r->run_dir, r->id, &r->lock_fd, err);
    if (rc)
        return rc;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1))
        return fail(err, E_SYSTEM, "cannot become a subreaper: %m");
    r->loop = uv_default_loop();
    rc = watch_start(r, err);
    if (rc == 0)
        rc = peer_listen(r, err);
    return rc;
}

static uv_timer_t orphan_timer, resend_timer;

static void start_handles(struct run *r)
{
    uv_signal_init(r->loop, &r->child);
    uv_signal_init(r->loop, &r->terminate);
    uv_timer_init(r->loop, &orphan_timer);
    uv_timer_init(r->loop, &resend_timer);
    r->child.data = r->terminate.data = orphan_timer.data = resend_timer.data = r;
    uv_signal_start(&r->child, on_child, SIGCHLD);
    uv_signal_start(&r->terminate, on_terminate, SIGTERM);
    uv_timer_start(&orphan_timer, on_orphan, ORPHAN_MS, 0);
    uv_timer_start(&resend_timer, on_resend, RESEND_MS, RESEND_MS);
}

_Noreturn void run_shepherd(const Muster__Fork *f)
{
    static struct run run;
    struct run *r = &run;
    struct err err;
    char name[ATTEMPT_NAME_MAX];
    signal(SIGPIPE, SIG_IGN);
    shepherd_init(&r->core);
    r->id = (struct attempt_id){{f->attempt->cluster}, {f->attempt->job_uid}, f->attempt->number};
    r->run_dir = xstrdup(f->run_dir);
    r->spool_dir = xstrdup(f->spool_dir);
    r->node = xstrdup(f->node);
    attempt_name(r->id, name);
    r->work_dir = xasprintf("%s/%s", r->spool_dir, name);
    if (begin(r, &err)) {
        log_error("shepherd", "cannot_begin", "%s", err.message);
        _exit(1);
    }
    start_handles(r);
    uv_run(r->loop, UV_RUN_DEFAULT);
    _exit(0);
}
