// Output of tasks, read on demand from the node's spool.
#include "agent/shell/node.h"

#include "common/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_MAX = 1 << 20 };

// The directory is the task's user's, who may put there what he likes: a link or a pipe is not
// read.
static int open_plain(const char *path, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    if (fd >= 0) {
        close(fd);
        errno = EINVAL;
    }
    return -1;
}

static int64_t read_dropped(const char *path)
{
    AUTO_FREE char *name = xasprintf("%s.dropped", path);
    char text[32] = "";
    struct stat st;
    int fd = open_plain(name, &st);
    if (fd < 0)
        return 0;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    return len > 0 ? strtoll(text, NULL, 10) : 0;
}

static bool over(struct node *n, struct attempt_id id)
{
    const struct agent_attempt *t = agent_find(n->core, id);
    return !t || t->phase == ATTEMPT_ENDED;
}

static void answer(struct node *n, Muster__OutputData *data)
{
    Muster__FromAgent message = MUSTER__FROM_AGENT__INIT;
    message.body_case = MUSTER__FROM_AGENT__BODY_OUTPUT_DATA;
    message.output_data = data;
    link_send(n, &message);
}

void spool_read(struct node *n, const Muster__ReadOutput *q)
{
    struct attempt_id id = {agent_cluster(n->core), {q->job_uid}, q->attempt};
    char name[ATTEMPT_NAME_MAX];
    attempt_name(id, name);
    AUTO_FREE char *path =
        xasprintf("%s/%s/%u.%s", n->spool_dir, name, q->rank, q->stream == 2 ? "err" : "out");
    Muster__OutputData data = MUSTER__OUTPUT_DATA__INIT;
    data.query = q->query;
    data.ended = over(n, id); // looked at before the file: nothing is missed
    struct stat st;
    int fd = open_plain(path, &st);
    if (fd < 0) {
        if (errno == EINVAL || errno == ELOOP)
            data.error = "what is in its place is not a file";
        else if (errno != ENOENT || data.ended)
            data.error =
                "the output is no longer there: the node keeps that of the newest attempts "
                "(muster-agent --spool-limit)";
        answer(n, &data);
        return;
    }
    int64_t offset = q->offset < 0 ? st.st_size + q->offset : q->offset;
    offset = offset < 0 ? 0 : offset > st.st_size ? st.st_size : offset;
    size_t limit = q->limit < READ_MAX ? q->limit : READ_MAX;
    AUTO_FREE uint8_t *bytes = xmalloc(limit);
    ssize_t len = pread(fd, bytes, limit, offset);
    close(fd);
    data.data = (ProtobufCBinaryData){len > 0 ? (size_t)len : 0, bytes};
    data.offset = offset;
    data.size = st.st_size;
    data.dropped = read_dropped(path);
    answer(n, &data);
}
