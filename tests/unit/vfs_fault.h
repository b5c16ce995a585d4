// A SQLite VFS that fails on demand, over the default one: for proofs that a database survives.
//
// Operations (write, sync, truncate, delete of database files) are counted from 1. What a file held
// at its last sync, and what was written since, is remembered: after a simulated crash
// fault_settle() leaves on disk what a power loss may leave - everything synced, and of the rest
// any choice of 512-byte sectors. Nothing is really synced, so runs are quick. One at a time, one
// thread.
//
//     fault_begin(&(struct fault_plan){.crash_at = 17});
//     store_open_vfs(dir, FAULT_VFS, ...); ...; store_close(s);
//     fault_settle(seed);
//     store_open(dir, ...)             // the next start
//     fault_end();
#pragma once

#include "common/alloc.h"
#include "common/check.h"
#include "common/rng.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAULT_VFS "fault"

struct fault_plan {
    int64_t crash_at;    // this operation and all later ones fail; 0: never
    int64_t fail_at;     // this one fails with an I/O error, a write after half of its bytes
    int64_t space;       // bytes by which files may grow before the disk is full; 0: no bound
    const char *reserve; // when this file is gone, `reserve_bytes` more
    int64_t reserve_bytes;
};

struct fault_write { // bytes NULL: truncation to `at`
    int64_t at;
    size_t len;
    uint8_t *bytes;
};

struct fault_file {
    char *path;
    uint8_t *synced;
    int64_t synced_size;
    bool exists;        // for sure
    bool maybe_deleted; // deleted, the directory not synced
    struct fault_write *pending;
    size_t count, cap;
};

struct fault_handle {
    sqlite3_file base;
    struct fault_file *file; // NULL: a temporary file, not watched
    int64_t size;
    sqlite3_file *real;
};

static struct {
    struct fault_plan plan;
    int64_t operations, grown;
    bool crashed, full; // something was refused for lack of space
    struct fault_file *files;
    size_t count, cap;
    sqlite3_vfs *real, vfs;
} fault;

// ---- what would be on disk ----

static inline struct fault_file *fault_file(const char *path)
{
    for (size_t i = 0; i < fault.count; i++)
        if (strcmp(fault.files[i].path, path) == 0)
            return &fault.files[i];
    return NULL;
}

static inline void fault_drop_pending(struct fault_file *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->pending[i].bytes);
    f->count = 0;
}

static inline void fault_resize(struct fault_file *f, int64_t size)
{
    f->synced = xrealloc(f->synced, (size_t)size + 1);
    if (size > f->synced_size)
        memset(f->synced + f->synced_size, 0, (size_t)(size - f->synced_size));
    f->synced_size = size;
}

static inline void fault_apply(struct fault_file *f, int64_t at, const uint8_t *bytes, size_t len)
{
    if (at + (int64_t)len > f->synced_size)
        fault_resize(f, at + (int64_t)len);
    memcpy(f->synced + at, bytes, len);
}

static inline void fault_pend(struct fault_file *f, int64_t at, const void *bytes, size_t len)
{
    VEC_RESERVE(f->pending, f->count, f->cap);
    f->pending[f->count++] =
        (struct fault_write){.at = at, .len = len, .bytes = bytes ? xmemdup(bytes, len) : NULL};
}

static inline void fault_sync_image(struct fault_file *f)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct fault_write *w = &f->pending[i];
        if (w->bytes)
            fault_apply(f, w->at, w->bytes, w->len);
        else
            fault_resize(f, w->at);
    }
    fault_drop_pending(f);
}

// Keeps all, none, or any choice of the sectors that were not synced.
static inline void fault_lose(struct fault_file *f, struct rng *r)
{
    enum { SECTOR = 512 };
    uint64_t way = rng_below(r, 3);
    for (size_t i = 0; i < f->count; i++) {
        const struct fault_write *w = &f->pending[i];
        if (way == 0)
            continue;
        if (!w->bytes) {
            if (way == 1 || rng_below(r, 2))
                fault_resize(f, w->at);
            continue;
        }
        for (size_t k = 0; k < w->len; k += SECTOR)
            if (way == 1 || rng_below(r, 2))
                fault_apply(f, w->at + (int64_t)k, w->bytes + k,
                            w->len - k < SECTOR ? w->len - k : SECTOR);
    }
    fault_drop_pending(f);
}

// Makes the real files what a power loss at this point may have left.
static inline void fault_settle(uint64_t seed)
{
    struct rng r = {seed};
    for (size_t i = 0; i < fault.count; i++) {
        struct fault_file *f = &fault.files[i];
        AUTO_FREE char *shm = xasprintf("%s-shm", f->path);
        unlink(shm);
        if (!f->exists && !(f->maybe_deleted && rng_below(&r, 2))) {
            unlink(f->path);
            continue;
        }
        fault_lose(f, &r);
        int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        CHECK(fd >= 0 && write(fd, f->synced, (size_t)f->synced_size) == f->synced_size);
        close(fd);
    }
}

// ---- the faults ----

// 0, or the code with which the operation fails; *ret_half: after half of it was done.
static inline int fault_operation(bool *ret_half)
{
    fault.operations++;
    *ret_half = false;
    if (fault.plan.crash_at && fault.operations >= fault.plan.crash_at) {
        *ret_half = !fault.crashed; // the power goes in the middle of it
        fault.crashed = true;
        return SQLITE_IOERR;
    }
    *ret_half = fault.operations == fault.plan.fail_at;
    return *ret_half ? SQLITE_IOERR : SQLITE_OK;
}

static inline bool fault_has_room(int64_t more)
{
    int64_t room = fault.plan.space;
    if (!room || more <= 0)
        return true;
    if (fault.plan.reserve && access(fault.plan.reserve, F_OK) != 0)
        room += fault.plan.reserve_bytes;
    if (fault.grown + more > room) {
        fault.full = true;
        return false;
    }
    fault.grown += more;
    return true;
}

static inline int fault_do_write(struct fault_handle *h, const void *bytes, int len,
                                 sqlite3_int64 at)
{
    if (h->file && len)
        fault_pend(h->file, at, bytes, (size_t)len);
    if (at + len > h->size)
        h->size = at + len;
    return h->real->pMethods->xWrite(h->real, bytes, len, at);
}

static inline int fault_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 at)
{
    struct fault_handle *h = (struct fault_handle *)base;
    bool half;
    if (!h->file)
        return h->real->pMethods->xWrite(h->real, bytes, len, at);
    int code = fault_operation(&half);
    if (code) {
        if (half)
            fault_do_write(h, bytes, len / 2, at);
        return SQLITE_IOERR_WRITE;
    }
    if (!fault_has_room(at + len - h->size))
        return SQLITE_FULL;
    return fault_do_write(h, bytes, len, at);
}

static inline int fault_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct fault_handle *h = (struct fault_handle *)base;
    bool half;
    if (!h->file)
        return h->real->pMethods->xTruncate(h->real, size);
    if (fault_operation(&half))
        return SQLITE_IOERR_TRUNCATE;
    fault_pend(h->file, size, NULL, 0);
    if (size < h->size)
        fault.grown -= h->size - size;
    h->size = size;
    return h->real->pMethods->xTruncate(h->real, size);
}

static inline int fault_sync(sqlite3_file *base, int flags)
{
    struct fault_handle *h = (struct fault_handle *)base;
    bool half;
    (void)flags;
    if (!h->file)
        return SQLITE_OK;
    if (fault_operation(&half))
        return SQLITE_IOERR_FSYNC;
    fault_sync_image(h->file);
    return SQLITE_OK;
}

static inline int fault_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
    (void)vfs;
    bool half;
    struct fault_file *f = fault_file(path);
    if (f) {
        if (fault_operation(&half))
            return SQLITE_IOERR_DELETE;
        f->exists = false;
        f->maybe_deleted = !sync_dir;
        if (sync_dir) {
            fault_drop_pending(f);
            f->synced_size = 0;
        }
    }
    return fault.real->xDelete(fault.real, path, 0);
}

// ---- passed through ----

#define FAULT_REAL(base) (((struct fault_handle *)(base))->real)
#define FAULT_PASS(name, ...) FAULT_REAL(base)->pMethods->name(FAULT_REAL(base), __VA_ARGS__)

static inline int fault_close(sqlite3_file *base)
{
    return FAULT_REAL(base)->pMethods->xClose(FAULT_REAL(base));
}
static inline int fault_read(sqlite3_file *base, void *bytes, int len, sqlite3_int64 at)
{
    return FAULT_PASS(xRead, bytes, len, at);
}
static inline int fault_size(sqlite3_file *base, sqlite3_int64 *ret)
{
    return FAULT_PASS(xFileSize, ret);
}
static inline int fault_lock(sqlite3_file *base, int level)
{
    return FAULT_PASS(xLock, level);
}
static inline int fault_unlock(sqlite3_file *base, int level)
{
    return FAULT_PASS(xUnlock, level);
}
static inline int fault_check_lock(sqlite3_file *base, int *ret)
{
    return FAULT_PASS(xCheckReservedLock, ret);
}
static inline int fault_control(sqlite3_file *base, int what, void *arg)
{
    return what == SQLITE_FCNTL_SIZE_HINT ? SQLITE_OK : FAULT_PASS(xFileControl, what, arg);
}
static inline int fault_sector(sqlite3_file *base)
{
    return FAULT_REAL(base)->pMethods->xSectorSize(FAULT_REAL(base));
}
static inline int fault_traits(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}
static inline int fault_shm_map(sqlite3_file *base, int page, int size, int extend,
                                void volatile **ret)
{
    return FAULT_PASS(xShmMap, page, size, extend, ret);
}
static inline int fault_shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
    return FAULT_PASS(xShmLock, offset, n, flags);
}
static inline void fault_shm_barrier(sqlite3_file *base)
{
    FAULT_REAL(base)->pMethods->xShmBarrier(FAULT_REAL(base));
}
static inline int fault_shm_unmap(sqlite3_file *base, int remove)
{
    return FAULT_PASS(xShmUnmap, remove);
}

static const sqlite3_io_methods fault_methods = {
    .iVersion = 2,
    .xClose = fault_close,
    .xRead = fault_read,
    .xWrite = fault_write,
    .xTruncate = fault_truncate,
    .xSync = fault_sync,
    .xFileSize = fault_size,
    .xLock = fault_lock,
    .xUnlock = fault_unlock,
    .xCheckReservedLock = fault_check_lock,
    .xFileControl = fault_control,
    .xSectorSize = fault_sector,
    .xDeviceCharacteristics = fault_traits,
    .xShmMap = fault_shm_map,
    .xShmLock = fault_shm_lock,
    .xShmBarrier = fault_shm_barrier,
    .xShmUnmap = fault_shm_unmap,
};

// ---- files come and go ----

// Files that are there already count as synced: runs begin with what was left on disk.
static inline struct fault_file *fault_watch(const char *path, sqlite3_file *real)
{
    struct fault_file *f = fault_file(path);
    if (f && (f->exists || f->maybe_deleted)) {
        if (!f->exists) { // made anew
            fault_drop_pending(f);
            f->synced_size = 0;
        }
        f->exists = true;
        return f;
    }
    if (!f) {
        VEC_RESERVE(fault.files, fault.count, fault.cap);
        f = &fault.files[fault.count++];
        *f = (struct fault_file){.path = xstrdup(path)};
    }
    sqlite3_int64 size = 0;
    CHECK(real->pMethods->xFileSize(real, &size) == SQLITE_OK);
    fault_resize(f, size);
    if (size)
        CHECK(real->pMethods->xRead(real, f->synced, (int)size, 0) == SQLITE_OK);
    f->exists = true;
    return f;
}

static inline int fault_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags,
                             int *ret_flags)
{
    (void)vfs;
    struct fault_handle *h = (struct fault_handle *)base;
    *h = (struct fault_handle){.real = (sqlite3_file *)(h + 1)};
    int code = fault.real->xOpen(fault.real, path, h->real, flags, ret_flags);
    if (code != SQLITE_OK)
        return code;
    h->base.pMethods = &fault_methods;
    if (path && !(flags & SQLITE_OPEN_DELETEONCLOSE)) {
        h->file = fault_watch(path, h->real);
        CHECK(h->real->pMethods->xFileSize(h->real, (sqlite3_int64 *)&h->size) == SQLITE_OK);
    }
    return SQLITE_OK;
}

static inline void fault_begin(const struct fault_plan *plan)
{
    if (!fault.real) {
        enum { FILES_MAX = 16 }; // their places must not move while they are open
        fault.real = sqlite3_vfs_find(NULL);
        fault.vfs = *fault.real;
        fault.vfs.zName = FAULT_VFS;
        fault.vfs.pNext = NULL;
        fault.vfs.szOsFile = (int)sizeof(struct fault_handle) + fault.real->szOsFile;
        fault.vfs.xOpen = fault_open;
        fault.vfs.xDelete = fault_delete;
        fault.files = xcalloc(FILES_MAX, sizeof *fault.files);
        fault.cap = FILES_MAX;
        CHECK(sqlite3_vfs_register(&fault.vfs, 0) == SQLITE_OK);
    }
    fault.plan = *plan;
    fault.operations = fault.grown = 0;
    fault.crashed = fault.full = false;
}

// Forgets all files.
static inline void fault_end(void)
{
    for (size_t i = 0; i < fault.count; i++) {
        fault_drop_pending(&fault.files[i]);
        free(fault.files[i].pending);
        free(fault.files[i].synced);
        free(fault.files[i].path);
    }
    memset(fault.files, 0, fault.cap * sizeof *fault.files);
    fault.count = 0;
}
