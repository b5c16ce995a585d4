// request_build(): a command line and a job file become one JobRequest.
#include "common/alloc.h"
#include "common/text.h"
#include "schedctl/client.h"
#include "schedctl/exits.h"
#include "schedctl/jobfile.h"
#include "schedctl/program.h"
#include "schedctl/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

extern char **environ;

static int set_variable(json_t *env, const char *name, const char *value, struct err *err)
{
    if (!*name)
        return fail(err, E_INVALID, "option --env has no name before \"=\"");
    json_t *v = json_string(value);
    if (!v || json_object_set_new(env, name, v))
        return fail(err, E_INVALID, "variable %.64s is not UTF-8 text", name);
    return 0;
}

// NAME=VALUE, or NAME with the value it has here.
static int add_variable(json_t *env, const char *text, struct err *err)
{
    const char *equals = strchr(text, '='), *here;
    AUTO_FREE char *name = equals ? xstrndup(text, (size_t)(equals - text)) : xstrdup(text);
    if (equals)
        return set_variable(env, name, equals + 1, err);
    if (!(here = getenv(name)))
        return fail(err, E_INVALID,
                    "variable %.64s is not set here. Set it, or write --env %.64s=VALUE.", name,
                    name);
    return set_variable(env, name, here, err);
}

// All variables that are text; others cannot travel and are named.
static void add_environment(json_t *env)
{
    for (char **p = environ; *p; p++) {
        const char *equals = strchr(*p, '=');
        if (!equals || equals == *p)
            continue;
        AUTO_FREE char *name = xstrndup(*p, (size_t)(equals - *p));
        if (!json_object_get(env, name) && set_variable(env, name, equals + 1, NULL))
            remark("variable %.64s is not UTF-8 text and is left out", name);
    }
}

static json_t *env_of(json_t *request)
{
    json_t *env = json_object_get(request, "env");
    if (!env) {
        env = json_object();
        json_object_set_new(request, "env", env);
    }
    return env;
}

// Names of programs mean in the job what they mean here.
static void add_path(json_t *request)
{
    const char *path = getenv("PATH");
    json_t *env = env_of(request);
    if (path && !json_object_get(env, "PATH"))
        set_variable(env, "PATH", path, NULL);
}

static const struct request_field *field_of_flag(const char *flag)
{
    for (size_t i = 0; i < request_fields_count; i++)
        if (request_fields[i].flag && strcmp(request_fields[i].flag, flag) == 0)
            return &request_fields[i];
    return NULL;
}

static int add_flag(json_t *request, const struct args_option *o, struct err *err)
{
    json_t *value;
    if (strcmp(o->opt->name, "no-bind") == 0) {
        json_object_set_new(request, "bind", json_false());
        return 0;
    }
    const struct request_field *f = field_of_flag(o->opt->name);
    if (!f) // an option of the verb's own
        return 0;
    if (f->kind == REQUEST_MAP)
        return add_variable(env_of(request), o->value, err);
    AUTO_FREE char *what = xasprintf("option --%s", o->opt->name);
    int rc = request_value(f, o->value ? o->value : "true", what, &value, err);
    if (!rc)
        json_object_set_new(request, f->json, value);
    return rc;
}

static int add_program(json_t *request, char **program, struct err *err)
{
    json_t *argv = json_array();
    for (size_t i = 0; program[i]; i++) {
        json_t *s = json_string(program[i]);
        if (!s) {
            json_decref(argv);
            return fail(err, E_INVALID, "argument %zu of the program is not UTF-8 text", i);
        }
        json_array_append_new(argv, s);
    }
    json_object_set_new(request, "argv", argv);
    return 0;
}

static int add_cwd(json_t *request, struct err *err)
{
    const char *cwd = json_string_value(json_object_get(request, "cwd"));
    if (cwd && cwd[0] == '/')
        return 0;
    AUTO_FREE char *here = getcwd(NULL, 0);
    if (!here)
        return fail(err, E_INVALID, "the current directory is gone: %s. Name one with --cwd.",
                    strerror(errno));
    AUTO_FREE char *full = cwd ? xasprintf("%s/%s", here, cwd) : xstrdup(here);
    json_t *value = json_string(full);
    if (!value)
        return fail(err, E_INVALID, "the directory's name is not UTF-8 text. Use --cwd.");
    json_object_set_new(request, "cwd", value);
    return 0;
}

static int add_request_id(json_t *request, struct err *err)
{
    unsigned char bytes[16];
    char id[2 * sizeof bytes + 1];
    if (json_object_get(request, "request_id"))
        return 0;
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return fail(err, E_SYSTEM, "no random numbers: %s", strerror(errno));
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    json_object_set_new(request, "request_id", json_string(id));
    return 0;
}

static int load_source(const struct args *a, json_t *request, struct err *err)
{
    if (a->operands_count && a->program)
        return fail(err, E_INVALID,
                    "both a job file \"%.64s\" and a program \"%.64s\" are named. Use one of them.",
                    a->operands[0], a->program[0] ? a->program[0] : "");
    if (a->operands_count)
        return jobfile_load(a->operands[0], request, err);
    if (!a->program || !a->program[0])
        return fail(err, E_INVALID, "no program is named: schedctl %s -- PROGRAM [ARGUMENTS]",
                    a->verb->name);
    return add_program(request, a->program, err);
}

static int build(const struct args *a, json_t *request, struct err *err)
{
    int rc = load_source(a, request, err);
    for (size_t i = 0; !rc && i < a->options_count; i++)
        rc = add_flag(request, &a->options[i], err);
    if (!rc && args_has(a, "env-all"))
        add_environment(env_of(request));
    if (!rc)
        add_path(request);
    if (!rc)
        rc = add_cwd(request, err);
    if (!rc)
        rc = add_request_id(request, err);
    if (!rc && !args_has(a, "no-check"))
        rc = program_check(request, err);
    if (rc)
        return rc;
    size_t size = json_dumpb(request, NULL, 0, JSON_COMPACT);
    if (size > CLIENT_REQUEST_MAX)
        return fail(err, E_TOO_LARGE,
                    "the request has %zu bytes; at most %d can be sent. Put large arguments and "
                    "variables into a file that the job reads.",
                    size, CLIENT_REQUEST_MAX);
    return 0;
}

int request_build(const struct args *a, json_t **ret, struct err *err)
{
    json_t *request = json_object();
    int rc = build(a, request, err);
    if (rc) {
        json_decref(request);
        return rc;
    }
    *ret = request;
    return 0;
}
