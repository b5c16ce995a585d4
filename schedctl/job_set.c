// job set: changes of a pending job.
#include "common/alloc.h"
#include "common/units.h"
#include "schedctl/ctl.h"
#include "schedctl/jobname.h"
#include "schedctl/request.h"
#include "schedctl/suggest.h"

#include <string.h>

static const char *const keys[] = {"dependency", "begin", "deadline",
                                   "time",       "nice",  "array_limit"};

static int unknown(const char *key, struct err *err)
{
    struct suggest s = suggest_begin(key);
    for (size_t i = 0; i < COUNT(keys); i++)
        suggest_offer(&s, keys[i]);
    if (s.best)
        return fail(err, E_INVALID, "a pending job has no \"%.64s\" to set. Did you mean \"%s\"?",
                    key, s.best);
    return fail(
        err, E_INVALID,
        "a pending job has no \"%.64s\" to set. Use dependency, begin, deadline, time, nice "
        "or array_limit.",
        key);
}

static bool is_known(const char *key)
{
    for (size_t i = 0; i < COUNT(keys); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

static int add(json_t *body, const char *setting, struct err *err)
{
    const char *equals = strchr(setting, '=');
    int64_t number;
    json_t *value = NULL;
    if (!equals)
        return fail(err, E_INVALID, "\"%.64s\" is no setting. Write key=value.", setting);
    AUTO_FREE char *key = xstrndup(setting, (size_t)(equals - setting));
    const char *text = equals + 1;
    const struct request_field *f = request_field_of_key(key);
    int rc = is_known(key) ? 0 : unknown(key, err);
    if (rc)
        return rc;
    if (strcmp(text, "none") == 0)
        value = json_null();
    else if (f)
        rc = request_value(f, text, key, &value, err);
    else if (!(rc = parse_int(text, key, -1000000, 1000000, &number, err)))
        value = json_integer(number);
    if (!rc)
        json_object_set_new(body, f ? f->json : key, value);
    return rc;
}

static int run_job_set(struct ctl *ctl)
{
    struct err err;
    const struct args *a = &ctl->args;
    json_t *body = json_object();
    int rc = job_name_check(a->operands[0], &err);
    for (size_t i = 1; !rc && i < a->operands_count; i++)
        rc = add(body, a->operands[i], &err);
    if (!rc)
        rc = ctl_connect(ctl, &err);
    AUTO_FREE char *path = job_path(a->operands[0], "/set");
    if (!rc)
        rc = client_post(ctl->client, path, body, NULL, &err);
    json_decref(body);
    return rc ? (int)report(&err) : CTL_OK;
}

const struct verb verb_job_set = {
    .name = "job set",
    .usage = "JOB KEY=VALUE...",
    .operands_min = 2,
    .operands_max = -1,
    .summary = "change a pending job",
    .text = "KEY is dependency, begin, deadline, time, nice or array_limit, with the values of "
            "`schedctl submit`; none takes it away. All is judged before anything is changed: a "
            "change that is refused leaves the job as it was. Prints nothing.",
    .examples = {{"job set 17 dependency=afterok:12:13", "It waits for two others."},
                 {"job set 17 begin=none time=2h", "It may begin now, and has two hours."}},
    .run = run_job_set,
};
