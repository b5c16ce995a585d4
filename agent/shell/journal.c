// The journal: append-only, one record after another: 4-byte length and CRC-32 of the bytes (both
// little-endian), then a JournalRecord. A torn tail is cut off; damage before it means that the
// journal is not intact. At each start, and when it has grown, it is written anew with what is
// still true, into a spare file whose space is reserved (agent/host/reserve.h): a full disk stops
// neither.
#include "agent/host/reserve.h"
#include "agent/shell/node.h"

#include "common/alloc.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    HEADER = 8,
    RECORD_MAX = FRAME_MAX,
    SEARCH_BYTES = 256 << 20,
    RESERVE_BYTES = 4 << 20,
    AHEAD_BYTES = RESERVE_BYTES / 4, // at least so much is reserved for what comes
    RENEW_BYTES = RESERVE_BYTES / 2, // when it has grown to this, it is written anew
};

struct journal {
    struct node *node;
    char *path;
    int fd, dir_fd;
    off_t size, reserved, renew_at;
    uint64_t written, syncing, durable; // record numbers
    uv_fs_t sync;
    bool busy, dirty;
    bool moving; // fd is the spare, which becomes the journal when it is on disk
};

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void write_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t checksum(const uint8_t *p, size_t len)
{
    return (uint32_t)crc32(0, p, (uInt)len);
}

// Whatever cannot be written down must not happen: the tasks live on without us.
static _Noreturn void give_up(const char *what)
{
    log_error("journal", "failed", "%s: %s", what, strerror(errno));
    _exit(1);
}

// Space for the ENDs of what runs, should the disk fill up.
static void reserve_ahead(struct journal *j, size_t len)
{
    off_t want = j->size + (off_t)len + AHEAD_BYTES;
    if (want > j->reserved && posix_fallocate(j->fd, j->reserved, want - j->reserved) == 0)
        j->reserved = want;
}

void journal_append(struct journal *j, const Muster__JournalRecord *record, uint64_t number)
{
    size_t len = muster__journal_record__get_packed_size(record);
    reserve_ahead(j, HEADER + len);
    AUTO_FREE uint8_t *bytes = xmalloc(HEADER + len);
    muster__journal_record__pack(record, bytes + HEADER);
    write_u32(bytes, (uint32_t)len);
    write_u32(bytes + 4, checksum(bytes + HEADER, len));
    if (pwrite(j->fd, bytes, HEADER + len, j->size) != (ssize_t)(HEADER + len))
        give_up("cannot write");
    j->size += (off_t)(HEADER + len);
    j->dirty = true;
    if (number > j->written)
        j->written = number;
}

// What is still true, into the spare; the journal stays until that is on disk.
static int write_anew(struct journal *j, struct err *err)
{
    int fd;
    int rc = reserve_open(j->path, RESERVE_BYTES, &fd, err);
    if (rc)
        return rc;
    if (j->fd >= 0)
        close(j->fd);
    j->fd = fd;
    j->size = 0;
    j->reserved = RESERVE_BYTES;
    restore_rewrite(j->node, j);
    j->renew_at = 2 * j->size > RENEW_BYTES ? 2 * j->size : RENEW_BYTES;
    j->moving = true;
    return 0;
}

static void renew(struct journal *j)
{
    struct err err;
    if (write_anew(j, &err) == 0)
        return;
    log_warning("journal", "grows", "%s", err.message);
    j->renew_at = 2 * j->size;
}

static void on_synced(uv_fs_t *request);

static void start_sync(struct journal *j)
{
    j->busy = true;
    j->dirty = false;
    j->syncing = j->written;
    j->sync.data = j;
    uv_fs_fdatasync(j->node->loop, &j->sync, j->fd, on_synced);
}

// The file is on disk: now its name.
static void start_move(struct journal *j)
{
    struct err err;
    j->moving = false;
    if (reserve_swap(j->path, &err))
        give_up(err.message);
    uv_fs_fsync(j->node->loop, &j->sync, j->dir_fd, on_synced);
}

static void on_synced(uv_fs_t *request)
{
    struct journal *j = request->data;
    ssize_t rc = request->result;
    uv_fs_req_cleanup(request);
    if (rc < 0) {
        errno = (int)-rc;
        give_up("cannot fsync");
    }
    if (j->moving) {
        start_move(j);
        return;
    }
    j->busy = false;
    j->durable = j->syncing;
    node_release(j->node, j->durable);
    journal_flush(j->node);
}

void journal_flush(struct node *n)
{
    struct journal *j = n->journal;
    if (!j)
        return;
    if (j->dirty && !j->busy && j->size >= j->renew_at)
        renew(j);
    if (j->dirty && !j->busy)
        start_sync(j);
    node_release(n, j->durable);
}

static void fill_id(Muster__AttemptId *to, struct attempt_id id)
{
    muster__attempt_id__init(to);
    to->cluster = id.cluster.v;
    to->job_uid = id.job.v;
    to->number = id.number;
}

static void write_end(struct node *n, const struct agent_output *o)
{
    Muster__JournalRecord record = MUSTER__JOURNAL_RECORD__INIT;
    Muster__End *end;
    message_end_make(n, o->id, &end);
    record.body_case = MUSTER__JOURNAL_RECORD__BODY_END;
    record.end = end;
    journal_append(n->journal, &record, o->record);
    muster__end__free_unpacked(end, NULL);
}

void journal_write(struct node *n, const struct agent_output *o)
{
    Muster__JournalRecord record = MUSTER__JOURNAL_RECORD__INIT;
    Muster__JournalTerm term = MUSTER__JOURNAL_TERM__INIT;
    Muster__EndAck ack = MUSTER__END_ACK__INIT;
    Muster__AttemptId id;
    fill_id(&id, o->id);
    switch (o->what) {
    case AGENT_RECORD_TERM:
        restore_keep_cluster(n);
        term.cluster = agent_cluster(n->core).v;
        term.term = agent_term_seen(n->core);
        term.nonce = agent_nonce_seen(n->core);
        record.body_case = MUSTER__JOURNAL_RECORD__BODY_TERM;
        record.term = &term;
        break;
    case AGENT_RECORD_ORDER:
        record.body_case = MUSTER__JOURNAL_RECORD__BODY_ORDER;
        record.order = held_find(n, o->id)->launch;
        break;
    case AGENT_RECORD_REFUSAL:
    case AGENT_RECORD_END:
        write_end(n, o);
        return;
    case AGENT_RECORD_END_ACK:
        ack.attempt = &id;
        record.body_case = MUSTER__JOURNAL_RECORD__BODY_END_ACK;
        record.end_ack = &ack;
        break;
    }
    journal_append(n->journal, &record, o->record);
}

void journal_adopt(struct node *n, Muster__Launch *order)
{
    Muster__JournalRecord record = MUSTER__JOURNAL_RECORD__INIT;
    record.body_case = MUSTER__JOURNAL_RECORD__BODY_ORDER;
    record.order = order;
    journal_append(n->journal, &record, 0);
    journal_flush(n);
}

// ---- start ----

// Is there a whole record anywhere in [at, end)? Then what is before it was no tail.
static bool record_follows(const uint8_t *bytes, size_t at, size_t end)
{
    size_t work = SEARCH_BYTES;
    for (; end - at >= HEADER; at++) {
        size_t len = read_u32(bytes + at);
        if (len == 0 || len > end - at - HEADER)
            continue;
        if (len > work || checksum(bytes + at + HEADER, len) == read_u32(bytes + at + 4))
            return true; // or too much to look at
        work -= len;
    }
    return false;
}

// Do the bytes from `at`, where no good record is, look like one whose writing was cut off? Then
// nothing but zeros (of the reserve) follows a part of it.
static bool torn(const uint8_t *bytes, size_t at, size_t size)
{
    size_t end = size;
    while (end > at && bytes[end - 1] == 0)
        end--;
    if (end - at < HEADER)
        return true;
    size_t len = read_u32(bytes + at);
    return len && len <= RECORD_MAX && end - at - HEADER < len &&
           !record_follows(bytes, at + 1, end);
}

// Replays the records; *ret_good is where the good part ends. False: damaged before the tail.
static bool replay(struct node *n, const uint8_t *bytes, size_t size, size_t *ret_good)
{
    size_t at = 0;
    while (size - at >= HEADER) {
        size_t len = read_u32(bytes + at);
        if (len == 0 || len > RECORD_MAX || len > size - at - HEADER ||
            checksum(bytes + at + HEADER, len) != read_u32(bytes + at + 4))
            break;
        Muster__JournalRecord *r = muster__journal_record__unpack(NULL, len, bytes + at + HEADER);
        if (!r) {
            *ret_good = at;
            return false;
        }
        restore_record(n, r);
        muster__journal_record__free_unpacked(r, NULL);
        at += HEADER + len;
    }
    *ret_good = at;
    return torn(bytes, at, size);
}

static int read_file(const char *path, uint8_t **ret, size_t *ret_size, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, errno == ENOENT ? E_NOT_FOUND : E_IO, "cannot open \"%s\": %m", path);
    struct stat st;
    ssize_t n = -1;
    uint8_t *bytes = NULL;
    if (fstat(fd, &st) == 0) {
        bytes = xmalloc((size_t)st.st_size);
        n = read(fd, bytes, (size_t)st.st_size);
    }
    close(fd);
    if (n != st.st_size) {
        free(bytes);
        return fail(err, E_IO, "cannot read \"%s\": %m", path);
    }
    *ret = bytes;
    *ret_size = (size_t)n;
    return 0;
}

static int begin_anew(struct journal *j, struct err *err)
{
    struct err later;
    int rc = write_anew(j, err);
    if (rc == 0 && fsync(j->fd))
        rc = fail(err, E_IO, "cannot write \"%s\": %m", j->path);
    if (rc == 0)
        rc = reserve_swap(j->path, err);
    if (rc)
        return rc;
    fsync(j->dir_fd);
    j->moving = j->dirty = false;
    if (reserve_prepare(j->path, RESERVE_BYTES, &later))
        log_warning("journal", "no_spare", "%s", later.message);
    return 0;
}

static int open_dir(struct journal *j, struct err *err)
{
    const char *dir = j->node->dir;
    j->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return j->dir_fd < 0 ? fail(err, E_IO, "cannot open \"%s\": %m", dir) : 0;
}

static struct journal *journal_new(struct node *n)
{
    struct journal *j = xcalloc(1, sizeof *j);
    j->node = n;
    j->path = xasprintf("%s/journal", n->dir);
    j->fd = j->dir_fd = -1;
    return j;
}

int journal_open(struct node *n, struct err *err)
{
    AUTO_FREE uint8_t *bytes = NULL;
    size_t size = 0, good = 0;
    n->journal = journal_new(n);
    const char *path = n->journal->path;
    int rc = open_dir(n->journal, err);
    if (rc)
        return rc;
    rc = read_file(path, &bytes, &size, err);
    if (rc && rc != E_NOT_FOUND)
        return rc;
    bool whole = rc || replay(n, bytes, size, &good);
    if (n->journal_version > JOURNAL_VERSION)
        return fail(err, E_REFUSED,
                    "\"%s\" was written by a newer agent: version %u; this one reads up to %d. "
                    "Start that agent; what runs here goes on.",
                    path, n->journal_version, JOURNAL_VERSION);
    if (!whole) {
        n->journal_intact = false;
        AUTO_FREE char *aside = xasprintf("%s.damaged", path);
        rename(path, aside);
        log_error("journal", "damaged", "after byte %zu; kept as \"%s\"", good, aside);
    }
    if (rc == E_NOT_FOUND && n->journal_intact == false)
        log_error("journal", "lost", "\"%s\" is not there, though this node has had one", path);
    restore_finish(n);
    return begin_anew(n->journal, err);
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    struct err err;
    if (fsync(j->fd) == 0 && j->moving && reserve_swap(j->path, &err))
        log_error("journal", "failed", "%s", err.message);
    close(j->fd);
    close(j->dir_fd);
    free(j->path);
    free(j);
}
