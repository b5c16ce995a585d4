// Where the output of a task lies, and the request for it to that node's agent.
#include "scheduler/shell/server.h"

#include "common/alloc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The node of a rank: live placements first, then the results of ended tasks.
static const char *node_of(const json_t *job, int64_t rank, int64_t attempt)
{
    size_t i;
    json_t *p;
    json_array_foreach(json_object_get(job, "placements"), i, p)
    {
        int64_t first = json_integer_value(json_object_get(p, "first_rank"));
        int64_t tasks = json_integer_value(json_object_get(p, "tasks"));
        if (json_integer_value(json_object_get(p, "attempt")) == attempt && rank >= first &&
            rank < first + tasks)
            return json_string_value(json_object_get(p, "node"));
    }
    json_array_foreach(json_object_get(job, "task_results"), i, p)
    {
        if (json_integer_value(json_object_get(p, "rank")) == rank &&
            json_integer_value(json_object_get(p, "attempt")) == attempt)
            return json_string_value(json_object_get(p, "node"));
    }
    return NULL;
}

struct wanted {
    int64_t attempt, rank, offset, limit;
    uint32_t stream; // 1: stdout, 2: stderr
};

static int take(const struct http_req *r, const json_t *job, struct wanted *ret, struct err *err)
{
    AUTO_FREE char *stream = api_parameter(r, "stream");
    int64_t tasks = json_integer_value(json_object_get(job, "tasks"));
    *ret = (struct wanted){.attempt = json_integer_value(json_object_get(job, "attempt")),
                           .limit = 65536,
                           .stream = stream && strcmp(stream, "stderr") == 0 ? 2 : 1};
    if (stream && strcmp(stream, "stdout") != 0 && ret->stream == 1)
        return fail(err, E_INVALID, "there is no stream \"%.64s\". Use stdout or stderr.", stream);
    int rc = api_parameter_int(r, "attempt", 1, UINT32_MAX, &ret->attempt, err);
    if (rc == 0)
        rc = api_parameter_int(r, "task", INT64_MIN, INT64_MAX, &ret->rank, err);
    if (rc == 0 && (ret->rank < 0 || ret->rank >= tasks))
        rc = fail(err, E_INVALID,
                  "there is no task %" PRId64 "; the job has %" PRId64 ", numbered from 0",
                  ret->rank, tasks);
    if (rc == 0)
        rc = api_parameter_int(r, "offset", INT64_MIN, INT64_MAX, &ret->offset, err);
    if (rc == 0)
        rc = api_parameter_int(r, "limit", 0, UINT32_MAX, &ret->limit, err);
    return rc;
}

void api_logs(struct server *s, const struct http_req *r, const json_t *job)
{
    bool admin = r->uid == 0 || r->uid == geteuid();
    const char *hex = json_string_value(json_object_get(job, "job_uid"));
    struct wanted w;
    struct err err;
    if (!admin && json_integer_value(json_object_get(job, "uid")) != r->uid) {
        api_error(s, r->handle, 403, "not_owner", "the job belongs to another user", "");
        return;
    }
    if (take(r, job, &w, &err)) {
        api_error(s, r->handle, 400, errcode_word(err.code), err.message, "");
        return;
    }
    const char *node = node_of(job, w.rank, w.attempt);
    if (!w.attempt || !node || !hex) {
        api_error(s, r->handle, 409, "no_output", "the job has not started anything",
                  "`schedctl job why` tells what it waits for.");
        return;
    }
    agent_read_output(s, r->handle, node, strtoull(hex, NULL, 16), (uint32_t)w.attempt,
                      (uint32_t)w.rank, w.stream, w.offset, (uint32_t)w.limit);
}
