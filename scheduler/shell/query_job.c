// One job: everything about it, its history, why it waits.
#include "scheduler/shell/query_internal.h"

#include "common/clock.h"
#include "proto/muster.pb-c.h"

#include <inttypes.h>

static int no_such_job(struct job_id id, struct err *err)
{
    return fail(err, E_NOT_FOUND, "there is no job %" PRIu64 ". `schedctl jobs --all` lists them.",
                id.v);
}

static int select_job(struct store_reader *r, struct job_id id, sqlite3_stmt **ret, struct err *err)
{
    if (!r->job_sql) {
        struct text sql = {0};
        query_job_sql("", "WHERE j.id = ?", &sql);
        r->job_sql = text_take(&sql);
    }
    int rc = db_stmt(&r->db, r->job_sql, ret, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(*ret, 1, (int64_t)id.v);
    rc = db_step(&r->db, *ret, err);
    return rc > 0 ? 0 : rc ? rc : no_such_job(id, err);
}

// ---- everything ----

static int add_argv(struct store_reader *r, struct job_id id, struct text *t, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc =
        db_stmt(&r->db, "SELECT s.bytes FROM job j JOIN spec s ON s.hash = j.spec WHERE j.id = ?",
                &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, (int64_t)id.v);
    if ((rc = db_step(&r->db, stmt, err)) < 0)
        return rc;
    Muster__JobSpec *spec = NULL;
    if (rc)
        spec = muster__job_spec__unpack(NULL, (size_t)sqlite3_column_bytes(stmt, 0),
                                        sqlite3_column_blob(stmt, 0));
    if (spec) {
        put_open(t, "argv", '[');
        for (size_t i = 0; i < spec->n_argv; i++)
            put_str(t, NULL, spec->argv[i]);
        text_addc(t, ']');
        muster__job_spec__free_unpacked(spec, NULL);
    } else {
        put_null(t, "argv");
    }
    sqlite3_reset(stmt);
    return 0;
}

static void placement_row(struct store_reader *r, sqlite3_stmt *s, struct text *t)
{
    (void)r;
    put_str(t, "node", (const char *)sqlite3_column_text(s, 0));
    put_int(t, "attempt", sqlite3_column_int64(s, 1));
    put_int(t, "first_rank", sqlite3_column_int64(s, 2));
    put_int(t, "tasks", sqlite3_column_int64(s, 3));
    put_str(t, "cores", (const char *)sqlite3_column_text(s, 4));
    query_gpus_json("gpus", (uint64_t)sqlite3_column_int64(s, 5), t);
    query_shares_json(s, 9, t);
    put_int(t, "memory_mib", sqlite3_column_int64(s, 6));
    put_int_or_null(t, "port", sqlite3_column_int64(s, 7));
    put_str(t, "state", (const char *)sqlite3_column_text(s, 8));
}

static void known_int(struct text *t, const char *key, sqlite3_stmt *s, int i)
{
    if (sqlite3_column_type(s, i) == SQLITE_NULL)
        put_null(t, key);
    else
        put_int(t, key, sqlite3_column_int64(s, i));
}

static void task_row(struct store_reader *r, sqlite3_stmt *s, struct text *t)
{
    (void)r;
    put_int(t, "rank", sqlite3_column_int64(s, 0));
    put_int(t, "attempt", sqlite3_column_int64(s, 1));
    put_str(t, "node", (const char *)sqlite3_column_text(s, 2));
    put_int(t, "exit_code", sqlite3_column_int64(s, 3));
    put_int(t, "signal", sqlite3_column_int64(s, 4));
    known_int(t, "user_ms", s, 5);
    known_int(t, "system_ms", s, 6);
    known_int(t, "peak_kib", s, 7);
    put_int_or_null(t, "started_at", sqlite3_column_int64(s, 8));
    put_int_or_null(t, "ended_at", sqlite3_column_int64(s, 9));
}

static int add_list(struct store_reader *r, const char *key, const char *sql, const struct job *j,
                    void (*row)(struct store_reader *, sqlite3_stmt *, struct text *),
                    struct text *t, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_stmt(&r->db, sql, &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, (int64_t)j->id.v);
    if (sqlite3_bind_parameter_count(stmt) > 1)
        sqlite3_bind_int64(stmt, 2, j->attempt);
    put_open(t, key, '[');
    return query_rows(r, stmt, row, t, err);
}

static int add_job(struct store_reader *r, struct job_id id, struct text *t, bool *ret_ended,
                   struct err *err)
{
    static const char placements[] =
        "SELECT n.name, p.attempt, p.first_rank, p.tasks, p.cores, p.gpus, p.memory_mib, p.port,"
        " p.state, p.pool, p.cpu_milli, p.gpu_shares"
        " FROM placement p JOIN node n ON n.id = p.node WHERE p.of_job = ? ORDER BY p.id";
    static const char results[] =
        "SELECT t.rank, t.attempt, n.name, t.exit_code, t.signal, t.user_ms, t.system_ms,"
        " t.peak_kib, t.started_at_ms, t.ended_at_ms FROM task t JOIN node n ON n.id = t.node"
        " WHERE t.job = ? AND t.attempt = ? ORDER BY t.rank";
    sqlite3_stmt *stmt;
    struct job j;
    int rc = select_job(r, id, &stmt, err);
    if (rc)
        return rc;
    rc = query_job_json(r, stmt, &j, t, err);
    sqlite3_reset(stmt);
    if (rc < 0)
        return rc;
    if (!rc)
        return fail(err, E_CORRUPT, "the record of job %" PRIu64 " is damaged", id.v);
    if ((rc = add_argv(r, id, t, err)) ||
        (rc = add_list(r, "placements", placements, &j, placement_row, t, err)) ||
        (rc = add_list(r, "task_results", results, &j, task_row, t, err)))
        return rc;
    *ret_ended = job_state_ended(j.state);
    if (*ret_ended)
        reader_flush_metrics(r);
    query_newest_metrics(r, &j, t);
    text_addc(t, '}');
    return 0;
}

int query_job(struct store_reader *r, struct job_id id, struct text *ret, bool *ret_ended,
              struct err *err)
{
    size_t before = ret->len;
    int rc = query_begin(r, err);
    if (rc)
        return rc;
    return query_end(r, add_job(r, id, ret, ret_ended, err), ret, before);
}

// ---- what tasks reported ----

static int check_question(const struct job *j, const struct metrics_question *q, struct err *err)
{
    if (j->array_count)
        return fail(err, E_INVALID,
                    "job %" PRIu64 " is an array. Name an element, as %" PRIu64 "_%" PRId64 ".",
                    j->id.v, j->id.v, j->array_first);
    if (q->task >= j->req.tasks)
        return fail(err, E_INVALID, "there is no task %" PRId64 "; the job has %d, numbered from 0",
                    q->task, (int)j->req.tasks);
    if (q->attempt > j->attempt)
        return fail(err, E_INVALID, "there is no attempt %u; the newest is %u", q->attempt,
                    j->attempt);
    return 0;
}

int query_job_metrics(struct store_reader *r, struct job_id id, struct metrics_question *q,
                      struct text *ret, struct err *err)
{
    size_t before = ret->len;
    sqlite3_stmt *stmt;
    struct job j;
    int rc = query_begin(r, err);
    if (rc || (rc = select_job(r, id, &stmt, err)))
        return query_end(r, rc, ret, before);
    const char *wrong = job_read(stmt, 0, &j);
    sqlite3_reset(stmt);
    job_row_clear(&j);
    rc = wrong ? fail(err, E_CORRUPT, "the record of job %" PRIu64 " is damaged: %s", id.v, wrong)
               : check_question(&j, q, err);
    if (!rc) {
        q->job = j.uid;
        if (!q->attempt)
            q->attempt = j.attempt;
        text_addc(ret, '{');
        put_int(ret, "id", (int64_t)id.v);
        put_str(ret, "state", job_state_word(j.state));
        put_int(ret, "attempt", q->attempt);
        put_int(ret, "tasks", j.req.tasks);
        reader_flush_metrics(r);
        rc = metrics_query(reader_metrics(r), q, ret, err);
        reader_metrics_failed(r, rc);
        text_addc(ret, '}');
    }
    return query_end(r, rc, ret, before);
}

// ---- history ----

#define EVENT_SELECT                                                                         \
    "SELECT e.id, e.at_ms, e.kind, e.job, e.attempt, n.name, e.text FROM event e LEFT JOIN " \
    "node n ON n.id = e.node "

static void event_row(struct store_reader *r, sqlite3_stmt *s, struct text *t)
{
    (void)r;
    put_int(t, "id", sqlite3_column_int64(s, 0));
    put_int(t, "at", sqlite3_column_int64(s, 1));
    put_str(t, "kind", (const char *)sqlite3_column_text(s, 2));
    put_int_or_null(t, "job", sqlite3_column_int64(s, 3));
    put_int_or_null(t, "attempt", sqlite3_column_int64(s, 4));
    put_str(t, "node", (const char *)sqlite3_column_text(s, 5));
    put_str(t, "text", (const char *)sqlite3_column_text(s, 6));
}

static int add_events(struct store_reader *r, sqlite3_stmt *stmt, struct text *ret, struct err *err)
{
    text_add(ret, "{\"events\":[");
    int rc = query_rows(r, stmt, event_row, ret, err);
    text_addc(ret, '}');
    return rc;
}

int query_job_events(struct store_reader *r, struct job_id id, struct text *ret, struct err *err)
{
    static const char sql[] = EVENT_SELECT "WHERE e.job = ?1 AND e.job <> 0 ORDER BY e.id";
    size_t before = ret->len;
    sqlite3_stmt *stmt;
    int rc = query_begin(r, err);
    if (rc)
        return rc;
    if (!(rc = select_job(r, id, &stmt, err)))
        sqlite3_reset(stmt);
    if (!rc && !(rc = db_stmt(&r->db, sql, &stmt, err))) {
        sqlite3_bind_int64(stmt, 1, (int64_t)id.v);
        rc = add_events(r, stmt, ret, err);
    }
    return query_end(r, rc, ret, before);
}

int query_events(struct store_reader *r, uint64_t after, int64_t limit, struct text *ret,
                 struct err *err)
{
    static const char sql[] = EVENT_SELECT "WHERE e.id > ?1 ORDER BY e.id LIMIT ?2";
    size_t before = ret->len;
    sqlite3_stmt *stmt;
    int rc = query_begin(r, err);
    if (rc)
        return rc;
    if (!(rc = db_stmt(&r->db, sql, &stmt, err))) {
        sqlite3_bind_int64(stmt, 1, after > INT64_MAX ? INT64_MAX : (int64_t)after);
        sqlite3_bind_int64(stmt, 2, limit > 0 ? limit : 0);
        rc = add_events(r, stmt, ret, err);
    }
    return query_end(r, rc, ret, before);
}

// ---- why ----

static int add_why(struct store_reader *r, struct job_id id, struct text *t, struct err *err)
{
    sqlite3_stmt *stmt;
    struct job j;
    int rc = select_job(r, id, &stmt, err);
    if (rc)
        return rc;
    const char *wrong = job_read(stmt, 0, &j);
    if (wrong)
        rc = fail(err, E_CORRUPT, "the record of job %" PRIu64 " is damaged: %s", id.v, wrong);
    if (!rc) {
        text_addc(t, '{');
        put_int(t, "id", (int64_t)id.v);
        put_str(t, "state", job_state_word(j.state));
        query_why_json(r, stmt, &j, t);
        query_when_json(stmt, t);
        put_str(t, "last_attempt", j.reason.code == REASON_REQUEUED ? j.detail : NULL);
        put_int_or_null(t, "submitted_at", j.submitted_at_ms);
        put_int_or_null(t, "started_at", j.started_at_ms);
        put_int_or_null(t, "ended_at", j.ended_at_ms);
        rc = query_waits_json(r, &j, clock_wall_ms(), t, err);
        text_addc(t, '}');
    }
    sqlite3_reset(stmt);
    job_row_clear(&j);
    return rc;
}

int query_job_why(struct store_reader *r, struct job_id id, struct text *ret, struct err *err)
{
    size_t before = ret->len;
    int rc = query_begin(r, err);
    if (rc)
        return rc;
    return query_end(r, add_why(r, id, ret, err), ret, before);
}
