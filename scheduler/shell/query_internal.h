// What the queries share: a job or a placement as JSON, snapshots.
#pragma once

#include "common/json.h"
#include "scheduler/shell/store_internal.h"

// All statements between see one state of the database. query_end ends it in any case and passes
// rc; when that is a failure it cuts *ret back to its length before.
int query_begin(struct store_reader *r, struct err *err);
int query_end(struct store_reader *r, int rc, struct text *ret, size_t before);

// SELECT ... FROM job j ... for job_json(); `hint` follows the table ("INDEXED BY ..." or ""),
// `where` the joins. The spec is s.
void query_job_sql(const char *hint, const char *where, struct text *ret);
// A row of query_job_sql() as an object: the caller adds the closing brace. 1: written; 0: the
// record is damaged and nothing was written; negative: failed. *ret gets the job without its
// strings; it may be NULL.
int query_job_json(struct store_reader *r, sqlite3_stmt *row, struct job *ret_job, struct text *t,
                   struct err *err);
// A core that has only the rules and tallies, as the transaction sees them; it lives until
// query_end().
int query_rules_view(struct store_reader *r, struct cluster **ret, struct err *err);
// `"reason":{...}` or null.
void query_reason_json(struct store_reader *r, const struct reason *reason, const char *node,
                       const char *detail, struct text *t);
// The reason of the job in a row of query_job_sql(): the queue's, its class's or its own.
void query_why_json(struct store_reader *r, sqlite3_stmt *row, const struct job *j, struct text *t);
// `"since":T,"starts_at":T` of its class, or nulls.
void query_when_json(sqlite3_stmt *row, struct text *t);
// "waits": all that it waited for up to its end, or to now, from the recorded events, at most 50.
int query_waits_json(struct store_reader *r, const struct job *j, int64_t now_ms, struct text *t,
                     struct err *err);
// `"metrics":{...}` of the newest attempt, or null; j NULL: null. What cannot be read is null.
void query_newest_metrics(struct store_reader *r, const struct job *j, struct text *t);
// `"KEY":[3,5]` of a set of GPUs.
void query_gpus_json(const char *key, uint64_t gpus, struct text *t);
// Cores that a placement shares and how much of them, and its shares of GPUs, from the columns
// pool, cpu_milli and gpu_shares of a row, from `at` on.
void query_shares_json(sqlite3_stmt *s, int at, struct text *t);
// The rest of an array of objects: one a row.
int query_rows(struct store_reader *r, sqlite3_stmt *stmt,
               void (*row)(struct store_reader *r, sqlite3_stmt *stmt, struct text *t),
               struct text *t, struct err *err);
