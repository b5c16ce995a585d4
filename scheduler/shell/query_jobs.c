// Lists of jobs.
#include "scheduler/shell/query_internal.h"

#include "common/alloc.h"

#include <string.h>

// The WHERE of a filter; parameters ?1 uid, ?2 state, ?3 name, ?4 array, ?5 limit.
static int add_where(const struct job_filter *f, struct text *t, const char **ret_hint,
                     struct err *err)
{
    enum job_state state;
    const char *live = "INDEXED BY job_live";
    *ret_hint = "";
    text_add(t, "WHERE 1");
    if (f->state && strcmp(f->state, "live") == 0) {
        *ret_hint = live;
        text_add(t, " AND" SQL_LIVE);
    } else if (f->state && strcmp(f->state, "ended") == 0) {
        text_add(t, " AND NOT (" SQL_LIVE ")");
    } else if (f->state && job_state_parse(f->state, &state)) {
        *ret_hint = job_state_ended(state) ? "" : live;
        text_addf(t, " AND state = ?2 %s", job_state_ended(state) ? "" : "AND" SQL_LIVE);
    } else if (f->state) {
        return fail(err, E_INVALID,
                    "there is no job state \"%.64s\". Use one of pending, starting, running, "
                    "stopping, completed, failed, cancelled, timed_out, lost, live, ended.",
                    f->state);
    }
    if (f->uid >= 0)
        text_add(t, " AND j.owner_uid = ?1");
    if (f->name)
        text_add(t, " AND s.name = ?3");
    if (f->array.v) {
        *ret_hint = "INDEXED BY job_array";
        text_add(t, " AND j.array = ?4 AND j.array <> 0");
    } else {
        text_add(t, " AND (j.array = 0 OR" SQL_LIVE ")");
    }
    text_add(t, f->limit > 0 ? " ORDER BY j.id DESC LIMIT ?5" : " ORDER BY j.id");
    return 0;
}

static void bind_filter(sqlite3_stmt *stmt, const struct job_filter *f)
{
    sqlite3_bind_int64(stmt, 1, f->uid);
    sqlite3_bind_text(stmt, 2, f->state, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 3, f->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 4, (int64_t)f->array.v);
    sqlite3_bind_int64(stmt, 5, f->limit);
}

static int add_jobs(struct store_reader *r, const char *sql, const struct job_filter *f,
                    struct text *t, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_prepare(&r->db, sql, &stmt, err);
    if (rc)
        return rc;
    bind_filter(stmt, f);
    while ((rc = db_step(&r->db, stmt, err)) > 0) {
        struct job j;
        if ((rc = query_job_json(r, stmt, &j, t, err)) < 0)
            break;
        if (!rc)
            continue;
        // What lies behind is asked for by job, not for a whole history.
        bool runs = j.state == JOB_RUNNING || j.state == JOB_STOPPING;
        query_newest_metrics(r, runs ? &j : NULL, t);
        text_addc(t, '}');
    }
    sqlite3_finalize(stmt);
    return rc;
}

int query_jobs(struct store_reader *r, const struct job_filter *f, struct text *ret,
               struct err *err)
{
    AUTO(text) struct text where = {0}, sql = {0};
    size_t before = ret->len;
    const char *hint;
    int rc = add_where(f, &where, &hint, err);
    if (rc)
        return rc;
    query_job_sql(hint, text_str(&where), &sql);
    if ((rc = query_begin(r, err)))
        return rc;
    text_add(ret, "{\"jobs\":[");
    rc = add_jobs(r, text_str(&sql), f, ret, err);
    text_add(ret, "]}");
    return query_end(r, rc, ret, before);
}
