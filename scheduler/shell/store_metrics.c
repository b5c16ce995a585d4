// The writer of metrics.db.
#include "scheduler/shell/metrics.h"
#include "scheduler/shell/store_internal.h"

#include "common/alloc.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    VERSION = 2,
    QUEUE_MAX = 65536,
    QUEUE_BYTES_MAX = 32 << 20,
    FLUSH_MS = 2000,
    TASK_LEAST = 64,
    TASK_MOST = 1024,
    JOB_MOST = 65536,
    NAMES_MAX = 64, // in the newest values
    COMPLAIN_MS = 60000,
    LOOK_PARTS = 64, // looks at the size when such a part of the limit was written
};
static const int64_t default_limit = INT64_C(512) << 20;

struct waiting {
    struct metrics_sample s;
    char *values, *refusal;
};

struct metrics {
    struct db db;
    char *path;
    int64_t limit;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake, written;
    int64_t complained_ms; // the thread's
    int64_t unlooked;      // bytes written since the look at the size

    // Under the mutex.
    struct waiting *items;
    size_t count, cap;
    int64_t bytes;
    uint64_t lost, added, done;
    bool stop, damaged;
};

static const char schema[] =
    "CREATE TABLE series (id INTEGER PRIMARY KEY, job_uid INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, rank INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    " heard_ms INTEGER NOT NULL," // by this host's clock: nodes' clocks may be anywhere
    " seen INTEGER NOT NULL, stride INTEGER NOT NULL, newest TEXT NOT NULL, progress REAL,"
    " refused INTEGER NOT NULL, refusal TEXT, UNIQUE (job_uid, attempt, rank)) STRICT;"
    "CREATE INDEX series_heard ON series (heard_ms);"
    // AUTOINCREMENT: ids are cursors, also when the newest row was thinned out.
    "CREATE TABLE sample (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " series INTEGER NOT NULL REFERENCES series (id), number INTEGER NOT NULL,"
    " at_ms INTEGER NOT NULL, data TEXT NOT NULL, UNIQUE (series, number)) STRICT;"
    "CREATE INDEX sample_series ON sample (series);"; // with the id: what came after a cursor

// ---- one sample ----

struct series {
    int64_t id, seen, stride;
    char *newest;
};

static int find_series(struct metrics *m, const struct metrics_sample *s, struct series *ret,
                       struct err *err)
{
    static const char select[] = "SELECT id, seen, stride, newest FROM series"
                                 " WHERE job_uid = ? AND attempt = ? AND rank = ?";
    static const char insert[] =
        "INSERT INTO series (job_uid, attempt, rank, at_ms, heard_ms, seen, stride, newest,"
        " refused) VALUES (?, ?, ?, ?, 0, 0, 1, '{}', 0)";
    sqlite3_stmt *stmt;
    *ret = (struct series){.stride = 1};
    int rc = db_stmt(&m->db, select, &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, (int64_t)s->job.v);
    sqlite3_bind_int64(stmt, 2, s->attempt);
    sqlite3_bind_int64(stmt, 3, s->rank);
    if ((rc = db_step(&m->db, stmt, err)) > 0) {
        ret->id = sqlite3_column_int64(stmt, 0);
        ret->seen = sqlite3_column_int64(stmt, 1);
        ret->stride = sqlite3_column_int64(stmt, 2);
        ret->newest = xstrdup((const char *)sqlite3_column_text(stmt, 3));
        sqlite3_reset(stmt);
        return 0;
    }
    if (rc < 0 || (rc = db_stmt(&m->db, insert, &stmt, err)))
        return rc;
    sqlite3_bind_int64(stmt, 1, (int64_t)s->job.v);
    sqlite3_bind_int64(stmt, 2, s->attempt);
    sqlite3_bind_int64(stmt, 3, s->rank);
    sqlite3_bind_int64(stmt, 4, s->at_ms);
    ret->newest = xstrdup("{}");
    if ((rc = db_run(&m->db, stmt, err)) == 0)
        ret->id = sqlite3_last_insert_rowid(m->db.h);
    return rc;
}

static int run_with(struct metrics *m, const char *sql, int64_t a, int64_t b, int64_t c,
                    struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = db_stmt(&m->db, sql, &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, a);
    sqlite3_bind_int64(stmt, 2, b);
    if (sqlite3_bind_parameter_count(stmt) > 2)
        sqlite3_bind_int64(stmt, 3, c);
    return db_run(&m->db, stmt, err);
}

static int64_t bound_of(int32_t tasks)
{
    int64_t share = JOB_MOST / (tasks > 0 ? tasks : 1);
    return share < TASK_LEAST ? TASK_LEAST : share > TASK_MOST ? TASK_MOST : share;
}

// The sample becomes number `seen` of its series; the one before stays only on the stride.
static int write_sample(struct metrics *m, struct series *e, const struct metrics_sample *s,
                        struct err *err)
{
    static const char drop[] = "DELETE FROM sample WHERE series = ? AND number = ?";
    static const char thin[] =
        "DELETE FROM sample WHERE series = ? AND number < ? AND number % ? <> 0";
    static const char insert[] =
        "INSERT INTO sample (series, number, at_ms, data) VALUES (?, ?, ?, ?)";
    sqlite3_stmt *stmt;
    int rc = 0;
    if (e->seen && (e->seen - 1) % e->stride)
        rc = run_with(m, drop, e->id, e->seen - 1, 0, err);
    if (rc || (rc = db_stmt(&m->db, insert, &stmt, err)))
        return rc;
    sqlite3_bind_int64(stmt, 1, e->id);
    sqlite3_bind_int64(stmt, 2, e->seen);
    sqlite3_bind_int64(stmt, 3, s->at_ms);
    sqlite3_bind_text(stmt, 4, s->values, -1, SQLITE_STATIC);
    rc = db_run(&m->db, stmt, err);
    sqlite3_clear_bindings(stmt);
    e->seen++;
    if (!rc && e->seen / e->stride >= bound_of(s->tasks)) {
        e->stride *= 2;
        rc = run_with(m, thin, e->id, e->seen - 1, e->stride, err);
    }
    return rc;
}

// The newest value of each name: those of the newest sample first, older ones after them unless
// they become too many.
static char *merged(const char *old, const char *news)
{
    json_t *a = json_loads(old, 0, NULL), *b = json_loads(news, 0, NULL);
    char *ret = NULL;
    if (json_is_object(a) && json_is_object(b) && json_object_update_missing(b, a) == 0 &&
        json_object_size(b) <= NAMES_MAX)
        ret = json_dumps(b, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(a);
    json_decref(b);
    return ret ? ret : xstrdup(news);
}

// Whether each of these values is the newest of its name already.
static bool tells_nothing(const char *old, const char *values)
{
    json_t *a = json_loads(old, 0, NULL), *b = json_loads(values, 0, NULL);
    const char *name;
    json_t *v;
    bool same = json_is_object(a) && json_is_object(b);
    if (same)
        json_object_foreach(b, name, v) same = same && json_equal(v, json_object_get(a, name));
    json_decref(a);
    json_decref(b);
    return same;
}

static int write_series(struct metrics *m, const struct series *e, const struct metrics_sample *s,
                        struct err *err)
{
    static const char sql[] = "UPDATE series SET at_ms = ?, seen = ?, stride = ?, newest = ?,"
                              " progress = coalesce(?, progress), refused = max(refused, ?),"
                              " refusal = coalesce(?, refusal), heard_ms = ? WHERE id = ?";
    AUTO_FREE char *newest = s->values ? merged(e->newest, s->values) : xstrdup(e->newest);
    sqlite3_stmt *stmt;
    int rc = db_stmt(&m->db, sql, &stmt, err);
    if (rc)
        return rc;
    sqlite3_bind_int64(stmt, 1, s->at_ms);
    sqlite3_bind_int64(stmt, 2, e->seen);
    sqlite3_bind_int64(stmt, 3, e->stride);
    sqlite3_bind_text(stmt, 4, newest, -1, SQLITE_STATIC);
    if (isnan(s->progress))
        sqlite3_bind_null(stmt, 5);
    else
        sqlite3_bind_double(stmt, 5, s->progress);
    sqlite3_bind_int64(stmt, 6, (int64_t)s->refused);
    sqlite3_bind_text(stmt, 7, *s->refusal ? s->refusal : NULL, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 8, clock_wall_ms());
    sqlite3_bind_int64(stmt, 9, e->id);
    rc = db_run(&m->db, stmt, err);
    sqlite3_clear_bindings(stmt);
    return rc;
}

static int write_one(struct metrics *m, const struct metrics_sample *s, struct err *err)
{
    struct series e;
    struct metrics_sample news = *s;
    int rc = find_series(m, s, &e, err);
    if (!rc && s->values && s->repeated && tells_nothing(e.newest, s->values))
        news.values = NULL;
    if (!rc && news.values)
        rc = write_sample(m, &e, &news, err);
    if (!rc)
        rc = write_series(m, &e, &news, err);
    free(e.newest);
    return rc;
}

// ---- size ----

static int size_of(struct metrics *m, int64_t *ret, struct err *err)
{
    int64_t pages, free_pages, page;
    int rc;
    if ((rc = db_int(&m->db, "PRAGMA page_count", &pages, err)) ||
        (rc = db_int(&m->db, "PRAGMA freelist_count", &free_pages, err)) ||
        (rc = db_int(&m->db, "PRAGMA page_size", &page, err)))
        return rc;
    *ret = (pages - free_pages) * page;
    return 0;
}

// Drops the series that were quiet longest until a tenth of the room is free.
static int make_room(struct metrics *m, struct err *err)
{
    static const char drop[] =
        "DELETE FROM sample WHERE series IN (SELECT id FROM series ORDER BY heard_ms LIMIT 16);"
        "DELETE FROM series WHERE id IN (SELECT id FROM series ORDER BY heard_ms LIMIT 16)";
    int64_t size, left = 1;
    int rc = size_of(m, &size, err);
    if (rc || size < m->limit)
        return rc;
    while (!rc && left && size > m->limit / 10 * 9)
        if (!(rc = db_exec(&m->db, drop, err)) &&
            !(rc = db_int(&m->db, "SELECT count(*) FROM series", &left, err)))
            rc = size_of(m, &size, err);
    return rc;
}

// ---- opening ----

static int bring_up(struct db *db, struct err *err)
{
    int64_t version;
    // Ids go on where those of a file before it ended: cursors outlive it.
    AUTO_FREE char *made = xasprintf("BEGIN IMMEDIATE; %s"
                                     "INSERT INTO sqlite_sequence VALUES ('sample', %" PRId64 ");"
                                     "PRAGMA user_version = %d; COMMIT",
                                     schema, clock_wall_ms() * 1000, VERSION);
    int rc = db_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", err);
    if (rc || (rc = db_int(db, "PRAGMA user_version", &version, err)))
        return rc;
    if (version == VERSION)
        return db_exec(db, "SELECT count(*) FROM series; SELECT max(id) FROM sample", err);
    if (version)
        return fail(err, E_VERSION, "\"%s\" has version %" PRId64, db->path, version);
    rc = db_exec(db, made, err);
    db_rollback(db);
    return rc;
}

static int open_file(const char *path, struct db *ret, struct err *err)
{
    int rc = db_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL, ret, err);
    if (!rc && (rc = bring_up(ret, err)))
        db_close(ret);
    return rc;
}

// What cannot be used is put aside: it only tells of the past.
static int put_aside(const char *path, struct err *err)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        AUTO_FREE char *from = xasprintf("%s%s", path, ends[i]);
        AUTO_FREE char *to = xasprintf("%s.damaged%s", path, ends[i]);
        if (rename(from, to) && i == 0)
            return fail(err, E_IO, "cannot put \"%s\" aside: %m", path);
    }
    return 0;
}

static int open_anew(struct metrics *m, struct err *err)
{
    struct err why;
    int rc = open_file(m->path, &m->db, err);
    if (rc != E_CORRUPT && rc != E_VERSION)
        return rc;
    why = *err;
    if ((rc = put_aside(m->path, err)))
        return rc;
    log_error("metrics", "put_aside", "%s", why.message);
    return open_file(m->path, &m->db, err);
}

// ---- the thread ----

// What it costs to keep.
static int64_t bytes_of(const struct waiting *w)
{
    size_t values = w->values ? strlen(w->values) : 0;
    return (int64_t)(sizeof *w + values + strlen(w->refusal));
}

static void forget(struct waiting *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(items[i].values);
        free(items[i].refusal);
    }
    free(items);
}

static void complain(struct metrics *m, uint64_t lost, const char *why)
{
    int64_t now = clock_boot_ms();
    if (m->complained_ms && now - m->complained_ms < COMPLAIN_MS)
        return;
    m->complained_ms = now;
    log_error("metrics", "lost", "samples=%" PRIu64 ": %s", lost, why);
}

static int write_batch(struct metrics *m, const struct waiting *items, size_t count,
                       struct err *err)
{
    int rc = db_exec(&m->db, "BEGIN IMMEDIATE", err);
    for (size_t i = 0; i < count && !rc; i++) {
        rc = write_one(m, &items[i].s, err);
        m->unlooked += bytes_of(&items[i]);
    }
    if (!rc && m->unlooked > m->limit / LOOK_PARTS) {
        m->unlooked = 0;
        rc = make_room(m, err);
    }
    if (!rc)
        rc = db_exec(&m->db, "COMMIT", err);
    db_rollback(&m->db);
    return rc;
}

static void give_up_file(struct metrics *m)
{
    struct err err;
    db_close(&m->db);
    if (put_aside(m->path, &err))
        log_error("metrics", "none", "%s", err.message);
    else
        log_error("metrics", "put_aside", "\"%s\" is damaged", m->path);
}

// What cannot be opened is tried again with the next samples.
static void write_all(struct metrics *m, const struct waiting *items, size_t count)
{
    struct err err;
    int rc = m->db.h ? 0 : open_anew(m, &err);
    if (!rc)
        rc = write_batch(m, items, count, &err);
    if (rc)
        complain(m, count, err.message);
    if (rc == E_CORRUPT && m->db.h)
        give_up_file(m);
}

static void *write_loop(void *arg)
{
    struct metrics *m = arg;
    bool stop = false;
    write_all(m, NULL, 0); // makes the file
    while (!stop) {
        pthread_mutex_lock(&m->mutex);
        while (!m->stop && !m->count && !m->damaged)
            pthread_cond_wait(&m->wake, &m->mutex);
        struct waiting *items = TAKE(m->items);
        size_t count = m->count;
        uint64_t lost = m->lost;
        m->count = m->cap = 0;
        m->bytes = 0;
        m->lost = 0;
        stop = m->stop;
        bool damaged = m->damaged;
        m->damaged = false;
        pthread_mutex_unlock(&m->mutex);
        if (damaged && m->db.h)
            give_up_file(m);
        if (count)
            write_all(m, items, count);
        if (lost)
            complain(m, lost, "they come faster than they can be written");
        forget(items, count);
        pthread_mutex_lock(&m->mutex);
        m->done += count;
        pthread_cond_broadcast(&m->written);
        pthread_mutex_unlock(&m->mutex);
    }
    return NULL;
}

void metrics_flush(struct metrics *m)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += FLUSH_MS / 1000;
    pthread_mutex_lock(&m->mutex);
    uint64_t wanted = m->added;
    int rc = 0;
    while (m->done < wanted && rc == 0)
        rc = pthread_cond_timedwait(&m->written, &m->mutex, &until);
    pthread_mutex_unlock(&m->mutex);
}

void metrics_damaged(struct metrics *m)
{
    pthread_mutex_lock(&m->mutex);
    m->damaged = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->mutex);
}

void metrics_add(struct metrics *m, const struct metrics_sample *s)
{
    struct waiting w = {.s = *s,
                        .values = s->values ? xstrdup(s->values) : NULL,
                        .refusal = xstrdup(s->refusal ? s->refusal : "")};
    w.s.values = w.values;
    w.s.refusal = w.refusal;
    int64_t bytes = bytes_of(&w);
    pthread_mutex_lock(&m->mutex);
    bool room = m->count < QUEUE_MAX && m->bytes + bytes <= QUEUE_BYTES_MAX;
    if (room) {
        VEC_RESERVE(m->items, m->count, m->cap);
        m->items[m->count++] = w;
        m->bytes += bytes;
        m->added++;
    } else {
        m->lost++;
    }
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->mutex);
    if (!room) {
        free(w.values);
        free(w.refusal);
    }
}

// ---- life ----

struct metrics *metrics_open(const char *dir, int64_t limit_bytes)
{
    struct metrics *m = xcalloc(1, sizeof *m);
    pthread_condattr_t attributes;
    m->path = xasprintf("%s/metrics.db", dir);
    m->limit = limit_bytes ? limit_bytes : default_limit;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    CHECK(pthread_mutex_init(&m->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&m->wake, &attributes) == 0);
    CHECK(pthread_cond_init(&m->written, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
    CHECK(pthread_create(&m->thread, NULL, write_loop, m) == 0);
    pthread_setname_np(m->thread, "metrics-writer");
    return m;
}

void metrics_stop(struct metrics *m)
{
    pthread_mutex_lock(&m->mutex);
    m->stop = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->mutex);
    pthread_join(m->thread, NULL);
    db_close(&m->db);
}

void metrics_close(struct metrics *m)
{
    metrics_stop(m);
    forget(m->items, m->count);
    pthread_cond_destroy(&m->wake);
    pthread_cond_destroy(&m->written);
    pthread_mutex_destroy(&m->mutex);
    free(m->path);
    free(m);
}
