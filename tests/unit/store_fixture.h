// What the store's tests share: a directory that goes away, rows with random values, a cluster that
// is loaded from a directory.
#pragma once

#include "common/alloc.h"
#include "common/check.h"
#include "common/log.h"
#include "common/rng.h"
#include "scheduler/shell/store_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static inline char *dir_make(void)
{
    const char *top = getenv("TMPDIR");
    char *dir = xasprintf("%s/muster-store-XXXXXX", top ? top : "/tmp");
    CHECKF(mkdtemp(dir), "mkdtemp %s", dir);
    return dir;
}

static inline void dir_remove(char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        AUTO_FREE char *path = xasprintf("%s/%s", dir, e->d_name);
        unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
    free(dir);
}

static inline char *file_read(const char *dir, const char *name, size_t *ret_len)
{
    AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    CHECKF(fd >= 0 && fstat(fd, &st) == 0, "%s", path);
    char *bytes = xmalloc((size_t)st.st_size + 1);
    CHECK(read(fd, bytes, (size_t)st.st_size) == st.st_size);
    close(fd);
    *ret_len = (size_t)st.st_size;
    bytes[st.st_size] = 0;
    return bytes;
}

static inline void file_write(const char *dir, const char *name, const void *bytes, size_t len)
{
    AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECKF(fd >= 0 && write(fd, bytes, len) == (ssize_t)len, "%s", path);
    close(fd);
}

#define MUST(call)                                       \
    do {                                                 \
        if ((call) != 0)                                 \
            fail_msg("%s: %s", #call, test_err.message); \
    } while (0)
static struct err test_err;

// ---- rows ----

static inline bool chance(struct rng *r, uint64_t one_in)
{
    return rng_below(r, one_in) == 0;
}

// Any value of the member's width, small ones and extremes often.
static inline int64_t any_int(struct rng *r)
{
    static const int64_t special[] = {0, 1, -1, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    if (chance(r, 2))
        return special[rng_below(r, sizeof special / sizeof *special)];
    return (int64_t)(rng_next(r) >> rng_below(r, 64));
}

static inline void any_bytes(struct rng *r, void *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)to)[i] = (uint8_t)rng_next(r);
}

// Words of UTF-8, quotes, backslashes and control bytes.
static inline void any_text(struct rng *r, char *to, size_t size)
{
    static const char *const bits[] = {"a", "Z", " ", "\"", "\\", "'", "\n", "\x01", "é", "日"};
    size_t len = 0;
    for (uint64_t n = rng_below(r, 12); n; n--) {
        const char *bit = bits[rng_below(r, sizeof bits / sizeof *bits)];
        if (len + strlen(bit) + 1 > size)
            break;
        memcpy(to + len, bit, strlen(bit));
        len += strlen(bit);
    }
    to[len] = 0;
}

static inline struct coreset any_cores(struct rng *r, unsigned most)
{
    struct coreset s = {0};
    for (unsigned i = 0; i < most; i++)
        if (chance(r, 3))
            coreset_add(&s, i);
    return s;
}

static inline struct reason any_reason(struct rng *r)
{
    return (struct reason){.code = (enum reason_code)rng_below(r, REASON_COUNT),
                           .node = {(uint32_t)rng_next(r)},
                           .a = any_int(r),
                           .b = any_int(r),
                           .c = any_int(r)};
}

static inline char *any_detail(struct rng *r)
{
    char detail[64];
    any_text(r, detail, sizeof detail);
    return chance(r, 2) ? NULL : xstrdup(detail);
}

// Valid for the core's loader; everything that it does not judge is arbitrary. `spec` is the zero
// hash, so that one stored specification serves all.
static inline struct job any_job(struct rng *r, uint64_t id)
{
    struct job j = {
        .id = {id},
        .uid = {rng_next(r) | 1},
        .request_id = {rng_next(r), rng_next(r)},
        .owner_uid = (uint32_t)rng_next(r),
        .owner_gid = (uint32_t)rng_next(r),
        .req = {.tasks = (int32_t)rng_below(r, JOB_TASKS_MAX) + 1,
                .cpus = (int32_t)rng_below(r, CORESET_MAX) + 1,
                .gpus = (int32_t)rng_below(r, 65),
                .memory_mib = (int64_t)rng_below(r, INT64_C(1) << 40),
                .time_limit_ms = (int64_t)(rng_next(r) >> 1),
                .grace_ms = (int64_t)(rng_next(r) >> 1),
                .lease_ms = (int64_t)(rng_next(r) >> 1),
                .pmix = chance(r, 2)},
        .priority = (int32_t)any_int(r),
        .max_attempts = (int32_t)any_int(r),
        .held = chance(r, 2),
        .allow_unsatisfiable = chance(r, 2),
        .cancelled = chance(r, 2),
        .state = (enum job_state)rng_below(r, JOB_STATE_COUNT),
        .attempt = (uint32_t)any_int(r),
        .attempts_used = (int32_t)any_int(r),
        .reason = any_reason(r),
        .detail = any_detail(r),
        .verdict = any_reason(r),
        .verdict_detail = any_detail(r),
        .exit_code = (int32_t)any_int(r),
        .submitted_at_ms = any_int(r),
        .started_at_ms = any_int(r),
        .ended_at_ms = any_int(r),
    };
    if (chance(r, 4)) {
        j.array_first = (int64_t)rng_below(r, 100);
        j.array_count = (int32_t)rng_below(r, JOB_ARRAY_MAX) + 1;
        j.array_next = (int32_t)rng_below(r, (uint64_t)j.array_count + 1);
        j.array_live = (int32_t)rng_below(r, 100);
        j.array_failed = (int32_t)any_int(r);
    }
    if (chance(r, 3)) {
        struct job_terms *t = terms_of_row(&j);
        t->begin_ms = (int64_t)rng_below(r, INT64_C(1) << 44);
        t->deadline_ms = (int64_t)rng_below(r, INT64_C(1) << 44);
        t->array_limit = chance(r, 2) ? j.array_count : 0;
        t->cancel_if_never = chance(r, 2);
        MUST(!terms_read_depends(&j, chance(r, 2) ? "afterok:3:4_2!,afterany:9,singleton" : ""));
    }
    return j;
}

static inline struct node any_node(struct rng *r, uint32_t id)
{
    struct node n = {
        .id = {id},
        .inc = {.state_id = rng_next(r)},
        .session = rng_next(r),
        .cores = (int32_t)rng_below(r, CORESET_MAX + 1),
        .gpus = (int32_t)rng_below(r, NODE_GPUS_MAX + 1),
        .memory_mib = (int64_t)(rng_next(r) >> 1),
        .drain = chance(r, 2),
        .fenced = chance(r, 2),
        .reason_uid = (uint32_t)rng_next(r),
        .reason_at_ms = any_int(r),
        .unreachable_since_ms = any_int(r),
    };
    snprintf(n.name, sizeof n.name, "n%u", id);
    any_text(r, n.inc.machine_id, sizeof n.inc.machine_id);
    any_text(r, n.inc.boot_id, sizeof n.inc.boot_id);
    any_text(r, n.reason, sizeof n.reason);
    return n;
}

// On a node of its own, so that nothing overlaps.
static inline struct placement any_placement(struct rng *r, uint64_t id, struct job_id job,
                                             struct node_id node)
{
    return (struct placement){
        .id = id,
        .job = job,
        .uid = {rng_next(r)},
        .attempt = (uint32_t)any_int(r),
        .node = node,
        .index = (int32_t)rng_below(r, INT32_MAX),
        .first_rank = (int32_t)rng_below(r, INT32_MAX),
        .tasks = (int32_t)rng_below(r, INT32_MAX),
        .cores = any_cores(r, CORESET_MAX),
        .gpus = rng_next(r),
        .memory_mib = (int64_t)rng_below(r, INT64_C(1) << 40),
        .port = 20000 + (int32_t)id,
        .state = (enum placement_state)rng_below(r, PLACEMENT_STATE_COUNT),
        .kill = chance(r, 2),
        .over = chance(r, 2),
        .started = chance(r, 2),
    };
}

static inline void jobs_clear(struct job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        job_row_clear(&jobs[i]);
}

// ---- batches ----

static inline void add_zero_spec(struct store_batch *b)
{
    store_batch_add_spec(b, &(struct spec_hash){0}, "", 0);
}

static inline void commit_outcome(struct store *s, const struct outcome *o)
{
    struct store_batch *b = store_batch_new();
    add_zero_spec(b);
    store_batch_add(b, o);
    MUST(store_commit(s, b, &test_err));
    store_batch_free(b);
}

static inline int64_t store_int(struct store *s, const char *sql)
{
    int64_t v = 0;
    MUST(db_int(&s->db, sql, &v, &test_err));
    return v;
}

static inline struct store *open_or_fail(const char *dir)
{
    struct store *s = NULL;
    MUST(store_open(dir, &s, &test_err));
    return s;
}
