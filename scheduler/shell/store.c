// Opening and closing: who may use the directory, is the file sound, is there room.
#include "scheduler/shell/store_internal.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- the lock ----

static int lock_refused(int fd, const char *path, const char *dir, struct err *err)
{
    char pid[32] = {0};
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    pid[n > 0 ? strspn(pid, "0123456789") : 0] = 0;
    close(fd);
    return fail(err, E_EXISTS,
                "another scheduler%s%s uses \"%s\" (it holds \"%s\"). Stop it, or choose another "
                "directory.",
                *pid ? ", process " : "", pid, dir, path);
}

// One that was killed a moment ago holds its lock until its last thread is gone.
static int lock_soon(int fd)
{
    enum { TRIES = 50, PAUSE_MS = 10 };
    int rc = 0;
    for (int i = 0; i < TRIES; i++) {
        if ((rc = flock(fd, LOCK_EX | LOCK_NB)) == 0 || errno != EWOULDBLOCK)
            return rc;
        poll(NULL, 0, PAUSE_MS);
        errno = EWOULDBLOCK;
    }
    return rc;
}

static int lock_dir(const char *dir, int *ret, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/lock", dir);
    struct stat st;
    if (stat(dir, &st))
        return fail(err, errno == EACCES ? E_DENIED : E_NOT_FOUND,
                    "cannot use the directory \"%s\": %m. Make it first, or name another one.",
                    dir);
    if (!S_ISDIR(st.st_mode))
        return fail(err, E_INVALID, "\"%s\" is not a directory", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(err,
                    errno == ENOSPC                     ? E_NO_SPACE
                    : errno == EACCES || errno == EROFS ? E_DENIED
                                                        : E_IO,
                    "cannot write in \"%s\": %m. Check its owner, permissions and free space.",
                    dir);
    if (lock_soon(fd)) {
        if (errno == EWOULDBLOCK)
            return lock_refused(fd, path, dir, err);
        int rc = fail(err, E_IO, "cannot lock \"%s\": %m", path);
        close(fd);
        return rc;
    }
    AUTO_FREE char *pid = xasprintf("%d\n", (int)getpid());
    size_t len = strlen(pid);
    if (ftruncate(fd, 0) || pwrite(fd, pid, len, 0) != (ssize_t)len) {
        int rc = fail(err, errno == ENOSPC ? E_NO_SPACE : E_IO,
                      "cannot write \"%s\": %m. Check its free space.", path);
        close(fd);
        return rc;
    }
    *ret = fd;
    return 0;
}

// ---- the reserve ----

enum { RESERVE_AGAIN_MS = 2000 };

bool store_reserve_make(struct store *s)
{
    int fd = open(s->reserve_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int failed = fd < 0 ? errno : posix_fallocate(fd, 0, STORE_RESERVE_BYTES);
    if (fd >= 0)
        close(fd);
    if (failed) {
        unlink(s->reserve_path);
        log_warning("store", "no disk space in reserve", "path=%s error=\"%s\"", s->reserve_path,
                    strerrordesc_np(failed));
    }
    return !failed;
}

bool store_has_room(struct store *s)
{
    if (access(s->reserve_path, F_OK) == 0)
        return true;
    int64_t now_ms = clock_boot_ms();
    if (now_ms < s->reserve_next_ms)
        return false;
    s->reserve_next_ms = now_ms + RESERVE_AGAIN_MS;
    return store_reserve_make(s);
}

bool store_reserve_release(struct store *s)
{
    return unlink(s->reserve_path) == 0;
}

// ---- the database ----

static int check_integrity(struct db *db, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_prepare(db, "PRAGMA quick_check(1)", &stmt, err);
    if (rc)
        return rc;
    rc = db_step(db, stmt, err);
    const char *verdict = rc > 0 ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    if (rc > 0 && verdict && strcmp(verdict, "ok") == 0)
        rc = 0;
    else if (rc >= 0)
        rc = fail(err, E_CORRUPT,
                  "the database \"%s\" is damaged: %.400s. Nothing was changed. Keep the file "
                  "aside and restore a backup.",
                  db->path, verdict ? verdict : "the check gave no answer");
    sqlite3_finalize(stmt);
    return rc;
}

static int make_meta(struct store *s, struct err *err)
{
    int64_t count;
    int rc = db_int(&s->db, "SELECT count(*) FROM meta", &count, err);
    if (rc || count)
        return rc;
    struct cluster_meta meta = {.next_job = 1,
                                .next_node = 1,
                                .next_placement = 1,
                                .next_session = 1,
                                .next_event = 1,
                                .next_class = 1};
    while (!meta.id.v)
        if (getrandom(&meta.id.v, sizeof meta.id.v, 0) != sizeof meta.id.v)
            return fail(err, E_SYSTEM, "the kernel gives no random numbers: %m");
    sqlite3_stmt *stmt;
    if ((rc = db_stmt(&s->db, s->upsert[TABLE_META], &stmt, err)))
        return rc;
    meta_bind(stmt, &meta);
    return db_run(&s->db, stmt, err);
}

// Reads before it writes: a file that is damaged or not ours stays as it is.
static int open_database(struct store *s, const char *vfs, const struct store_schema *schema,
                         struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/muster.db", s->dir);
    int rc = db_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs, &s->db, err);
    if (!rc) { // a leftover log must not flow into a damaged file when this fails
        sqlite3_db_config(s->db.h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        rc = db_exec(&s->db, "PRAGMA mmap_size = 0; PRAGMA synchronous = EXTRA;", err);
    }
    if (!rc)
        rc = check_integrity(&s->db, err);
    if (!rc)
        rc = store_schema_bring_up(&s->db, schema, err);
    if (!rc)
        rc = db_exec(&s->db,
                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                     "PRAGMA wal_autocheckpoint = 2000;"
                     "PRAGMA journal_size_limit = 67108864; PRAGMA foreign_keys = ON;"
                     "PRAGMA cache_size = -32768;",
                     err);
    if (!rc)
        sqlite3_db_config(s->db.h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return rc;
}

static void name_parts(struct store *s, const char *dir)
{
    s->lock_fd = -1;
    s->dir = xstrdup(dir);
    s->reserve_path = xasprintf("%s/reserve", dir);
    s->term_path = xasprintf("%s/term", dir);
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        struct text sql = {0};
        store_upsert_sql(&store_tables[i], &sql);
        s->upsert[i] = text_take(&sql);
    }
    for (enum rule_kind k = 0; k < RULE_KIND_COUNT; k++) {
        struct text sql = {0};
        store_rule_upsert_sql(k, &sql);
        s->rule_upsert[k] = text_take(&sql);
    }
}

int store_open_vfs(const char *dir, const char *vfs, const struct store_schema *schema,
                   struct store **ret, struct err *err)
{
    struct store *s = xcalloc(1, sizeof *s);
    name_parts(s, dir);
    int rc = lock_dir(dir, &s->lock_fd, err);
    if (!rc)
        rc = open_database(s, vfs, schema, err);
    if (!rc && schema == &store_schema)
        rc = make_meta(s, err);
    if (rc) {
        store_close(s);
        return rc;
    }
    store_reserve_make(s);
    *ret = s;
    return 0;
}

int store_open(const char *dir, struct store **ret, struct err *err)
{
    return store_open_vfs(dir, NULL, &store_schema, ret, err);
}

void store_close(struct store *s)
{
    if (!s)
        return;
    db_close(&s->db);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    for (size_t i = 0; i < TABLE_COUNT; i++)
        free(s->upsert[i]);
    for (size_t i = 0; i < RULE_KIND_COUNT; i++)
        free(s->rule_upsert[i]);
    free(s->dir);
    free(s->reserve_path);
    free(s->term_path);
    free(s);
}
