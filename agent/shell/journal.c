// The journal: append-only, one record after another: 4-byte length and CRC-32 of the bytes (both
// little-endian), then a JournalRecord. A torn tail is cut off; damage before it means that the
// journal is not intact. At each start it is rewritten with what is still true.
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

enum { HEADER = 8, RECORD_MAX = FRAME_MAX, RESERVE_BYTES = 4 << 20, SEARCH_BYTES = 256 << 20 };

struct journal {
    struct node *node;
    int fd;
    off_t size;
    uint64_t written, syncing, durable; // record numbers
    uv_fs_t sync;
    bool busy, dirty;
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

void journal_append(struct journal *j, const Muster__JournalRecord *record, uint64_t number)
{
    size_t len = muster__journal_record__get_packed_size(record);
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

static void start_sync(struct journal *j);

static void on_synced(uv_fs_t *request)
{
    struct journal *j = request->data;
    ssize_t rc = request->result;
    uv_fs_req_cleanup(request);
    j->busy = false;
    if (rc < 0) {
        errno = (int)-rc;
        give_up("cannot fsync");
    }
    j->durable = j->syncing;
    node_release(j->node, j->durable);
    journal_flush(j->node);
}

static void start_sync(struct journal *j)
{
    j->busy = true;
    j->dirty = false;
    j->syncing = j->written;
    j->sync.data = j;
    uv_fs_fdatasync(j->node->loop, &j->sync, j->fd, on_synced);
}

void journal_flush(struct node *n)
{
    struct journal *j = n->journal;
    if (!j)
        return;
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

static int rewrite(struct node *n, const char *path, struct err *err)
{
    AUTO_FREE char *temp = xasprintf("%s.new", path);
    struct journal *j = n->journal;
    j->fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (j->fd < 0)
        return fail(err, E_IO, "cannot make \"%s\": %m", temp);
    // Space for the ENDs of what runs, should the disk fill up.
    if (posix_fallocate(j->fd, 0, RESERVE_BYTES) == ENOSPC)
        return fail(err, E_NO_SPACE, "the disk of \"%s\" is full. The journal needs %d MiB.", path,
                    RESERVE_BYTES >> 20);
    restore_rewrite(n, j);
    if (fsync(j->fd) || rename(temp, path))
        return fail(err, E_IO, "cannot write \"%s\": %m", path);
    int dir = open(n->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        fsync(dir);
        close(dir);
    }
    j->dirty = false;
    return 0;
}

int journal_open(struct node *n, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/journal", n->dir);
    AUTO_FREE uint8_t *bytes = NULL;
    size_t size = 0, good = 0;
    n->journal = xcalloc(1, sizeof *n->journal);
    n->journal->node = n;
    int rc = read_file(path, &bytes, &size, err);
    if (rc && rc != E_NOT_FOUND)
        return rc;
    if (rc == 0 && !replay(n, bytes, size, &good)) {
        n->journal_intact = false;
        AUTO_FREE char *aside = xasprintf("%s.damaged", path);
        rename(path, aside);
        log_error("journal", "damaged", "after byte %zu; kept as \"%s\"", good, aside);
    }
    if (rc == E_NOT_FOUND && n->journal_intact == false)
        log_error("journal", "lost", "\"%s\" is not there, though this node has had one", path);
    restore_finish(n);
    return rewrite(n, path, err);
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    fsync(j->fd);
    close(j->fd);
    free(j);
}
