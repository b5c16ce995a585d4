// Why a pending job waits: what its class waits for (scheduler/core/class.h), unless the whole
// queue waits; its own reason where it is in no class.
#include "scheduler/shell/query_internal.h"

// Columns of query_job_sql() after the job's own and the specification's.
enum { OWN_NODE = 3, REASON, REASON_A, REASON_B, REASON_C, NODE, SINCE, STARTS };

static struct reason reason_at(sqlite3_stmt *row, int word, int first)
{
    const char *text = (const char *)sqlite3_column_text(row, word);
    enum reason_code code = text ? reason_parse(text) : REASON_NONE;
    return (struct reason){.code = code == REASON_COUNT ? REASON_NONE : code,
                           .a = sqlite3_column_int64(row, first),
                           .b = sqlite3_column_int64(row, first + 1),
                           .c = sqlite3_column_int64(row, first + 2)};
}

static int read_queue(struct store_reader *r, struct err *err)
{
    static const char sql[] = "SELECT m.recovery_hold, w.reason, w.reason_a, w.reason_b, w.reason_c"
                              " FROM meta m LEFT JOIN wait w ON w.id = 0";
    struct reader_queue *q = &r->queue;
    sqlite3_stmt *stmt;
    *q = (struct reader_queue){0};
    int rc = db_stmt(&r->db, sql, &stmt, err);
    if (rc || (rc = db_step(&r->db, stmt, err)) <= 0)
        return rc;
    q->hold = sqlite3_column_int(stmt, 0) != 0;
    q->reason = reason_at(stmt, 1, 2);
    sqlite3_reset(stmt);
    return 0;
}

int query_begin(struct store_reader *r, struct err *err)
{
    int rc = db_exec(&r->db, "BEGIN", err);
    if (!rc && (rc = read_queue(r, err)))
        db_rollback(&r->db);
    return rc;
}

static bool waits(const struct job *j)
{
    return !j->held && !j->cancelled &&
           (j->state == JOB_PENDING ||
            (!job_state_ended(j->state) && j->array_next < j->array_count));
}

void query_why_json(struct store_reader *r, sqlite3_stmt *row, const struct job *j, struct text *t)
{
    int at = JOB_COLUMNS_COUNT;
    struct reason why = {.code = REASON_PRIORITY};
    if (waits(j) && r->queue.hold) {
        why.code = REASON_RECOVERY_HOLD;
        query_reason_json(r, &why, NULL, NULL, t);
    } else if (!j->class_id.v) {
        query_reason_json(r, &j->reason, (const char *)sqlite3_column_text(row, at + OWN_NODE),
                          j->detail, t);
    } else if (r->queue.reason.code) {
        query_reason_json(r, &r->queue.reason, NULL, NULL, t);
    } else {
        if (sqlite3_column_type(row, at + REASON) != SQLITE_NULL)
            why = reason_at(row, at + REASON, at + REASON_A);
        query_reason_json(r, &why, (const char *)sqlite3_column_text(row, at + NODE), NULL, t);
    }
}

void query_when_json(sqlite3_stmt *row, struct text *t)
{
    put_int_or_null(t, "since", sqlite3_column_int64(row, JOB_COLUMNS_COUNT + SINCE));
    put_int_or_null(t, "starts_at", sqlite3_column_int64(row, JOB_COLUMNS_COUNT + STARTS));
}
