// Batches into the tables: one transaction for all that wait.
#include "scheduler/shell/store_internal.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/log.h"
#include "proto/muster.pb-c.h"

#include <stdlib.h>

int store_write_spec(struct store *s, const struct store_spec *spec, struct err *err)
{
    static const char sql[] = "INSERT OR IGNORE INTO spec (hash, bytes, name, queue, cwd)"
                              " VALUES (?, ?, ?, ?, ?)";
    sqlite3_stmt *stmt;
    int rc = db_stmt(&s->db, sql, &stmt, err);
    if (rc)
        return rc;
    Muster__JobSpec *job = muster__job_spec__unpack(NULL, spec->len, spec->bytes);
    sqlite3_bind_blob64(stmt, 1, spec->hash.b, sizeof spec->hash.b, SQLITE_STATIC);
    sqlite3_bind_blob64(stmt, 2, spec->bytes, spec->len, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 3, job ? job->name : NULL, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 4, job ? job->queue : NULL, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 5, job ? job->cwd : NULL, -1, SQLITE_STATIC);
    rc = db_run(&s->db, stmt, err);
    sqlite3_clear_bindings(stmt);
    if (job)
        muster__job_spec__free_unpacked(job, NULL);
    return rc;
}

// A row of the table: bound, written, and its strings forgotten.
#define WRITE(table, bind, row)                                   \
    do {                                                          \
        sqlite3_stmt *stmt_;                                      \
        int rc_ = db_stmt(&s->db, s->upsert[table], &stmt_, err); \
        if (rc_)                                                  \
            return rc_;                                           \
        bind(stmt_, row);                                         \
        rc_ = db_run(&s->db, stmt_, err);                         \
        sqlite3_clear_bindings(stmt_);                            \
        if (rc_)                                                  \
            return rc_;                                           \
    } while (0)

static int write_slots(struct store *s, const struct store_batch *b, struct err *err)
{
    const struct store_slot *slot;
    for (slot = b->nodes; slot; slot = slot->hh.next)
        WRITE(TABLE_NODE, node_bind, slot->row);
    for (slot = b->jobs; slot; slot = slot->hh.next)
        WRITE(TABLE_JOB, job_bind, slot->row);
    for (slot = b->placements; slot; slot = slot->hh.next)
        if (slot->row)
            WRITE(TABLE_PLACEMENT, placement_bind, slot->row);
    for (slot = b->waits; slot; slot = slot->hh.next)
        if (slot->row)
            WRITE(TABLE_WAIT, wait_bind, slot->row);
    return 0;
}

static int delete_rows(struct store *s, const char *sql, const uint64_t *ids, size_t count,
                       struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_stmt *stmt;
        int rc = db_stmt(&s->db, sql, &stmt, err);
        if (rc)
            return rc;
        sqlite3_bind_int64(stmt, 1, (int64_t)ids[i]);
        if ((rc = db_run(&s->db, stmt, err)))
            return rc;
    }
    return 0;
}

static int write_rules(struct store *s, const struct store_batch *b, struct err *err)
{
    const struct store_slot *slot;
    for (slot = b->rules; slot; slot = slot->hh.next) {
        int rc = store_write_rule(s, slot->row, err);
        if (rc)
            return rc;
    }
    for (slot = b->tallies; slot; slot = slot->hh.next)
        if (slot->row)
            WRITE(TABLE_TALLY, tally_bind, slot->row);
    return 0;
}

static int write_batch(struct store *s, const struct store_batch *b, struct err *err)
{
    static const char placement_gone[] = "DELETE FROM placement WHERE id = ?",
                      wait_is_gone[] = "DELETE FROM wait WHERE id = ?",
                      tally_gone[] = "DELETE FROM tally WHERE id = ?";
    int rc;
    for (const struct store_spec *spec = b->specs; spec; spec = spec->hh.next)
        if ((rc = store_write_spec(s, spec, err)))
            return rc;
    if ((rc = write_slots(s, b, err)) || (rc = write_rules(s, b, err)) ||
        (rc = delete_rows(s, placement_gone, b->gone, b->gone_count, err)) ||
        (rc = delete_rows(s, wait_is_gone, b->waits_gone, b->waits_gone_count, err)) ||
        (rc = delete_rows(s, tally_gone, b->tallies_gone, b->tallies_gone_count, err)))
        return rc;
    for (size_t i = 0; i < b->selectors_count; i++)
        WRITE(TABLE_SELECTOR, selector_bind, &b->selectors[i]);
    for (size_t i = 0; i < b->tasks_count; i++)
        WRITE(TABLE_TASK, task_bind, &b->tasks[i]);
    for (size_t i = 0; i < b->events_count; i++)
        WRITE(TABLE_EVENT, event_bind, &b->events[i]);
    for (const struct store_inventory *in = b->inventories; in; in = in->hh.next)
        if ((rc = store_write_inventory(s, in, err)))
            return rc;
    if (b->meta_changed)
        WRITE(TABLE_META, meta_bind, &b->meta);
    return 0;
}

static int transaction_once(struct store *s,
                            int (*body)(struct store *s, const void *arg, struct err *err),
                            const void *arg, struct err *err)
{
    int rc = db_exec(&s->db, "BEGIN IMMEDIATE", err);
    if (!rc)
        rc = body(s, arg, err);
    if (!rc)
        rc = db_exec(&s->db, "COMMIT", err);
    if (rc)
        db_rollback(&s->db);
    return rc;
}

int store_transaction(struct store *s,
                      int (*body)(struct store *s, const void *arg, struct err *err),
                      const void *arg, struct err *err)
{
    int rc = transaction_once(s, body, arg, err);
    if (rc != E_NO_SPACE || !store_reserve_release(s))
        return rc;
    log_warning("store", "the disk is full: the reserve is used up. Free space there",
                "path=%s freed_bytes=%d", s->reserve_path, STORE_RESERVE_BYTES);
    return transaction_once(s, body, arg, err);
}

struct batches {
    struct store_batch *const *items;
    size_t count;
};

static int write_batches(struct store *s, const void *arg, struct err *err)
{
    const struct batches *all = arg;
    for (size_t i = 0; i < all->count; i++) {
        int rc = write_batch(s, all->items[i], err);
        if (rc)
            return rc;
    }
    return 0;
}

int store_commit_all(struct store *s, struct store_batch *const *batches, size_t count,
                     struct err *err)
{
    struct batches all = {.items = batches, .count = count};
    return store_transaction(s, write_batches, &all, err);
}

int store_commit(struct store *s, const struct store_batch *b, struct err *err)
{
    struct batches all = {.items = (struct store_batch *const *)&b, .count = 1};
    return store_transaction(s, write_batches, &all, err);
}
