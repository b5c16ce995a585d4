// Read-only connections, and the small questions of the shell.
#include "scheduler/shell/query_users.h"
#include "scheduler/shell/store_internal.h"

#include "common/alloc.h"
#include "common/check.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int store_reader_open(const char *dir, struct store_reader **ret, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/muster.db", dir);
    struct store_reader *r = xcalloc(1, sizeof *r);
    int rc = db_open(path, SQLITE_OPEN_READONLY, NULL, &r->db, err);
    if (!rc)
        rc = db_exec(&r->db, "PRAGMA query_only = ON; PRAGMA mmap_size = 0;", err);
    if (rc) {
        store_reader_close(r);
        return rc;
    }
    r->users = users_new();
    r->dir = xstrdup(dir);
    *ret = r;
    return 0;
}

void store_reader_close(struct store_reader *r)
{
    if (!r)
        return;
    db_close(&r->db);
    metrics_reader_close(r->metrics);
    users_free(r->users);
    free(r->job_sql);
    free(r->dir);
    free(r);
}

void store_reader_metrics(struct store_reader *r, struct metrics *writer)
{
    r->metrics_writer = writer;
}

void reader_flush_metrics(struct store_reader *r)
{
    if (r->metrics_writer)
        metrics_flush(r->metrics_writer);
}

void reader_metrics_failed(struct store_reader *r, int rc)
{
    if (rc == E_CORRUPT && r->metrics_writer && r->metrics && !metrics_reader_stale(r->metrics))
        metrics_damaged(r->metrics_writer);
}

struct metrics_reader *reader_metrics(struct store_reader *r)
{
    if (r->metrics && metrics_reader_stale(r->metrics))
        metrics_reader_close(TAKE(r->metrics));
    if (!r->metrics && metrics_reader_open(r->dir, &r->metrics, NULL))
        r->metrics = NULL;
    return r->metrics;
}

int store_read_spec(struct store_reader *r, const struct spec_hash *hash, uint8_t **ret,
                    size_t *ret_len, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_stmt(&r->db, "SELECT bytes FROM spec WHERE hash = ?", &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_blob(stmt, 1, hash->b, sizeof hash->b, SQLITE_TRANSIENT);
    rc = db_step(&r->db, stmt, err);
    if (rc < 0)
        return rc;
    if (!rc)
        return fail(err, E_NOT_FOUND, "the database has no such job specification");
    *ret_len = (size_t)sqlite3_column_bytes(stmt, 0);
    *ret = *ret_len ? xmemdup(sqlite3_column_blob(stmt, 0), *ret_len) : xmalloc(1);
    sqlite3_reset(stmt);
    return 0;
}

int store_find_request(struct store_reader *r, struct request_id id, struct job_id *ret,
                       struct err *err)
{
    static const char sql[] = "SELECT id FROM job WHERE request_hi = ? AND request_lo = ?"
                              " AND (request_hi <> 0 OR request_lo <> 0) ORDER BY id LIMIT 1";
    sqlite3_stmt *stmt;
    int rc = db_stmt(&r->db, sql, &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, (int64_t)id.hi);
    sqlite3_bind_int64(stmt, 2, (int64_t)id.lo);
    if ((rc = db_step(&r->db, stmt, err)) < 0)
        return rc;
    ret->v = rc ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_reset(stmt);
    return 0;
}

// ---- names of jobs ----

static bool parse_digits(const char *s, const char **ret_end, int64_t *ret)
{
    char *end;
    errno = 0;
    *ret = isdigit((unsigned char)*s) ? strtoll(s, &end, 10) : -1;
    if (*ret < 0 || errno)
        return false;
    *ret_end = end;
    return true;
}

// One integer of one row; 1 found, 0 not.
static int look_up(struct store_reader *r, const char *sql, int64_t a, int64_t b, int64_t *ret,
                   struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_stmt(&r->db, sql, &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, a);
    if (sqlite3_bind_parameter_count(stmt) > 1)
        sqlite3_bind_int64(stmt, 2, b);
    if ((rc = db_step(&r->db, stmt, err)) > 0) {
        *ret = sqlite3_column_int64(stmt, 0);
        sqlite3_reset(stmt);
    }
    return rc;
}

static int no_such_job(const char *name, struct err *err)
{
    return fail(err, E_NOT_FOUND, "there is no job \"%.64s\". `schedctl jobs --all` lists them.",
                name);
}

static int find_element(struct store_reader *r, const char *name, int64_t array, int64_t element,
                        struct job_id *ret, bool *ret_element_pending, struct err *err)
{
    static const char placed[] = "SELECT id FROM job WHERE array = ? AND element = ? AND array <> 0"
                                 " ORDER BY id DESC LIMIT 1";
    static const char waiting[] =
        "SELECT id FROM job WHERE id = ?1 AND ?2 >= array_first AND ?2 < array_first + array_count";
    int64_t id;
    int rc = look_up(r, placed, array, element, &id, err);
    bool pending = rc == 0;
    if (pending)
        rc = look_up(r, waiting, array, element, &id, err);
    if (rc <= 0)
        return rc ? rc : no_such_job(name, err);
    ret->v = (uint64_t)id;
    *ret_element_pending = pending;
    return 0;
}

int store_find_job(struct store_reader *r, const char *name, struct job_id *ret,
                   bool *ret_element_pending, struct err *err)
{
    int64_t id, element, found;
    const char *end;
    bool good = parse_digits(name, &end, &id) && id > 0;
    bool of_array = good && *end == '_';
    if (of_array)
        good = parse_digits(end + 1, &end, &element);
    if (!good || *end)
        return fail(err, E_INVALID,
                    "\"%.64s\" names no job. Write 17, or 17_3 for element 3 of array 17.", name);
    if (of_array)
        return find_element(r, name, id, element, ret, ret_element_pending, err);
    int rc = look_up(r, "SELECT id FROM job WHERE id = ?", id, 0, &found, err);
    if (rc <= 0)
        return rc ? rc : no_such_job(name, err);
    ret->v = (uint64_t)found;
    *ret_element_pending = false;
    return 0;
}

// An element that has not been placed never is if its array has ended.
static int find_unplaced(struct store_reader *r, struct job_id array, int64_t element,
                         struct job_fate *ret, struct err *err)
{
    static const char sql[] = "SELECT id FROM job WHERE id = ?1 AND NOT" SQL_LIVE
                              "AND ?2 >= array_first AND ?2 < array_first + array_count";
    int64_t id;
    int rc = look_up(r, sql, (int64_t)array.v, element, &id, err);
    if (rc > 0)
        *ret = (struct job_fate){.known = true, .begun = true, .ended = true};
    return rc < 0 ? rc : 0;
}

int store_find_fate(struct store_reader *r, struct job_id job, int64_t element,
                    struct job_fate *ret, struct err *err)
{
#define FATE "SELECT state, begun, array_count, array_begun FROM job WHERE "
    static const char whole[] = FATE "id = ?1";
    static const char one[] = FATE "array = ?1 AND element = ?2 AND array <> 0"
                                   " ORDER BY id DESC LIMIT 1";
#undef FATE
    sqlite3_stmt *stmt;
    struct job row = {0};
    int rc = db_stmt(&r->db, element == ELEMENT_NONE ? whole : one, &stmt, err);
    *ret = (struct job_fate){0};
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, (int64_t)job.v);
    if (element != ELEMENT_NONE)
        sqlite3_bind_int64(stmt, 2, element);
    if ((rc = db_step(&r->db, stmt, err)) < 0)
        return rc;
    if (!rc)
        return element == ELEMENT_NONE ? 0 : find_unplaced(r, job, element, ret, err);
    const char *state = (const char *)sqlite3_column_text(stmt, 0);
    bool good = state && job_state_parse(state, &row.state);
    row.begun = sqlite3_column_int64(stmt, 1);
    row.array_count = (int32_t)sqlite3_column_int64(stmt, 2);
    row.array_begun = (int32_t)sqlite3_column_int64(stmt, 3);
    sqlite3_reset(stmt);
    if (!good)
        return fail(err, E_CORRUPT, "the record of job %" PRIu64 " is damaged: state", job.v);
    *ret = job_fate(&row);
    return 0;
}
