// A JobRequest in JSON to a submission: the specification that the store keeps, and the request
// that the core decides on. Every key is named in one table; unknown keys are refused by name.
#include "scheduler/shell/server.h"

#include "common/alloc.h"
#include "common/units.h"

#include <inttypes.h>
#include <limits.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

enum { ARGV_MAX = 4 << 20, NAME_MAX_BYTES = 255 };

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// ---- typed members ----

static int wrong_type(const char *key, const char *want, struct err *err)
{
    return fail(err, E_INVALID, "\"%s\" must be %s", key, want);
}

static int get_int(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *ret,
                   struct err *err)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_integer(v))
        return wrong_type(key, "a whole number", err);
    int64_t n = json_integer_value(v);
    if (n < min || n > max)
        return fail(err, E_INVALID, "\"%s\" is %" PRId64 "; it must be %" PRId64 " to %" PRId64,
                    key, n, min, max);
    *ret = n;
    return 0;
}

// A number of at most three decimals, in thousandths.
static int get_milli(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *ret,
                     struct err *err)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_number(v))
        return wrong_type(key, "a number", err);
    double scaled = json_number_value(v) * 1000, off;
    AUTO(text) struct text least = {0}, most = {0};
    text_add_milli(&least, min);
    text_add_milli(&most, max);
    if (!(scaled > (double)min - 1 && scaled < (double)max + 1))
        return fail(err, E_INVALID, "\"%s\" is %g; it must be %s to %s", key, json_number_value(v),
                    text_str(&least), text_str(&most));
    int64_t milli = (int64_t)(scaled + 0.5);
    off = scaled - (double)milli;
    if (off > 1e-6 || off < -1e-6)
        return fail(err, E_INVALID, "\"%s\" has more than three decimals. Round it.", key);
    if (milli < min || milli > max)
        return fail(err, E_INVALID, "\"%s\" is %g; it must be %s to %s", key, json_number_value(v),
                    text_str(&least), text_str(&most));
    *ret = milli;
    return 0;
}

static int get_text(const json_t *o, const char *key, const char **ret, struct err *err)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_string(v))
        return wrong_type(key, "a string", err);
    *ret = json_string_value(v);
    if (strlen(*ret) != json_string_length(v))
        return fail(err, E_INVALID, "\"%s\" holds a NUL character", key);
    return 0;
}

static int get_bool(const json_t *o, const char *key, bool *ret, struct err *err)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_boolean(v))
        return wrong_type(key, "true or false", err);
    *ret = json_is_true(v);
    return 0;
}

static int check_keys(const json_t *body, struct err *err)
{
    static const char *const known[] = {"argv",
                                        "name",
                                        "cwd",
                                        "env",
                                        "tasks",
                                        "nodes",
                                        "cpus",
                                        "gpus",
                                        "memory_mib",
                                        "time_limit_ms",
                                        "grace_ms",
                                        "on_lost",
                                        "max_attempts",
                                        "priority",
                                        "nice",
                                        "hold",
                                        "mpi",
                                        "array",
                                        "request_id",
                                        "allow_unsatisfiable",
                                        "output_limit",
                                        "queue",
                                        "account",
                                        "qos",
                                        "reservation",
                                        "bind",
                                        "tasks_per_node",
                                        "exclusive",
                                        "spread",
                                        "constraint",
                                        "prefer"};
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)body, key, v)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found |= strcmp(key, known[i]) == 0;
        if (!found)
            return fail(err, E_INVALID, "unknown key \"%.64s\" in the job request", key);
    }
    return 0;
}

// ---- the specification ----

static int take_argv(const json_t *body, Muster__JobSpec *spec, struct err *err)
{
    const json_t *list = json_object_get(body, "argv");
    size_t n = json_array_size(list), total = 0;
    if (!json_is_array(list) || n == 0)
        return fail(err, E_INVALID, "\"argv\" must be a list that begins with the program");
    spec->argv = xcalloc(n, sizeof *spec->argv);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
            return fail(err, E_INVALID, "argument %zu is not a string without NUL", i);
        total += json_string_length(v) + 1;
        spec->argv[spec->n_argv++] = xstrdup(json_string_value(v));
    }
    if (!*spec->argv[0])
        return fail(err, E_INVALID, "the program's name is empty");
    if (total > ARGV_MAX)
        return fail(err, E_TOO_LARGE,
                    "the arguments are %zu bytes; at most %d can be sent. Put "
                    "the data into a file.",
                    total, ARGV_MAX);
    return 0;
}

static void add_env(Muster__JobSpec *spec, const char *name, const char *value)
{
    spec->env = xreallocarray(spec->env, spec->n_env + 1, sizeof *spec->env);
    spec->env[spec->n_env++] = xasprintf("%s=%s", name, value);
}

static bool names(const json_t *env, const char *name)
{
    return env && json_object_get(env, name);
}

static int take_env(const json_t *body, uint32_t uid, Muster__JobSpec *spec, struct err *err)
{
    const json_t *env = json_object_get(body, "env");
    const char *key;
    json_t *v;
    size_t total = 0;
    if (env && !json_is_object(env))
        return wrong_type("env", "an object of names and values", err);
    json_object_foreach((json_t *)env, key, v)
    {
        if (!*key || strchr(key, '=') || !json_is_string(v))
            return fail(err, E_INVALID, "the environment's \"%.64s\" is no name with a string",
                        key);
        total += strlen(key) + json_string_length(v) + 2;
        add_env(spec, key, json_string_value(v));
    }
    if (total > ARGV_MAX)
        return fail(err, E_TOO_LARGE, "the environment is %zu bytes; at most %d can be sent", total,
                    ARGV_MAX);
    const struct passwd *pw = getpwuid(uid);
    const struct {
        const char *name, *value;
    } base[] = {{"PATH", default_path},
                {"HOME", pw ? pw->pw_dir : "/"},
                {"USER", pw ? pw->pw_name : "nobody"},
                {"LOGNAME", pw ? pw->pw_name : "nobody"},
                {"LANG", "C.UTF-8"}};
    for (size_t i = 0; i < sizeof base / sizeof *base; i++)
        if (!names(env, base[i].name))
            add_env(spec, base[i].name, base[i].value);
    return 0;
}

static int take_spec(const json_t *body, uint32_t uid, Muster__JobSpec *spec, struct err *err)
{
    const char *name = NULL, *cwd = NULL, *queue = QUEUE_DEFAULT;
    bool bind = true;
    int64_t output = 0;
    int rc = take_argv(body, spec, err);
    if (rc == 0)
        rc = take_env(body, uid, spec, err);
    if (rc == 0)
        rc = get_text(body, "name", &name, err);
    if (rc == 0)
        rc = get_text(body, "cwd", &cwd, err);
    if (rc == 0)
        rc = get_text(body, "queue", &queue, err);
    if (rc == 0)
        rc = get_bool(body, "bind", &bind, err);
    if (rc == 0)
        rc = get_int(body, "output_limit", 0, INT64_C(1) << 40, &output, err);
    if (rc)
        return rc;
    if (!name) {
        const char *slash = strrchr(spec->argv[0], '/');
        name = slash && slash[1] ? slash + 1 : spec->argv[0];
    }
    if (cwd && (*cwd != '/' || strlen(cwd) >= PATH_MAX))
        return fail(err, E_INVALID, "\"cwd\" must be an absolute path below %d bytes", PATH_MAX);
    spec->name = xstrndup(name, NAME_MAX_BYTES);
    spec->cwd = xstrdup(cwd ? cwd : "/");
    spec->queue = xstrdup(queue);
    spec->no_bind = !bind;
    spec->output_limit = (uint64_t)output;
    return 0;
}

static void spec_clear(Muster__JobSpec *spec)
{
    for (size_t i = 0; i < spec->n_argv; i++)
        free(spec->argv[i]);
    for (size_t i = 0; i < spec->n_env; i++)
        free(spec->env[i]);
    free(spec->argv);
    free(spec->env);
    if (spec->name != protobuf_c_empty_string)
        free(spec->name);
    if (spec->cwd != protobuf_c_empty_string)
        free(spec->cwd);
    if (spec->queue != protobuf_c_empty_string)
        free(spec->queue);
}

static int pack_spec(const json_t *body, uint32_t uid, struct submission *ret, struct err *err)
{
    Muster__JobSpec spec = MUSTER__JOB_SPEC__INIT;
    unsigned len;
    int rc = take_spec(body, uid, &spec, err);
    if (rc == 0) {
        ret->spec_len = muster__job_spec__get_packed_size(&spec);
        if (ret->spec_len > FRAME_SPEC_MAX + (ARGV_MAX >> 2))
            rc = fail(err, E_TOO_LARGE, "arguments and environment are %zu bytes; at most %d",
                      ret->spec_len, FRAME_SPEC_MAX);
    }
    if (rc == 0) {
        ret->spec = xmalloc(ret->spec_len);
        muster__job_spec__pack(&spec, ret->spec);
        EVP_Digest(ret->spec, ret->spec_len, ret->submit.spec.b, &len, EVP_sha256(), NULL);
    }
    spec_clear(&spec);
    return rc;
}

// ---- the request ----

static int take_on_lost(const json_t *body, struct request *req, struct err *err)
{
    const char *word = "wait";
    int rc = get_text(body, "on_lost", &word, err);
    if (rc || strcmp(word, "wait") == 0)
        return rc;
    if (strcmp(word, "requeue") == 0) {
        req->lease_ms = 600000;
        return 0;
    }
    if (strncmp(word, "requeue:", 8) != 0)
        return fail(err, E_INVALID, "on_lost \"%.64s\" is unknown. Use wait or requeue:10m.", word);
    rc = parse_duration_ms(word + 8, "on_lost requeue", &req->lease_ms, err);
    if (rc == 0 && req->lease_ms < 10000)
        return fail(err, E_INVALID, "on_lost requeue:T needs T of at least 10s, not \"%.32s\"",
                    word + 8);
    return rc;
}

static int take_mpi(const json_t *body, struct request *req, struct err *err)
{
    const char *word = "auto";
    int rc = get_text(body, "mpi", &word, err);
    if (rc)
        return rc;
    if (strcmp(word, "auto") == 0)
        req->pmix = req->tasks > 1;
    else if (strcmp(word, "pmix") == 0)
        req->pmix = true;
    else if (strcmp(word, "none") != 0)
        return fail(err, E_INVALID, "mpi \"%.64s\" is unknown. Use auto, pmix or none.", word);
    return 0;
}

static int take_array(const json_t *body, struct input_submit *in, struct err *err)
{
    const char *range = NULL;
    long long first, last;
    int end = 0;
    int rc = get_text(body, "array", &range, err);
    if (rc || !range)
        return rc;
    if (sscanf(range, "%9lld-%9lld%n", &first, &last, &end) != 2 || range[end] || first < 0 ||
        last < first)
        return fail(err, E_INVALID, "array \"%.64s\" is not a range. Write it as 0-9999.", range);
    if (last - first >= JOB_ARRAY_MAX)
        return fail(err, E_INVALID, "array \"%.64s\" has %lld elements; at most %d", range,
                    last - first + 1, JOB_ARRAY_MAX);
    in->array_first = first;
    in->array_count = last - first + 1;
    return 0;
}

// Cores and GPUs: whole ones and parts.
static int take_amounts(const json_t *body, struct request *req, struct err *err)
{
    int64_t cpus = 1000, gpus = 0;
    int rc = get_milli(body, "cpus", 1, CORESET_MAX * 1000, &cpus, err);
    if (rc == 0)
        rc = get_milli(body, "gpus", 0, NODE_GPUS_MAX * 1000, &gpus, err);
    if (rc)
        return rc;
    if (gpus > 1000 && gpus % 1000)
        return fail(err, E_INVALID,
                    "\"gpus\" is %g: a task has whole GPUs or a share of one. Ask for a share "
                    "below 1, or for a whole number.",
                    (double)gpus / 1000);
    req->cpus = (int32_t)(cpus / 1000);
    req->cpu_milli = (int32_t)(cpus % 1000);
    req->gpus = (int32_t)(gpus / 1000);
    req->gpu_milli = (int32_t)(gpus % 1000);
    return get_int(body, "memory_mib", 0, INT64_C(1) << 40, &req->memory_mib, err);
}

// How tasks lie on nodes, and on which.
static int take_shape(const json_t *body, struct submission *ret, struct err *err)
{
    struct input_submit *in = &ret->submit;
    const char *need = NULL, *prefer = NULL;
    int64_t per_node = 0;
    int rc = get_int(body, "tasks_per_node", 1, JOB_TASKS_MAX, &per_node, err);
    if (rc == 0)
        rc = get_bool(body, "exclusive", &in->req.exclusive, err);
    if (rc == 0)
        rc = get_bool(body, "spread", &in->req.spread, err);
    if (rc == 0)
        rc = get_text(body, "constraint", &need, err);
    if (rc == 0)
        rc = get_text(body, "prefer", &prefer, err);
    if (rc)
        return rc;
    if ((need && !*need) || (prefer && !*prefer))
        return fail(err, E_INVALID,
                    "\"%s\" is empty. Leave it out, or write terms such as zone=a & !spot.",
                    need && !*need ? "constraint" : "prefer");
    in->req.tasks_per_node = (int32_t)per_node;
    in->need = ret->need = need ? xstrdup(need) : NULL;
    in->prefer = ret->prefer = prefer ? xstrdup(prefer) : NULL;
    return 0;
}

static int take_request(const json_t *body, struct input_submit *in, struct err *err)
{
    int64_t tasks = 1, nodes = 0, priority = 0, nice = 0, attempts = 0;
    struct request *req = &in->req;
    req->grace_ms = 10000;
    int rc = get_int(body, "tasks", 1, JOB_TASKS_MAX, &tasks, err);
    if (rc == 0)
        rc = get_int(body, "nodes", 1, NODES_MAX, &nodes, err);
    if (rc == 0)
        rc = take_amounts(body, req, err);
    if (rc == 0)
        rc = get_int(body, "time_limit_ms", 0, INT64_C(1) << 40, &req->time_limit_ms, err);
    if (rc == 0)
        rc = get_int(body, "grace_ms", 0, 86400000, &req->grace_ms, err);
    if (rc == 0)
        rc = get_int(body, "priority", INT32_MIN, INT32_MAX, &priority, err);
    if (rc == 0)
        rc = get_int(body, "nice", 0, 1000000, &nice, err);
    if (rc == 0)
        rc = get_int(body, "max_attempts", 1, JOB_ATTEMPTS_MAX, &attempts, err);
    if (rc)
        return rc;
    if (nodes > tasks)
        return fail(err, E_INVALID,
                    "%" PRId64 " nodes cannot share %" PRId64 " task(s): ask for at "
                    "least one task a node with \"tasks\"",
                    nodes, tasks);
    req->tasks = (int32_t)tasks;
    req->nodes = (int32_t)nodes;
    in->priority = (int32_t)priority;
    in->nice = (int32_t)nice;
    in->max_attempts = (int32_t)attempts;
    return 0;
}

static int take_request_id(const json_t *body, uint32_t uid, struct input_submit *in,
                           struct err *err)
{
    const char *id = NULL;
    int rc = get_text(body, "request_id", &id, err);
    if (rc || !id)
        return rc;
    uint8_t out[EVP_MAX_MD_SIZE];
    unsigned len;
    AUTO_FREE char *named = xasprintf("%u/%s", uid, id);
    EVP_Digest(named, strlen(named), out, &len, EVP_sha256(), NULL);
    memcpy(&in->request_id, out, sizeof in->request_id);
    return 0;
}

static int take_name(const json_t *body, const char *key, char **ret, const char **ret_in,
                     struct err *err)
{
    const char *name = NULL;
    int rc = get_text(body, key, &name, err);
    if (rc || !name)
        return rc;
    if (!rule_name_is_good(name))
        return fail(err, E_INVALID, "\"%s\" is \"%.64s\", which is no name", key, name);
    *ret_in = *ret = xstrdup(name);
    return 0;
}

static int take_names(const json_t *body, struct submission *sub, struct err *err)
{
    struct input_submit *in = &sub->submit;
    int rc = take_name(body, "queue", &sub->queue, &in->queue, err);
    if (rc == 0)
        rc = take_name(body, "account", &sub->account, &in->account, err);
    if (rc == 0)
        rc = take_name(body, "qos", &sub->qos, &in->qos, err);
    if (rc == 0)
        rc = take_name(body, "reservation", &sub->reservation, &in->reservation, err);
    return rc;
}

int translate_submission(const json_t *body, uint32_t uid, uint32_t gid, struct submission *ret,
                         struct err *err)
{
    *ret = (struct submission){.submit = {.owner_uid = uid, .owner_gid = gid}};
    struct input_submit *in = &ret->submit;
    int rc = check_keys(body, err);
    if (rc == 0)
        rc = take_request(body, in, err);
    if (rc == 0)
        rc = take_shape(body, ret, err);
    if (rc == 0)
        rc = take_on_lost(body, &in->req, err);
    if (rc == 0)
        rc = take_mpi(body, &in->req, err);
    if (rc == 0)
        rc = take_array(body, in, err);
    if (rc == 0)
        rc = take_request_id(body, uid, in, err);
    if (rc == 0)
        rc = get_bool(body, "hold", &in->held, err);
    if (rc == 0)
        rc = get_bool(body, "allow_unsatisfiable", &in->allow_unsatisfiable, err);
    if (rc == 0)
        rc = take_names(body, ret, err);
    if (rc == 0)
        rc = pack_spec(body, uid, ret, err);
    if (rc)
        submission_free(ret);
    return rc;
}

void submission_free(struct submission *s)
{
    free(s->spec);
    free(s->queue);
    free(s->account);
    free(s->qos);
    free(s->reservation);
    free(s->need);
    free(s->prefer);
    *s = (struct submission){0};
}
