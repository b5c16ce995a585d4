// Questions to metrics.db.
#include "scheduler/shell/metrics.h"
#include "scheduler/shell/query_internal.h"

#include "common/alloc.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { ANSWER_BYTES = 8 << 20 }; // then the rest is left for the next question

struct metrics_reader {
    struct db db;
    char *path;
    ino_t inode; // of what is open: the file may be made anew
};

int metrics_reader_open(const char *dir, struct metrics_reader **ret, struct err *err)
{
    struct stat st;
    struct metrics_reader *r = xcalloc(1, sizeof *r);
    r->path = xasprintf("%s/metrics.db", dir);
    int rc = stat(r->path, &st) ? fail(err, E_NOT_FOUND, "there is no \"%s\"", r->path) : 0;
    if (!rc)
        rc = db_open(r->path, SQLITE_OPEN_READONLY, NULL, &r->db, err);
    if (!rc)
        rc = db_exec(&r->db, "PRAGMA query_only = ON", err);
    if (rc) {
        metrics_reader_close(r);
        return rc;
    }
    r->inode = st.st_ino;
    *ret = r;
    return 0;
}

bool metrics_reader_stale(const struct metrics_reader *r)
{
    struct stat st;
    return stat(r->path, &st) || st.st_ino != r->inode;
}

void metrics_reader_close(struct metrics_reader *r)
{
    if (!r)
        return;
    if (r->db.h)
        db_close(&r->db);
    free(r->path);
    free(r);
}

// What the writer merged or the shell made is JSON already.
static void put_json(struct text *t, const char *key, const char *json)
{
    put_key(t, key);
    text_add(t, json && *json ? json : "{}");
}

static void put_real(struct text *t, const char *key, sqlite3_stmt *s, int i)
{
    put_key(t, key);
    if (sqlite3_column_type(s, i) == SQLITE_NULL)
        text_add(t, "null");
    else
        text_addf(t, "%.6g", sqlite3_column_double(s, i));
}

int metrics_query_newest(struct metrics_reader *r, struct job_uid job, uint32_t attempt,
                         struct text *ret, struct err *err)
{
    static const char sql[] =
        "SELECT max(at_ms), count(*), avg(progress),"
        " (SELECT newest FROM series WHERE job_uid = ?1 AND attempt = ?2 ORDER BY rank LIMIT 1)"
        " FROM series WHERE job_uid = ?1 AND attempt = ?2";
    sqlite3_stmt *stmt;
    int rc = r && attempt ? db_stmt(&r->db, sql, &stmt, err) : 0;
    if (rc)
        return rc;
    if (r && attempt) {
        sqlite3_bind_int64(stmt, 1, (int64_t)job.v);
        sqlite3_bind_int64(stmt, 2, attempt);
        if ((rc = db_step(&r->db, stmt, err)) < 0)
            return rc;
    }
    if (!rc || sqlite3_column_int64(stmt, 1) == 0) {
        put_null(ret, "metrics");
    } else {
        put_open(ret, "metrics", '{');
        put_int(ret, "at", sqlite3_column_int64(stmt, 0));
        put_int(ret, "tasks", sqlite3_column_int64(stmt, 1));
        put_real(ret, "progress", stmt, 2);
        put_json(ret, "values", (const char *)sqlite3_column_text(stmt, 3));
        text_addc(ret, '}');
    }
    if (r && attempt)
        sqlite3_reset(stmt);
    return 0;
}

static void bind(sqlite3_stmt *stmt, const struct metrics_question *q)
{
    sqlite3_bind_int64(stmt, 1, (int64_t)q->job.v);
    sqlite3_bind_int64(stmt, 2, q->attempt);
    sqlite3_bind_int64(stmt, 3, q->task);
}

static int add_series(struct metrics_reader *r, const struct metrics_question *q, struct text *t,
                      struct err *err)
{
    static const char sql[] =
        "SELECT rank, at_ms, seen, stride, progress, refused, refusal, newest FROM series"
        " WHERE job_uid = ?1 AND attempt = ?2 AND (?3 < 0 OR rank = ?3) ORDER BY rank";
    sqlite3_stmt *stmt;
    int rc = db_stmt(&r->db, sql, &stmt, err);
    if (rc)
        return rc;
    bind(stmt, q);
    while ((rc = db_step(&r->db, stmt, err)) > 0) {
        put_open(t, NULL, '{');
        put_int(t, "task", sqlite3_column_int64(stmt, 0));
        put_int(t, "at", sqlite3_column_int64(stmt, 1));
        put_int(t, "seen", sqlite3_column_int64(stmt, 2));
        put_int(t, "stride", sqlite3_column_int64(stmt, 3));
        put_real(t, "progress", stmt, 4);
        put_int(t, "refused", sqlite3_column_int64(stmt, 5));
        put_str(t, "refusal", (const char *)sqlite3_column_text(stmt, 6));
        put_json(t, "newest", (const char *)sqlite3_column_text(stmt, 7));
        text_addc(t, '}');
    }
    return rc;
}

// Up to the limit, or so many bytes that a scheduler of many readers can bear it.
static int add_samples(struct metrics_reader *r, const struct metrics_question *q, uint64_t *next,
                       bool *more, struct text *t, struct err *err)
{
    static const char sql[] =
        "SELECT s.id, e.rank, s.number, s.at_ms, s.data FROM series e CROSS JOIN sample s"
        " ON s.series = e.id WHERE e.job_uid = ?1 AND e.attempt = ?2 AND (?3 < 0 OR e.rank = ?3)"
        " AND s.id > ?4 ORDER BY s.id LIMIT ?5";
    sqlite3_stmt *stmt;
    size_t before = t->len;
    int64_t count = 0;
    int rc = db_stmt(&r->db, sql, &stmt, err);
    if (rc)
        return rc;
    bind(stmt, q);
    sqlite3_bind_int64(stmt, 4, q->after > INT64_MAX ? INT64_MAX : (int64_t)q->after);
    sqlite3_bind_int64(stmt, 5, q->limit + 1);
    while ((rc = db_step(&r->db, stmt, err)) > 0) {
        if (count++ == q->limit || t->len - before > ANSWER_BYTES) {
            *more = true;
            sqlite3_reset(stmt);
            return 0;
        }
        *next = (uint64_t)sqlite3_column_int64(stmt, 0);
        put_open(t, NULL, '{');
        put_int(t, "task", sqlite3_column_int64(stmt, 1));
        put_int(t, "number", sqlite3_column_int64(stmt, 2));
        put_int(t, "at", sqlite3_column_int64(stmt, 3));
        put_json(t, "values", (const char *)sqlite3_column_text(stmt, 4));
        text_addc(t, '}');
    }
    return rc;
}

int metrics_query(struct metrics_reader *r, const struct metrics_question *q, struct text *ret,
                  struct err *err)
{
    uint64_t next = q->after;
    bool more = false;
    int rc = r ? db_exec(&r->db, "BEGIN", err) : 0; // one state of the file
    put_open(ret, "series", '[');
    if (r && !rc)
        rc = add_series(r, q, ret, err);
    text_addc(ret, ']');
    put_open(ret, "samples", '[');
    if (r && !rc)
        rc = add_samples(r, q, &next, &more, ret, err);
    text_addc(ret, ']');
    put_int(ret, "next", (int64_t)next);
    put_key(ret, "more");
    text_add(ret, more ? "true" : "false");
    if (r)
        db_rollback(&r->db);
    return rc;
}

void query_newest_metrics(struct store_reader *r, const struct job *j, struct text *t)
{
    struct metrics_reader *m = j && j->attempt ? reader_metrics(r) : NULL;
    size_t before = t->len;
    struct err err;
    struct job_uid uid = j ? j->uid : (struct job_uid){0};
    int rc = metrics_query_newest(m, uid, j ? j->attempt : 0, t, &err);
    if (rc == 0)
        return;
    reader_metrics_failed(r, rc);
    log_warning("metrics", "question", "%s", err.message);
    t->len = before;
    put_null(t, "metrics");
}
