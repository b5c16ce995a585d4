// Why a job waited at a time of the past, from the recorded events: the job's own say what it did
// and in which class it waited, those of the class and of the whole queue say what for.
#include "scheduler/shell/query_internal.h"

#include "common/alloc.h"
#include "scheduler/core/cluster.h"

#include <inttypes.h>
#include <string.h>

// The newest event of a kind of statement that is not after the time. text may be empty.
struct found {
    bool any;
    int64_t id, at_ms, class;
    enum event_kind kind;
    struct text text;
};

static int take(struct store_reader *r, sqlite3_stmt *stmt, struct found *ret, struct err *err)
{
    int rc = db_step(&r->db, stmt, err);
    ret->any = rc > 0;
    if (rc > 0) {
        const char *kind = (const char *)sqlite3_column_text(stmt, 2);
        ret->id = sqlite3_column_int64(stmt, 0);
        ret->at_ms = sqlite3_column_int64(stmt, 1);
        ret->class = sqlite3_column_int64(stmt, 3);
        ret->kind = EVENT_KIND_COUNT;
        for (int k = 0; kind && k < EVENT_KIND_COUNT; k++)
            if (strcmp(kind, event_kind_word((enum event_kind)k)) == 0)
                ret->kind = (enum event_kind)k;
        text_clear(&ret->text);
        text_add_bytes(&ret->text, sqlite3_column_text(stmt, 4),
                       (size_t)sqlite3_column_bytes(stmt, 4));
    }
    sqlite3_reset(stmt);
    return rc < 0 ? rc : 0;
}

#define NEWEST "SELECT id, at_ms, kind, class, text FROM event WHERE "

// What the job did last: of the class's own events those are not, which only name it.
static int job_event(struct store_reader *r, struct job_id id, int64_t at_ms, struct found *ret,
                     struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_stmt(&r->db,
                     NEWEST "job = ?1 AND job <> 0 AND kind <> 'job_waits' AND at_ms <= ?2"
                            " ORDER BY id DESC LIMIT 1",
                     &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, (int64_t)id.v);
    sqlite3_bind_int64(stmt, 2, at_ms);
    return take(r, stmt, ret, err);
}

static int wait_event(struct store_reader *r, int64_t class, int64_t at_ms, struct found *ret,
                      struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_stmt(&r->db,
                     NEWEST "class = ?1 AND kind = 'job_waits' AND at_ms <= ?2"
                            " ORDER BY id DESC LIMIT 1",
                     &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, class);
    sqlite3_bind_int64(stmt, 2, at_ms);
    return take(r, stmt, ret, err);
}

// "job 2 (and 3 like it) waits ..." without whom it is about: it holds for the whole class.
static const char *sentence(const char *text)
{
    const char *rest = strncmp(text, "job ", 4) == 0 ? strchr(text + 4, ' ') : NULL;
    if (!rest)
        return text;
    const char *like = strncmp(rest, " (and ", 6) == 0 ? strstr(rest, "like it) ") : NULL;
    return like ? like + strlen("like it) ") : rest + 1;
}

// Events of a pending job name the class that it is in.
static bool waits_in_class(const struct found *job)
{
    return job->class || job->kind == EVENT_JOB_REQUEUED;
}

static bool is_pending(enum event_kind kind)
{
    return kind == EVENT_JOB_SUBMITTED || kind == EVENT_JOB_RELEASED || kind == EVENT_JOB_HELD ||
           kind == EVENT_JOB_REQUEUED || kind == EVENT_JOB_DUE;
}

// What an element's array did before the element had a record of its own; 0: it is of none.
static int array_of(struct store_reader *r, struct job_id id, struct job_id *ret, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_stmt(&r->db, "SELECT array FROM job WHERE id = ?", &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, (int64_t)id.v);
    rc = db_step(&r->db, stmt, err);
    ret->v = rc > 0 ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_reset(stmt);
    return rc < 0 ? rc : 0;
}

static void put_answer(struct text *t, struct job_id id, const char *state, const struct found *f,
                       const char *text)
{
    text_addc(t, '{');
    put_int(t, "id", (int64_t)id.v);
    put_str(t, "state", state);
    put_int_or_null(t, "since", f->any ? f->at_ms : 0);
    put_str(t, "text", text);
    text_addc(t, '}');
}

static int answer_waiting(struct store_reader *r, struct job_id id, int64_t at_ms,
                          const struct found *job, struct text *t, struct err *err)
{
    struct found queue = {0}, class = {0};
    int rc = wait_event(r, 0, at_ms, &queue, err);
    if (!rc && job->class)
        rc = wait_event(r, job->class, at_ms, &class, err);
    if (!rc) {
        bool all = queue.any &&
                   strstr(text_str(&queue.text), "every pending job") == text_str(&queue.text);
        const struct found *why = all ? &queue : class.any ? &class : job;
        const char *text = why == job && job->kind != EVENT_JOB_REQUEUED
                               ? "waits for its turn: jobs before it in the queue wait too"
                               : sentence(text_str(&why->text));
        put_answer(t, id, "pending", why, text);
    }
    text_free(&queue.text);
    text_free(&class.text);
    return rc;
}

static int answer(struct store_reader *r, struct job_id id, int64_t at_ms, struct text *t,
                  struct err *err)
{
    struct found job = {0};
    int rc = job_event(r, id, at_ms, &job, err);
    struct job_id array;
    if (!rc && !job.any && !(rc = array_of(r, id, &array, err)) && array.v)
        rc = job_event(r, array, at_ms, &job, err);
    if (!rc && !job.any)
        put_answer(t, id, "not_submitted", &job, "it had not been submitted");
    else if (!rc && waits_in_class(&job))
        rc = answer_waiting(r, id, at_ms, &job, t, err);
    else if (!rc)
        put_answer(t, id,
                   is_pending(job.kind)          ? "pending"
                   : job.kind == EVENT_JOB_ENDED ? "ended"
                                                 : "running",
                   &job, text_str(&job.text));
    text_free(&job.text);
    return rc;
}

// ---- all that it waited for ----

enum { WAITS_MAX = 50 };

struct history {
    struct text *list;
    struct text said; // what it waits for since
    int64_t since_ms;
    int count;
};

// From at_ms on it waits for this; "": for nothing.
static void turn_to(struct history *h, int64_t at_ms, const char *text)
{
    if (strcmp(text_str(&h->said), text) == 0)
        return;
    if (h->said.len && at_ms > h->since_ms && h->count++ < WAITS_MAX) {
        put_open(h->list, NULL, '{');
        put_int(h->list, "since", h->since_ms);
        put_int(h->list, "ms", at_ms - h->since_ms);
        put_str(h->list, "text", text_str(&h->said));
        text_addc(h->list, '}');
    }
    h->since_ms = at_ms;
    text_clear(&h->said);
    text_add(&h->said, text);
}

// In the class from one time to the other: what the class waited for, unless the whole queue did.
static int walk_class(struct store_reader *r, int64_t class, int64_t from_ms, int64_t to_ms,
                      struct history *h, struct err *err)
{
    AUTO(text) struct text all = {0}, own = {0};
    sqlite3_stmt *stmt;
    int rc = db_stmt(&r->db,
                     "SELECT at_ms, class, text FROM event WHERE class IN (?1, 0)"
                     " AND kind = 'job_waits' AND at_ms < ?2 ORDER BY id",
                     &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, class);
    sqlite3_bind_int64(stmt, 2, to_ms);
    text_add(&own, "waits for its turn: jobs before it in the queue wait too");
    while ((rc = db_step(&r->db, stmt, err)) > 0) {
        int64_t at_ms = sqlite3_column_int64(stmt, 0);
        const char *text = (const char *)sqlite3_column_text(stmt, 2);
        bool queue = !sqlite3_column_int64(stmt, 1);
        if (at_ms > from_ms)
            turn_to(h, from_ms, text_str(all.len ? &all : &own));
        text_clear(queue ? &all : &own);
        if (!queue)
            text_add(&own, sentence(text ? text : ""));
        else if (text && strncmp(text, "every pending job ", 18) == 0)
            text_add(&all, text + 18);
        from_ms = at_ms > from_ms ? at_ms : from_ms;
    }
    if (!rc)
        turn_to(h, from_ms, text_str(all.len ? &all : &own));
    sqlite3_reset(stmt);
    return rc;
}

// One event of the job after the other; `until_ms` closes what is still open.
static int walk_job(struct store_reader *r, const struct job *j, int64_t until_ms,
                    struct history *h, struct err *err)
{
    int64_t class = 0, from_ms = 0;
    struct job_id id = j->id;
    sqlite3_stmt *stmt;
    int rc =
        db_stmt(&r->db,
                "SELECT at_ms, kind, class, text FROM event WHERE job IN (?1, ?2) AND job <> 0"
                " AND kind <> 'job_waits' AND (job = ?1 OR kind = 'job_submitted') ORDER BY id",
                &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, (int64_t)id.v);
    sqlite3_bind_int64(stmt, 2, (int64_t)j->array.v);
    while ((rc = db_step(&r->db, stmt, err)) > 0) {
        int64_t at_ms = sqlite3_column_int64(stmt, 0);
        const char *kind = (const char *)sqlite3_column_text(stmt, 1);
        if (class && (rc = walk_class(r, class, from_ms, at_ms, h, err)) < 0)
            break;
        class = sqlite3_column_int64(stmt, 2);
        from_ms = at_ms;
        bool holds = kind && strcmp(kind, event_kind_word(EVENT_JOB_HELD)) == 0;
        bool again = kind && strcmp(kind, event_kind_word(EVENT_JOB_REQUEUED)) == 0;
        const char *text = (const char *)sqlite3_column_text(stmt, 3);
        if (!class)
            turn_to(h, at_ms, holds ? "is held" : again && text ? sentence(text) : "");
    }
    sqlite3_reset(stmt);
    if (rc >= 0 && class)
        rc = walk_class(r, class, from_ms, until_ms, h, err);
    turn_to(h, until_ms, "");
    return rc;
}

int query_waits_json(struct store_reader *r, const struct job *j, int64_t now_ms, struct text *t,
                     struct err *err)
{
    struct history h = {.list = t};
    put_open(t, "waits", '[');
    int rc = walk_job(r, j, j->ended_at_ms ? j->ended_at_ms : now_ms, &h, err);
    text_addc(t, ']');
    text_free(&h.said);
    return rc < 0 ? rc : 0;
}

int query_job_why_at(struct store_reader *r, struct job_id id, int64_t at_ms, struct text *ret,
                     struct err *err)
{
    size_t before = ret->len;
    int rc = query_begin(r, err);
    if (rc)
        return rc;
    return query_end(r, answer(r, id, at_ms, ret, err), ret, before);
}
