// SQLite as the store uses it: connections, cached statements, errors.
#include "scheduler/shell/store_internal.h"

#include "common/alloc.h"
#include "common/check.h"

#include <stdlib.h>

static const char *what_to_do(int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return "The disk is full: free space there, then start again.";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "The file is damaged or is no database: keep it aside and restore a backup.";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return "Check that the directory exists and that this user may write there.";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "Another program holds the database: close it.";
    case SQLITE_IOERR:
        return "Check the disk and the kernel's log.";
    default:
        return "";
    }
}

static enum errcode errcode_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return E_NO_SPACE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return E_CORRUPT;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return E_DENIED;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        return E_IO;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return E_EXISTS;
    case SQLITE_TOOBIG:
        return E_TOO_LARGE;
    default:
        return E_SYSTEM;
    }
}

int db_fail(struct db *db, int code, const char *doing, struct err *err)
{
    const char *hint = what_to_do(code);
    int full = db->h ? sqlite3_extended_errcode(db->h) : code;
    return fail(err, errcode_of(code), "cannot %s the database \"%s\": %s (SQLite %d)%s%s", doing,
                db->path, db->h ? sqlite3_errmsg(db->h) : sqlite3_errstr(code), full,
                *hint ? ". " : "", hint);
}

int db_open(const char *path, int flags, const char *vfs, struct db *ret, struct err *err)
{
    struct db db = {.path = xstrdup(path)};
    int code = sqlite3_open_v2(path, &db.h, flags | SQLITE_OPEN_NOMUTEX, vfs);
    if (code != SQLITE_OK) {
        int rc = db_fail(&db, code, "open", err);
        db_close(&db);
        return rc;
    }
    sqlite3_extended_result_codes(db.h, 1);
    sqlite3_busy_timeout(db.h, STORE_BUSY_MS);
    *ret = db;
    return 0;
}

void db_close(struct db *db)
{
    for (size_t i = 0; i < db->count; i++)
        sqlite3_finalize(db->cached[i].stmt);
    free(db->cached);
    sqlite3_close(db->h);
    free(db->path);
    *db = (struct db){0};
}

int db_exec(struct db *db, const char *sql, struct err *err)
{
    int code = sqlite3_exec(db->h, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : db_fail(db, code, "change", err);
}

int db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret, struct err *err)
{
    int code = sqlite3_prepare_v3(db->h, sql, -1, 0, ret, NULL);
    return code == SQLITE_OK ? 0 : db_fail(db, code, "use", err);
}

int db_stmt(struct db *db, const char *sql, sqlite3_stmt **ret, struct err *err)
{
    for (size_t i = 0; i < db->count; i++)
        if (db->cached[i].sql == sql) {
            *ret = db->cached[i].stmt;
            sqlite3_reset(*ret);
            return 0;
        }
    sqlite3_stmt *stmt;
    int code = sqlite3_prepare_v3(db->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
    if (code != SQLITE_OK)
        return db_fail(db, code, "use", err);
    VEC_RESERVE(db->cached, db->count, db->cap);
    db->cached[db->count].sql = sql;
    db->cached[db->count++].stmt = stmt;
    *ret = stmt;
    return 0;
}

int db_step(struct db *db, sqlite3_stmt *stmt, struct err *err)
{
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        return 1;
    int rc = code == SQLITE_DONE
                 ? 0
                 : db_fail(db, code, sqlite3_stmt_readonly(stmt) ? "read" : "write", err);
    sqlite3_reset(stmt);
    return rc;
}

int db_run(struct db *db, sqlite3_stmt *stmt, struct err *err)
{
    int rc;
    while ((rc = db_step(db, stmt, err)) > 0)
        ;
    return rc;
}

int db_int(struct db *db, const char *sql, int64_t *ret, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_prepare(db, sql, &stmt, err);
    if (rc)
        return rc;
    rc = db_step(db, stmt, err);
    if (rc >= 0)
        *ret = rc ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

void db_rollback(struct db *db)
{
    if (!sqlite3_get_autocommit(db->h))
        sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL);
}
