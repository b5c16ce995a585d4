// The database: SQLite, one file in the state directory. Only store*.c know SQLite.
//
// One process at a time (an exclusive lock on DIR/lock, held for life). WAL, synchronous=FULL,
// STRICT tables, foreign keys, a schema version with migrations. A commit either is on disk when
// store_commit() returns 0 or the process must end: nothing in memory may be believed after a
// failed commit.
//
//     store_open(dir, &s, &err);
//     store_load(s, cluster, &err);
//     struct store_batch *b = store_batch_new();
//     store_batch_add(b, cluster_outcome(c));          // copies; any number of turns
//     store_writer_submit(w, b);                       // owns b; done(arg) in the loop's thread
#pragma once

#include "common/err.h"
#include "common/text.h"
#include "scheduler/core/cluster.h"
#include "scheduler/shell/metrics.h"

#include <stddef.h>
#include <stdint.h>

struct store;

// Opens or makes DIR/muster.db. E_EXISTS: another scheduler holds DIR; E_CORRUPT: damaged (quick
// integrity check at each start), nothing is overwritten; E_VERSION: made by a newer Muster;
// E_NO_SPACE, E_IO. A new database gets a random cluster id. Reserves disk space beside it.
int store_open(const char *dir, struct store **ret, struct err *err);
void store_close(struct store *s);
// False while the reserve is used up: what is known goes on, nothing new should be taken. Space
// that was freed is noticed within two seconds. From the main thread.
bool store_has_room(struct store *s);

// Facts about the start: what cluster_start() wants to know.
struct store_start {
    uint64_t term;      // for this start: above the database's, written to it and to DIR/term
    uint64_t nonce;     // random
    bool same_boot;     // the machine has not been rebooted since the last start
    bool hold;          // DIR/term is ahead of the database: it is an old copy
    uint64_t term_seen; // the higher one; 0: none
};
// Loads all live rows into an empty cluster, then claims a term: durable in the database and, by
// write, fsync, rename, in DIR/term, before it returns. With `hold` no term is claimed. Damaged
// records are left out and counted in *ret_quarantined, each logged.
int store_load(struct store *s, struct cluster *c, struct store_start *ret, int *ret_quarantined,
               struct err *err);
// After `schedctl recover --accept`: writes meta's term to DIR/term. Call when its turn is durable.
int store_write_term_file(struct store *s, uint64_t term, struct err *err);

// ---- writing ----

struct store_batch;
struct store_batch *store_batch_new(void);
void store_batch_free(struct store_batch *b);
// Deep copies all rows and events of a turn. Later rows replace earlier ones of the same batch.
void store_batch_add(struct store_batch *b, const struct outcome *o);
// A job specification's bytes (JobSpec); inserted if its hash is not there yet.
void store_batch_add_spec(struct store_batch *b, const struct spec_hash *hash, const void *bytes,
                          size_t len);
// The inventory of a node as its agent sent it (JSON of agent/shell/inventory.h): fills the tables
// package, numa, core, gpu, tpu, volume, network_interface (replacing the node's rows) and keeps
// the text. Unknown is NULL. An unreadable text is logged and only kept as text.
void store_batch_add_inventory(struct store_batch *b, struct node_id node, const char *json);
// One transaction. On failure nothing of it is in the database and the caller must end the process.
int store_commit(struct store *s, const struct store_batch *b, struct err *err);

// The writer thread: takes everything that is waiting into one transaction (group commit).
struct store_writer;
// `done(arg)` is called in the writer's thread after each commit or failure: it must only
// uv_async_send. Then store_writer_finished() tells how far.
struct store_writer *store_writer_start(struct store *s, void (*done)(void *arg), void *arg);
// Owns the batch. Returns its number: 1, 2, ...
uint64_t store_writer_submit(struct store_writer *w, struct store_batch *b);
// Highest batch number that is durable. A failure is returned once as negative with err filled.
int store_writer_finished(struct store_writer *w, uint64_t *ret, struct err *err);
// Commits what was submitted, ends the thread.
void store_writer_stop(struct store_writer *w);

// ---- reading: what is durable, never what is not ----

// A read-only connection of its own; use one per thread.
struct store_reader;
int store_reader_open(const char *dir, struct store_reader **ret, struct err *err);
void store_reader_close(struct store_reader *r);
// Answers about one job wait for what this writer has of it; it must outlive the reader.
void store_reader_metrics(struct store_reader *r, struct metrics *writer);

// The bytes of a specification; E_NOT_FOUND. Caller frees *ret.
int store_read_spec(struct store_reader *r, const struct spec_hash *hash, uint8_t **ret,
                    size_t *ret_len, struct err *err);
// A job by the client's request id; job.v = 0 if there is none.
int store_find_request(struct store_reader *r, struct request_id id, struct job_id *ret,
                       struct err *err);
// "17" or "17_3" (an array's element) -> job; E_NOT_FOUND, E_INVALID. An element that has not
// been placed yet is found as its array with *ret_element_pending = true.
int store_find_job(struct store_reader *r, const char *name, struct job_id *ret,
                   bool *ret_element_pending, struct err *err);

// What has become of a job, or of an array's element; ret->known false: there is no such job, or
// the element has not been placed.
int store_find_fate(struct store_reader *r, struct job_id job, int64_t element,
                    struct job_fate *ret, struct err *err);

struct job_filter {
    int64_t uid;         // -1: any
    const char *state;   // "pending", ... or "live" or "ended" or NULL: all
    const char *name;    // NULL: any
    struct job_id array; // elements of this array; 0: no elements but those that live
    int64_t limit;       // newest first when limited; 0: all
};
// Append JSON (proto/openapi.yaml has the shapes).
int query_jobs(struct store_reader *r, const struct job_filter *f, struct text *ret,
               struct err *err);
int query_job(struct store_reader *r, struct job_id id, struct text *ret, bool *ret_ended,
              struct err *err);
int query_job_events(struct store_reader *r, struct job_id id, struct text *ret, struct err *err);
// What it did, or waited for, at that time of the wall clock:
// {"id","state","since","text"}.
int query_job_why_at(struct store_reader *r, struct job_id id, int64_t at_ms, struct text *ret,
                     struct err *err);
int query_job_why(struct store_reader *r, struct job_id id, struct text *ret, struct err *err);
// The series and samples of a job's tasks; q->attempt 0: the newest. Fills in q->job and
// q->attempt.
int query_job_metrics(struct store_reader *r, struct job_id id, struct metrics_question *q,
                      struct text *ret, struct err *err);
// The rows of a kind, or one by its name ("gpu", "ann/physics"; "ann": all its accounts), with what
// is used of them.
int query_rules(struct store_reader *r, enum rule_kind k, const char *name, struct text *ret,
                struct err *err);
// What bounds jobs of a user in a queue and QoS (NULL: the default ones); user NULL: all limits.
struct limits_question {
    const char *user, *queue, *qos;
};
int query_limits(struct store_reader *r, const struct limits_question *q, struct text *ret,
                 struct err *err);
int query_nodes(struct store_reader *r, struct text *ret, struct err *err);
int query_node(struct store_reader *r, const char *name, struct text *ret, struct err *err);
int query_cluster(struct store_reader *r, struct text *ret, struct err *err);
// Events with id > after, at most limit.
int query_events(struct store_reader *r, uint64_t after, int64_t limit, struct text *ret,
                 struct err *err);
