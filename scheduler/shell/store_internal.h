// The store's insides, shared by store*.c, query*.c and their tests: a connection with its prepared
// statements, the tables, and how rows and structs become each other.
//
// Reading order: store_db.c (SQLite), store_schema.c (tables, versions), store_rows.c (mapping),
// store.c (opening), store_load.c, store_start.c and store_term.c (start), store_batch.c and
// store_commit.c (writing), store_writer.c (the thread), store_reader.c, query_*.c.
#pragma once

#include "scheduler/shell/metrics.h"
#include "scheduler/shell/store.h"

#include "common/arena.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <uthash.h>

enum {
    STORE_SCHEMA_VERSION = 4,
    STORE_APPLICATION_ID = 0x4d757374, // "Must"
    STORE_RESERVE_BYTES = 16 * 1024 * 1024,
    STORE_BUSY_MS = 10000,
};

// ---- a connection (store_db.c) ----

struct db {
    sqlite3 *h;
    char *path; // as messages name it
    struct {
        const char *sql; // the cache's key is the pointer
        sqlite3_stmt *stmt;
    } * cached;
    size_t count, cap;
};

// flags as of sqlite3_open_v2; vfs NULL: the default one.
int db_open(const char *path, int flags, const char *vfs, struct db *ret, struct err *err);
void db_close(struct db *db);
// Any number of statements without results.
int db_exec(struct db *db, const char *sql, struct err *err);
// A cached statement, reset and with its old parameters; `sql` must live as long as db and never
// change.
int db_stmt(struct db *db, const char *sql, sqlite3_stmt **ret, struct err *err);
// The same, owned by the caller: sqlite3_finalize().
int db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret, struct err *err);
// 1: a row; 0: none left, and the statement is reset; negative: failed and reset.
int db_step(struct db *db, sqlite3_stmt *stmt, struct err *err);
// Steps to the end.
int db_run(struct db *db, sqlite3_stmt *stmt, struct err *err);
// First column of the first row of a statement without parameters; 0 when there is no row.
int db_int(struct db *db, const char *sql, int64_t *ret, struct err *err);
// The connection's last failure: code, message with the path and what to do.
int db_fail(struct db *db, int sqlite_code, const char *doing, struct err *err);
// Ends a transaction that may or may not be open.
void db_rollback(struct db *db);

// ---- the tables (store_schema.c) ----

struct store_column {
    const char *name, *type;
};
struct store_table {
    const char *name;
    const struct store_column *columns;
    size_t count;
    const char *more; // further columns and constraints, from the comma on; may be ""
};
enum store_table_id {
    TABLE_META,
    TABLE_NODE,
    TABLE_JOB,
    TABLE_PLACEMENT,
    TABLE_SELECTOR,
    TABLE_TASK,
    TABLE_WAIT,
    TABLE_EVENT,
    TABLE_TALLY,
    TABLE_COUNT
};
extern const struct store_table store_tables[TABLE_COUNT];

// From version `from` to `from` + 1: all rows of the same version, in their order.
struct store_upgrade {
    int from;
    const char *sql; // NULL: only the step
    int (*step)(struct db *db, struct err *err);
};
struct store_schema {
    int version;
    int (*create)(struct db *db, struct err *err); // everything, at `version`
    const struct store_upgrade *upgrades;
    size_t upgrades_count;
};
extern const struct store_schema store_schema;
// Makes a new database or brings an older one up, in one transaction (an older one is copied first,
// to PATH.v<VERSION>). E_VERSION for a newer one, E_CORRUPT for one that is not Muster's.
int store_schema_bring_up(struct db *db, const struct store_schema *schema, struct err *err);

// Jobs that have not ended, as the index job_live says it. An unknown state counts as live: it is
// found, quarantined and reported.
#define SQL_LIVE " state NOT IN ('completed','failed','cancelled','timed_out','lost') "

// "INSERT ... ON CONFLICT(id) DO UPDATE", or "INSERT OR REPLACE" for tables without column id.
void store_upsert_sql(const struct store_table *t, struct text *ret);
// `alias.a, alias.b, ...` in the order of the columns.
void store_select_list(const struct store_table *t, const char *alias, struct text *ret);

// ---- rows (store_rows.c) ----

// Bind parameters 1 .. in the order of the columns. Strings are kept by reference until the step.
void meta_bind(sqlite3_stmt *s, const struct cluster_meta *row);
void node_bind(sqlite3_stmt *s, const struct node *row);
void job_bind(sqlite3_stmt *s, const struct job *row);
void placement_bind(sqlite3_stmt *s, const struct placement *row);
void selector_bind(sqlite3_stmt *s, const struct selector *row);
void task_bind(sqlite3_stmt *s, const struct task_row *row);
void wait_bind(sqlite3_stmt *s, const struct wait *row);
void event_bind(sqlite3_stmt *s, const struct event *row);
void tally_bind(sqlite3_stmt *s, const struct tally *row);

// Read columns first, first + 1, ... NULL, or the name of the first column that makes no sense;
// readable columns are filled either way. job.detail and verdict_detail are then the caller's.
const char *meta_read(sqlite3_stmt *s, int first, struct cluster_meta *ret);
const char *node_read(sqlite3_stmt *s, int first, struct node *ret);
const char *selector_read(sqlite3_stmt *s, int first, struct selector *ret);
const char *job_read(sqlite3_stmt *s, int first, struct job *ret);
const char *placement_read(sqlite3_stmt *s, int first, struct placement *ret);
const char *tally_read(sqlite3_stmt *s, int first, struct tally *ret);
const char *wait_read(sqlite3_stmt *s, int first, struct wait *ret);
void job_row_clear(struct job *j);

// Column counts, for what follows them in a SELECT.
extern const int NODE_COLUMNS_COUNT, JOB_COLUMNS_COUNT, PLACEMENT_COLUMNS_COUNT, WAIT_COLUMNS_COUNT;

// false if the word is unknown.
bool job_state_parse(const char *word, enum job_state *ret);
bool placement_state_parse(const char *word, enum placement_state *ret);

// ---- opening (store.c) ----

struct store {
    struct db db;
    char *dir, *reserve_path, *term_path;
    int64_t reserve_next_ms; // when store_has_room() tries again
    int lock_fd;
    char *upsert[TABLE_COUNT], *rule_upsert[RULE_KIND_COUNT];
};

// As store_open, through a named SQLite VFS (NULL: the default one) and another schema.
int store_open_vfs(const char *dir, const char *vfs, const struct store_schema *schema,
                   struct store **ret, struct err *err);
// Makes DIR/reserve where it is missing; a failure is logged. False: there is none.
bool store_reserve_make(struct store *s);
// Deletes it; false if it was not there.
bool store_reserve_release(struct store *s);

// ---- the start (store_load.c, store_start.c) ----

// Meta, nodes, jobs, placements into an empty cluster.
int store_load_rows(struct store *s, struct cluster *c, struct cluster_meta *ret_meta,
                    int *ret_quarantined, struct err *err);

// ---- the operators' rows (store_rules.c) ----

int store_rules_create(struct db *db, struct err *err);
void store_rule_upsert_sql(enum rule_kind k, struct text *ret);
int store_write_rule(struct store *s, const struct rule *r, struct err *err);
// All that hold, and the tallies, into a cluster that has its meta; what is damaged is told and
// left out.
int store_load_rules(struct db *db, struct cluster *c,
                     void (*bad)(void *arg, const char *what, uint64_t id, const char *why),
                     void *arg, struct err *err);

// ---- the term file (store_term.c) ----

// 0 with *ret = 0 if there is none; E_CORRUPT, E_IO.
int store_term_read(const struct store *s, uint64_t *ret, struct err *err);

// ---- writing ----

// Runs body in a transaction; on SQLITE_FULL once more after the reserve was released.
int store_transaction(struct store *s,
                      int (*body)(struct store *s, const void *arg, struct err *err),
                      const void *arg, struct err *err);
// All in one transaction.
int store_commit_all(struct store *s, struct store_batch *const *batches, size_t count,
                     struct err *err);

struct store_spec {
    struct spec_hash hash;
    const void *bytes;
    size_t len;
    UT_hash_handle hh;
};
struct store_inventory {
    struct node_id node;
    const char *json;
    UT_hash_handle hh;
};
int store_write_spec(struct store *s, const struct store_spec *spec, struct err *err);
int store_write_inventory(struct store *s, const struct store_inventory *in, struct err *err);

// One row of a batch, found by its id.
struct store_slot {
    uint64_t id;
    void *row; // NULL: removed again
    UT_hash_handle hh;
};
struct store_batch {
    struct arena arena;
    struct store_slot *jobs, *nodes, *placements, *waits, *rules,
        *tallies; // in order of first mention
    struct store_spec *specs;
    struct store_inventory *inventories;
    uint64_t *gone, *waits_gone, *tallies_gone;
    size_t waits_gone_count, waits_gone_cap;
    struct selector *selectors;
    size_t selectors_count, selectors_cap;
    struct task_row *tasks;
    struct event *events;
    size_t tallies_gone_count, tallies_gone_cap;
    size_t gone_count, gone_cap, tasks_count, tasks_cap, events_count, events_cap;
    struct cluster_meta meta;
    bool meta_changed;
};

// ---- reading ----

struct store_reader {
    struct cluster *rules; // query_rules_view(); NULL: not asked for in this transaction
    struct db db;
    char *dir;
    struct metrics_reader *metrics; // reader_metrics()
    struct metrics *metrics_writer; // NULL: none, or it is not waited for
    struct users *users;
    char *job_sql; // of one job by id
    // The queue as the transaction sees it, from query_begin() on.
    struct reader_queue {
        bool hold;
        struct reason reason; // of the whole queue; NONE: it goes on
    } queue;
};
// What tasks reported; NULL: nothing, or it cannot be read now.
struct metrics_reader *reader_metrics(struct store_reader *r);
// Called when the job's state is known: what came before its end is in the answer then.
void reader_flush_metrics(struct store_reader *r);
// How a question to reader_metrics() ended: the writer is told of damage.
void reader_metrics_failed(struct store_reader *r, int rc);
