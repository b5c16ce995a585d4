// Where the output of a task lies, and the request for it to that node's agent.
#include "scheduler/shell/server.h"

#include "common/alloc.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int api_user(const char *user, int64_t *ret)
{
    char *end;
    long long v = strtoll(user, &end, 10);
    if (*user && !*end && v >= 0) {
        *ret = v;
        return 0;
    }
    const struct passwd *pw = getpwnam(user);
    if (!pw)
        return E_NOT_FOUND;
    *ret = pw->pw_uid;
    return 0;
}

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

static int64_t number(const struct http_req *r, const char *name, int64_t otherwise)
{
    AUTO_FREE char *v = api_parameter(r, name);
    return v ? strtoll(v, NULL, 10) : otherwise;
}

void api_logs(struct server *s, const struct http_req *r, const json_t *job)
{
    AUTO_FREE char *stream = api_parameter(r, "stream");
    bool admin = r->uid == 0 || r->uid == geteuid();
    int64_t newest = json_integer_value(json_object_get(job, "attempt"));
    int64_t attempt = number(r, "attempt", newest), rank = number(r, "task", 0);
    int64_t tasks = json_integer_value(json_object_get(job, "tasks"));
    int64_t limit = number(r, "limit", 65536);
    const char *hex = json_string_value(json_object_get(job, "job_uid"));
    char message[160];
    if (!admin && json_integer_value(json_object_get(job, "uid")) != r->uid) {
        api_error(s, r->handle, 403, "not_owner", "the job belongs to another user", "");
        return;
    }
    if (rank < 0 || rank >= tasks) {
        snprintf(message, sizeof message, "there is no task %" PRId64 "; the job has %" PRId64,
                 rank, tasks);
        api_error(s, r->handle, 400, "invalid", message, "Tasks are numbered from 0.");
        return;
    }
    const char *node = node_of(job, rank, attempt);
    if (!attempt || !node || !hex) {
        api_error(s, r->handle, 409, "no_output", "the job has not started anything",
                  "`schedctl job why` tells what it waits for.");
        return;
    }
    agent_read_output(s, r->handle, node, strtoull(hex, NULL, 16), (uint32_t)attempt,
                      (uint32_t)rank, stream && strcmp(stream, "stderr") == 0 ? 2 : 1,
                      number(r, "offset", 0), (uint32_t)(limit < 0 ? 0 : limit));
}
