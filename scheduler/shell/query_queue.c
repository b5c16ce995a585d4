// Why a pending job waits: its own reason if the last pass came to it, else that of the queue. One
// row tells where the pass stopped, so that a node's loss does not rewrite every pending job.
#include "scheduler/shell/query_internal.h"

static int read_queue(struct store_reader *r, struct err *err)
{
    static const char sql[] =
        "SELECT m.recovery_hold, j.id, j.priority, j.array, j.element, j.reason, j.reason_a"
        " FROM meta m LEFT JOIN job j ON j.id = m.blocked AND m.blocked <> 0";
    struct reader_queue *q = &r->queue;
    sqlite3_stmt *stmt;
    *q = (struct reader_queue){0};
    int rc = db_stmt(&r->db, sql, &stmt, err);
    if (rc || (rc = db_step(&r->db, stmt, err)) <= 0)
        return rc;
    q->hold = sqlite3_column_int(stmt, 0) != 0;
    q->blocked.id.v = (uint64_t)sqlite3_column_int64(stmt, 1);
    q->blocked.priority = sqlite3_column_int(stmt, 2);
    q->blocked.array.v = (uint64_t)sqlite3_column_int64(stmt, 3);
    q->blocked.element = sqlite3_column_int64(stmt, 4);
    const char *word = (const char *)sqlite3_column_text(stmt, 5);
    q->blocked.reason.code = word ? reason_parse(word) : REASON_NONE;
    q->blocked.reason.a = sqlite3_column_int64(stmt, 6);
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

void query_waits_json(struct store_reader *r, sqlite3_stmt *row, const struct job *j,
                      struct text *t)
{
    const struct reader_queue *q = &r->queue;
    struct reason turn = {.code = REASON_PRIORITY};
    if (waits(j) && q->hold)
        turn.code = REASON_RECOVERY_HOLD;
    else if (waits(j) && q->blocked.id.v && job_queue_order(&q->blocked, j) < 0)
        turn = q->blocked.reason.code == REASON_NO_NODES ? q->blocked.reason : turn;
    else {
        query_reason_json(&j->reason, (const char *)sqlite3_column_text(row, JOB_COLUMNS_COUNT + 3),
                          j->detail, t);
        return;
    }
    query_reason_json(&turn, NULL, NULL, t);
}
