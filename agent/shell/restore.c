// From the journal, and from what lives on this machine, back to the core.
#include "agent/core/traces.h"
#include "agent/shell/node.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    bool other_boot;
} restored;

static struct reason reason_of(const Muster__Reason *r)
{
    struct reason out = {.code = REASON_SHEPHERD_LOST};
    if (r) {
        enum reason_code code = reason_parse(r->word);
        out.code = code == REASON_COUNT ? REASON_BAD_MESSAGE : code;
        out.a = r->a;
        out.b = r->b;
        out.c = r->c;
    }
    return out;
}

static void take_header(struct node *n, const Muster__JournalHeader *h)
{
    n->journal_version = h->version;
    restored.other_boot = strcmp(h->boot_id, n->boot_id) != 0;
    if (h->lost && !restored.other_boot)
        n->journal_intact = false;
}

void restore_record(struct node *n, const Muster__JournalRecord *r)
{
    struct held *h;
    switch (r->body_case) {
    case MUSTER__JOURNAL_RECORD__BODY_HEADER:
        take_header(n, r->header);
        break;
    case MUSTER__JOURNAL_RECORD__BODY_TERM:
        agent_load_term(n->core, (struct cluster_id){r->term->cluster}, r->term->term,
                        r->term->nonce);
        break;
    case MUSTER__JOURNAL_RECORD__BODY_ORDER:
        if (r->order->attempt)
            held_add(n, attempt_of(r->order->attempt))->launch = launch_copy(r->order);
        break;
    case MUSTER__JOURNAL_RECORD__BODY_END:
        if (r->end->attempt)
            held_add(n, attempt_of(r->end->attempt))->end = end_copy(r->end);
        break;
    case MUSTER__JOURNAL_RECORD__BODY_END_ACK:
        h = r->end_ack->attempt ? held_find(n, attempt_of(r->end_ack->attempt)) : NULL;
        if (h)
            held_remove(n, h);
        break;
    case MUSTER__JOURNAL_RECORD__BODY_REFUSAL:
    case MUSTER__JOURNAL_RECORD__BODY__NOT_SET:
    case _MUSTER__JOURNAL_RECORD__BODY__CASE_IS_INT_SIZE:
        break;
    }
}

// The deadline that is on tmpfs; none is invented: a finite lease without its word has passed.
static int64_t restore_deadline(struct node *n, struct held *h)
{
    struct err err;
    int rc = attempt_deadline_open(n->run_dir, h->id, true, 0, &h->deadline, &err);
    return rc ? 0 : attempt_deadline_get(h->deadline);
}

static bool take_end_file(struct node *n, struct held *h)
{
    uint8_t *bytes;
    size_t len;
    struct err err;
    if (attempt_end_read(n->run_dir, h->id, &bytes, &len, &err))
        return false;
    h->end = muster__end__unpack(NULL, len, bytes);
    free(bytes);
    return h->end != NULL;
}

static void load_ended(struct node *n, struct held *h)
{
    enum attempt_lock_state lock;
    pid_t pid;
    struct err err;
    agent_load_end(n->core, h->id, h->end->started, reason_of(h->end->reason),
                   h->end->reason ? h->end->reason->detail : NULL);
    // Its shepherd waits for the word that the end is on disk; the last agent did not come to it.
    if (attempt_lock_look(n->run_dir, h->id, &lock, &pid, &err) == 0 && lock == ATTEMPT_LOCK_HELD)
        shepherd_connect(n, h);
}

// Nothing outlives a boot. Its end stands in the journal from now on, so that no later start takes
// it for an order of this boot.
static void load_rebooted(struct node *n, struct held *h)
{
    Muster__End *end;
    agent_load_end(n->core, h->id, true, (struct reason){.code = REASON_NODE_REBOOTED}, NULL);
    message_end_make(n, h->id, &end); // kept in h->end
    muster__end__free_unpacked(end, NULL);
}

// Its shepherd took the order, is gone and left no word of the end: its tasks are swept.
static void load_lost(struct node *n, const struct agent_order *order, int64_t deadline_ms)
{
    agent_load_order(n->core, order, ATTEMPT_ENDING, deadline_ms,
                     (struct reason){.code = REASON_SHEPHERD_LOST});
}

_Static_assert((int)AGENT_LOCK_LEFT == (int)ATTEMPT_LOCK_LEFT &&
                   (int)AGENT_LOCK_ORDERED == (int)ATTEMPT_LOCK_ORDERED,
               "the core's names of a lock's states are the host's");

static enum agent_lock look(struct node *n, struct attempt_id id, pid_t *ret_pid)
{
    enum attempt_lock_state lock = ATTEMPT_LOCK_ABSENT;
    struct err err;
    if (attempt_lock_look(n->run_dir, id, &lock, ret_pid, &err))
        log_error("restore", "lock", "%s", err.message);
    return (enum agent_lock)lock;
}

// An order without END: what became of it on this machine?
static void load_order(struct node *n, struct held *h)
{
    struct agent_order order = order_of(h->launch);
    struct reason none = {0};
    struct agent_traces traces = {.other_boot = restored.other_boot};
    pid_t pid;
    int64_t deadline_ms = 0;
    if (!traces.other_boot) {
        deadline_ms = restore_deadline(n, h);
        traces.lock = look(n, h->id, &pid);
        traces.has_end = traces.lock == AGENT_LOCK_ORDERED && take_end_file(n, h);
    }
    switch (agent_traces_tell(&traces)) {
    case AGENT_TOLD_REBOOTED:
        load_rebooted(n, h);
        break;
    case AGENT_TOLD_LIVES:
        agent_load_order(n->core, &order, ATTEMPT_FORKED, deadline_ms, none);
        shepherd_connect(n, h);
        break;
    case AGENT_TOLD_ENDED:
        load_ended(n, h);
        break;
    case AGENT_TOLD_LOST:
        load_lost(n, &order, deadline_ms);
        break;
    case AGENT_TOLD_NOTHING:
        agent_load_order(n->core, &order, ATTEMPT_ORDERED, deadline_ms, none);
        break;
    }
}

// Beside the journal, for when it is lost: attempts are named by it.
void restore_keep_cluster(struct node *n)
{
    AUTO_FREE char *path = xasprintf("%s/cluster", n->dir);
    FILE *f = access(path, F_OK) ? fopen(path, "we") : NULL;
    if (!f)
        return;
    if (fprintf(f, "%016" PRIx64 "\n", agent_cluster(n->core).v) < 0 || fflush(f) ||
        fsync(fileno(f)))
        log_error("restore", "cluster", "cannot write \"%s\"", path);
    fclose(f);
}

static void read_cluster(struct node *n)
{
    AUTO_FREE char *path = xasprintf("%s/cluster", n->dir);
    struct cluster_id id;
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%" SCNx64, &id.v) == 1 && !agent_cluster(n->core).v)
        agent_load_term(n->core, id, 0, 0);
    if (f)
        fclose(f);
}

static void adopt_one(struct node *n, struct attempt_id id, const char *name)
{
    struct agent_order order = {.id = id, .lease_ms = -1};
    pid_t pid = 0;
    if (agent_find(n->core, id))
        return;
    struct agent_traces traces = {.lock = look(n, id, &pid)};
    enum agent_told told = agent_traces_tell(&traces);
    if (told == AGENT_TOLD_NOTHING)
        return;
    struct held *h = held_add(n, id);
    log_warning("restore", "adopted", "a shepherd %s: %s, pid %d",
                told == AGENT_TOLD_LIVES ? "lives" : "has lived", name, (int)pid);
    if (told == AGENT_TOLD_LIVES) {
        agent_load_order(n->core, &order, ATTEMPT_FORKED, restore_deadline(n, h),
                         (struct reason){0});
        shepherd_connect(n, h);
    } else if (take_end_file(n, h)) {
        load_ended(n, h);
    } else {
        load_lost(n, &order, AGENT_NEVER);
    }
}

// The journal is lost, or a part of it: what it does not say is found by the shepherds' locks.
static void adopt(struct node *n)
{
    read_cluster(n);
    DIR *dir = opendir(n->run_dir);
    struct dirent *d;
    while (dir && (d = readdir(dir))) {
        size_t len = strlen(d->d_name);
        if (len < 6 || strcmp(d->d_name + len - 5, ".lock") != 0)
            continue;
        AUTO_FREE char *name = xstrndup(d->d_name, len - 5);
        struct attempt_id id = {.cluster = agent_cluster(n->core)};
        if (attempt_name_parse(name, &id.job, &id.number))
            adopt_one(n, id, name);
    }
    if (dir)
        closedir(dir);
}

void restore_finish(struct node *n)
{
    struct held *h;
    TAILQ_FOREACH(h, &n->held, link)
    {
        if (h->end)
            load_ended(n, h);
        else if (h->launch)
            load_order(n, h);
    }
    if (!n->journal_intact)
        adopt(n);
}

void restore_rewrite(struct node *n, struct journal *j)
{
    Muster__JournalHeader header = MUSTER__JOURNAL_HEADER__INIT;
    Muster__JournalRecord record = MUSTER__JOURNAL_RECORD__INIT;
    header.state_id = n->state_id;
    header.boot_id = n->boot_id;
    header.cluster = agent_cluster(n->core).v;
    header.machine_id = n->machine.has.machine_id;
    header.version = JOURNAL_VERSION;
    header.lost = !n->journal_intact; // until the next boot: nobody can tell what it said
    record.body_case = MUSTER__JOURNAL_RECORD__BODY_HEADER;
    record.header = &header;
    journal_append(j, &record, 0);
    Muster__JournalTerm term = MUSTER__JOURNAL_TERM__INIT;
    term.cluster = agent_cluster(n->core).v;
    term.term = agent_term_seen(n->core);
    term.nonce = agent_nonce_seen(n->core);
    record.body_case = MUSTER__JOURNAL_RECORD__BODY_TERM;
    record.term = &term;
    if (term.cluster)
        journal_append(j, &record, 0);
    const struct held *h;
    TAILQ_FOREACH(h, &n->held, link)
    {
        if (!agent_find(n->core, h->id))
            continue; // its end is acknowledged, or it was not obeyed
        if (h->launch) {
            record.body_case = MUSTER__JOURNAL_RECORD__BODY_ORDER;
            record.order = h->launch;
            journal_append(j, &record, 0);
        }
        if (h->end) {
            record.body_case = MUSTER__JOURNAL_RECORD__BODY_END;
            record.end = h->end;
            journal_append(j, &record, 0);
        }
    }
}
